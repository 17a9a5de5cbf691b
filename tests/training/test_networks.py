from __future__ import annotations

import socket
import threading
import time
import urllib.request
from pathlib import Path
from typing import get_args

import numpy as np
import onnx
import openvino
import pytest
import torch
from torchvision import models

from linegate.models.manifest import InputSpec
from linegate.training.baselines import build, fetched
from linegate.training.export import to_onnx
from linegate.training.network import Deployed, Kind, NetOutput, NetSpec, levelled, parameters_m


@pytest.mark.parametrize("own", [{}, {"levelled": True}])
@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_network_keeps_the_bundle_contract(kind: Kind, own: dict[str, bool]) -> None:
    import onnxruntime

    spec = NetSpec.model_validate({"kind": kind, "classes": 3, **own})
    torch.manual_seed(0)
    net = build(spec).eval()
    shape = InputSpec(width_px=192, height_px=128, channels=1, stride_px=spec.stride_px, pixel_mm=1.0)
    model = to_onnx(net, shape)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    image = np.random.default_rng(0).integers(0, 256, (1, 1, 128, 192)).astype(np.uint8)
    mask, part, embedding = session.run(None, {"image": image})
    assert mask.shape == (1, 3, 128 // spec.stride_px, 192 // spec.stride_px)
    assert part.shape == (1, 1)
    assert embedding.shape == (1, net.spec.widths[-1])
    assert 0 <= mask.min() <= mask.max() <= 1
    with torch.no_grad():
        same = Deployed(net)(torch.from_numpy(image))
    np.testing.assert_allclose(mask, same[0].numpy(), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(part, same[1].numpy(), rtol=1e-3, atol=1e-5)


def test_own_networks_are_small() -> None:
    assert parameters_m(build(NetSpec.of("fast", 5, 1))) < 0.4
    assert parameters_m(build(NetSpec.of("wide", 5, 1))) < 0.4


@pytest.mark.parametrize(("kind", "published_m"), [("ddrnet23slim", 5.7), ("deeplabv3", 11.0), ("fastscnn", 1.11)])
def test_baselines_are_as_large_as_their_papers_say(kind: Kind, published_m: float) -> None:
    net = build(NetSpec(kind=kind, classes=19, channels=3))
    assert parameters_m(net.trunk) == pytest.approx(published_m, rel=0.02)  # type: ignore[arg-type]


def test_the_part_heads_gradient_into_the_trunk_is_limited() -> None:
    image = torch.randint(0, 256, (2, 1, 64, 64), dtype=torch.uint8)
    norms = []
    for share in (1.0, 0.2, 0.0):
        torch.manual_seed(0)
        net = build(NetSpec(classes=2, part_gradient=share)).train()
        net(image).part.sum().backward()
        norms.append(float(net.trunk.stem[0].weight.grad.norm()))  # type: ignore[union-attr, index]
    assert norms[2] == 0
    assert norms[1] == pytest.approx(0.2 * norms[0], rel=1e-3)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_levelled_network_does_not_see_lamp_or_lot(channels: int) -> None:
    """Twice the contrast and another brightness: the same answer but for the noise floor; unlevelled, quite another one."""
    torch.manual_seed(0)
    image = 110 + 14 * torch.randn(1, channels, 64, 128)
    relit = 90 + 2 * (image - 110)
    changes = {}
    for own in (True, False):
        torch.manual_seed(1)
        net = build(NetSpec.model_validate({"classes": 2, "levelled": own, "channels": channels})).eval()
        with torch.no_grad():
            before, after = net(image).embedding, net(relit).embedding
        changes[own] = float((after - before).norm() / before.norm())
    assert changes[True] < 0.3
    assert changes[False] > 2 * changes[True]


def test_colour_is_levelled_to_mean_0_and_spread_1() -> None:
    torch.manual_seed(0)
    rows = torch.linspace(0, 40, 96)[:, None]  # brighter from top to bottom
    level = levelled(90 + rows + 20 * torch.randn(2, 3, 96, 64))
    assert level.mean((1, 2, 3)).abs().max() < 0.05
    assert level.std((1, 2, 3)).numpy() == pytest.approx(
        0.8, abs=0.05
    )  # 23 grey levels, with the floor of 6 beside them


def test_a_surface_without_structure_is_not_blown_up() -> None:
    flat = torch.full((1, 1, 64, 64), 200.0)
    flat[0, 0, 0, 0] += 1
    assert float(levelled(flat).abs().max()) < 0.5
    assert float(levelled(torch.full((1, 3, 32, 32), 255.0)).abs().max()) == 0


def test_weights_that_cannot_be_fetched_neither_hang_nor_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that takes the connection and never answers is the worst network there is."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.setattr(urllib.request, "_opener", None)  # an earlier one would remember the proxies of its time
        held: list[socket.socket] = []
        thread = threading.Thread(target=lambda: held.append(server.accept()[0]), daemon=True)
        thread.start()
        began = time.monotonic()
        assert fetched(models.ResNet18_Weights.IMAGENET1K_V1, timeout_s=0.3) is None
        assert time.monotonic() - began < 30
        thread.join(5)
        assert held
        held[0].close()


class _Level(torch.nn.Module):
    """A network that is nothing but what comes before the trunk."""

    def forward(self, image: torch.Tensor) -> NetOutput:
        level = levelled(image)
        return NetOutput(level, level[:, 0, 0, 0], level[:, :, 0, 0])


@pytest.mark.parametrize(("height", "width"), [(1024, 1024), (96, 1600)])
def test_the_runtime_levels_a_large_picture_as_torch_does(height: int, width: int) -> None:
    """Summed in one row of float32, a million pixels had the runtime beside torch before the first convolution."""
    rng = np.random.default_rng(5)
    image = rng.normal(150, 12, (1, 1, height, width)).clip(0, 255).astype(np.uint8)
    image[:, :, :, : width // 4] = 20  # the dark around a panel
    onnx_bytes = to_onnx(_Level(), InputSpec(width_px=width, height_px=height, channels=1, stride_px=1, pixel_mm=1.0))
    core = openvino.Core()
    model = core.compile_model(core.read_model(onnx_bytes, b""), "CPU", {"EXECUTION_MODE_HINT": "ACCURACY"})
    expected = torch.sigmoid(levelled(torch.from_numpy(image))).numpy()
    assert float(np.abs(model([image])["mask"] - expected).max()) < 1e-6
