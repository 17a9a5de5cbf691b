"""Records for the tests of the part log."""

from __future__ import annotations

import threading
import time

import numpy as np

from linegate.inspect.part import Cause, Decision, PartKey, Region
from linegate.inspect.partlog.errors import LogError
from linegate.inspect.partlog.records import PartRecord, ViewRecord
from linegate.inspect.partlog.writer import PartLog

BUNDLE = "ab" * 32


def region(defect_class: str = "dent") -> Region:
    outline = np.array([[10, 20], [15, 20], [15, 28]], np.int32)
    return Region(defect_class, 0.93, 1.25, 3.5, 12.5, 24.0, (10, 20, 6, 9), outline)


def record(
    sequence: int,
    *,
    epoch: int = 7,
    decision: Decision = Decision.OK,
    defect_class: str = "",
    lot: str = "L1",
    serial: str = "",
    reason: str = "nothing found",
) -> PartRecord:
    regions = (region(defect_class),) if defect_class else ()
    view = ViewRecord(
        "top",
        sequence,
        sequence * 1000,
        1024,
        768,
        decision,
        0.25,
        reason,
        regions,
        np.linspace(0, 1, 8, dtype=np.float32),
    )
    return PartRecord(
        key=PartKey(epoch, sequence),
        triggered_utc_ns=time.time_ns(),
        recipe_id=1,
        recipe_name="panel",
        bundle_sha256=BUNDLE,
        thresholds='{"part_reject":0.5}',
        lot=lot,
        serial=serial,
        decision=decision,
        cause=Cause.JUDGED,
        reason=reason,
        score=0.25,
        defect_class=defect_class,
        keep_probability=0.02,
        challenge=False,
        encoder=sequence * 10,
        views=(view,),
    )


class Answer:
    """Collects what ``done`` is called with; ``wait`` returns it."""

    def __init__(self) -> None:
        self.calls: list[LogError | None] = []
        self.threads: list[str] = []
        self._event = threading.Event()

    def __call__(self, error: LogError | None) -> None:
        self.calls.append(error)
        self.threads.append(threading.current_thread().name)
        self._event.set()

    def wait(self, timeout_s: float = 10.0) -> LogError | None:
        assert self._event.wait(timeout_s), "done was not called"
        return self.calls[0]


def put(log: PartLog, item: PartRecord) -> LogError | None:
    answer = Answer()
    log.put(item, answer)
    return answer.wait()


def until(condition, timeout_s: float = 10.0) -> None:
    """Poll with a deadline."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.005)
