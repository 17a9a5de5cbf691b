"""How large the photos of a folder are, so that the emulated camera's sensor holds the largest."""

from __future__ import annotations

from pathlib import Path

import cv2

from linegate.inspect.virtual.pictures import find_photos

REDUCED = 8


def largest_px(folder: Path) -> tuple[int, int]:
    """Width and height that hold every photo, rounded up to a multiple of 8; unreadable files do not count here."""
    width_px = height_px = REDUCED
    for photo in find_photos(folder)[0]:
        # decoding an eighth of a JPEG is several times faster than the whole
        small = cv2.imread(str(photo.image), cv2.IMREAD_REDUCED_GRAYSCALE_8)
        if small is not None:
            height_px = max(height_px, small.shape[0] * REDUCED)
            width_px = max(width_px, small.shape[1] * REDUCED)
    return width_px, height_px
