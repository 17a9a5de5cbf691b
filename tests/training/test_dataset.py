from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linegate.training.checks import find_problems, open_sample
from linegate.training.coco import decode_counts, load_coco
from linegate.training.dataset import DatasetError, Sample, load_folder
from linegate.training.snapshot import Snapshot, freeze, thaw
from linegate.training.sources import load_dataset, merge
from linegate.training.splits import choose_groups, with_split

MakeFolder = Callable[..., Path]


def test_folder_is_read_with_classes_groups_and_masks(make_folder: MakeFolder) -> None:
    dataset = load_folder(make_folder())
    assert dataset.classes == ("spot", "line")
    assert dataset.counts() == {"good": 12, "spot": 6, "line": 6}
    sample = next(s for s in dataset.samples if s.classes == ("line",))
    image, mask = open_sample(sample, dataset.classes, 1)
    assert image.shape == (96, 96)
    assert mask is not None
    assert set(np.unique(mask)) == {0, 2}
    assert find_problems(dataset) == []


def _spoil(folder: Path, how: str) -> str:
    """Break one file of the folder; returns the word that the message must carry."""
    table = folder / "split.csv"
    if how == "mask size":
        cv2.imwrite(str(folder / "masks" / "spot_012.png"), np.zeros((50, 96), np.uint8))
        return "spot_012.png"
    if how == "unknown class":
        mask = np.zeros((96, 96), np.uint8)
        mask[3:9, 3:9] = 7
        cv2.imwrite(str(folder / "masks" / "spot_013.png"), mask)
        return "value 7"
    if how == "unreadable":
        (folder / "images" / "good_003.png").write_bytes(b"no picture")
        return "good_003.png"
    if how == "missing":
        (folder / "images" / "good_004.png").unlink()
        return "good_004.png"
    if how == "good with defect":
        mask = np.ones((96, 96), np.uint8)
        cv2.imwrite(str(folder / "masks" / "good_001.png"), mask)
        return "good_001.png"
    table.write_text(
        table.read_text()
        .replace("good_000.png,,", "good_000.png,train,")
        .replace("good_001.png,,", "good_001.png,val,")
    )
    return "g5-000"


@pytest.mark.parametrize("how", ["mask size", "unknown class", "unreadable", "missing", "good with defect", "group"])
def test_a_broken_file_is_named(make_folder: MakeFolder, how: str) -> None:
    folder = make_folder()
    word = _spoil(folder, how)
    problems = find_problems(load_folder(folder))
    assert len(problems) == 1
    assert word in str(problems[0][1])


def test_unknown_class_name_and_label_in_the_table_name_the_line(make_folder: MakeFolder) -> None:
    folder = make_folder()
    table = folder / "split.csv"
    text = table.read_text()
    table.write_text(text.replace("defect,line", "defect,rust", 1))
    with pytest.raises(DatasetError, match=r"split\.csv line 20 .*rust"):
        load_folder(folder)
    table.write_text(text.replace(",good,", ",maybe,", 1))
    with pytest.raises(DatasetError, match=r"split\.csv line 2:.*maybe"):
        load_folder(folder)


def test_without_a_table_masks_tell_and_a_missing_mask_is_named(make_folder: MakeFolder) -> None:
    folder = make_folder()
    (folder / "split.csv").unlink()
    assert load_folder(folder).counts() == {"good": 12, "spot": 6, "line": 6}
    (folder / "masks" / "good_002.png").unlink()
    with pytest.raises(DatasetError, match=r"good_002\.png"):
        load_folder(folder)


def test_a_bad_part_without_mask_counts_as_bad_somewhere(make_folder: MakeFolder) -> None:
    folder = make_folder()
    (folder / "masks" / "spot_012.png").unlink()
    cv2.imwrite(str(folder / "masks" / "spot_013.png"), np.zeros((96, 96), np.uint8))
    dataset = load_folder(folder)
    for name in ("spot_012.png", "spot_013.png"):
        sample = next(s for s in dataset.samples if s.name == name)
        assert sample.label == "defect"
        assert open_sample(sample, dataset.classes, 1)[1] is None


def test_split_keeps_groups_together_and_every_class_on_both_sides(make_folder: MakeFolder) -> None:
    dataset = with_split(load_folder(make_folder(good=40, spot=20, line=8)), 0.25, seed=3)
    by_group: dict[str, set[str]] = {}
    for sample in dataset.samples:
        by_group.setdefault(sample.group, set()).add(sample.side)
    assert all(len(sides) == 1 for sides in by_group.values())
    for kind in ("spot", "line"):
        sides = [s.side for s in dataset.samples if s.classes == (kind,)]
        assert 0.15 <= sides.count("val") / len(sides) <= 0.35
    again = with_split(load_folder(dataset.source), 0.25, seed=3)
    assert [s.side for s in again.samples] == [s.side for s in dataset.samples]
    other = choose_groups(list(dataset.samples), 0.25, seed=4)
    assert other != {s.group for s in dataset.samples if s.side == "val"}


