"""What is shipped, as it is shipped: the released bundle under station.toml, on parts it was not trained on."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import beta

from linegate.inspect.virtual.ledger import read_ledger

from .command import run

SHIPPED = Path(__file__).resolve().parents[2] / "station.toml"
MOST_ESCAPES = 0.01
MOST_OVERKILL = 0.02
JUDGED = "SELECT epoch, sequence, judged FROM part"
SEED = 4711
"""No release is trained on it."""


PATIENT = (
    ("deadline_ms = 200.0", "deadline_ms = 1500.0"),
    ("camera_to_gate_ms = 400.0", "camera_to_gate_ms = 2000.0"),
    ("stop_after_uninspected = 5", "stop_after_uninspected = 1000"),
    ("real_time = true", "real_time = false"),
)
"""Times so generous that a busy machine does not matter, and no priority over the tests beside it."""


def shipped(folder: Path, *changes: tuple[str, str]) -> Path:
    """The shipped station, but for its ports, which another station on this machine may hold, and its screens."""
    text = SHIPPED.read_text(encoding="utf-8")
    for old, new in (("port = 5020", "port = 0"), ("enabled = true", "enabled = false"), *changes):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path = folder / "station.toml"
    path.write_text(text, encoding="utf-8")
    return path


def reconciles(said: dict[str, Any], parts: int) -> None:
    """No part without a row, no row without a part, and nothing passed that must not."""
    assert said["contradictions"] == []
    assert said["triggers"] + said["unwatched"] == said["rows"] == said["plc_triggered"] == parts, said
    assert said["plc_passed"] + said["plc_rejected"] == parts, said
    assert said["passed_without_row"] == said["uninspected_passed"] == 0


def wrongly_judged(data: Path) -> tuple[int, int]:
    """(defective parts judged OK, good parts judged NG or REVIEW): the bundle's own mistakes, whatever the gate made of
    them. Parts that a busy machine could not inspect are in neither."""
    with sqlite3.connect(data / "linegate.db") as connection:
        rows = {(epoch, seq): judged for epoch, seq, judged in connection.execute(JUDGED)}
    connection.close()
    truth = {(row["epoch"], row["sequence"]): row["good"] for row in read_ledger(data / "plant" / "ledger.jsonl")}
    missed = sum(judged == "OK" and not truth[key] for key, judged in rows.items())
    return missed, sum(judged in ("NG", "REVIEW") and truth[key] for key, judged in rows.items())


def at_most(count: int, of: int, share: float) -> bool:
    """Whether so many may be seen where the true share is ``share``: the exact one-sided 95 % lower bound is not above it
    (Clopper-Pearson)."""
    return count == 0 or float(beta.ppf(0.05, count, of - count + 1)) <= share


def test_forty_parts_of_the_shipped_line(tmp_path: Path) -> None:
    code, out, err = run(shipped(tmp_path, *PATIENT), "--parts", "40", "--rate", "5", "--seed", str(SEED), "--json")
    assert code == 0, err
    said = json.loads(out)
    reconciles(said, 40)
    missed, rejected = wrongly_judged(tmp_path / "data")
    assert said["defective"] >= 3
    assert at_most(missed, said["defective"], MOST_ESCAPES), said["by_class"]
    assert at_most(rejected, said["good"], MOST_OVERKILL), said


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_two_thousand_parts_at_the_default_rate(tmp_path: Path) -> None:
    """The promise of the whole, on a machine that has nothing else to do."""
    code, out, err = run(shipped(tmp_path), "--parts", "2000", "--seed", str(SEED), "--json", timeout_s=800.0)
    assert code == 0, err
    said = json.loads(out)
    reconciles(said, 2000)
    assert said["frames"] == 2000 and said["frames_lost"] == said["unwatched"] == 0
    assert said["deadline_misses"] == said["late_results"] == said["not_inspected"] == 0
    assert said["latency_ms"]["p99"] <= 60.0 and said["latency_ms"]["p50"] <= 20.0
    assert at_most(said["escapes"], said["defective"], MOST_ESCAPES), said["by_class"]
    assert at_most(said["overkill"], said["good"], MOST_OVERKILL), said
