"""The one protocol behind which every camera stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from linegate.cameras.frame import Frame, FrameLost


@dataclass(frozen=True, slots=True)
class CameraInfo:
    """Who a camera is, as `linegate cameras` prints it.

    ``width_px`` and ``height_px`` are those of a frame as now configured; ``id`` is what station.toml's ``serial`` takes.
    """

    driver: str
    id: str
    vendor: str
    model: str
    width_px: int
    height_px: int
    pixel_format: str
    link: str


@runtime_checkable
class Camera(Protocol):
    """One camera, owned and called by one acquisition thread (``write_output`` excepted).

    Life: ``open`` → ``arm`` → (``prepare`` → ``trigger`` → ``fetch``)* → ``disarm`` → ``close``. ``close`` is allowed in
    every state, never raises, and may be followed by ``open`` again. A driver keeps no thread of its own once closed.
    """

    @property
    def name(self) -> str:
        """The name in station.toml."""
        ...

    def open(self) -> CameraInfo:
        """Connect and configure. Raises CameraNotFound, or CameraError naming the feature that refused its value."""
        ...

    def arm(self) -> None:
        """Start acquisition, one by one, with a bounded buffer queue; the counter restarts at 0."""
        ...

    def prepare(self, timeout_s: float) -> None:
        """Wait until the camera can take a trigger, at most ``timeout_s``. The acquisition thread calls it between parts, so
        that asking the camera (1 ms on the emulator) is not in a part's time; ``trigger`` works without. Raises
        CameraLost."""
        ...

    def trigger(self, timeout_s: float) -> None:
        """Fire one exposure by software; waits until the camera is ready for it. Raises CameraLost, or CameraError
        when the camera is set to a hardware trigger or is not ready within ``timeout_s``."""
        ...

    def fetch(self, timeout_s: float) -> Frame | FrameLost | None:
        """The next frame, in order. ``FrameLost`` for a broken buffer or a jump of the counter (the frame after the
        jump follows at the next call); None when nothing came in time; raises CameraLost when the device is gone."""
        ...

    def disarm(self) -> None:
        """Stop acquisition; frames not fetched are dropped."""
        ...

    def close(self) -> None:
        """Let go of the device. Never raises."""
        ...


@runtime_checkable
class PulseOutput(Protocol):
    """A camera's digital output that pulses by itself: "pulse = PASS" from a self-expiring timer.

    Called by the line's verdict thread while the acquisition thread is in ``fetch``. A cut cable, a lost camera or a
    dead host leaves the output at rest, and rest means reject.
    """

    def pulse(self, line: str, duration_us: int) -> None:
        """Raise ``line`` for ``duration_us``; the camera's own timer lowers it. Raises CameraError."""
        ...
