"""What all formats carry: one picture's name, size and mask, with the names of the mask's values.

Masks are large and pictures many, so a picture stays ``Pending`` until its turn has come: one mask is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from linegate.inspect.hmi.review.exchange.rle import ExchangeError, Mask, bad
from linegate.inspect.partlog.masks import MOST_PIXELS, too_large, values_of

__all__ = ["Budget", "ExchangeError", "LabelledPicture", "Note", "Pending", "Piece", "blobs", "check_size", "compose"]

MOST_TOTAL_PIXELS = 20_000_000_000
"""Of one file: 1,600 masks of 12 megapixels, some two minutes of work. A file of a megabyte may claim any number."""


@dataclass(frozen=True, slots=True)
class Note:
    """What was not exact about a picture: the text ``review.import.note_<code>`` and its values."""

    code: str
    values: Mapping[str, object] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPicture:
    """One picture's label.

    Attributes:
        name: file name of the picture, as the other tool knows it.
        mask: (H, W) uint8, 0 background, k = classes[k - 1].
    """

    name: str
    mask: NDArray[np.uint8]
    classes: tuple[str, ...]
    notes: tuple[Note, ...] = ()

    @property
    def height_px(self) -> int:
        """Rows."""
        return int(self.mask.shape[0])

    @property
    def width_px(self) -> int:
        """Columns."""
        return int(self.mask.shape[1])

    @property
    def used(self) -> list[str]:
        """Names of the classes that have pixels."""
        return [self.classes[value - 1] for value in values_of(self.mask)]


class Budget:
    """The pixels that one file may have decoded, all of its pictures together."""

    def __init__(self, pixels: int = MOST_TOTAL_PIXELS) -> None:
        self._most = self._left = pixels

    def spend(self, pixels: int, thing: str) -> None:
        """Raises ExchangeError once more is asked for than there is."""
        self._left -= pixels
        if self._left < 0:
            most = f"{self._most / 1e9:.0f}"
            raise bad("upload_too_many_pixels", thing, f"at most {most} gigapixels", "more", "Split the file.", gp=most)


@dataclass(frozen=True, slots=True, eq=False)
class Pending:
    """A picture whose mask is not decoded yet.

    Attributes:
        classes: the names that its mask may use, () where only ``draw`` knows.
        draw: decodes it. Raises ExchangeError.
    """

    name: str
    width_px: int
    height_px: int
    draw: Callable[[Budget], LabelledPicture]
    classes: tuple[str, ...] = ()

    @staticmethod
    def of(picture: LabelledPicture) -> Pending:
        """One that is there already."""
        return Pending(picture.name, picture.width_px, picture.height_px, lambda _: picture, picture.classes)


def check_size(name: str, width: object, height: object) -> tuple[int, int]:
    """Width and height as numbers. Raises ExchangeError for what is no size, or larger than Linegate takes."""
    thing = f"picture {name!r}"
    try:
        w, h = int(str(width)), int(str(height))
    except ValueError:
        raise bad("picture_size", thing, "its width and height in pixels", f"{width!r:.40} x {height!r:.40}") from None
    if w < 1 or h < 1:
        raise bad("picture_size", thing, "its width and height in pixels", f"{w} x {h}")
    if w * h > MOST_PIXELS:
        error = too_large(thing, w, h)
        raise bad(error.code, thing, error.expected, error.found, error.remedy, **error.values)
    return w, h


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Foreground of one class: ``crop`` (h, w) bool at (x, y)."""

    label: str
    x: int
    y: int
    crop: Mask


def blobs(picture: LabelledPicture) -> Iterator[Piece]:
    """Every connected piece (8 neighbours) of every class."""
    for value, name in enumerate(picture.classes, start=1):
        of_class = picture.mask == value
        if not of_class.any():
            continue
        count, pieces, boxes, _ = cv2.connectedComponentsWithStats(of_class.astype(np.uint8), connectivity=8)
        for k in range(1, count):
            x, y, w, h = (int(n) for n in boxes[k, :4])
            yield Piece(name, x, y, pieces[y : y + h, x : x + w] == k)


def compose(
    name: str, width: int, height: int, pieces: Iterable[Piece], budget: Budget, notes: Sequence[Note] = ()
) -> LabelledPicture:
    """One mask of many; later pieces lie on top. Raises ExchangeError for more than 254 classes, or too many pixels."""
    thing = f"picture {name!r}"
    budget.spend(width * height, thing)
    mask = np.zeros((height, width), np.uint8)
    values: dict[str, int] = {}
    found = list(notes)
    for piece in pieces:
        budget.spend(piece.crop.size, thing)
        value = values.setdefault(piece.label, len(values) + 1)
        if value > 254:
            raise bad("picture_classes", thing, "at most 254 classes", "more")
        h, w = piece.crop.shape
        place = mask[piece.y : piece.y + h, piece.x : piece.x + w]
        if np.any(place[piece.crop]):
            found.append(Note("overlap", {"name": piece.label}))
        place[piece.crop] = value
    unique = [note for n, note in enumerate(found) if note not in found[:n]]
    return LabelledPicture(name, mask, tuple(values), tuple(unique))
