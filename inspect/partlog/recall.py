"""The pictures of the last passed parts, in memory: whoever finds an escape finds it a while after the gate let it through."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

from linegate.cameras.frame import Image
from linegate.inspect.part import PartKey


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One picture of a part. ``reason``: why it is kept; ``probability``: the chance it had of that, 1.0 on purpose."""

    image: Image
    key: PartKey
    camera: str
    reason: str
    probability: float


class Recall:
    """A ring bounded by bytes; the oldest parts leave first. Thread-safe.

    It holds copies: a frame may lie in a buffer of the camera's driver, which has only a few.
    """

    def __init__(self, limit_mb: float) -> None:
        self._limit_bytes = round(limit_mb * 1e6)
        self._lock = threading.Lock()
        self._parts: OrderedDict[PartKey, tuple[Picture, ...]] = OrderedDict()
        self._held_bytes = 0

    def add(self, key: PartKey, pictures: tuple[Picture, ...]) -> None:
        """Remember the views of a part; one larger than the whole ring is not remembered."""
        size = sum(picture.image.nbytes for picture in pictures)
        if not pictures or size > self._limit_bytes:
            return
        held = tuple(Picture(_copy(each.image), key, each.camera, each.reason, each.probability) for each in pictures)
        with self._lock:
            self._held_bytes += size - _size(self._parts.pop(key, ()))
            self._parts[key] = held
            while self._held_bytes > self._limit_bytes:
                self._held_bytes -= _size(self._parts.popitem(last=False)[1])

    def get(self, key: PartKey) -> tuple[Picture, ...]:
        """The part's views, () where it has left the ring."""
        with self._lock:
            return self._parts.get(key, ())

    @property
    def held_mb(self) -> float:
        """Megabytes held now."""
        return self._held_bytes / 1e6


def _copy(image: Image) -> Image:
    copied = image.copy()
    copied.flags.writeable = False
    return copied


def _size(pictures: tuple[Picture, ...]) -> int:
    return sum(picture.image.nbytes for picture in pictures)
