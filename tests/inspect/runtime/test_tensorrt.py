# ruff: noqa: ARG005 - the faces are NVIDIA's; a stand-in uses few of the arguments
"""The TensorRT driver against stand-ins of NVIDIA's two libraries; a GPU runs the same driver with `linegate check`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from linegate.inspect.runtime import cudart
from linegate.inspect.runtime.engines import open_session
from linegate.inspect.runtime.session import RuntimeFailed
from linegate.inspect.settings import RuntimeSettings
from linegate.models.bundle import save_bundle

from ...models.tiny import bundle, manifest, network
from .fake_cuda import FakeCuda, FakeTensorRt

SETTINGS = RuntimeSettings(engine="tensorrt", precision="accuracy", warmup=1)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeTensorRt:
    cuda = FakeCuda()
    trt = FakeTensorRt(cuda)
    monkeypatch.setitem(sys.modules, "tensorrt", trt)  # type: ignore[arg-type]
    monkeypatch.setattr(cudart, "import_module", lambda name: cuda)
    monkeypatch.setenv("LINEGATE_CACHE", str(tmp_path / "cache"))
    return trt


def test_computes_the_network_by_one_graph_launch_each(tmp_path: Path, gpu: FakeTensorRt) -> None:
    tiny = bundle(tmp_path / "b", embedding=3)
    session = open_session(tiny, SETTINGS)
    reference = open_session(tiny, RuntimeSettings(engine="onnxruntime"))
    assert session.device == "tensorrt 11.0.0 Fake GPU sm_90, precision of the file"
    before = gpu.cuda.launches
    for seed in range(3):
        image = np.random.default_rng(seed).integers(0, 256, (1, 1, 64, 64), np.uint8)
        ours, theirs = session.infer(image), reference.infer(image)
        np.testing.assert_array_equal(ours.mask, theirs.mask)
        assert ours.part_score == theirs.part_score
        assert ours.embedding is not None
        assert theirs.embedding is not None
        np.testing.assert_array_equal(ours.embedding, theirs.embedding)
    assert gpu.cuda.launches == before + 3
    session.close()
    session.close()
    reference.close()
    assert (gpu.cuda.memory, gpu.cuda.streams, gpu.cuda.graphs) == ({}, {}, {})


def test_an_engine_is_built_once_for_a_network(tmp_path: Path, gpu: FakeTensorRt) -> None:
    tiny = bundle(tmp_path / "b")
    for _ in range(2):
        open_session(tiny, SETTINGS).close()
    assert gpu.builds == 1
    other = save_bundle(tmp_path / "c", manifest(), network(identity=True))
    open_session(other, SETTINGS).close()
    assert gpu.builds == 2
    open_session(tiny, SETTINGS.model_copy(update={"precision": "fp32"})).close()  # may use TF32: another engine
    assert gpu.builds == 3


def test_an_unwritable_cache_only_costs_time(tmp_path: Path, gpu: FakeTensorRt) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    open_session(bundle(tmp_path / "b"), SETTINGS).close()
    assert gpu.builds == 1


def test_failures_name_the_bundle_and_free_everything(tmp_path: Path, gpu: FakeTensorRt) -> None:
    wrong = save_bundle(tmp_path / "wrong", manifest(), network(stride=2))
    with pytest.raises(RuntimeFailed, match=r"mask float32 \[1, 2, 32, 32\]"):
        open_session(wrong, SETTINGS)
    garbage = save_bundle(tmp_path / "garbage", manifest(), b"this is no network")
    with pytest.raises(RuntimeFailed, match="node 0: nonsense"):
        open_session(garbage, SETTINGS)
    gpu.cuda.cudaMallocHost = lambda size: (2, 0)  # type: ignore[method-assign]
    with pytest.raises(RuntimeFailed, match="cudaMallocHost: fake error"):
        open_session(bundle(tmp_path / "b"), SETTINGS)
    assert (gpu.cuda.memory, gpu.cuda.streams, gpu.cuda.graphs) == ({}, {}, {})


def test_a_failing_launch_is_a_failure_of_this_part_only(tmp_path: Path, gpu: FakeTensorRt) -> None:
    session = open_session(bundle(tmp_path / "b"), SETTINGS)
    good = gpu.cuda.cudaGraphLaunch
    gpu.cuda.cudaGraphLaunch = lambda graph, stream: (700,)  # type: ignore[method-assign]
    image = np.full((1, 1, 64, 64), 255, np.uint8)
    with pytest.raises(RuntimeFailed, match="cudaGraphLaunch"):
        session.infer(image)
    gpu.cuda.cudaGraphLaunch = good  # type: ignore[method-assign]
    assert session.infer(image).part_score == 1.0
    session.close()
