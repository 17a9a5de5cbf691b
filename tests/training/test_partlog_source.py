from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from linegate.inspect.part import Decision, PartKey
from linegate.inspect.partlog.labels import LabelStore, NewLabel
from linegate.inspect.partlog.writer import PartLog
from linegate.training.dataset import load_folder
from linegate.training.partlog_source import NothingLabelled, load_cases, load_partlog
from linegate.training.place import Place
from linegate.training.sources import load_datasets, load_must_catch

from ..models.tiny import bundle as make
from ..models.tiny import certified
from .test_jobs import put_part, put_picture, wait_for_picture

MakeFolder = Callable[..., Path]


@pytest.fixture
def labels(log: PartLog, tmp_path: Path) -> LabelStore:
    return LabelStore(log.writer_engine, log.reader, tmp_path / "data")


def picture(sequence: int, camera: str = "top") -> np.ndarray:
    """Another one for each part and camera."""
    return np.full((64, 64), 2 * sequence + len(camera), np.uint8)


def part(log: PartLog, tmp_path: Path, sequence: int, *cameras: str) -> PartKey:
    """A part in the log with the pictures of these cameras."""
    key = put_part(log, tmp_path / "data", sequence, picture(sequence), "L1", ())
    for camera in cameras:
        put_picture(log, tmp_path / "data", key, camera, picture(sequence, camera))
        wait_for_picture(log, key, camera)
    return key


def escape(labels: LabelStore, key: PartKey, camera: str = "", **more: object) -> None:
    fields = {"kind": "escape", "must_catch": True, **more}
    labels.save(NewLabel(key, camera, Decision.NG, "ada", **fields), parent=0)  # type: ignore[arg-type]


def test_a_part_that_was_called_bad_as_a_whole_is_found_with_its_picture(
    log: PartLog, labels: LabelStore, station: Path, tmp_path: Path
) -> None:
    """As the operator's screen saves it: no camera, and no picture yet at that time."""
    key = part(log, tmp_path, 1)
    escape(labels, key)
    put_picture(log, tmp_path / "data", key, "top", picture(1))
    wait_for_picture(log, key)
    (sample,) = load_partlog(station).samples
    assert (sample.name, sample.unit, sample.weight, sample.weak) == (f"{key}/top", str(key), 4, True)
    assert sample.inclusion is None  # it was looked for
    cases = load_must_catch((), station)
    assert cases is not None
    assert [s.name for s in cases.samples] == [f"{key}/top"]


def test_of_several_pictures_one_at_least_shows_it(
    log: PartLog, labels: LabelStore, station: Path, tmp_path: Path
) -> None:
    key = part(log, tmp_path, 1, "left", "right")
    escape(labels, key)
    with pytest.raises(NothingLabelled):
        load_partlog(station)  # on which of them it lies must not be guessed
    cases = load_cases(station)
    assert cases is not None
    assert [(s.name, s.whole) for s in cases.samples] == [(f"{key}/left", True), (f"{key}/right", True)]
    labels.save(NewLabel(key, "left", Decision.OK, "quinn"), parent=0)
    cases = load_cases(station)
    assert cases is not None
    assert [(s.name, s.whole) for s in cases.samples] == [(f"{key}/right", False)]
    assert {s.name: s.label for s in load_partlog(station).samples} == {f"{key}/left": "good", f"{key}/right": "defect"}
    labels.save(NewLabel(key, "right", Decision.NG, "quinn"), parent=0)
    cases = load_cases(station)  # the bad view has its own label now, and is the case
    assert cases is not None
    assert [(s.name, s.labeller) for s in cases.samples] == [(f"{key}/right", "quinn")]
    labels.save(NewLabel(key, "right", Decision.OK, "quinn"), parent=1)
    assert load_cases(station) is None  # somebody looked at every picture: the part is good


def test_cases_without_a_picture_are_named(log: PartLog, labels: LabelStore, station: Path, tmp_path: Path) -> None:
    never, gone, kept = (part(log, tmp_path, n, *cameras) for n, cameras in enumerate([(), ("top",), ("top",)], 1))
    for key in (never, gone, kept):
        escape(labels, key)
    (sample,) = [s for s in load_partlog(station).samples if s.unit == str(gone)]
    sample.image.unlink()
    cases = load_cases(station)
    assert cases is not None
    assert [s.name for s in cases.samples] == [f"{kept}/top"]
    assert [(lost.name, lost.why) for lost in cases.lost] == [
        (str(never), "its picture was not kept"),
        (f"{gone}/top", "its picture was not kept"),
    ]
    assert len(load_partlog(station).lost) == 2


def test_classes_keep_the_numbers_that_the_plc_knows(
    log: PartLog, labels: LabelStore, station: Path, make_folder: MakeFolder, tmp_path: Path
) -> None:
    key = part(log, tmp_path, 1, "top")
    mask = np.zeros((64, 64), np.uint8)
    mask[4:9, 4:9] = 3
    stored = labels.masks.put(cv2.imencode(".png", mask)[1].tobytes())
    # The screen sends every class it offers; drawn is only the last.
    labels.save(
        NewLabel(key, "top", Decision.NG, "ada", mask_sha256=stored.sha256, classes=("bright", "dark", "rust")),
        parent=0,
    )
    dataset = load_partlog(station)
    assert dataset.classes == ("rust",)
    assert dataset.samples[0].classes == ("rust",)
    place = Place.of(station)
    live = certified(tmp_path / "live", make(tmp_path / "draft"))
    place.store.promote(place.store.add(live.folder, "ada", "x").bundle, "ada", "x")
    assert load_partlog(station).classes == ("dark", "bright", "rust")
    base = make_folder(name="base", good=2, spot=2, line=2)
    assert load_datasets([base, station]).classes == ("dark", "bright", "spot", "line", "rust")
    assert load_folder(base).classes == ("spot", "line")


def test_how_likely_a_part_was_to_be_labelled_is_known_or_not(
    log: PartLog, labels: LabelStore, station: Path, tmp_path: Path
) -> None:
    for n, source in enumerate(("sample", "all"), 1):
        key = part(log, tmp_path, n)
        put_picture(log, tmp_path / "data", key, "top", picture(n), 0.25)
        wait_for_picture(log, key)
        labels.save(NewLabel(key, "top", Decision.OK, "ada", source=source), parent=0)
    assert [s.inclusion for s in load_partlog(station).samples] == [0.25, None]


def test_what_only_an_operator_reported_is_tried_and_not_learned(
    log: PartLog, labels: LabelStore, station: Path, tmp_path: Path
) -> None:
    key = part(log, tmp_path, 1, "top")
    escape(labels, key, "top", source="operator")
    with pytest.raises(NothingLabelled):
        load_partlog(station)
    cases = load_cases(station)
    assert cases is not None
    assert [s.name for s in cases.samples] == [f"{key}/top"]
    labels.save(NewLabel(key, "top", Decision.NG, "quinn", source="escape"), parent=1)
    assert [s.labeller for s in load_partlog(station).samples] == ["quinn"]
    labels.save(NewLabel(key, "top", Decision.OK, "otto", kind="overkill", source="operator"), parent=2)
    assert [(s.labeller, s.label) for s in load_partlog(station).samples] == [("quinn", "defect")]
