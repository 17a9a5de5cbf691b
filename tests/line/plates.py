"""Plates with known truth, and networks that find every defect on them without training.

A good plate is grey, 128 ± noise; a bad one carries a blob of black or white. The network of ``tests/models/tiny.py`` answers
to how far a pixel is from 128, so that a bad plate scores near 1 and a good one below 0.2: "no defective part passed" is a
statement that can be checked part by part.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from linegate.models.bundle import Bundle, save_bundle

from ..models.tiny import bundle, certified, manifest

SIDE_PX = 256
CLASSES = ("dark", "bright")


def draw(number: int, *, width_px: int = SIDE_PX, height_px: int = SIDE_PX, colour: bool = False) -> tuple[Any, Any]:
    """(image, mask) of plate ``number``; every third one is bad, in turn with a dark and a bright blob."""
    rng = np.random.default_rng(number)
    image = np.clip(rng.normal(128, 5, (height_px, width_px)), 108, 148).astype(np.uint8)
    mask = np.zeros((height_px, width_px), np.uint8)
    if number % 3 == 0:
        kind = 1 + number // 3 % 2
        radius = min(width_px, height_px) // 8
        centre = (
            int(rng.integers(2 * radius, width_px - 2 * radius)),
            int(rng.integers(2 * radius, height_px - 2 * radius)),
        )
        cv2.circle(image, centre, radius, 0 if kind == 1 else 255, -1)
        cv2.circle(mask, centre, radius, kind, -1)
    if colour:
        tint = np.array([6, 0, -6], np.int16)  # blue, green, red: no pixel is grey, so that it stays a colour file
        image = np.clip(image[..., None].astype(np.int16) + tint, 0, 255).astype(np.uint8)
    return image, mask


def save_plates(folder: Path, count: int = 12, **how: Any) -> Path:
    """``count`` plates as a photos folder: images/, masks/, classes.txt."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        save_plate(folder, number, **how)
    (folder / "classes.txt").write_text("".join(f"{n} {name}\n" for n, name in enumerate(CLASSES, 1)))
    return folder


def save_plate(folder: Path, number: int, suffix: str = "png", **how: Any) -> None:
    image, mask = draw(number, **how)
    cv2.imwrite(str(folder / "images" / f"plate_{number:03d}.{suffix}"), image)
    if mask.any():
        cv2.imwrite(str(folder / "masks" / f"plate_{number:03d}.png"), mask)


def save_blob_bundle(
    folder: Path, version: str = "1.0", channels: int = 1, side_px: int = SIDE_PX, released: bool = True, **changes: Any
) -> Bundle:
    """The bundle that finds them. Another ``version`` judges alike and is another bundle. ``released``: it has a certificate
    of its own. ``changes``: of its manifest."""
    spec = {"width_px": side_px, "height_px": side_px, "channels": channels, "stride_px": 4, "pixel_mm": 0.1}
    fields = {"name": "blobs", "version": version, "input": spec, **changes}
    if not released:
        return bundle(folder, **fields)
    return certified(folder, bundle(folder.with_name(f"{folder.name}-draft"), **fields))


def save_slow_bundle(folder: Path, rounds: int) -> Bundle:
    """The same answers after ``rounds`` wide convolutions of work: each takes tens of milliseconds."""
    fields = manifest(
        name="slow", input={"width_px": 128, "height_px": 128, "channels": 1, "stride_px": 1, "pixel_mm": 0.1}
    )
    rng = np.random.default_rng(1)
    wide = 64
    constants = {
        "half": np.array(128, np.float32),
        "scale": np.array(127, np.float32),
        "spread": np.ones((wide, 1, 1, 1), np.float32),
        "mix": (rng.normal(0, 0.02, (wide, wide, 5, 5))).astype(np.float32),
        "gather": np.zeros((2, wide, 1, 1), np.float32),
        "signs": np.array([-1, 1], np.float32).reshape(2, 1, 1, 1),
        "zero": np.array(0, np.float32),
        "one": np.array(1, np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["float", "half"], ["centred"]),
        helper.make_node("Div", ["centred", "scale"], ["scaled"]),
        helper.make_node("Conv", ["scaled", "spread"], ["busy0"], kernel_shape=[1, 1]),
    ]
    for n in range(rounds):
        conv = helper.make_node("Conv", [f"busy{n}", "mix"], [f"conv{n}"], kernel_shape=[5, 5], pads=[2, 2, 2, 2])
        nodes += [conv, helper.make_node("Tanh", [f"conv{n}"], [f"busy{n + 1}"])]
    nodes += [
        helper.make_node("Conv", [f"busy{rounds}", "gather"], ["nothing"], kernel_shape=[1, 1]),
        helper.make_node("Conv", ["scaled", "signs"], ["raw"], kernel_shape=[1, 1]),
        helper.make_node("Add", ["raw", "nothing"], ["sum"]),
        helper.make_node("Clip", ["sum", "zero", "one"], ["mask"]),
        helper.make_node("GlobalMaxPool", ["mask"], ["peaks"]),
        helper.make_node("Flatten", ["peaks"], ["flat"]),
        helper.make_node("ReduceMax", ["flat"], ["part"], keepdims=1, axes=[1]),
    ]
    graph = helper.make_graph(
        nodes,
        "slow",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 1, 128, 128])],
        [
            helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1, 2, 128, 128]),
            helper.make_tensor_value_info("part", TensorProto.FLOAT, [1, 1]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return save_bundle(folder, fields, model.SerializeToString())
