"""One frame, one deadline, one verdict: the inference thread."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from linegate.cameras.errors import LinegateError
from linegate.cameras.frame import Frame
from linegate.inspect.part import Cause, Judgement, PartKey
from linegate.inspect.partlog.records import ViewRecord
from linegate.inspect.recipes import ActiveRecipe


class Verdicts(Protocol):
    """Who wants to know, on the inference thread."""

    def on_view(self, key: PartKey, view: ViewRecord, judgement: Judgement, stages_ns: Mapping[str, int]) -> None:
        """A view is judged."""
        ...

    def on_failed(self, key: PartKey, cause: Cause, text: str) -> None:
        """A view can't be judged."""
        ...


@dataclass(frozen=True, slots=True)
class _Work:
    key: PartKey
    deadline_ns: int
    frame: Frame
    active: ActiveRecipe


class Pipeline:
    """A bounded queue and the thread that judges what is in it, oldest first.

    What can't be in time is not begun, so that one slow part does not make the next ones late. A failing network fails
    its part, never the thread. ``beat`` is called once a round and at least every 0.1 s, for the watchdog.
    """

    def __init__(self, verdicts: Verdicts, *, depth: int, reserve_ns: int, beat: Callable[[], None]) -> None:
        self._verdicts = verdicts
        self._reserve_ns = reserve_ns
        self._beat = beat
        self._queue: queue.Queue[_Work | None] = queue.Queue(depth)
        self._took_ns = 0
        self._judging = False
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)

    def start(self) -> None:
        """Begin to judge."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Judge what is queued, then end. Never raises."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join(timeout_s)

    def submit(self, key: PartKey, deadline_ns: int, frame: Frame, active: ActiveRecipe) -> bool:
        """Queue a frame; False when the queue is full. Never blocks."""
        try:
            self._queue.put_nowait(_Work(key, deadline_ns, frame, active))
        except queue.Full:
            return False
        return True

    def busy(self) -> bool:
        """Whether a frame is being judged or waits to be."""
        return self._judging or not self._queue.empty()

    def _run(self) -> None:
        while True:
            self._beat()
            try:
                work = self._queue.get(timeout=0.1)
            except queue.Empty:
                continue
            if work is None:
                return
            self._judging = True
            self._judge(work)
            self._judging = False

    def _judge(self, work: _Work) -> None:
        started_ns = time.monotonic_ns()
        if started_ns + self._took_ns + self._reserve_ns > work.deadline_ns:
            left_ms = (work.deadline_ns - started_ns) / 1e6
            text = f"{left_ms:.0f} ms were left when its turn came; inference takes {self._took_ns / 1e6:.0f} ms"
            self._took_ns = self._took_ns * 3 // 4  # one slow part must not shut the gate for good
            self._verdicts.on_failed(work.key, Cause.DEADLINE, text)
            return
        try:
            result = work.active.judge.judge(work.frame.image, work.frame.camera)
        except LinegateError as error:
            self._verdicts.on_failed(work.key, Cause.INFERENCE_FAILED, str(error))
            return
        except Exception as error:  # a crash in an engine costs one part, not the station
            self._verdicts.on_failed(work.key, Cause.INFERENCE_FAILED, f"{type(error).__name__}: {error}")
            return
        self._took_ns = (3 * self._took_ns + time.monotonic_ns() - started_ns) // 4
        height_px, width_px = work.frame.image.shape[:2]
        view = ViewRecord(
            camera=work.frame.camera,
            frame_counter=work.frame.counter,
            frame_timestamp_ns=work.frame.timestamp_ns,
            width_px=width_px,
            height_px=height_px,
            decision=result.judgement.decision,
            score=result.judgement.score,
            reason=result.judgement.reason,
            regions=result.judgement.regions,
            embedding=result.embedding,
        )
        stages_ns = {"queue": started_ns - work.frame.received_ns, **result.timings_ns}
        self._verdicts.on_view(work.key, view, result.judgement, stages_ns)
