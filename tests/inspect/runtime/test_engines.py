from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from linegate.inspect.runtime.engines import open_session
from linegate.inspect.runtime.session import InferenceSession, RuntimeFailed
from linegate.inspect.settings import RuntimeSettings
from linegate.models.bundle import BundleError, save_bundle

from ...models.tiny import bundle, manifest, network

CPU = ["openvino", "onnxruntime"]


def settings(engine: str, precision: str = "accuracy", threads: int = 1) -> RuntimeSettings:
    return RuntimeSettings.model_validate({"engine": engine, "precision": precision, "threads": threads, "warmup": 1})


def reference(image: np.ndarray) -> np.ndarray:
    signed = (image.astype(np.float32) - 128) / 127
    return np.clip(np.concatenate([-signed, signed], axis=1), 0, 1)[0]


@pytest.mark.parametrize("engine", CPU)
@pytest.mark.parametrize("threads", [1, 2])
def test_computes_the_network(tmp_path: Path, engine: str, threads: int) -> None:
    session = open_session(bundle(tmp_path / "b", embedding=3), settings(engine, threads=threads))
    assert isinstance(session, InferenceSession)
    assert engine in session.device
    rng = np.random.default_rng(1)
    for _ in range(3):
        image = rng.integers(0, 256, (1, 1, 64, 64), np.uint8)
        image.flags.writeable = False  # frames are
        output = session.infer(image)
        np.testing.assert_allclose(output.mask, reference(image), atol=1e-6)
        assert output.part_score == pytest.approx(float(reference(image).max()))
        assert output.embedding is not None
        np.testing.assert_allclose(output.embedding, reference(image).max(axis=(1, 2)).sum(), rtol=1e-5)
    session.close()
    session.close()


def test_engines_agree_and_bf16_stays_near(tmp_path: Path) -> None:
    tiny = bundle(tmp_path / "b")
    image = np.random.default_rng(2).integers(0, 256, (1, 1, 64, 64), np.uint8)
    masks = {}
    for engine, precision in [
        ("openvino", "accuracy"),
        ("openvino", "fp32"),
        ("openvino", "bf16"),
        ("onnxruntime", "fp32"),
    ]:
        session = open_session(tiny, settings(engine, precision))
        masks[engine, precision] = session.infer(image).mask.copy()
        session.close()
    for mask in masks.values():
        np.testing.assert_allclose(mask, masks["openvino", "accuracy"], atol=0.02)
    np.testing.assert_allclose(masks["onnxruntime", "fp32"], masks["openvino", "accuracy"], atol=1e-5)


def test_precision_is_named_as_the_device_runs_it(tmp_path: Path) -> None:
    tiny = bundle(tmp_path / "b")
    assert "accuracy" in open_session(tiny, settings("openvino", "accuracy")).device
    assert "fp32" in open_session(tiny, settings("openvino", "fp32")).device


@pytest.mark.parametrize("engine", CPU)
def test_network_that_is_not_the_manifests_is_refused(tmp_path: Path, engine: str) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"classes": 1}, r"mask float32 \[1, 1, 64, 64\]"),
        ({"stride": 2}, r"mask float32 \[1, 2, 32, 32\]"),
        ({"channels": 3}, r"image uint8 \[1, 3, 64, 64\]"),
        ({"input_name": "picture"}, "no image.*picture uint8"),
        ({"embedding": 5}, r"expected no embedding.*embedding float32 \[1, 5\]"),
    ]
    for change, words in cases:
        other = save_bundle(tmp_path / words, manifest(), network(**change))
        with pytest.raises(RuntimeFailed, match=words):
            open_session(other, settings(engine))


@pytest.mark.parametrize("engine", CPU)
def test_garbage_is_refused_in_one_line(tmp_path: Path, engine: str) -> None:
    other = save_bundle(tmp_path / "b", manifest(), b"this is no network")
    with pytest.raises(RuntimeFailed) as caught:
        open_session(other, settings(engine))
    assert "\n" not in str(caught.value)
    assert str(other.folder) in str(caught.value)


@pytest.mark.parametrize("engine", CPU)
def test_nan_is_a_failure_and_no_good_part(tmp_path: Path, engine: str) -> None:
    model = onnx.load_from_string(network())
    for tensor in model.graph.initializer:
        if tensor.name == "scale":
            tensor.CopyFrom(numpy_helper.from_array(np.array(0, np.float32), "scale"))  # 0 / 0 where a pixel is 128
    model.graph.node[4].CopyFrom(onnx.helper.make_node("Identity", ["raw"], ["mask"]))  # Clip may hide a NaN
    broken = save_bundle(tmp_path / "b", manifest(), model.SerializeToString())
    with pytest.raises(RuntimeFailed, match="NaN or infinity"):
        session = open_session(broken, settings(engine))
        session.infer(np.full((1, 1, 64, 64), 128, np.uint8))


@pytest.mark.parametrize("engine", CPU)
def test_wrong_tensor_is_refused(tmp_path: Path, engine: str) -> None:
    session = open_session(bundle(tmp_path / "b"), settings(engine))
    with pytest.raises(RuntimeFailed, match=r"found uint8 \[1, 1, 32, 64\]"):
        session.infer(np.zeros((1, 1, 32, 64), np.uint8))
    with pytest.raises(RuntimeFailed, match="float32"):
        session.infer(np.zeros((1, 1, 64, 64), np.float32))  # type: ignore[arg-type]
    session.close()


def test_bytes_changed_after_loading_never_run(tmp_path: Path) -> None:
    tiny = bundle(tmp_path / "b")
    (tiny.folder / "model.onnx").write_bytes(network(identity=True))
    with pytest.raises(BundleError, match="sha256"):
        open_session(tiny, settings("openvino"))


@pytest.mark.skipif(importlib.util.find_spec("tensorrt") is not None, reason="this machine has TensorRT")
def test_missing_tensorrt_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(RuntimeFailed, match="Install NVIDIA's tensorrt wheel"):
        open_session(bundle(tmp_path / "b"), settings("tensorrt"))


def test_missing_device_is_said_by_the_cuda_layer() -> None:
    from linegate.inspect.runtime.cudart import open_cudart

    try:
        cuda = open_cudart()
    except RuntimeFailed as error:
        assert "choose engine = 'openvino'" in str(error)
    else:
        assert cuda.version() > 0
        assert "sm_" in cuda.device_name()


def test_missing_cuda_never_falls_back_in_silence(tmp_path: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this machine has ONNX Runtime for CUDA")
    with pytest.raises(RuntimeFailed, match=r"CUDAExecutionProvider.*only"):
        open_session(bundle(tmp_path / "b"), settings("cuda"))
