"""Image files as the line's cameras would deliver them; one reader for training, inspection and replay."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from linegate.cameras.errors import WrongImage
from linegate.cameras.frame import Image

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""What counts as an image when a folder is searched; lower case."""


def read_image(path: Path) -> Image:
    """(H, W) grey or (H, W, 3) RGB, uint8 or uint16, as stored; a transparency channel is dropped, EXIF is not applied.

    Raises:
        WrongImage: not readable, not an image, cut off, or of another type (floats).
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _broken(path, error.strerror or str(error)) from error
    if not data:
        raise _broken(path, "an empty file")
    if _cut_off(data):
        raise _broken(path, f"a file cut off after {len(data)} bytes")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise _broken(path, f"something OpenCV refuses ({error.err or error})") from error
    if image is None:
        raise _broken(path, "no image that OpenCV can decode")
    if image.dtype not in (np.uint8, np.uint16) or image.ndim not in (2, 3):
        raise _broken(path, f"{image.shape} {image.dtype}")
    result = cast(Image, image)
    if image.ndim == 3:
        result = cast(Image, cv2.cvtColor(image, cv2.COLOR_BGRA2RGB if image.shape[2] == 4 else cv2.COLOR_BGR2RGB))
    result.flags.writeable = False
    return result


def pixels_sha256(path: Path) -> str:
    """Hash of the decoded picture, the same for a copy in another lossless format; "" where it can't be decoded."""
    try:
        image = read_image(path)
    except WrongImage:  # named where it is opened to be trained on or judged
        return ""
    if image.ndim == 3 and (image == image[..., :1]).all():
        image = cast(Image, np.ascontiguousarray(image[..., 0]))  # grey, stored as colour
    return hashlib.sha256(f"{image.shape} {image.dtype}".encode() + image.tobytes()).hexdigest()


def _cut_off(data: bytes) -> bool:
    """Whether the end of a JPEG or PNG is missing: OpenCV fills what is missing with grey, and grey would pass as a good part.

    In a JPEG's pixel data 0xFF is always followed by 0x00 or a restart marker, so an end marker after the last start of scan
    is the real one (ITU-T T.81, B.1.1). A PNG ends with its IEND chunk (PNG specification, 5.6).
    """
    if data.startswith(b"\xff\xd8\xff"):
        return data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return b"IEND" not in data[-4096:]
    return False


def _broken(path: Path, found: str) -> WrongImage:
    return WrongImage(
        f"image {path}",
        expected="a complete image of 8 or 16 bits, grey or colour",
        found=found,
        remedy="Copy the file again, or leave it out.",
    )