def test_escapes_are_learnt_from_where_others_are_left_to_validate_on(make_folder: MakeFolder) -> None:
    """A release must catch them: what was kept back to validate on was never learnt from."""
    dataset = load_folder(make_folder(good=40, spot=20, line=8))

    def escaped(*kinds: str) -> list[Sample]:
        samples = [replace(s, weight=4) if s.classes and s.classes[0] in kinds else s for s in dataset.samples]
        return [s for s in with_split(dataset.with_samples(samples), 0.25, seed=3).samples if s.weight > 1]

    assert {s.side for s in escaped("line")} == {"train"}
    assert {s.side for s in escaped("line", "spot")} == {"train", "val"}, "nothing bad would be left to validate on"


@pytest.mark.parametrize(("good", "spot", "words"), [(10, 0, "defect"), (10, 2, "defect"), (1, 10, "good")])
def test_too_little_to_split_is_said(make_folder: MakeFolder, good: int, spot: int, words: str) -> None:
    dataset = load_folder(make_folder(good=good, spot=spot, line=0))
    with pytest.raises(DatasetError, match=f"{words} parts of at least two groups"):
        with_split(dataset, 0.25, 0)


@settings(deadline=None)
@given(
    groups=st.lists(st.tuples(st.sampled_from(["good", "a", "b", "c"]), st.integers(1, 9)), min_size=2, max_size=40),
    share=st.sampled_from([0.1, 0.2, 0.3, 0.5]),
    seed=st.integers(0, 5),
)
def test_each_class_lies_on_both_sides_with_two_groups_where_it_has_five(
    groups: list[tuple[str, int]], share: float, seed: int
) -> None:
    samples = [
        Sample(f"{n}-{i}", Path("x"), None, "good" if kind == "good" else "defect", () if kind == "good" else (kind,), f"g{n}")
        for n, (kind, count) in enumerate(groups)
        for i in range(count)
    ]  # fmt: skip
    chosen = choose_groups(samples, share, seed)
    for kind in {kind for kind, _ in groups}:
        having = {f"g{n}" for n, (own, _) in enumerate(groups) if own == kind}
        least = 0 if len(having) < 2 else 1 if len(having) < 5 else 2
        assert min(len(having & chosen), len(having - chosen)) >= least


def test_the_same_picture_in_two_groups_is_named_and_never_lies_on_two_sides(
    linegate: Callable[..., tuple[int, str]], make_folder: MakeFolder
) -> None:
    folder = make_folder(good=12, spot=8, line=8)
    for number in (2, 4, 6):
        shutil.copyfile(folder / "images" / "good_000.png", folder / "images" / f"good_{number:03d}.png")
    for seed in range(4):
        dataset = with_split(load_folder(folder), 0.4, seed)
        assert len({s.side for s in dataset.samples if s.group in ("g5-000", "g5-001", "g5-002", "g5-003")}) == 1
    code, words = linegate("train", "check", folder)
    assert code == 2
    assert "groups g5-001 and g5-000" in words


def test_snapshot_hash_follows_content_not_place(make_folder: MakeFolder, tmp_path: Path) -> None:
    one, two = make_folder(name="one"), make_folder(name="two")
    first = Snapshot.of(load_folder(one))
    assert first.sha256 == Snapshot.of(load_folder(two)).sha256
    cv2.imwrite(str(two / "masks" / "spot_012.png"), np.full((96, 96), 1, np.uint8))
    assert first.sha256 != Snapshot.of(load_folder(two)).sha256


def test_frozen_data_come_back_as_they_were_or_not_at_all(make_folder: MakeFolder, tmp_path: Path) -> None:
    folder, frozen = make_folder(), tmp_path / "frozen"
    dataset = with_split(load_folder(folder), 0.25, 0)
    snapshot = freeze(dataset, frozen)
    image = next(s for s in dataset.samples if s.name == "good_000.png").image
    cv2.imwrite(str(image), np.zeros((96, 96), np.uint8))  # editing the original doesn't reach the snapshot
    back = load_dataset(frozen)
    assert Snapshot.of(back).sha256 == snapshot.sha256
    assert thaw(frozen, snapshot.sha256).classes == dataset.classes
    stored = frozen / "objects" / snapshot.rows()[0]["image"][:2] / snapshot.rows()[0]["image"]
    stored.write_bytes(stored.read_bytes() + b"x")
    with pytest.raises(DatasetError, match="sha256"):
        thaw(frozen)


