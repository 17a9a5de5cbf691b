"""The report's arithmetic, against published bounds and a ledger written by hand."""

from __future__ import annotations

import resource
import signal
from pathlib import Path
from typing import Any

from linegate.inspect.virtual.ledger import Ledger, read_ledger
from linegate.inspect.virtual.report import PlcCounters, build_report


def row(good: bool, outcome: str, verdict: int | None, classes: tuple[str, ...] = ()) -> dict[str, Any]:
    latency = None if verdict is None else 5.0
    return {
        "good": good,
        "outcome": outcome,
        "verdict": verdict,
        "classes": classes,
        "latency_ms": latency,
        "eye_late_us": 1.0,
    }


def test_escapes_overkill_and_uninspected_passes_are_counted_from_the_truth() -> None:
    rows = [
        row(True, "passed", 1),
        row(True, "passed", None),
        row(True, "rejected", 2),
        row(False, "passed", 1, ("dent", "crack")),
        row(False, "rejected", 2, ("dent",)),
        row(False, "in_transit", None, ("stain",)),
    ]
    lives = [PlcCounters(1, 3, 1, 2, 2, 0, 0), PlcCounters(2, 3, 2, 0, 0, 0, 1)]
    report = build_report(rows, 7, lives, 12)
    assert (report.defective, report.good, report.in_transit) == (2, 3, 2)
    assert (report.escapes.count, report.escapes.total) == (1, 2)
    assert (report.overkill.count, report.overkill.total) == (1, 3)
    assert report.uninspected_passed == 1
    assert (report.classes["dent"].parts, report.classes["dent"].escapes) == (2, 1)
    assert (report.classes["crack"].parts, report.classes["crack"].escapes) == (1, 1)
    assert "stain" not in report.classes
    assert (report.triggered, report.passed, report.rejected, report.confirmed) == (6, 3, 2, 2)
    assert report.latency_percentiles()["p50"] == 5.0


def test_a_line_cut_off_in_mid_write_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_text('{"part": 1}\n{"part": 2}\n{"par')
    assert read_ledger(tmp_path / "ledger") == [{"part": 1}, {"part": 2}]


def test_a_full_disk_delays_the_truth_and_loses_none(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    ledger = Ledger(tmp_path / "ledger")
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # the 101st byte is refused
        for part in range(30):
            ledger.write({"part": part})
        assert not ledger.flush()
        assert (tmp_path / "ledger").stat().st_size == 100
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert ledger.flush()
    ledger.close()
    assert [row["part"] for row in read_ledger(tmp_path / "ledger")] == list(range(30))
