from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from linegate.inspect.part import Decision
from linegate.models.bundle import load_bundle
from linegate.training.dataset import load_folder
from linegate.training.export import ExportError
from linegate.training.int8 import export_int8, to_int8
from linegate.training.judge import judge

MakeFolder = Callable[..., Path]
Linegate = Callable[..., tuple[int, str]]


def test_an_int8_network_that_judges_alike_is_a_bundle_of_its_own(
    trained: tuple[Path, Path], linegate: Linegate, tmp_path: Path
) -> None:
    folder, out = trained
    bundle, samples = load_bundle(out), load_folder(folder).samples
    reference = judge(bundle, samples[::4])
    made = export_int8(bundle, samples, reference, tmp_path / "int8")
    assert made.parity.flips == ()
    assert made.draft is not None
    assert "no verdict of 20 pictures flips" in made.words()
    assert made.draft.manifest.name == "model-int8"
    assert made.draft.manifest.thresholds == bundle.manifest.thresholds
    assert 0 < made.parity.score_change < 0.2  # it is another network
    model = onnx.load_from_string(made.draft.model_bytes())
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("DequantizeLinear") > 20
    assert len(made.draft.model_bytes()) < 0.5 * len(bundle.model_bytes())
    code, words = linegate("inspect", folder / "images", "--bundle", tmp_path / "int8", "--out", tmp_path / "judged")
    assert code == 0, words


def test_a_flipped_verdict_refuses_it(trained: tuple[Path, Path], tmp_path: Path) -> None:
    folder, out = trained
    bundle, samples = load_bundle(out), load_folder(folder).samples
    reference = judge(bundle, samples[:6])
    turned = Decision.NG if reference[3].passed else Decision.OK
    reference[3] = replace(reference[3], decision=turned)  # as if the reference had judged this part otherwise
    made = export_int8(bundle, samples, reference, tmp_path / "int8")
    assert made.draft is None
    assert made.parity.flips == (reference[3].sample.name,)
    assert f"refused, it flips the verdict of 1 of 6 pictures ({reference[3].sample.name})" in made.words()


def test_train_says_in_the_card_what_became_of_int8(
    make_folder: MakeFolder, linegate: Linegate, tmp_path: Path
) -> None:
    command = ("train", make_folder(), "--steps", 3, "--threads", 1, "--int8", "--out", tmp_path / "b")
    code, words = linegate(*command)
    made = (tmp_path / "b-int8").exists()
    assert code == (0 if made else 1)
    card = (tmp_path / "b.train" / "card.md").read_text()
    line = next(line for line in card.splitlines() if line.startswith("- int8: "))
    assert ("refused" not in line) == made
    assert line[2:] in " ".join(words.split())
    assert "int8 network, openvino CPU" in (tmp_path / "b.train" / "report.html").read_text()
    load_bundle(tmp_path / "b")
    if made:
        proof = load_bundle(tmp_path / "b-int8").manifest.parity
        assert [p.within for p in proof] == [True, True]
        assert proof[0].build == "torch fp32"
        assert proof[1].build.startswith("int8 network, openvino CPU")
    code, words = linegate(*command)
    assert code == 2
    assert "Choose another --out" in words


def test_what_cannot_be_quantised_is_said() -> None:
    nothing: Iterator[np.ndarray] = iter(())
    model = onnx.helper.make_model(onnx.helper.make_graph([], "empty", [], []))
    with pytest.raises(ExportError, match="Train without --int8"):
        to_int8(model.SerializeToString(), nothing)
