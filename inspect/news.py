"""The news desk: finished parts go to pictures, previews and the live ring, behind a queue that may be late."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from linegate.inspect.live import SLOTS, LiveWriter
from linegate.inspect.part import Decision
from linegate.inspect.partlog.images import ImageStore
from linegate.inspect.partlog.records import PartRecord
from linegate.inspect.settings import ImageSettings
from linegate.inspect.tracking_ports import FinishedPart

STATUS_PERIOD_S = 0.2
DEPTH = 32
"""Most parts that wait with their pictures, a few megabytes each."""


class KeepRule:
    """Which parts' pictures are kept: all that were not passed, every challenge part, which is bad whatever was said of it,
    and a random share of the passed, noted in the row."""

    def __init__(self, settings: ImageSettings, seed: int | None = None) -> None:
        self._share = settings.ok_share
        self._random = random.Random(seed)

    def __call__(self, record: PartRecord) -> PartRecord:
        """The record with its inclusion probability where its picture is to be kept."""
        if record.decision is not Decision.OK or record.challenge:
            return replace(record, keep_probability=1.0)
        keep = self._random.random() < self._share
        return replace(record, keep_probability=self._share if keep else None)


class NewsDesk:
    """A thread that tells the image store and the screens. ``tell`` never blocks, and what waits is bounded: when it falls far
    behind, passed parts are skipped and rejects are told without their preview, never a picture to be kept is lost here and
    never a reject's record that the ring would still hold."""

    def __init__(
        self, live: LiveWriter, images: ImageStore, deadline_ms: float, status: Callable[[], dict[str, Any]]
    ) -> None:
        self._live = live
        self._images = images
        self._deadline_ms = deadline_ms
        self._status = status
        self._queue: deque[FinishedPart] = deque(maxlen=SLOTS)
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="news", daemon=True)

    def start(self) -> None:
        """Begin to tell."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Tell what is queued, then end."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def tell(self, part: FinishedPart) -> None:
        """A part is through; pictures to be kept are handed on at once, the rest later."""
        record = part.record
        if record.keep_probability is not None:
            for frame in part.frames:
                self._images.put(frame.image, record.key, frame.camera, record.keep_reason, record.keep_probability)
        if len(self._queue) >= DEPTH:
            if record.decision is Decision.OK:
                return
            part = replace(part, frames=())
        self._queue.append(part)
        self._wake.set()

    def _run(self) -> None:
        next_status_s = 0.0
        while True:
            while self._queue:
                self._publish(self._queue.popleft())
            now_s = time.monotonic()
            if now_s >= next_status_s:
                self._live.set_status(self._status())
                next_status_s = now_s + STATUS_PERIOD_S
            if self._stopping and not self._queue:
                self._live.set_status({**self._status(), "running": False})
                return
            self._wake.wait(STATUS_PERIOD_S / 2)
            self._wake.clear()

    def _publish(self, part: FinishedPart) -> None:
        record = part.record
        if record.decision is Decision.OK:
            self._images.remember(record, part.frames)
        regions = [
            {
                "camera": view.camera,
                "defect_class": region.defect_class,
                "score": round(region.score, 4),
                "area_mm2": round(region.area_mm2, 3),
                "length_mm": round(region.length_mm, 3),
                "x_mm": round(region.x_mm, 2),
                "y_mm": round(region.y_mm, 2),
                "box_px": list(region.box_px),
            }
            for view in record.views
            for region in view.regions[:20]
        ]
        self._live.publish(
            {
                "kind": "part",
                "key": str(record.key),
                "epoch": record.key.epoch,
                "sequence": record.key.sequence,
                "decision": record.decision.value,
                "cause": record.cause.value,
                "reason": record.reason,
                "score": round(record.score, 4),
                "defect_class": record.defect_class,
                "regions": regions,
                "views": self._views(part),
                "latency_ms": part.outcome.latency_ms,
                "deadline_ms": self._deadline_ms,
                "slack_ms": part.outcome.slack_ms,
                "written": part.outcome.written,
                "lot": record.lot,
                "serial": record.serial,
                "recipe_id": record.recipe_id,
                "recipe": record.recipe_name,
                "bundle": record.bundle_sha256,
                "utc_ns": record.triggered_utc_ns,
                "verdict_ns": part.marks_ns.get("written", part.trigger.at_ns),
                "challenge": record.challenge,
            }
        )

    def _views(self, part: FinishedPart) -> list[dict[str, Any]]:
        """The part's pictures; ``preview`` is "" where the screens get none."""
        skipped = len(self._queue) > 2 and part.record.decision is Decision.OK
        if not part.frames:
            return [
                {"camera": view.camera, "preview": "", "width_px": view.width_px, "height_px": view.height_px}
                for view in part.record.views
            ]
        return [
            {
                "camera": frame.camera,
                "preview": "" if skipped else self._images.preview(frame.image),
                "width_px": frame.image.shape[1],
                "height_px": frame.image.shape[0],
            }
            for frame in part.frames
        ]
