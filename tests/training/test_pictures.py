"""Pictures of every kind are to training what they are to the line."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest

from linegate.cameras import image_file
from linegate.models.bundle import load_bundle
from linegate.models.manifest import InputSpec
from linegate.models.preprocess import Preprocessor
from linegate.training.dataset import DatasetError, load_folder, read_image, read_index_mask
from linegate.training.judge import judge
from linegate.training.metrics import average_precision

MakeFolder = Callable[..., Path]
Linegate = Callable[..., tuple[int, str]]
# JPEG's APP1 segment with one entry: tag 0x0112 (orientation), a short, value 6 (turn right); Exif 2.32, 4.6.2
EXIF_TURNED = b"\xff\xe1\x00\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"


def _write(folder: Path, kind: str) -> Path:
    rng = np.random.default_rng(3)
    colour = cv2.resize(rng.integers(0, 256, (12, 20, 3), np.uint8), (160, 96), interpolation=cv2.INTER_CUBIC)
    path = folder / {"grey": "a.png", "16 bit": "a.tif", "16 bit colour": "a.png", "alpha": "a.png"}.get(kind, "a.jpg")
    images = {
        "grey": colour[..., 0],
        "16 bit": colour[..., 1].astype(np.uint16) * 251,
        "16 bit colour": colour.astype(np.uint16) * 249,
        "alpha": np.dstack([colour, colour[..., 0]]),
    }
    cv2.imwrite(str(path), images.get(kind, colour))
    if kind == "turned":
        data = path.read_bytes()
        path.write_bytes(data[:2] + EXIF_TURNED + data[2:])
        turned = cv2.imread(str(path), cv2.IMREAD_COLOR)
        assert turned is not None
        assert turned.shape == (160, 96, 3)  # the tag is a real one
    return path


@pytest.mark.parametrize("kind", ["grey", "colour", "turned", "16 bit", "16 bit colour", "alpha"])
@pytest.mark.parametrize("channels", [1, 3])
def test_training_reads_what_the_line_sees(tmp_path: Path, kind: str, channels: Literal[1, 3]) -> None:
    path = _write(tmp_path, kind)
    spec = InputSpec(width_px=160, height_px=96, channels=channels, stride_px=4, pixel_mm=1.0)
    seen = Preprocessor(spec).prepare(image_file.read_image(path)).tensors[0][0]
    read = read_image(path, channels)
    np.testing.assert_array_equal(
        read if channels == 1 else read.transpose(2, 0, 1), seen[0] if channels == 1 else seen
    )


def test_a_mask_that_is_cut_off_is_not_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    cv2.imwrite(str(path), np.eye(200, dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DatasetError, match="cut off"):
        read_index_mask(path)


def test_sixteen_bits_train_as_eight_do(linegate: Linegate, make_folder: MakeFolder, tmp_path: Path) -> None:
    networks = []
    for depth, scale in ((np.uint8, 1), (np.uint16, 257)):
        folder = make_folder(name=str(scale))
        for path in (folder / "images").iterdir():
            cv2.imwrite(str(path), image_file.read_image(path).astype(depth) * scale)
        out = tmp_path / f"{scale}.bundle"
        code, said = linegate("train", folder, "--steps", 3, "--threads", 1, "--out", out)
        assert code == 0, said
        networks.append(hashlib.sha256((out / "model.onnx").read_bytes()).hexdigest())
    assert networks[0] == networks[1]
    code, said = linegate("inspect", folder / "images", "--bundle", out, "--out", tmp_path / "judged")
    assert code == 0, said


def test_defects_that_only_colour_shows_are_learnt(linegate: Linegate, make_folder: MakeFolder, tmp_path: Path) -> None:
    folder, out = make_folder(good=20, spot=20, line=0), tmp_path / "bundle"
    rng = np.random.default_rng(4)
    for path in (folder / "images").iterdir():
        image = np.array([130.0, 110.0, 90.0]) + rng.normal(0, 5, (96, 96, 1))
        image[image_file.read_image(folder / "masks" / path.name) > 0] += (60.0, -19.0, -60.0)  # as bright as before
        cv2.imwrite(str(path), image.clip(0, 255).astype(np.uint8)[..., ::-1])
    code, said = linegate("train", folder, "--steps", 60, "--threads", 1, "--out", out)
    assert code == 0, said
    bundle = load_bundle(out)
    assert bundle.manifest.input.channels == 3
    judged = judge(bundle, load_folder(folder).samples)
    assert average_precision([j.bad for j in judged], [j.score for j in judged]) > 0.95
