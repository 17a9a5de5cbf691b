from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linegate.inspect.regions import MAX_REGIONS, class_mask, find_regions
from linegate.models.manifest import Manifest
from linegate.models.preprocess import Grid

from ..models.tiny import manifest as fields


def manifest(min_area_px: float = 0, mask: float = 0.5, **changes: object) -> Manifest:
    classes = {
        name: {"review": 0.5, "reject": 0.8, "mask": mask, "min_area_px": min_area_px} for name in ("dark", "bright")
    }
    merged = fields(thresholds={"part_review": 0.5, "part_reject": 0.8, "classes": classes}, **changes)
    return Manifest.model_validate({**merged, "model_sha256": "0" * 64})


def grid(rows: int, columns: int, step_x: float = 1, step_y: float = 1) -> Grid:
    return Grid(round(columns * step_x), round(rows * step_y), columns, rows, step_x, step_y)


def blank(rows: int = 200, columns: int = 300) -> np.ndarray:
    return np.zeros((2, rows, columns), np.float32)


def test_nothing_is_nothing() -> None:
    assert find_regions(blank() + 0.49, grid(200, 300), manifest()) == ()


def test_disc_is_measured() -> None:
    mask = blank()
    cv2.circle(mask[1], (120, 80), 20, 0.9, cv2.FILLED)
    (region,) = find_regions(mask, grid(200, 300), manifest(), pixel_mm=0.1)
    assert region.defect_class == "bright"
    assert region.score == pytest.approx(0.9)
    assert region.area_mm2 == pytest.approx(int((mask[1] > 0).sum()) * 0.01)
    assert region.area_mm2 == pytest.approx(np.pi * 2.0**2, rel=0.06)
    assert region.length_mm == pytest.approx(4.1, abs=0.1)
    assert (region.x_mm, region.y_mm) == (pytest.approx(12.05, abs=0.01), pytest.approx(8.05, abs=0.01))
    assert region.box_px == (100, 60, 41, 41)
    assert cv2.contourArea(region.outline_px) == pytest.approx(np.pi * 20**2, rel=0.05)


def test_length_of_a_scratch_at_any_angle() -> None:
    for angle in range(0, 180, 7):
        mask = blank()
        turn = np.radians(angle)
        delta = 60 * np.array([np.cos(turn), np.sin(turn)])
        ends = [tuple(int(v) for v in np.round(np.array([150, 100]) + sign * delta)) for sign in (-1, 1)]
        cv2.line(mask[0], ends[0], ends[1], 1.0, 3)
        (region,) = find_regions(mask, grid(200, 300), manifest(), pixel_mm=1.0)
        rows, columns = np.nonzero(mask[0])
        along = columns * np.cos(turn) + rows * np.sin(turn)
        assert region.length_mm == pytest.approx(np.ptp(along) + 1, abs=1)
        assert 120 < region.length_mm < 127  # 120 between the ends, 3 thick, rounded caps
        assert region.x_mm == pytest.approx(150.5, abs=0.7)


def test_steps_scale_to_image_pixels() -> None:
    mask = blank(50, 60)
    mask[0, 10:20, 30:50] = 0.7
    (region,) = find_regions(mask, grid(50, 60, 4.0, 2.0), manifest(), pixel_mm=0.5)
    assert region.area_mm2 == pytest.approx(10 * 2 * 20 * 4 * 0.25)
    assert region.length_mm == pytest.approx(20 * 4 * 0.5, rel=0.01)
    assert (region.x_mm, region.y_mm) == (pytest.approx(40 * 4 * 0.5), pytest.approx(15 * 2 * 0.5))
    assert region.box_px == (120, 20, 80, 20)


def test_one_cell_is_a_region_of_one_cell() -> None:
    mask = blank()
    mask[0, 5, 7] = 0.6
    (region,) = find_regions(mask, grid(200, 300), manifest(), pixel_mm=1.0)
    assert (region.area_mm2, region.length_mm) == (1.0, pytest.approx(1.0))
    assert (region.x_mm, region.y_mm) == (7.5, 5.5)


@given(seed=st.integers(0, 10_000), share=st.floats(0.05, 0.7))
@settings(max_examples=60, deadline=None)
def test_area_is_the_exact_cell_count_holes_and_all(seed: int, share: float) -> None:
    noise = cv2.GaussianBlur(np.random.default_rng(seed).random((40, 50)).astype(np.float32), (0, 0), 1.5)
    mask = np.zeros((2, 40, 50), np.float32)
    mask[0] = noise >= np.quantile(noise, 1 - share)
    regions = find_regions(mask, grid(40, 50), manifest(), pixel_mm=1.0)
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask[0].astype(np.uint8), connectivity=8)
    expected = sorted(stats[1:, cv2.CC_STAT_AREA].tolist())
    assert len(regions) == count - 1
    assert sorted(region.area_mm2 for region in regions) == pytest.approx(expected)


def test_classes_never_cover_each_other() -> None:
    mask = blank()
    mask[0, 50:100, 50:150] = 0.7
    mask[1, 50:100, 100:200] = 0.9
    by_class = {r.defect_class: r for r in find_regions(mask, grid(200, 300), manifest(), pixel_mm=1.0)}
    assert by_class["dark"].area_mm2 == 50 * 50
    assert by_class["bright"].area_mm2 == 50 * 100
    labels = class_mask(mask, grid(200, 300), manifest())
    assert [(labels == value).sum() for value in (1, 2)] == [2500, 5000]


def test_equal_classes_are_counted_once() -> None:
    mask = blank()
    mask[:, 10:20, 10:20] = 0.75
    regions = find_regions(mask, grid(200, 300), manifest(), pixel_mm=1.0)
    assert [(r.defect_class, r.area_mm2) for r in regions] == [("dark", 100.0)]


def test_small_ones_are_noise() -> None:
    mask = blank()
    mask[0, 0:3, 0:3] = 1
    mask[0, 50:60, 50:60] = 1
    assert [r.area_mm2 for r in find_regions(mask, grid(200, 300), manifest(min_area_px=9.5), pixel_mm=1.0)] == [100]
    assert len(find_regions(mask, grid(200, 300), manifest(min_area_px=9), pixel_mm=1.0)) == 2


def test_a_broken_picture_keeps_the_largest() -> None:
    mask = blank(400, 400)
    mask[0, ::4, ::4] = 1
    mask[0, 200:230, 200:230] = 1
    regions = find_regions(mask, grid(400, 400), manifest(), pixel_mm=1.0)
    assert len(regions) == MAX_REGIONS
    assert max(r.area_mm2 for r in regions) >= 900


@pytest.mark.parametrize(("step_x", "step_y"), [(4.0, 4.0), (2.3, 1.7), (0.5, 0.5)])
def test_class_mask_has_the_images_size_and_place(step_x: float, step_y: float) -> None:
    mask = blank(100, 120)
    cv2.circle(mask[1], (40, 60), 15, 1.0, cv2.FILLED)
    where = grid(100, 120, step_x, step_y)
    labels = class_mask(mask, where, manifest())
    assert labels.shape == (where.image_height_px, where.image_width_px)
    assert set(np.unique(labels)) == {0, 2}
    moments = cv2.moments((labels == 2).astype(np.uint8), binaryImage=True)
    assert moments["m10"] / moments["m00"] + 0.5 == pytest.approx(40.5 * step_x, abs=0.3 * step_x)
    assert moments["m01"] / moments["m00"] + 0.5 == pytest.approx(60.5 * step_y, abs=0.3 * step_y)
    assert moments["m00"] == pytest.approx(int((mask[1] > 0).sum()) * step_x * step_y, rel=0.06)
