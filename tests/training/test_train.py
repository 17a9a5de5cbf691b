from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from linegate.inspect.settings import RuntimeSettings
from linegate.models.bundle import load_bundle
from linegate.models.manifest import InputSpec
from linegate.training.augment import Variation
from linegate.training.baselines import build
from linegate.training.batches import Batches
from linegate.training.checkpoint import load_checkpoint
from linegate.training.dataset import load_folder
from linegate.training.fit import FitSettings, Progress, fit
from linegate.training.judge import judge
from linegate.training.network import NetSpec
from linegate.training.pictures import Pictures
from linegate.training.splits import with_split

MakeFolder = Callable[..., Path]
Linegate = Callable[..., tuple[int, str]]


def test_train_makes_a_bundle_that_tells_good_from_bad(trained: tuple[Path, Path]) -> None:
    folder, out = trained
    bundle = load_bundle(out)
    manifest = bundle.manifest
    assert manifest.classes == ("spot", "line")
    assert (manifest.input.width_px, manifest.input.height_px, manifest.input.channels) == (96, 96, 1)
    assert manifest.provenance.seed == 1
    judged = judge(bundle, load_folder(folder).samples, RuntimeSettings(precision="accuracy"))
    bad = sorted(j.score for j in judged if j.bad)
    good = sorted(j.score for j in judged if not j.bad)
    assert bad[len(bad) // 10] > good[-1 - len(good) // 10]


def test_report_card_and_snapshot_lie_beside_the_bundle(trained: tuple[Path, Path]) -> None:
    _, out = trained
    work = out.with_name("bundle.train")
    page = (work / "report.html").read_text()
    assert page.count("data:image/png;base64") == 2
    assert page.count("<svg") == 3
    assert "Escapes (bad parts that would pass)" in page
    assert "openvino CPU" in page
    bundle = load_bundle(out)
    card = (work / "card.md").read_text()
    assert bundle.manifest.thresholds.guarantee in card
    precision = re.search(r"Average precision of the part score: (.+)", card)
    assert precision is not None
    assert re.fullmatch(r"[01]\.\d{3} \([01]\.\d\d to [01]\.\d\d on other groups of this kind\)", precision[1])
    assert precision[1] in page
    rows = json.loads((work / "snapshot.json").read_text())["parts"]
    assert {row["split"] for row in rows} == {"train", "val"}
    assert not (work / "checkpoint.pt").exists()


def test_the_test_side_is_judged_and_told(linegate: Linegate, make_folder: MakeFolder, tmp_path: Path) -> None:
    folder = make_folder(good=16, spot=8, line=8)
    table = folder / "split.csv"
    head, *rows = table.read_text().splitlines()
    tested = ("good_000", "good_001", "spot_016", "spot_017", "line_024")
    sided = [row.replace(".png,,", ".png,test,") if row.startswith(tested) else row for row in rows]
    table.write_text("\n".join([head, *sided]))
    code, words = linegate("train", folder, "--steps", 3, "--threads", 1, "--out", tmp_path / "b")
    assert code == 2  # line_024 shares its group with one that is not tested
    table.write_text(table.read_text().replace("line_025.png,,", "line_025.png,test,"))
    code, words = linegate("train", folder, "--steps", 3, "--threads", 1, "--out", tmp_path / "b")
    assert code == 0, words
    assert "test side: escapes" in words
    card = (tmp_path / "b.train" / "card.md").read_text()
    assert "Judged: 3 parts by 6 pictures" in card[card.index("Test side") :]
    assert "Test side, kept from every choice" in (tmp_path / "b.train" / "report.html").read_text()
    parts = json.loads((tmp_path / "b" / "snapshot.json").read_text())["parts"]
    assert sum(row["split"] != "test" for row in parts) == 26


def test_an_export_that_judges_otherwise_is_written_but_said(
    linegate: Linegate, make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from linegate.training import pipeline

    export = pipeline.to_onnx

    def spoilt(net: Any, spec: Any) -> bytes:
        """As an exporter that loses a layer's offset would."""
        wrong = copy.deepcopy(net)
        for weights in wrong.parameters():
            weights.data += 0.02
        return export(wrong, spec)

    monkeypatch.setattr(pipeline, "to_onnx", spoilt)
    code, words = linegate("train", make_folder(), "--steps", 3, "--threads", 1, "--out", tmp_path / "b")
    assert code == 2
    assert "can't be certified" in words
    bundle = load_bundle(tmp_path / "b")
    assert [p.within for p in bundle.manifest.parity] == [False]


def test_the_bundle_inspects_images_of_any_size(linegate: Linegate, trained: tuple[Path, Path], tmp_path: Path) -> None:
    import cv2
    import numpy as np

    _, out = trained
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for number, (width, height) in enumerate(((96, 96), (40, 200), (640, 333))):
        image = rng.normal(110, 5, (height, width)).clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(tmp_path / "images" / f"{number}.png"), image)
    code, words = linegate("inspect", tmp_path, "--bundle", out, "--out", tmp_path / "out")
    assert code == 0, words
    lines = [json.loads(line) for line in (tmp_path / "out" / "verdicts.jsonl").read_text().splitlines()]
    assert len(lines) == 3
    assert all(0 <= line["score"] <= 1 for line in lines)


def test_an_existing_bundle_is_not_overwritten(linegate: Linegate, trained: tuple[Path, Path]) -> None:
    folder, out = trained
    before = load_bundle(out).sha256
    code, words = linegate("train", folder, "--steps", 5, "--out", out)
    assert code == 2
    assert "Choose another --out" in words
    assert load_bundle(out).sha256 == before


@pytest.mark.parametrize(
    ("good", "spot", "words"),
    [(12, 0, "defect parts of at least two groups"), (2, 1, "defect parts of at least two groups")],
)
def test_data_that_prove_nothing_are_refused_in_words(
    linegate: Linegate, make_folder: MakeFolder, tmp_path: Path, good: int, spot: int, words: str
) -> None:
    code, said = linegate("train", make_folder(good=good, spot=spot, line=0), "--steps", 3, "--out", tmp_path / "b")
    assert code == 2
    assert words in said


def test_broken_files_stop_training_by_name_or_are_left_out(
    linegate: Linegate, make_folder: MakeFolder, tmp_path: Path
) -> None:
    folder = make_folder(good=16, spot=8, line=8)
    (folder / "images" / "good_002.png").write_bytes(b"")
    code, said = linegate("train", folder, "--steps", 3, "--threads", 1, "--out", tmp_path / "b")
    assert code == 2
    assert "good_002.png" in said
    code, said = linegate("train", "check", folder)
    assert code == 2
    assert "good_002.png" in said
    code, said = linegate("train", folder, "--steps", 3, "--threads", 1, "--skip-broken", "--out", tmp_path / "b")
    assert code == 0, said
    assert "good_002.png" in said
    assert load_bundle(tmp_path / "b").manifest.classes == ("spot", "line")


@pytest.mark.parametrize("how", ["missing", "no picture"])
def test_a_broken_validation_picture_shows_itself_before_the_fit(
    linegate: Linegate, make_folder: MakeFolder, tmp_path: Path, how: str
) -> None:
    folder = make_folder(good=16, spot=8, line=8)
    sides = {sample.name: sample.side for sample in with_split(load_folder(folder), 0.2, 0).samples}
    name = next(name for name, side in sides.items() if side == "val")
    (folder / "images" / name).unlink() if how == "missing" else (folder / "images" / name).write_bytes(b"no picture")
    command = ("train", folder, "--steps", 3, "--threads", 1, "--out", tmp_path / "b")
    code, said = linegate(*command)
    assert code == 2
    assert name in said
    assert not (tmp_path / "b.train" / "checkpoint.pt").exists()
    code, said = linegate(*command, "--skip-broken")
    assert code == 0, said
    assert f"left out, broken: {name}" in said
    rows = json.loads((tmp_path / "b.train" / "snapshot.json").read_text())["parts"]
    assert {row["part"] for row in rows} == set(sides) - {name}


def test_with_every_training_picture_broken_nothing_is_left_to_train_on(
    linegate: Linegate, make_folder: MakeFolder, tmp_path: Path
) -> None:
    folder = make_folder(good=8, spot=8, line=0)
    for sample in with_split(load_folder(folder), 0.2, 0).side("train"):
        sample.image.write_bytes(b"")
    code, said = linegate("train", folder, "--steps", 3, "--skip-broken", "--out", tmp_path / "b")
    assert code == 2
    assert "readable pictures to train on" in said


def test_a_report_that_cannot_be_written_costs_nothing(
    linegate: Linegate, make_folder: MakeFolder, tmp_path: Path
) -> None:
    folder, work = make_folder(), tmp_path / "b.train"
    (work / "card.md").mkdir(parents=True)  # what it wants to write is in its own way
    command = ("train", folder, "--steps", 3, "--threads", 1, "--out", tmp_path / "b")
    code, said = linegate(*command)
    assert code == 2
    assert "card.md" in said
    assert "start the same command again" in said
    assert not (tmp_path / "b").exists()  # a bundle is there only when all of it is
    kept = load_checkpoint(work, {})
    assert kept is not None
    assert kept["step"] == 3
    (work / "card.md").rmdir()
    assert linegate(*command)[0] == 0
    load_bundle(tmp_path / "b")
    left = ["card.md", "network.npz", "record.json", "report.html", "snapshot.json"]
    assert sorted(path.name for path in work.iterdir()) == left


def test_no_such_folder_is_said(linegate: Linegate, tmp_path: Path) -> None:
    code, said = linegate("train", tmp_path / "nowhere", "--out", tmp_path / "b")
    assert code == 2
    assert "no such folder" in said


def _odd(folder: Path, how: str) -> Path:
    """Turn a good folder into an odd, yet usable one."""
    if how == "class without a sample":
        (folder / "classes.txt").write_text("0 background\n1 spot\n2 line\n3 rust\n")
    elif how == "no mask at all":
        for mask in (folder / "masks").iterdir():
            mask.unlink()
    elif how == "one class, masks of 255":
        import cv2

        (folder / "classes.txt").unlink()
        table = folder / "split.csv"
        table.write_text(table.read_text().replace(",spot,", ",,").replace(",line,", ",,"))
        for path in (folder / "masks").iterdir():
            mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            assert mask is not None
            cv2.imwrite(str(path), (mask > 0).astype("uint8") * 255)
    return folder


@pytest.mark.parametrize(
    ("how", "classes"),
    [
        ("class without a sample", ("spot", "line", "rust")),
        ("no mask at all", ("spot", "line")),
        ("one class, masks of 255", ("defect",)),
    ],
)
def test_odd_data_still_make_a_bundle(
    linegate: Linegate, make_folder: MakeFolder, tmp_path: Path, how: str, classes: tuple[str, ...]
) -> None:
    folder = _odd(make_folder(good=12, spot=6, line=6), how)
    code, said = linegate("train", folder, "--steps", 3, "--threads", 1, "--out", tmp_path / "b")
    assert code == 0, said
    assert load_bundle(tmp_path / "b").manifest.classes == classes


def test_without_good_parts_it_trains_and_says_that_overkill_is_unknown(
    linegate: Linegate, make_folder: MakeFolder, tmp_path: Path
) -> None:
    folder = make_folder(good=0, spot=10, line=10)
    code, said = linegate("train", folder, "--steps", 3, "--threads", 1, "--out", tmp_path / "b")
    assert code == 0, said
    assert "good parts held back none seen" in load_bundle(tmp_path / "b").manifest.thresholds.guarantee
    assert "overkill none seen" in said


def test_without_any_place_or_good_part_whole_pictures_are_learnt_from(
    linegate: Linegate, make_folder: MakeFolder, tmp_path: Path
) -> None:
    folder = _odd(make_folder(good=0, spot=10, line=10), "no mask at all")
    code, said = linegate("train", folder, "--steps", 3, "--threads", 1, "--out", tmp_path / "b")
    assert code == 0, said
    assert "whole step 3" in said


def test_bad_parts_of_unknown_place_are_seen_from_the_first_step_on(make_folder: MakeFolder, tmp_path: Path) -> None:
    dataset = load_folder(_odd(make_folder(good=4, spot=4, line=0), "no mask at all"))
    spec = InputSpec(width_px=96, height_px=96, channels=1, stride_px=4, pixel_mm=1.0)
    pictures = Pictures.load(spec, dataset.classes, dataset.samples, tmp_path / "work")
    seen: list[Progress] = []
    settings = FitSettings(steps=2, minutes=None, crop_px=64, threads=1)
    fit(build(NetSpec.of("wide", 2, 1)), pictures, settings, tmp_path / "work", report=seen.append)
    assert [progress.phase for progress in seen] == ["whole", "whole"]
    batch = Batches(pictures, 4, 0, 64, 4, Variation()).wholes(0)
    assert batch.part.tolist() == [1, 0] * (len(batch.part) // 2)
    assert batch.part_weight.all()


def test_large_pictures_with_small_defects_are_tiled(make_folder: MakeFolder, tmp_path: Path) -> None:
    import cv2

    from linegate.training.shapes import choose_input, survey

    dataset = load_folder(make_folder(good=1, spot=2, line=0, size=(4000, 2000)))
    spec, size = choose_input(dataset, survey(dataset))
    assert (spec.fit, spec.width_px, spec.height_px, size) == ("tile", 1024, 1024, "fast")
    several = load_folder(make_folder(name="several", good=3, spot=1, line=1, size=(300, 200)))
    spec, size = choose_input(several, survey(several))
    assert (spec.fit, spec.width_px, spec.height_px, size) == ("resize", 288, 192, "wide")
    folder = make_folder(name="mixed", good=3, spot=1, line=1, size=(300, 200))
    narrow = sorted((folder / "images").iterdir())[0]
    for path in (narrow, *(folder / "masks").glob(f"{narrow.stem}.png")):
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[:, :150])
    mixed = load_folder(folder)
    spec, _ = choose_input(mixed, survey(mixed))
    assert (spec.fit, spec.fill) == ("pad", "mean")  # streaks drawn out of the border look like defects


def test_crops_of_padded_pictures_show_the_picture(make_folder: MakeFolder, tmp_path: Path) -> None:
    dataset = load_folder(make_folder(good=3, spot=3, line=0, size=(100, 100)))
    spec = InputSpec(width_px=384, height_px=96, channels=1, fit="pad", fill="mean", stride_px=4, pixel_mm=1.0)
    pictures = Pictures.load(spec, dataset.classes, dataset.samples, tmp_path / "work")
    batches = Batches(pictures, 4, 0, 64, 8, Variation(turn_share=0.0))
    for step in range(20):
        assert batches.crops(step).valid.all()  # three quarters of each input are padding
    assert not batches.wholes(0).valid.all()


def test_tiles_give_whole_inputs_with_their_defects(make_folder: MakeFolder, tmp_path: Path) -> None:
    dataset = load_folder(make_folder(good=3, spot=3, line=0, size=(300, 100)))
    spec = InputSpec(width_px=128, height_px=128, channels=1, fit="tile", overlap_px=32, stride_px=4, pixel_mm=1.0)
    pictures = Pictures.load(spec, dataset.classes, dataset.samples, tmp_path / "work")
    assert pictures.image(0).shape == (128, 300)  # at its own scale, at least as large as a tile
    batches = Batches(pictures, 4, 0, 64, 8, Variation(paste_share=0.0))
    crops = batches.crops(3)
    assert crops.image.shape == (8, 1, 64, 64)
    assert crops.part[1::2].tolist() == [0, 0, 0, 0]
    assert crops.target[::2, 0].max((1, 2)).min() > 0  # every crop on a defect shows it
    whole = batches.wholes(3)
    assert whole.image.shape[1:] == (1, 128, 128)
    # A tile of a bad part that doesn't show the defect teaches the part head nothing.
    shown = whole.target.max((1, 2, 3)) > 0
    assert (whole.part_weight[::2] == 0).tolist() == (~shown[::2]).tolist()
    again = batches.crops(3)
    assert (again.image == crops.image).all()
    assert (batches.crops(4).image != crops.image).any()
