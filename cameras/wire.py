"""The photo-eye's wire to an emulated camera: a file that counts edges. A real camera has an input line for it."""

from __future__ import annotations

import mmap
from enum import IntEnum
from pathlib import Path

from linegate.cameras.errors import CameraError


class _Word(IntEnum):
    """Words of 64 bit, each with one writer."""

    EYE = 0
    NOISE = 1
    MISSED = 2


class Wire:
    """One end of it. The photo-eye pulses, the camera looks for edges; whoever wants to see a fault disturbs.

    An edge from before the camera looked for the first time is none of its own.
    """

    def __init__(self, path: Path) -> None:
        """Raises OSError where there is no such file."""
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 8 * len(_Word))
        self._words = memoryview(self._map).cast("Q")
        self._seen, self._missed = self._count(), self._words[_Word.MISSED]

    @staticmethod
    def create(path: Path) -> None:
        """A new wire, at rest."""
        path.write_bytes(bytes(8 * len(_Word)))

    def pulse(self) -> None:
        """The photo-eye's beam is broken."""
        self._words[_Word.EYE] += 1

    def disturb(self, edges: int = 1) -> None:
        """The camera sees so many edges that nobody else sees, as a bouncing contact makes them."""
        self._words[_Word.NOISE] += edges

    def miss(self, edges: int = 1) -> None:
        """The camera overlooks the next ``edges``, as one does that is still busy."""
        self._words[_Word.MISSED] += edges

    def edges(self) -> int:
        """New edges since the last call."""
        count = self._count()
        new, self._seen = count - self._seen, count
        overlooked = min(new, self._words[_Word.MISSED] - self._missed)
        self._missed += overlooked
        return new - overlooked

    def _count(self) -> int:
        return self._words[_Word.EYE] + self._words[_Word.NOISE]

    def close(self) -> None:
        """Let go of the file."""
        self._words.release()
        self._map.close()


def connect(camera: str, path: Path | None) -> Wire:
    """The camera's end. Raises CameraError where there is nothing to connect to."""
    found = "none"
    if path is not None:
        try:
            return Wire(path)
        except OSError as error:
            found = f"{path}: {error.strerror}"
    raise CameraError(
        f"camera {camera!r}",
        expected="a virtual photo-eye, as the virtual line has one",
        found=found,
        remedy='Files have no input for a real photo-eye: change trigger = "hardware" in station.toml.',
    )