def test_coco_polygons_boxes_and_runs_become_masks(make_folder: MakeFolder, tmp_path: Path) -> None:
    folder = make_folder(good=2, spot=2, line=0)
    content = {
        "images": [
            {"id": 1, "file_name": "spot_002.png", "group": "a"},
            {"id": 2, "file_name": "spot_003.png"},
            {"id": 3, "file_name": "good_000.png"},
        ],
        "categories": [{"id": 9, "name": "line"}, {"id": 4, "name": "spot"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 4, "segmentation": [[10, 10, 20, 10, 20, 30, 10, 30]]},
            {"id": 2, "image_id": 1, "category_id": 9, "bbox": [40, 50, 4, 6]},
            {
                "id": 3,
                "image_id": 2,
                "category_id": 9,
                "segmentation": {"size": [96, 96], "counts": [96 * 5 + 2, 3, 96 * 91 - 5]},
            },
        ],
    }
    file = folder / "instances.json"
    file.write_text(json.dumps(content))
    dataset = load_dataset(file)
    assert dataset.classes == ("spot", "line")
    assert [s.label for s in dataset.samples] == ["defect", "defect", "good"]
    assert dataset.samples[0].group == "a"
    _, first = open_sample(dataset.samples[0], dataset.classes, 1)
    assert first is not None
    assert first[20, 15] == 1
    assert first[52, 42] == 2
    _, second = open_sample(dataset.samples[1], dataset.classes, 1)
    assert second is not None
    assert np.argwhere(second == 2).tolist() == [[2, 5], [3, 5], [4, 5]]
    content["annotations"][0]["image_id"] = 77  # type: ignore[index]
    file.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=r"annotation 1.*77"):
        load_coco(file)


def test_sets_with_other_classes_keep_what_their_masks_and_outlines_mean(make_folder: MakeFolder) -> None:
    """A folder of two classes, COCO of another two, and one whose masks only say "defect"."""
    folder, other, plain = (make_folder(name=name, good=2, spot=2, line=2) for name in ("a", "b", "c"))
    content = {
        "images": [{"id": 1, "file_name": "spot_002.png"}],
        "categories": [{"id": 1, "name": "rust"}, {"id": 2, "name": "spot"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [4, 4, 6, 6]},
            {"id": 2, "image_id": 1, "category_id": 2, "bbox": [40, 50, 4, 6]},
        ],
    }
    (other / "instances.json").write_text(json.dumps(content))
    (plain / "classes.txt").unlink()
    (plain / "split.csv").unlink()
    for path in (plain / "masks").iterdir():
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        assert mask is not None
        cv2.imwrite(str(path), (mask > 0).astype(np.uint8) * 255)
    dataset = merge([load_dataset(path) for path in (folder, other / "instances.json", plain)], before=("line",))
    assert dataset.classes == ("line", "spot", "rust", "defect")
    assert find_problems(dataset) == []
    shown = {sample.name: open_sample(sample, dataset.classes, 1)[1] for sample in dataset.samples}
    of_coco, of_folder, of_plain = shown["1/spot_002.png"], shown["0/spot_002.png"], shown["2/spot_002.png"]
    assert of_coco is not None and of_folder is not None and of_plain is not None
    assert (of_coco[6, 6], of_coco[52, 42]) == (3, 2)
    assert set(np.unique(of_folder)) == {0, 2}
    assert set(np.unique(of_plain)) == {0, 4}


def test_a_physical_part_is_named_by_a_column_else_by_its_group(make_folder: MakeFolder) -> None:
    folder = make_folder(good=2, spot=2, line=2)
    assert [s.unit for s in load_folder(folder).samples[:3]] == ["g5-000", "g5-000", "g5-001"]
    table = folder / "split.csv"
    head, *rows = table.read_text().splitlines()
    table.write_text("\n".join([f"{head},part", *(f"{row},p{n}" for n, row in enumerate(rows))]))
    assert [s.unit for s in load_folder(folder).samples[:3]] == ["g5-000/p0", "g5-000/p1", "g5-001/p2"]
    assert [s.group for s in load_folder(folder).samples[:2]] == ["g5-000", "g5-000"]
    freeze(load_folder(folder), folder / "frozen")
    assert set(thaw(folder / "frozen").samples[0].unit.split("/")) == {"g5-000", "p0"}


def test_compressed_runs_decode() -> None:
    # 6, 1, 40 as 5-bit groups; the third on are differences only beyond index 2
    assert decode_counts("61X1") == (6, 1, 40)
    assert decode_counts("5300N") == (5, 3, 0, 3, -2)
