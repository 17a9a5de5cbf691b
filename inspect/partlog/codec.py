"""Pictures to bytes: PNG that gives back the same bits, and small JPEGs for the screens."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from linegate.cameras.frame import Image
from linegate.inspect.partlog.errors import LogError

PREVIEW_WIDTH_PX = 1280
PREVIEW_QUALITY = 80
PNG_LEVEL = 1


def encode_png(image: Image) -> bytes:
    """(H, W) or (H, W, 3) RGB, uint8 or uint16 → PNG that decodes to the same bits. Raises LogError or cv2.error."""
    pixels = _to_bgr(image)
    done, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL])
    if not done:
        raise _cannot_encode(image)
    return data.tobytes()


def decode_png(data: bytes) -> Image:
    """The inverse of ``encode_png``. Raises LogError for bytes that are no picture."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise LogError(
            "stored picture",
            expected="a PNG",
            found=f"{len(data)} bytes that are none",
            remedy="Run linegate log verify.",
        )
    image: Image = np.ascontiguousarray(pixels[..., ::-1]) if pixels.ndim == 3 else pixels  # type: ignore[assignment]
    return image


def encode_preview(image: Image) -> bytes:
    """JPEG, at most 1280 px wide, 8 bit."""
    pixels = _to_bgr(image)
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    height, width = pixels.shape[:2]
    if width > PREVIEW_WIDTH_PX:
        size = (PREVIEW_WIDTH_PX, max(1, round(height * PREVIEW_WIDTH_PX / width)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, PREVIEW_QUALITY])
    if not done:
        raise _cannot_encode(image)
    return data.tobytes()


def _to_bgr(image: Image) -> Any:
    if (
        image.dtype not in (np.uint8, np.uint16)
        or image.ndim not in (2, 3)
        or (image.ndim == 3 and image.shape[2] != 3)
    ):
        raise _cannot_encode(image)
    return cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image


def _cannot_encode(image: Image) -> LogError:
    return LogError(
        "picture to be stored",
        expected="(H, W) or (H, W, 3), uint8 or uint16",
        found=f"{image.shape} {image.dtype}",
        remedy="Check the camera's pixel_format in station.toml.",
    )
