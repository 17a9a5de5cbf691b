"""The pictures of parts: lossless, content-addressed, written by a thread of their own that is allowed to be late."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2

from linegate.cameras.errors import LinegateError
from linegate.cameras.frame import Frame, Image
from linegate.inspect.part import PartKey
from linegate.inspect.partlog.batch import insert_images
from linegate.inspect.partlog.codec import encode_png
from linegate.inspect.partlog.database import DATABASE_TROUBLE, explain
from linegate.inspect.partlog.errors import LogError
from linegate.inspect.partlog.files import content_path, write_content
from linegate.inspect.partlog.previews import PreviewWriter
from linegate.inspect.partlog.queries import Reading, pictured_views
from linegate.inspect.partlog.recall import Picture, Recall
from linegate.inspect.partlog.records import ImageRecord, PartRecord
from linegate.inspect.partlog.retention import GB, SweepReport, sweep
from linegate.inspect.partlog.rows import image_row
from linegate.inspect.partlog.unlogged import YOUNG_S, Unlogged
from linegate.inspect.partlog.writer import PartLog
from linegate.inspect.settings import ImageSettings

SWEEP_S = 600.0
SWEEP_SHARE = 0.02
"""A sweep comes early when so much of max_gb was stored since the last one."""
SWEEP_PAUSE_S = 5.0
"""Early sweeps come no closer than this: each adds up the sizes of all pictures."""


@dataclass(frozen=True, slots=True)
class ImageStatus:
    """Counts since start. ``duplicates``: pictures whose bytes were stored already. ``failed``: could not be written.
    ``recall_mb``: pictures of passed parts held in memory."""

    stored: int
    duplicates: int
    dropped: int
    failed: int
    waiting: int
    previews: int
    previews_dropped: int
    recall_mb: float
    last_sweep: SweepReport | None


class ImageStore:
    """``folder`` is the data folder: pictures go to ``images/``, previews to ``live/``. ``views``: cameras of a part.

    ``put``, ``remember`` and ``preview`` may be called from any thread and never wait for a disk. Images must not change
    after they were handed over (frames are read-only). Three threads: pictures, previews, retention.
    """

    def __init__(
        self,
        folder: Path,
        settings: ImageSettings,
        log: PartLog,
        *,
        views: int = 1,
        sweep_s: float = SWEEP_S,
        sweep_pause_s: float = SWEEP_PAUSE_S,
    ) -> None:
        self._images = folder / "images"
        self._settings, self._log = settings, log
        self._sweep_s, self._sweep_pause_s = sweep_s, sweep_pause_s
        self._pictures: queue.Queue[Picture] = queue.Queue(settings.queue)
        self._recall = Recall(settings.recall_mb)
        self._previews = PreviewWriter(folder / "live", 2 * views)
        self._stop = threading.Event()
        self._sweep_early = threading.Event()
        self._unswept_bytes = 0
        self._unlogged = Unlogged()
        self._writing = threading.Lock()
        """Two threads that write the same bytes would share one temporary file."""
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(("stored", "duplicates", "dropped", "failed"), 0)
        self._failing = False
        self._last_sweep: SweepReport | None = None
        try:
            self._images.mkdir(parents=True, exist_ok=True)
            (folder / "live").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _cannot_write(folder, error) from error
        self._threads = (
            threading.Thread(target=self._run_pictures, name="image-store", daemon=True),
            threading.Thread(target=self._run_sweeps, name="image-sweep", daemon=True),
        )

    def start(self) -> None:
        """Start the threads."""
        self._previews.start()
        for thread in self._threads:
            thread.start()

    def put(self, image: Image, key: PartKey, camera: str, reason: str, probability: float = 1.0) -> bool:
        """Keep this picture. ``reason``: why (ng, review, sample, challenge …); ``probability``: the chance it had of being
        kept, 1.0 on purpose. False when the queue was full: the picture is dropped, counted, and an event says so."""
        try:
            self._pictures.put_nowait(Picture(image, key, camera, reason[:32], probability))
        except queue.Full:
            self._count("dropped")
            text = f"picture of part {key}, camera {camera}, was dropped: {self._settings.queue} wait already"
            self._log.record_event("image_dropped", "warning", text, key, {"camera": camera, "reason": reason})
            return False
        return True

    def remember(self, record: PartRecord, frames: Sequence[Frame]) -> None:
        """Hold the pictures of a passed part in memory for a while, for ``recall``. Copies them: not on the verdict path."""
        kept = record.keep_probability is not None
        reason = record.keep_reason if kept else "recalled"
        probability = record.keep_probability if record.keep_probability is not None else 1.0
        views = (Picture(frame.image, record.key, frame.camera, reason, probability) for frame in frames)
        self._recall.add(record.key, tuple(views))

    def recall(self, key: PartKey) -> tuple[str, ...]:
        """Keep the pictures of a part that passed a short while ago; the cameras of which a picture of this part is stored
        then, with its row. Waits for disk and database: not for the verdict path. Raises LogError."""
        try:
            rows = [image_row(self._write(picture)[0]) for picture in self._recall.get(key)]
        except OSError as error:
            raise _cannot_write(self._images, error) from error
        try:
            if rows:
                with self._log.writer_engine.begin() as connection:
                    insert_images(connection, rows)
        except DATABASE_TROUBLE as error:
            raise explain(error, self._log.writer_engine) from error
        with Reading(self._log.reader) as connection:
            return pictured_views(connection, key)

    def preview(self, image: Image) -> str:
        """Show this picture to the screens; the file's name in live/, "" when they get none because the disk is busy."""
        return self._previews.offer(image)

    def path(self, sha256: str) -> Path:
        """Where a stored picture lies."""
        return content_path(self._images, sha256)

    def sweep(
        self, young_s: float = YOUNG_S, stop: Callable[[], bool] = lambda: False, *, orphans: bool = True
    ) -> SweepReport:
        """Retention, now; the store does it by itself too. Raises LogError or OSError."""
        report = sweep(
            self._log.writer_engine,
            self._log.reader,
            self._images,
            self._settings,
            self._unlogged,
            stop=stop,
            young_s=young_s,
            orphans=orphans,
        )
        self._last_sweep = report
        return report

    def status(self) -> ImageStatus:
        """Counts since start."""
        with self._lock:
            return ImageStatus(
                **self._counts,
                waiting=self._pictures.qsize(),
                previews=self._previews.written,
                previews_dropped=self._previews.dropped,
                recall_mb=self._recall.held_mb,
                last_sweep=self._last_sweep,
            )

    def close(self, timeout_s: float = 10.0) -> None:
        """Write what waits, then stop. Close it before the log. Raises LogError when pictures were left unwritten."""
        self._stop.set()
        self._sweep_early.set()
        deadline = time.monotonic() + timeout_s
        self._previews.stop(timeout_s)
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))
        left = self._pictures.qsize()
        if left or self._threads[0].is_alive():
            raise LogError(
                f"pictures in {self._images}",
                expected=f"all written within {timeout_s:g} s",
                found=f"{left} left",
                remedy="The disk is slow or full; the parts' rows are complete, these pictures are lost.",
            )

    # -- the pictures' thread

    def _run_pictures(self) -> None:
        while True:
            try:
                picture = self._pictures.get(timeout=0.1)
            except queue.Empty:
                if self._stop.is_set():
                    return
                continue
            self._store(picture)

    def _store(self, picture: Picture) -> None:
        try:
            record, new = self._write(picture)
            self._log.put_image(record)
        except (OSError, cv2.error, LinegateError) as error:
            self._count("failed")
            if not self._failing:  # one event for a full disk, not one a picture
                self._failing = True
                text = f"pictures can't be written to {self._images}: {error}"
                self._log.record_event("image_failed", "alarm", text, picture.key, {"camera": picture.camera})
            return
        self._failing = False
        self._count("stored" if new else "duplicates")

    def _write(self, picture: Picture) -> tuple[ImageRecord, bool]:
        """The file, durable; its row is still to be written. Raises OSError, cv2.error or LogError."""
        image, key = picture.image, picture.key
        data = encode_png(image)
        with self._writing:
            sha256, new = write_content(
                self._images,
                data,
                announce=lambda sha256: self._unlogged.add(sha256, (key.epoch, key.sequence, picture.camera)),
            )
        if new:
            self._unswept_bytes += len(data)
            if self._unswept_bytes > SWEEP_SHARE * self._settings.max_gb * GB:
                self._sweep_early.set()
        record = ImageRecord(
            key=key,
            camera=picture.camera,
            sha256=sha256,
            width_px=image.shape[1],
            height_px=image.shape[0],
            channels=1 if image.ndim == 2 else image.shape[2],
            bits=8 * image.itemsize,
            size_bytes=len(data),
            reason=picture.reason,
            probability=picture.probability,
            stored_utc_ns=time.time_ns(),
        )
        return record, new

    # -- the sweeps' thread: by the clock and by what was stored, however busy the pictures' thread is

    def _run_sweeps(self) -> None:
        due_s = time.monotonic() + self._sweep_s
        deleted, deleted_mb = 0, 0.0
        while True:
            early = self._sweep_early.wait(max(0.0, due_s - time.monotonic()))
            if self._stop.is_set():
                return
            self._sweep_early.clear()
            self._unswept_bytes = 0
            report = self._try_to_sweep(orphans=not early)
            if report is not None:
                deleted, deleted_mb = deleted + report.deleted, deleted_mb + report.deleted_mb
            if not early:
                due_s = time.monotonic() + self._sweep_s
                if report is not None and (deleted or report.orphans):  # early ones would be many events
                    text = f"{deleted} old pictures removed ({deleted_mb:.1f} MB), {report.orphans} without a row"
                    self._log.record_event("images_swept", "info", text)
                    deleted, deleted_mb = 0, 0.0
            if self._stop.wait(self._sweep_pause_s):
                return

    def _try_to_sweep(self, *, orphans: bool) -> SweepReport | None:
        try:
            return self.sweep(stop=self._stop.is_set, orphans=orphans)
        except (OSError, LogError) as error:
            self._log.record_event("sweep_failed", "warning", f"old pictures could not be removed: {error}")
            return None

    def _count(self, name: str) -> None:
        with self._lock:
            self._counts[name] += 1


def _cannot_write(folder: Path, error: OSError) -> LogError:
    return LogError(
        f"data folder {folder}",
        expected="a folder that can be written",
        found=str(error.strerror or error),
        remedy="Correct data in station.toml (or --data), or the folder's rights.",
    )
