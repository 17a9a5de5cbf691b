"""Wire format to picture, once: grey or RGB, 8 bit, or 16 bit over the full range.

Names are GenICam's PFNC names (``Mono12p``, ``BayerRG8``, ``RGB8``) or the older GigE Vision ones that SFNC 1 cameras
use (``Mono12Packed``, ``RGB8Packed``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linegate.cameras.errors import CameraError
from linegate.cameras.frame import Image

_NAME = re.compile(r"(Mono|Bayer(?:RG|GR|GB|BG)|RGBa?|BGRa?)(8|10|12|14|16)(p|packed)?", re.IGNORECASE)
_LAYOUTS = {
    name.lower(): name for name in ("Mono", "BayerRG", "BayerGR", "BayerGB", "BayerBG", "RGB", "RGBa", "BGR", "BGRa")
}
_CHANNELS = {"RGB": 3, "BGR": 3, "RGBa": 4, "BGRa": 4}


@dataclass(frozen=True, slots=True)
class WireFormat:
    """A pixel format taken apart. ``packing``: "" one sample in 1 or 2 bytes; "p" samples back to back, lowest bits first
    (PFNC); "packed" two samples in 3 bytes (GigE Vision 1)."""

    name: str
    layout: str
    bits: int
    packing: str

    @classmethod
    def parse(cls, name: str) -> WireFormat:
        """Raises CameraError for a format that is neither grey, Bayer, RGB nor BGR."""
        match = _NAME.fullmatch(name)
        if match is not None:
            layout, bits, packing = _LAYOUTS[match[1].lower()], int(match[2]), (match[3] or "").lower()
            if layout in _CHANNELS and packing == "packed":
                packing = ""  # RGB8Packed means interleaved, as opposed to planar
            packs = {"": (8, 10, 12, 14, 16), "p": (10, 12, 14), "packed": (10, 12)}
            if bits in packs[packing] and not (layout in _CHANNELS and packing):
                return cls(name, layout, bits, packing)
        raise CameraError(
            f"pixel format {name}",
            expected="Mono, Bayer, RGB or BGR with 8 to 16 bit",
            found=name,
            remedy="Set pixel_format of the camera in station.toml, Mono8 or BayerRG8 for example.",
        )

    @property
    def channels(self) -> int:
        """Samples per pixel on the wire."""
        return _CHANNELS.get(self.layout, 1)

    def line_bytes(self, width_px: int) -> int:
        """Bytes of a line without padding, rounded up."""
        bits = {"": 8 if self.bits == 8 else 16, "p": self.bits, "packed": 12}[self.packing]
        return (width_px * self.channels * bits + 7) // 8


def to_image(
    data: NDArray[np.uint8], pixel_format: str, width_px: int, height_px: int, padding_bytes: int = 0
) -> Image:
    """The picture in a camera's buffer.

    Args:
        data: (N,) bytes as they came; not changed.
        pixel_format: GenICam name.
        padding_bytes: bytes after each line.

    Returns:
        (H, W) grey or (H, W, 3) RGB, uint8, or uint16 scaled so that the brightest sample is 65535; not writeable.
        Mono8, Mono16, RGB8 and RGB16 are views into ``data``; everything else is new memory.

    Raises:
        CameraError: the format is unknown or the buffer is too short for the size.
    """
    wire = WireFormat.parse(pixel_format)
    line = wire.line_bytes(width_px) + padding_bytes
    needed = line * height_px - padding_bytes
    if data.size < needed:
        raise CameraError(
            f"frame of {width_px} x {height_px} px {pixel_format}",
            expected=f"at least {needed} bytes",
            found=f"{data.size} bytes",
            remedy="The transfer was cut short. Check cable, packet size and bandwidth limit.",
        )
    samples = _samples(data, wire, width_px, height_px, line, padding_bytes)
    image = _colour(samples, wire)
    image.flags.writeable = False
    return image


def _samples(
    data: NDArray[np.uint8], wire: WireFormat, width_px: int, height_px: int, line: int, padding_bytes: int
) -> NDArray[Any]:
    """(H, W) or (H, W, C): uint8, or uint16 already scaled to the full range."""
    shape = (height_px, width_px) if wire.channels == 1 else (height_px, width_px, wire.channels)
    if wire.packing == "":
        kind = np.dtype(np.uint8 if wire.bits == 8 else np.uint16)
        strides = (line, kind.itemsize * wire.channels, kind.itemsize)[: len(shape)]
        plain: NDArray[Any] = np.ndarray(shape, kind, buffer=data, strides=strides)
        return plain if wire.bits in (8, 16) else _full_range(plain, wire.bits)
    if padding_bytes:
        data = np.lib.stride_tricks.as_strided(data, (height_px, line - padding_bytes), (line, 1)).reshape(-1)
    # Without padding the samples run on over the line ends, also where a line is not a whole number of bytes.
    count = height_px * width_px
    return _full_range(_unpack(data, wire, count).reshape(shape), wire.bits)


def _unpack(data: NDArray[np.uint8], wire: WireFormat, count: int) -> NDArray[np.uint16]:
    """(count,) samples, not yet scaled."""
    bits = 12 if wire.packing == "packed" else wire.bits
    group, size = {10: (4, 5), 12: (2, 3), 14: (4, 7)}[bits]
    groups = -(-count // group)
    raw = data[: groups * size]
    if raw.size < groups * size:  # the last group may be cut off where the picture ends
        raw = np.concatenate([raw, np.zeros(groups * size - raw.size, np.uint8)])
    b = raw.reshape(groups, size).astype(np.uint16)
    out = np.empty((groups, group), np.uint16)
    if wire.packing == "packed":
        low = wire.bits - 8
        mask = (1 << low) - 1
        out[:, 0] = b[:, 0] << low | b[:, 1] & mask
        out[:, 1] = b[:, 2] << low | b[:, 1] >> 4 & mask
    else:
        mask = (1 << bits) - 1
        for sample in range(group):
            byte, shift = divmod(sample * bits, 8)
            value = b[:, byte].astype(np.uint32) >> shift
            for step in range(1, (shift + bits + 7) // 8):
                value |= b[:, byte + step].astype(np.uint32) << (8 * step - shift)
            out[:, sample] = value & mask
    return out.reshape(-1)[:count]


def _full_range(samples: NDArray[np.uint16], bits: int) -> NDArray[np.uint16]:
    """Repeats the top bits below, so that 0 stays 0 and the largest sample becomes 65535."""
    scaled = samples << np.uint16(16 - bits)
    scaled |= samples >> np.uint16(2 * bits - 16)
    return scaled


def _colour(samples: NDArray[Any], wire: WireFormat) -> NDArray[Any]:
    if wire.layout in ("Mono", "RGB"):
        return samples
    import cv2

    # GenICam names a Bayer pattern by its first two pixels, as OpenCV's four-letter names do; OpenCV's two-letter
    # names go by the second line and would swap red and blue.
    code = {
        "BayerRG": cv2.COLOR_BayerRGGB2RGB,
        "BayerGR": cv2.COLOR_BayerGRBG2RGB,
        "BayerGB": cv2.COLOR_BayerGBRG2RGB,
        "BayerBG": cv2.COLOR_BayerBGGR2RGB,
        "BGR": cv2.COLOR_BGR2RGB,
        "BGRa": cv2.COLOR_BGRA2RGB,
        "RGBa": cv2.COLOR_RGBA2RGB,
    }[wire.layout]
    result: NDArray[Any] = cv2.cvtColor(samples, code)
    return result
