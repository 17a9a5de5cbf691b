"""The batch that runs outlives the station's restart, and is never counted twice or from zero by mistake."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from linegate.inspect.lots import LotCounts, begin_lot, resume_lot
from linegate.inspect.part import Cause, Decision, PartKey
from linegate.inspect.partlog.records import PartRecord
from linegate.inspect.partlog.writer import PartLog
from linegate.inspect.settings import LogSettings


class Tracker:
    lot = ""

    def set_lot(self, lot: str, serial: str = "") -> None:
        self.lot = lot


def put(log: PartLog, sequence: int, lot: str, decision: Decision) -> None:
    record = PartRecord(
        key=PartKey(7, sequence), triggered_utc_ns=time.time_ns(), recipe_id=1, recipe_name="a", bundle_sha256="",
        thresholds="", lot=lot, serial="", decision=decision, cause=Cause.JUDGED, reason="", score=0.0, defect_class="",
        keep_probability=1.0, challenge=False, encoder=0, views=(),
    )  # fmt: skip
    stored = threading.Event()
    log.put(record, lambda _error: stored.set())
    assert stored.wait(10)


def counts(lots: LotCounts) -> tuple[str, int, int, int]:
    now = lots.as_dict()
    return now["id"], now["ok"], now["ng"], now["not_inspected"]


def test_a_restart_goes_on_with_the_batch_and_its_counts(tmp_path: Path) -> None:
    settings = LogSettings(min_free_mb=0.0)
    log = PartLog.open(settings, tmp_path)
    log.start()
    lots, tracker = LotCounts(), Tracker()
    resume_lot(log, lots, tracker)  # type: ignore[arg-type]
    assert counts(lots) == ("", 0, 0, 0)
    put(log, 1, "", Decision.OK)
    assert begin_lot(log, lots, tracker, "L-1", "Otto", "") == 0  # type: ignore[arg-type]
    put(log, 2, "L-1", Decision.OK)
    put(log, 3, "L-1", Decision.NG)
    put(log, 4, "", Decision.NOT_INSPECTED)  # as rows of parts that nobody watched are
    log.close()

    log = PartLog.open(settings, tmp_path)
    log.start()
    try:
        lots, tracker = LotCounts(), Tracker()
        resume_lot(log, lots, tracker)  # type: ignore[arg-type]
        assert counts(lots) == ("L-1", 1, 1, 0) and tracker.lot == "L-1"
        assert abs(lots.as_dict()["started_utc_ns"] - time.time_ns()) < 60e9
        assert begin_lot(log, lots, tracker, "L-1", "Otto", "") == 2  # type: ignore[arg-type] # scanned twice: nothing is lost
        assert counts(lots) == ("L-1", 1, 1, 0)
        assert begin_lot(log, lots, tracker, "L-2", "Otto", "") == 0  # type: ignore[arg-type]
        assert begin_lot(log, lots, tracker, "L-1", "Otto", "") == 2  # type: ignore[arg-type] # the rest of the first one
        begin_lot(log, lots, tracker, "L-3", "Otto", "")  # type: ignore[arg-type]
    finally:
        log.close()

    log = PartLog.open(settings, tmp_path)  # a batch that was begun and has no part yet
    lots, tracker = LotCounts(), Tracker()
    resume_lot(log, lots, tracker)  # type: ignore[arg-type]
    log.close()
    assert counts(lots) == ("L-3", 0, 0, 0)
