"""Masks as files named by their hash: 8-bit grey PNG, 0 background, k the label's k-th class. Written once, never changed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import struct
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from linegate.inspect.partlog.errors import CodedError

MOST_PIXELS = 50_000_000
"""Larger masks and pictures are refused before they are decoded: a small file may unfold to gigabytes."""
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEX = re.compile(r"[0-9a-f]{64}")


class MaskError(CodedError):
    """A mask that can't be taken, or one that is not there (any more)."""


@dataclass(frozen=True, slots=True)
class StoredMask:
    """One mask in the store. ``labels``: the non-zero values it holds, rising."""

    sha256: str
    width_px: int
    height_px: int
    labels: tuple[int, ...]


def png_size(png: bytes) -> tuple[int, int, bool]:
    """Width, height and whether it is 8-bit grey, from the header alone. Raises MaskError for what is no PNG."""
    if len(png) < 33 or not png.startswith(_SIGNATURE) or png[12:16] != b"IHDR":
        raise MaskError(
            "mask",
            expected="a PNG file",
            found="something else",
            remedy="Send the mask as an 8-bit grey PNG.",
            code="mask_no_png",
        )
    width, height, bits, colour = struct.unpack_from(">IIBB", png, 16)
    return width, height, bits == 8 and colour == 0


def decode_mask(png: bytes, thing: str = "mask") -> NDArray[np.uint8]:
    """(H, W) uint8, exactly the values in the file. Raises MaskError: too large, not 8-bit grey, damaged."""
    width, height, grey = png_size(png)
    if width * height > MOST_PIXELS or not width * height:
        raise too_large(thing, width, height)
    if not grey:
        raise MaskError(
            thing,
            expected="8-bit grey, one class index a pixel",
            found="another kind of PNG",
            remedy="Export the mask as 8-bit grey PNG.",
            code="mask_not_grey",
        )
    _check_chunks(png, thing)
    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
    if image is None or image.shape != (height, width) or image.dtype != np.uint8:
        raise _damaged(thing)
    return np.ascontiguousarray(image)


def too_large(thing: str, width_px: int, height_px: int) -> MaskError:
    """The refusal of a mask or picture of more than ``MOST_PIXELS``, or of none."""
    size = f"{width_px} x {height_px} px"
    found_mp, most_mp = f"{width_px * height_px / 1e6:.0f}", f"{MOST_PIXELS / 1e6:.0f}"
    return MaskError(
        thing,
        expected=f"at most {most_mp} megapixels",
        found=f"{size}, {found_mp} megapixels",
        remedy="Cut or scale the picture before it is imported.",
        code="mask_too_large",
        values={"size": size, "mp": found_mp, "most_mp": most_mp},
    )


def values_of(mask: NDArray[np.uint8]) -> tuple[int, ...]:
    """The non-zero values in a mask, rising."""
    counts = cv2.calcHist([mask], [0], None, [256], [0, 256])  # np.bincount would copy the mask to 8 bytes a pixel
    return tuple(int(v) for v in np.flatnonzero(counts) if v)


def _check_chunks(png: bytes, thing: str) -> None:
    """Decoders forgive a cut or changed file and fill up with zeros; a mask must not."""
    at, ended = len(_SIGNATURE), False
    while at + 12 <= len(png) and not ended:
        (length,) = struct.unpack_from(">I", png, at)
        body = png[at + 4 : at + 8 + length]
        if len(png) < at + 12 + length or struct.unpack_from(">I", png, at + 8 + length)[0] != zlib.crc32(body):
            raise _damaged(thing)
        ended = body[:4] == b"IEND"
        at += 12 + length
    if not ended:
        raise _damaged(thing)


def _damaged(thing: str) -> MaskError:
    return MaskError(
        thing,
        expected="a complete PNG",
        found="a damaged or cut one",
        remedy="Save or copy it again.",
        code="mask_damaged",
    )


def encode_mask(mask: NDArray[np.uint8]) -> bytes:
    """The inverse of ``decode_mask``."""
    if mask.ndim != 2 or mask.dtype != np.uint8:
        raise ValueError(f"a mask is (H, W) uint8, got {mask.shape} {mask.dtype}")
    done, png = cv2.imencode(".png", mask, [cv2.IMWRITE_PNG_COMPRESSION, 4])
    if not done:
        raise ValueError(f"mask of {mask.shape} can't be encoded")
    return png.tobytes()


class MaskStore:
    """``<data>/labels/ab/<sha256>.png``. Any number of threads and processes; a file appears complete or not at all."""

    def __init__(self, data: Path) -> None:
        self._folder = data / "labels"

    def path(self, sha256: str) -> Path:
        """Where the mask lies. Raises MaskError for what is no hash."""
        if not _HEX.fullmatch(sha256):
            raise MaskError(
                "mask", expected="a sha256", found=repr(sha256[:80]), remedy="Load the part again.", code="mask_no_hash"
            )
        return self._folder / sha256[:2] / f"{sha256}.png"

    def put(self, png: bytes) -> StoredMask:
        """Check and keep a mask, durable on return. Raises MaskError for a bad one, OSError from the disk."""
        mask = decode_mask(png)
        sha256 = hashlib.sha256(png).hexdigest()
        path = self.path(sha256)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".new")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(png)
                    file.flush()
                    os.fsync(file.fileno())
                Path(name).replace(path)
            except BaseException:
                with contextlib.suppress(OSError):
                    Path(name).unlink()
                raise
            for folder in (path.parent, self._folder):
                _sync(folder)
        return StoredMask(sha256, mask.shape[1], mask.shape[0], values_of(mask))

    def get(self, sha256: str) -> bytes:
        """The PNG's bytes. Raises MaskError where it is missing or not what its name says."""
        path = self.path(sha256)
        try:
            png = path.read_bytes()
        except OSError as error:
            raise MaskError(
                f"mask {sha256[:12]}",
                expected=f"the file {path}",
                found=error.strerror or str(error),
                remedy="Restore the labels folder from the backup.",
                code="mask_missing",
                values={"path": str(path)},
            ) from error
        if hashlib.sha256(png).hexdigest() != sha256:
            raise MaskError(
                f"mask {sha256[:12]}",
                expected="the bytes that were saved",
                found="others",
                remedy=f"Restore {path} from the backup.",
                code="mask_changed",
                values={"path": str(path)},
            )
        return png


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
