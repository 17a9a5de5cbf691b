"""Stored pictures for the browser: as they are where it can read them, as 8-bit where not, and small ones for the list."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from linegate.inspect.hmi.errors import ScreenError
from linegate.inspect.partlog.codec import decode_png
from linegate.inspect.partlog.files import content_path

THUMB_PX = 208
KEPT_THUMBS = 2000
KEPT_PIXELS = 3
_IHDR_BITS = 24


class Pictures:
    """Reads ``<data>/images``. Thread-safe; thumbnails of the last 2,000 pictures are kept in memory (about 10 MB)."""

    def __init__(self, data: Path) -> None:
        self._folder = data / "images"
        self._thumbs: OrderedDict[str, bytes] = OrderedDict()
        self._pixels: OrderedDict[str, NDArray[np.uint8]] = OrderedDict()
        self._lock = threading.Lock()

    def content(self, sha256: str) -> bytes:
        """The stored PNG. Raises ScreenError 404 where retention removed it, or it never was."""
        if len(sha256) != 64 or not sha256.isalnum():
            raise ScreenError("review.error.no_picture", 404)
        try:
            return content_path(self._folder, sha256).read_bytes()
        except OSError:
            raise ScreenError("review.error.no_picture", 404) from None

    def for_screen(self, sha256: str) -> bytes:
        """PNG with 8 bits a channel at native size: the stored bytes, unless they have 16 bits."""
        png = self.content(sha256)
        if png[_IHDR_BITS] == 8:
            return png
        image: Any = np.asarray(decode_png(png))
        # Cameras deliver 10 or 12 bits right-aligned in 16: what is there is spread over the range that can be seen.
        top = max(255, int(image.max()))
        small = cv2.convertScaleAbs(image, alpha=255.0 / top)
        done, encoded = cv2.imencode(
            ".png", small[..., ::-1] if small.ndim == 3 else small, [cv2.IMWRITE_PNG_COMPRESSION, 1]
        )
        if not done:
            raise ScreenError("review.error.no_picture", 404)
        return encoded.tobytes()

    def pixels(self, sha256: str) -> NDArray[np.uint8]:
        """(H, W) or (H, W, 3) RGB uint8, read-only. The last are kept: scissors ask for the same one at every click."""
        with self._lock:
            if sha256 in self._pixels:
                self._pixels.move_to_end(sha256)
                return self._pixels[sha256]
        image = np.asarray(decode_png(self.for_screen(sha256)), np.uint8)
        image.setflags(write=False)
        with self._lock:
            self._pixels[sha256] = image
            while len(self._pixels) > KEPT_PIXELS:
                self._pixels.popitem(last=False)
        return image

    def thumb(self, sha256: str) -> bytes:
        """A JPEG at most 208 px wide."""
        with self._lock:
            known = self._thumbs.get(sha256)
            if known is not None:
                self._thumbs.move_to_end(sha256)
                return known
        content = np.frombuffer(self.content(sha256), np.uint8)
        image = cv2.imdecode(content, cv2.IMREAD_COLOR)
        if image is None:
            raise ScreenError("review.error.no_picture", 404)
        height, width = image.shape[:2]
        size = (THUMB_PX, max(1, round(height * THUMB_PX / width)))
        done, encoded = cv2.imencode(
            ".jpg", cv2.resize(image, size, interpolation=cv2.INTER_AREA), [cv2.IMWRITE_JPEG_QUALITY, 82]
        )
        if not done:
            raise ScreenError("review.error.no_picture", 404)
        small = encoded.tobytes()
        with self._lock:
            self._thumbs[sha256] = small
            while len(self._thumbs) > KEPT_THUMBS:
                self._thumbs.popitem(last=False)
        return small
