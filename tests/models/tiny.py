"""Tiny ONNX networks and manifests, drawn by hand: a blob detector needs no training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from linegate.models.bundle import Bundle, save_bundle
from linegate.models.certificate import COMPARING, CONDITIONS, Findings, bare_sha256, certify


def manifest(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "name": "tiny",
        "version": "1.0",
        "classes": ("dark", "bright"),
        "input": {"width_px": 64, "height_px": 64, "channels": 1, "stride_px": 1, "pixel_mm": 0.5},
        "thresholds": {
            "part_review": 0.5,
            "part_reject": 0.8,
            "classes": {
                "dark": {"review": 0.6, "reject": 0.8},
                "bright": {"review": 0.6, "reject": 0.8},
            },
        },
        "provenance": {
            "command": "drawn by hand",
            "commit": "0" * 40,
            "seed": 0,
            "data_sha256": "0" * 64,
            "data": "none",
            "trained_utc": "2026-01-01T00:00:00Z",
            "minutes": 0,
        },
    }
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(fields.get(key), dict):
            fields[key] = {**fields[key], **value}
        else:
            fields[key] = value
    return fields


def network(
    width: int = 64,
    height: int = 64,
    channels: int = 1,
    stride: int = 1,
    embedding: int = 0,
    identity: bool = False,
    input_name: str = "image",
    classes: int = 2,
) -> bytes:
    """Class 0 answers to pixels darker than 128, class 1 to brighter ones: |grey − 128| / 127 averaged over a stride.

    ``identity``: every class's map is grey / 255 instead. The part head is the highest value of the maps.
    """
    signs = np.array([-1, 1][:classes], np.float32) if not identity else np.ones(classes, np.float32)
    weight = (signs[:, None, None, None] / (stride * stride * channels)) * np.ones(
        (1, channels, stride, stride), np.float32
    )
    offset, scale = (0.0, 255.0) if identity else (128.0, 127.0)
    constants = {
        "offset": np.array(offset, np.float32),
        "scale": np.array(scale, np.float32),
        "weight": weight.astype(np.float32),
        "zero": np.array(0, np.float32),
        "one": np.array(1, np.float32),
    }
    nodes = [
        helper.make_node("Cast", [input_name], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["float", "offset"], ["centred"]),
        helper.make_node("Div", ["centred", "scale"], ["scaled"]),
        helper.make_node(
            "Conv", ["scaled", "weight"], ["raw"], kernel_shape=[stride, stride], strides=[stride, stride]
        ),
        helper.make_node("Clip", ["raw", "zero", "one"], ["mask"]),
        helper.make_node("GlobalMaxPool", ["mask"], ["peaks"]),
        helper.make_node("Flatten", ["peaks"], ["flat"]),
        helper.make_node("ReduceMax", ["flat"], ["part"], keepdims=1, axes=[1]),
    ]
    outputs = [
        helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1, classes, height // stride, width // stride]),
        helper.make_tensor_value_info("part", TensorProto.FLOAT, [1, 1]),
    ]
    if embedding:
        constants["spread"] = np.ones((classes, embedding), np.float32)
        nodes.append(helper.make_node("MatMul", ["flat", "spread"], ["embedding"]))
        outputs.append(helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [1, embedding]))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(input_name, TensorProto.UINT8, [1, channels, height, width])],
        outputs,
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def bundle(folder: Path, *, identity: bool = False, embedding: int = 0, **changes: Any) -> Bundle:
    fields = manifest(embedding=embedding, **changes)
    spec = fields["input"]
    data = network(
        width=spec["width_px"],
        height=spec["height_px"],
        channels=spec["channels"],
        stride=spec["stride_px"],
        embedding=embedding,
        identity=identity,
    )
    return save_bundle(folder, fields, data)


def findings(bundle: Bundle, **changes: Any) -> Findings:
    """What a gate that was content says of a first release; ``failed``: a condition that does not hold."""
    failed = changes.pop("failed", "")
    conditions = [
        {"number": number, "name": name, "held": name != failed, "finding": "as it should be"}
        for name, number in CONDITIONS.items()
        if changes.get("live") or name not in COMPARING
    ]
    fields = {
        "candidate": bare_sha256(bundle.manifest),
        "live": "",
        "training_sha256": "1" * 64,
        "frozen_sha256": "2" * 64,
        "must_catch_sha256": "3" * 64,
        "frozen_parts": 299,
        "frozen_pictures": 310,
        "settings": {"flip_margin": 0.01},
        "conditions": conditions,
        "parity": [  # whatever the processor makes of the default precision
            {"build": build, "reference": "openvino accuracy", "pictures": 310, "within": True}
            for build in ("openvino CPU bf16, 1 thread", "openvino CPU fp32, 1 thread")
        ],
        "commit": "0" * 12,
        "training_commit": "0" * 12,
        "seed": 0,
    }
    return Findings.model_validate({**fields, **changes})


def certified(folder: Path, draft: Bundle) -> Bundle:
    """``draft`` as a gate that was content lets it go live."""
    return certify(draft, findings(draft), "Ada", "it was content", folder)
