"""kill -9 in the middle of everything, and the start after it on the same data folder with the same PLC."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from .rig import Rig


@contextlib.contextmanager
def station(rig: Rig, bundle: Path) -> Iterator[subprocess.Popen[str]]:
    """The station as a process; killed at the latest at the end."""
    script = str(Path(__file__).with_name("station_process.py"))
    stage = str(rig.plant.stage("top"))
    process = subprocess.Popen(
        [sys.executable, script, str(rig.plant.plc_port), stage, str(rig.data), str(bundle)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "started\n"
            yield process
        finally:
            process.kill()


def stored(rig: Rig) -> dict[tuple[int, int], dict[str, Any]]:
    """All rows, read by a stranger to the station."""
    engine = create_engine(f"sqlite:///{rig.data / 'linegate.db'}")
    with engine.connect() as connection:
        rows = [dict(row._mapping) for row in connection.execute(text("SELECT * FROM part"))]
    engine.dispose()
    return {(row["epoch"], row["sequence"]): row for row in rows}


def test_a_station_killed_twice_loses_no_row_and_adds_the_missing_ones(
    make_rig: Callable[..., Rig], blobs: Path
) -> None:
    rig = make_rig()
    rig.data.mkdir()
    rig.plant.run_belt()  # parts come before the first start, too
    kept: dict[tuple[int, int], dict[str, Any]] = {}
    for _ in range(2):
        with station(rig, blobs) as process:
            rig.passes()
            process.send_signal(signal.SIGKILL)
            process.wait()
        passed = {(p["epoch"], p["sequence"]) for p in rig.ledger() if p["outcome"] == "passed"}
        kept = stored(rig)
        assert passed <= set(kept), "a part passed whose row was not durable"
        rig.more_parts(10)
        assert len(stored(rig)) == len(kept), "nobody writes"
    rig.start_station()
    rig.passes()
    rig.check("crash", maybe=("camera_down", "not_ready"))  # parts that came while it started
    after = {(row["epoch"], row["sequence"]): row for row in rig.rows()}
    for key, row in kept.items():
        assert {n: after[key][n] for n in ("decision", "cause", "judged")} == {
            n: row[n] for n in ("decision", "cause", "judged")
        }
    crashed = [row for row in after.values() if row["cause"] == "crash"]
    assert {row["decision"] for row in crashed} == {"NOT_INSPECTED"}
    assert {row["wire_verdict"] for row in crashed} == {0}
    assert sum(row["text"].count("came while nobody watched") for row in rig.events("backfill")) == 3
