"""A network that begins with a bundle's weights judges as the bundle does, and can be trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from linegate.models.bundle import Bundle, BundleError, load_bundle, save_bundle
from linegate.models.manifest import ClassThreshold, InputSpec, Manifest, Provenance, Thresholds
from linegate.training import pipeline
from linegate.training.baselines import build
from linegate.training.export import to_onnx
from linegate.training.fit import FitSettings, fit
from linegate.training.metrics import average_precision
from linegate.training.network import LineNet, NetSpec
from linegate.training.record import RECORD, RunRecord
from linegate.training.start import AGAIN, begin_from

from .conftest import Linegate

OLD = ("spot", "line", "hole")
SIDE_PX = 128


def net_of(classes: int, seed: int) -> LineNet:
    """A network whose batch norms have seen something, so that none of them is the identity."""
    torch.manual_seed(seed)
    net = LineNet(NetSpec.of("fast", classes, 1))
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            nn.init.normal_(module.weight, 1, 0.3)
            nn.init.normal_(module.bias, 0, 0.3)
            nn.init.normal_(module.running_mean, 0, 0.3)
            nn.init.uniform_(module.running_var, 0.3, 3)
    return net.eval()


def bundle_of(net: LineNet, folder: Path) -> Bundle:
    spec = InputSpec(width_px=SIDE_PX, height_px=SIDE_PX, channels=1, fit="resize", pixel_mm=0.1, stride_px=8)
    plain = ClassThreshold(review=0.6, reject=0.9)
    manifest = Manifest(
        name="old",
        version="1",
        classes=OLD,
        input=spec,
        embedding=net.spec.widths[-1],
        thresholds=Thresholds(part_review=0.5, part_reject=0.5, classes=dict.fromkeys(OLD, plain)),
        provenance=Provenance(
            command="test", commit="", seed=0, data_sha256="0" * 64, data="none", trained_utc="", minutes=0
        ),
        model_sha256="0" * 64,
    )
    return save_bundle(folder, manifest, to_onnx(net, spec))


def pictures(count: int = 4) -> list[Tensor]:
    torch.manual_seed(9)
    return [torch.randint(0, 256, (1, 1, SIDE_PX, SIDE_PX), dtype=torch.uint8) for _ in range(count)]


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> tuple[LineNet, Bundle]:
    net = net_of(len(OLD), seed=1)
    return net, bundle_of(net, tmp_path_factory.mktemp("old") / "bundle")


@torch.no_grad()
def test_it_judges_as_the_bundle_does_whatever_the_classes_order_and_whichever_is_new(
    old: tuple[LineNet, Bundle],
) -> None:
    net, bundle = old
    classes = ("hole", "dent", "spot", "line")
    begun = net_of(len(classes), seed=2)
    begin_from(begun, bundle, classes, pictures())
    for image in pictures():
        was, now = net(image), begun(image)
        assert torch.allclose(now.mask[:, [2, 3, 0]], was.mask, rtol=1e-3, atol=1e-3)
        assert torch.allclose(now.part, was.part, rtol=1e-3, atol=1e-3)
        assert torch.allclose(now.embedding, was.embedding, rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_in_training_it_still_computes_nearly_what_the_bundle_does(old: tuple[LineNet, Bundle]) -> None:
    """Batch norm then takes mean and spread from the batch: they must be those that it was unfolded with."""
    net, bundle = old
    begun = net_of(len(OLD), seed=2)
    begin_from(begun, bundle, OLD, pictures(8))
    assert not begun.training
    batch = torch.cat(pictures(8))
    was, now = net(batch), begun.train()(batch)
    assert float((now.mask - was.mask).abs().mean()) < 0.1 * float(was.mask.std())
    norms = [m for m in begun.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all(float(m.weight.abs().min()) > 0 for m in norms)


def test_another_build_is_refused_by_name(old: tuple[LineNet, Bundle]) -> None:
    _, bundle = old
    as_it_comes = NetSpec.of("fast", 3, 1, levelled=False)
    for spec in (NetSpec.of("wide", 3, 1), NetSpec.of("fast", 3, 3), NetSpec(kind="fastscnn", classes=3), as_it_comes):
        with pytest.raises(BundleError, match="old 1"):
            begin_from(build(spec, False), bundle, OLD, pictures(1))


def test_the_command_begins_with_the_bundle_that_it_is_given(
    linegate: Linegate, trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, bundle = trained
    asked: list[tuple[float, bool]] = []

    def listen(*args: Any, anchored: bool) -> Any:
        asked.append((args[2].rate, anchored))
        return fit(*args, anchored=anchored)

    monkeypatch.setattr(pipeline, "fit", listen)
    few = ("train", folder, "--steps", 4, "--threads", 1, "--seed", 1)
    code, words = linegate(*few, "--from", bundle, "--out", tmp_path / "next")
    assert code == 0, words
    assert "begins with the network of model 1" in words
    code, words = linegate(*few, "--out", tmp_path / "fresh")
    assert code == 0, words
    assert "begins with" not in words
    rate = FitSettings().rate
    assert asked == [(rate * AGAIN, True), (rate, False)]
    begun = load_bundle(bundle).sha256
    assert load_bundle(tmp_path / "next").manifest.provenance.begun_sha256 == begun
    for left in ("card.md", "report.html"):
        assert f"bundle {begun}" in (tmp_path / "next.train" / left).read_text()
    assert load_bundle(tmp_path / "fresh").manifest.provenance.begun_sha256 == ""
    precision = {}
    for name in ("next", "fresh"):
        record = RunRecord.model_validate_json((tmp_path / f"{name}.train" / RECORD).read_text())
        precision[name] = average_precision([p.bad for p in record.parts], [p.score for p in record.parts])
    assert precision["next"] > 0.95 > precision["fresh"], "after four steps it knows what the bundle knew"
    code, words = linegate(*few, "--from", bundle, "--anew", "--out", tmp_path / "both")
    assert (code, "one of them" in words) == (2, True)
    code, words = linegate(*few, "--from", "panel-3", "--out", tmp_path / "unlike")
    assert (code, "a network of the build that is to be trained" in words) == (2, True)
    assert not (tmp_path / "unlike").exists()
