from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from linegate.cameras.errors import WrongImage
from linegate.cameras.image_file import read_image


def picture(height: int = 120, width: int = 160, colour: bool = True) -> np.ndarray:
    shape = (height, width, 3) if colour else (height, width)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def test_colour_is_rgb_and_read_only(tmp_path: Path) -> None:
    bgr = np.zeros((4, 5, 3), np.uint8)
    bgr[..., 2] = 200
    cv2.imwrite(str(tmp_path / "a.png"), bgr)
    image = read_image(tmp_path / "a.png")
    assert image[0, 0].tolist() == [200, 0, 0]
    assert not image.flags.writeable


def test_grey_sixteen_bit_and_transparency(tmp_path: Path) -> None:
    deep = np.arange(20, dtype=np.uint16).reshape(4, 5) * 3000
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    np.testing.assert_array_equal(read_image(tmp_path / "deep.png"), deep)
    cv2.imwrite(str(tmp_path / "alpha.png"), np.full((4, 5, 4), 9, np.uint8))
    assert read_image(tmp_path / "alpha.png").shape == (4, 5, 3)
    cv2.imwrite(str(tmp_path / "grey.jpg"), picture(colour=False))
    assert read_image(tmp_path / "grey.jpg").shape == (120, 160)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tif"])
def test_a_cut_off_file_is_never_half_an_image(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    cv2.imwrite(str(path), picture())
    data = path.read_bytes()
    assert read_image(path).shape == (120, 160, 3)
    for share in (0.02, 0.3, 0.9, 0.999):
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(WrongImage, match=str(path)):
            read_image(path)


@pytest.mark.parametrize(("data", "words"), [(b"", "an empty file"), (b"not an image at all", "no image")])
def test_no_image_says_so(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(WrongImage, match=words):
        read_image(tmp_path / "a.png")
    with pytest.raises(WrongImage, match="No such file"):
        read_image(tmp_path / "b.png")


def test_floats_are_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.tif"), np.zeros((4, 5), np.float32))
    with pytest.raises(WrongImage, match="float32"):
        read_image(tmp_path / "a.tif")
