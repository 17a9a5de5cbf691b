"""A camera's raw frame number made into one that counts from 0 and never wraps."""

from __future__ import annotations

from linegate.cameras.errors import CameraLost


class FrameCounter:
    """Unwraps raw numbers and says how many were skipped.

    Args:
        camera: the camera's name, for the error.
        first: raw number of the first frame after arming (GigE block ids begin at 1, USB3's at 0).
        period: how many values there are before the raw number repeats; GigE's 16-bit block id runs 1..65535 and leaves
            0 out (GigE Vision 1.2, 5.2.3), so its period is 65535.
    """

    def __init__(self, camera: str, *, first: int, period: int) -> None:
        self._camera = camera
        self._first = first
        self._period = period
        self._next = 0

    @property
    def expected(self) -> int:
        """The counter the next frame should have."""
        return self._next

    def skip(self, count: int) -> None:
        """``count`` frames are known to be lost already and are no gap."""
        self._next += count

    def advance(self, raw: int) -> tuple[int, int]:
        """Returns the frame's counter and how many frames are missing before it.

        Raises:
            CameraLost: the number went back or stood still, so the camera has restarted and must be armed afresh.
        """
        missing = (raw - self._first - self._next) % self._period
        if missing > self._period // 2:
            raise CameraLost(
                f"camera {self._camera!r}",
                expected=f"a frame number after {self._next - 1}",
                found=f"raw frame number {raw}, which lies before it",
                remedy="The camera restarted; it is opened again by itself. Check its supply if this repeats.",
            )
        counter = self._next + missing
        self._next = counter + 1
        return counter, missing
