"""Small pictures for the screens, written by a thread of its own: ``live/part-<run>-<n>.jpg``, the last 64 of them.

No name is used twice, in this run or the next: whoever asks for a part's preview, however late, gets that part's or none.
"""

from __future__ import annotations

import queue
import threading
import time
from pathlib import Path

import cv2

from linegate.cameras.errors import LinegateError
from linegate.cameras.frame import Image
from linegate.inspect.partlog.codec import encode_preview
from linegate.inspect.partlog.files import write_atomically

KEPT = 64


class PreviewWriter:
    """``folder``: the live folder, which exists. ``waiting``: most pictures that wait to be written; twice a part's views let
    a part come in one piece while the one before is being written."""

    def __init__(self, folder: Path, waiting: int) -> None:
        self._folder = folder
        self._run_id = f"{time.time_ns():x}"
        self._queue: queue.Queue[tuple[int, Image]] = queue.Queue(waiting)
        self._lock = threading.Lock()
        self._number = 0
        self.written = 0
        self.dropped = 0
        """Too many waited, or the disk did not take it."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="image-previews", daemon=True)

    def start(self) -> None:
        """Remove what an earlier run left, and begin."""
        for path in self._folder.glob("part-*"):
            path.unlink(missing_ok=True)
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """End; what waits is not written any more."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def offer(self, image: Image) -> str:
        """The name of the file that will show this picture in a moment, "" when the writer is too busy for it. Never blocks."""
        with self._lock:  # numbers rise without a gap, so that each name's removal comes
            try:
                self._queue.put_nowait((self._number + 1, image))
            except queue.Full:
                self.dropped += 1
                return ""
            self._number += 1
            return self._name(self._number)

    def _name(self, number: int) -> str:
        return f"part-{self._run_id}-{number}.jpg"

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                number, image = self._queue.get(timeout=0.1)
            except queue.Empty:
                continue
            try:
                (self._folder / self._name(number - KEPT)).unlink(missing_ok=True)
                write_atomically(self._folder / self._name(number), encode_preview(image))
                self.written += 1
            except (OSError, cv2.error, LinegateError):
                with self._lock:
                    self.dropped += 1
