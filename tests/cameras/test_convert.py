"""Wire formats, checked against pylon's own converter and against plain arithmetic."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from linegate.cameras.convert import WireFormat, to_image
from linegate.cameras.errors import CameraError
from linegate.cameras.vendor import sdk


def full_range(value: int, bits: int) -> int:
    return round(value * 65535 / ((1 << bits) - 1))


def test_mono8_and_rgb8_are_views_without_a_copy() -> None:
    data = np.arange(48, dtype=np.uint8)
    grey = to_image(data, "Mono8", 8, 6)
    assert grey.shape == (6, 8)
    assert np.may_share_memory(grey, data)
    assert not grey.flags.writeable
    assert data.flags.writeable  # the caller's array is left alone
    colour = to_image(data, "RGB8Packed", 4, 4)
    assert colour.shape == (4, 4, 3)
    assert np.may_share_memory(colour, data)


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_unpacked_bits_fill_the_whole_range(bits: int) -> None:
    top = (1 << bits) - 1
    samples = np.array([0, 1, top // 2, top - 1, top, 3], dtype="<u2")
    image = to_image(samples.view(np.uint8), f"Mono{bits}", 3, 2)
    assert image.dtype == np.uint16
    assert image.min() == 0
    assert image.max() == 65535
    for got, value in zip(image.reshape(-1), samples, strict=True):
        assert abs(int(got) - full_range(int(value), bits)) <= 1


@pytest.mark.parametrize(
    ("name", "pylon_name", "bits"),
    [
        ("Mono10p", "Mono10p", 10),
        ("Mono12p", "Mono12p", 12),
        ("Mono10Packed", "Mono10packed", 10),
        ("Mono12Packed", "Mono12packed", 12),
        ("BayerRG12p", "BayerRG12p", 12),
        ("BayerBG10p", "BayerBG10p", 10),
        ("BayerGR12Packed", "BayerGR12Packed", 12),
    ],
)
def test_packed_formats_unpack_as_pylon_does(name: str, pylon_name: str, bits: int) -> None:
    pylon = sdk("pypylon.pylon")
    width, height = 24, 5
    wire = WireFormat.parse(name)
    raw = np.random.default_rng(bits).integers(0, 256, wire.line_bytes(width) * height, dtype=np.uint8)
    theirs = pylon.PylonImage()
    theirs.AttachMemoryView(raw.data, getattr(pylon, f"PixelType_{pylon_name}"), width, height, 0)
    samples = pylon.ImageFormatConverter._Unpack(theirs).GetArray()
    assert samples.max() < 1 << bits
    scaled = (samples.astype(np.uint16) << (16 - bits)) | (samples >> (2 * bits - 16))
    ours = to_image(raw, name, width, height)
    if wire.layout == "Mono":
        np.testing.assert_array_equal(ours, scaled)
    else:
        codes = {
            "BayerRG": cv2.COLOR_BayerRGGB2RGB,
            "BayerBG": cv2.COLOR_BayerBGGR2RGB,
            "BayerGR": cv2.COLOR_BayerGRBG2RGB,
        }
        np.testing.assert_array_equal(ours, cv2.cvtColor(scaled.astype(np.uint16), codes[wire.layout]))


def test_packed_lines_may_end_inside_a_byte() -> None:
    values = np.arange(15) * 271  # 3 lines of 5 samples of 12 bit: 7.5 bytes a line
    bits = "".join(format(int(v), "012b")[::-1] for v in values)
    bits += "0" * (-len(bits) % 8)
    raw = np.array([int(bits[i : i + 8][::-1], 2) for i in range(0, len(bits), 8)], dtype=np.uint8)
    raw = np.concatenate([raw, np.zeros(2, np.uint8)])
    image = to_image(raw, "Mono12p", 5, 3)
    np.testing.assert_array_equal(image.reshape(-1) >> 4, values)


@pytest.mark.parametrize("name", ["BayerRG8", "BayerGR8", "BayerGB8", "BayerBG8", "BayerRG16"])
def test_bayer_puts_red_where_the_pattern_says(name: str) -> None:
    pattern = name[5:7]
    cells = {"RG": "RGGB", "GR": "GRBG", "GB": "GBRG", "BG": "BGGR"}[pattern]
    kind = np.dtype(np.uint8 if name.endswith("8") else np.uint16)
    level = {"R": 200, "G": 100, "B": 20}
    mosaic = np.zeros((12, 16), kind)
    for index, cell in enumerate(cells):
        mosaic[index // 2 :: 2, index % 2 :: 2] = level[cell]
    image = to_image(mosaic.reshape(-1).view(np.uint8), name, 16, 12)
    assert image.dtype == kind
    assert (image[2:-2, 2:-2] == (200, 100, 20)).all()


@pytest.mark.parametrize(
    ("name", "pixel"), [("BGR8", (3, 2, 1)), ("BGRa8", (3, 2, 1)), ("RGBa8", (1, 2, 3)), ("RGB16", (1, 2, 3))]
)
def test_colour_orders(name: str, pixel: tuple[int, int, int]) -> None:
    channels = WireFormat.parse(name).channels
    kind = np.uint16 if "16" in name else np.uint8
    wire = np.tile(np.array([1, 2, 3, 9][:channels], kind), 12)
    image = to_image(wire.view(np.uint8), name, 4, 3)
    assert image.shape == (3, 4, 3)
    assert (image == pixel).all()


def test_padding_at_line_ends_is_left_out() -> None:
    padded = np.full((4, 10), 255, np.uint8)
    padded[:, :7] = np.arange(28).reshape(4, 7)
    image = to_image(padded.reshape(-1), "Mono8", 7, 4, padding_bytes=3)
    np.testing.assert_array_equal(image, np.arange(28).reshape(4, 7))


def test_padding_of_packed_lines_is_left_out() -> None:
    lines = np.random.default_rng(0).integers(0, 256, (3, 6), dtype=np.uint8)  # 4 samples of 12 bit a line
    padded = np.concatenate([lines, np.full((3, 2), 255, np.uint8)], axis=1)
    np.testing.assert_array_equal(
        to_image(padded.reshape(-1), "Mono12p", 4, 3, padding_bytes=2), to_image(lines.reshape(-1), "Mono12p", 4, 3)
    )


@pytest.mark.parametrize("name", ["YUV422_8", "Coord3D_C16", "Mono1p", "RGB8Planar", "Mono8Packed", "BayerXX8"])
def test_unknown_formats_are_named(name: str) -> None:
    with pytest.raises(CameraError, match=name):
        to_image(np.zeros(64, np.uint8), name, 4, 4)


def test_a_short_buffer_is_refused() -> None:
    with pytest.raises(CameraError, match="at least 64 bytes, found 63"):
        to_image(np.zeros(63, np.uint8), "Mono8", 8, 8)
