"""Panels: same pixels by seed and index, masks that cover exactly what the defects changed."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from linegate.cameras.errors import SettingsError
from linegate.inspect.virtual.dataset import write_dataset
from linegate.inspect.virtual.lot import lot_of
from linegate.inspect.virtual.panel import CLASSES, UNKNOWN_CLASS, PanelSpec, draw_panel
from linegate.inspect.virtual.spec import panel_spec

ALL_BAD = PanelSpec(defect_share=1.0, parts_per_lot=20, spatter_share=0.2)
ALL_GOOD = PanelSpec(defect_share=0.0, parts_per_lot=20)


def test_the_same_seed_and_index_give_the_same_pixels_in_any_order() -> None:
    forward = [draw_panel(5, index, ALL_BAD) for index in (0, 25, 3)]
    lot_of.cache_clear()
    for panel in reversed(forward):
        again = draw_panel(5, panel.index, ALL_BAD)
        assert np.array_equal(again.image, panel.image)
        assert np.array_equal(again.mask, panel.mask)
        assert again.defects == panel.defects
    assert not np.array_equal(draw_panel(6, 0, ALL_BAD).image, forward[0].image)


def test_defects_change_nothing_outside_their_mask_and_something_inside() -> None:
    for index in range(24):
        bad, good = draw_panel(9, index, ALL_BAD), draw_panel(9, index, ALL_GOOD)
        changed = bad.image != good.image
        assert not (changed & (bad.mask == 0)).any(), index
        for defect in bad.defects:
            inside = bad.mask == (*CLASSES, UNKNOWN_CLASS).index(defect.defect_class)
            assert changed[inside].mean() > 0.5, (index, defect)
        assert good.good
        assert not good.mask.any()


def test_every_class_appears_and_truth_agrees_with_the_mask() -> None:
    seen: set[str] = set()
    for index in range(60):
        panel = draw_panel(2, index, ALL_BAD)
        named = {ALL_BAD.classes[value] for value in np.unique(panel.mask) if value}
        assert named == set(panel.classes), index
        assert not panel.good
        seen |= named
    assert seen == {*CLASSES[1:], UNKNOWN_CLASS}


def test_the_unknown_class_is_not_in_the_default_mix() -> None:
    spec = PanelSpec(defect_share=1.0, parts_per_lot=100)
    assert UNKNOWN_CLASS not in spec.classes
    assert all(UNKNOWN_CLASS not in draw_panel(3, index, spec).classes for index in range(30))


def test_the_share_of_defective_panels_is_the_one_asked_for() -> None:
    spec = PanelSpec(defect_share=0.3, parts_per_lot=200)
    bad = sum(not draw_panel(4, index, spec).good for index in range(200))
    assert 34 <= bad <= 86  # 60 ± 4 standard deviations


def test_holes_lie_where_the_panel_says_and_have_the_diameter_it_says() -> None:
    panel = draw_panel(8, 1, ALL_GOOD)
    for hole in panel.holes:
        reach = int(hole.diameter_mm / panel.pixel_mm)
        x0, y0 = round(hole.x_px) - reach, round(hole.y_px) - reach
        piece = panel.image[y0 : y0 + 2 * reach + 1, x0 : x0 + 2 * reach + 1]
        _, labels, stats, centres = cv2.connectedComponentsWithStats(
            cv2.threshold(cv2.GaussianBlur(piece, (3, 3), 0), 75, 255, cv2.THRESH_BINARY_INV)[1]
        )
        label = labels[reach, reach]
        assert label != 0
        centre = centres[label] + (x0, y0)
        assert np.hypot(*(centre - (hole.x_px, hole.y_px))) < 0.6
        diameter_mm = 2 * np.sqrt(stats[label, cv2.CC_STAT_AREA] / np.pi) * panel.pixel_mm
        assert diameter_mm == pytest.approx(hole.diameter_mm, abs=0.45)


def test_a_missing_hole_is_named_in_the_dimensions() -> None:
    spec = PanelSpec(defect_share=1.0, weights=(0, 0, 0, 0, 1))
    panel = draw_panel(1, 0, spec)
    absent = [hole for hole in panel.holes if not hole.present]
    assert len(absent) == len(panel.defects) >= 1
    for hole in absent:
        assert panel.mask[round(hole.y_px), round(hole.x_px)] == CLASSES.index("missing_hole")
        assert panel.image[round(hole.y_px), round(hole.x_px)] > 90


def test_a_dataset_folder_has_the_layout_that_training_reads(tmp_path: Path) -> None:
    done: list[int] = []
    write_dataset(tmp_path / "set", 7, 24, PanelSpec(defect_share=0.5, parts_per_lot=12), progress=done.append)
    assert done == list(range(1, 25))
    lines = (tmp_path / "set" / "classes.txt").read_text().splitlines()
    assert lines == [f"{i} {name}" for i, name in enumerate(CLASSES)]
    with (tmp_path / "set" / "split.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert len(rows) == 24
    assert len({row["group"] for row in rows}) == 2
    assert len({row["part"] for row in rows}) == 24
    for row in rows:
        image = cv2.imread(str(tmp_path / "set" / "images" / row["file"]), cv2.IMREAD_UNCHANGED)
        mask = cv2.imread(str(tmp_path / "set" / "masks" / row["file"]), cv2.IMREAD_UNCHANGED)
        assert image.shape == mask.shape == (1024, 1024)
        assert int(row["defect_px"]) == np.count_nonzero(mask)
        assert (row["label"] == "defect") == bool(mask.any())
        assert {CLASSES[v] for v in np.unique(mask) if v} == {c for c in row["classes"].split(";") if c}


def test_a_folder_with_files_is_not_mixed_into(tmp_path: Path) -> None:
    (tmp_path / "old.txt").write_text("x")
    with pytest.raises(SettingsError, match="--out"):
        write_dataset(tmp_path, 1, 1, PanelSpec())


def test_a_kind_held_back_never_comes_and_is_no_class(tmp_path: Path) -> None:
    spec = panel_spec(("stain", UNKNOWN_CLASS), defect_share=1.0, parts_per_lot=20)
    assert spec.classes == ("background", "stain", UNKNOWN_CLASS)
    assert {name for n in range(12) for name in draw_panel(4, n, spec).classes} == {"stain", UNKNOWN_CLASS}
    alone = panel_spec((UNKNOWN_CLASS,), defect_share=1.0)
    assert {name for n in range(4) for name in draw_panel(4, n, alone).classes} == {UNKNOWN_CLASS}
    write_dataset(tmp_path / "set", 4, 6, spec)
    assert (tmp_path / "set" / "classes.txt").read_text() == f"0 background\n1 stain\n2 {UNKNOWN_CLASS}\n"
    values = {v for path in (tmp_path / "set" / "masks").iterdir() for v in np.unique(cv2.imread(str(path), 0))}
    assert values == {0, 1, 2}
    with pytest.raises(SettingsError, match="scrach"):
        panel_spec(("scrach",))


def test_a_camera_of_fewer_pixels_sees_the_same_panel() -> None:
    large, small = (draw_panel(4, 1, panel_spec(defect_share=1.0, picture_px=px)) for px in (1024, 256))
    assert small.image.shape == small.mask.shape == (256, 256) and small.pixel_mm == 4 * large.pixel_mm
    assert small.classes == large.classes
    assert np.array_equal(small.mask, large.mask.reshape(256, 4, 256, 4).max((1, 3)))
    assert abs(float(small.image.mean()) - float(large.image.mean())) < 1
