"""The second reject path: "pulse = PASS" on a camera's own output, from a timer that expires by itself.

It needs neither PLC nor network to fail safe: no pulse, no pass. A pulse is a register write to the camera, which takes a
moment, so it has a thread of its own; a part whose pulse comes too late is rejected by the gate's own rest position.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable

from linegate.cameras.camera import PulseOutput
from linegate.cameras.errors import LinegateError
from linegate.inspect.part import PartKey
from linegate.inspect.settings import PulseSettings

_log = logging.getLogger(__name__)


class PulseGate:
    """Pulses for parts that may pass. ``allow`` never blocks.

    Args:
        on_failed: told on the pulse thread when a pulse could not be given; the part is then rejected.
    """

    def __init__(
        self, output: PulseOutput, settings: PulseSettings, on_failed: Callable[[PartKey, LinegateError], None]
    ) -> None:
        self._output = output
        self._settings = settings
        self._on_failed = on_failed
        self._queue: queue.Queue[tuple[PartKey, int] | None] = queue.Queue(16)
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """End; what is queued is not pulsed."""
        while True:
            try:
                self._queue.get_nowait()
            except queue.Empty:
                break
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def allow(self, key: PartKey, until_ns: int) -> None:
        """Pulse for this part, unless it is ``until_ns`` (time.monotonic_ns) before its turn comes."""
        try:
            self._queue.put_nowait((key, until_ns))
        except queue.Full:
            self._fail(key, "a free place in the pulse queue", "16 pulses waiting")

    def _run(self) -> None:
        while True:
            work = self._queue.get()
            if work is None:
                return
            key, until_ns = work
            if time.monotonic_ns() >= until_ns:
                self._fail(key, "a pulse before the part's deadline", "the deadline was over")
                continue
            try:
                self._output.pulse(self._settings.line, round(self._settings.pulse_ms * 1000))
            except LinegateError as error:
                self._on_failed(key, error)
            except Exception as error:  # whatever an SDK throws, the next part gets its pulse
                _log.exception("the pulse for part %s failed", key)
                self._fail(key, "a pulse", f"{type(error).__name__}: {error}")

    def _fail(self, key: PartKey, expected: str, found: str) -> None:
        camera = self._settings.camera
        remedy = f"The part was rejected. Check the load of camera {camera!r} and its link."
        self._on_failed(key, LinegateError(f"pulse for part {key}", expected=expected, found=found, remedy=remedy))
