"""Calibration on boards rendered through a known lens: what comes out must be what was put in."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from linegate.cameras.calibration import Board, Calibration, calibrate
from linegate.cameras.errors import CameraError

BOARD = Board(columns=9, rows=7, square_mm=8.0, marker_mm=6.0)
SIZE = (800, 640)  # width, height
MATRIX = np.array([[1100.0, 0, 396], [0, 1100, 323], [0, 0, 1]])
LENS = np.array([-0.18, 0.05, 0.0, 0.0, 0.0])
DISTANCE_MM = 130.0


def render(tilt_x: float, tilt_y: float, x_mm: float, y_mm: float, distance_mm: float) -> NDArray[np.uint8]:
    """The board as a camera with MATRIX and LENS sees it: each pixel's ray is followed to the board's plane."""
    scale = 20  # printed pixels per mm
    width_mm, height_mm = BOARD.columns * BOARD.square_mm, BOARD.rows * BOARD.square_mm
    printed = BOARD.detector()[0].generateImage((int(width_mm * scale), int(height_mm * scale)))
    # A pixel integrates over its area; without this blur, edges would be seen at whole pixels only.
    printed = cv2.GaussianBlur(printed, (0, 0), 2.0)
    rotation, _ = cv2.Rodrigues(np.array([tilt_x, tilt_y, 0.0]))
    centre = np.array([width_mm / 2, height_mm / 2, 0.0])
    origin = np.array([x_mm, y_mm, distance_mm]) - rotation @ centre
    xs, ys = np.meshgrid(np.arange(SIZE[0], dtype=np.float64), np.arange(SIZE[1], dtype=np.float64))
    rays = cv2.undistortPoints(np.stack([xs, ys], -1).reshape(-1, 1, 2), MATRIX, LENS).reshape(-1, 2)
    rays = np.concatenate([rays, np.ones((len(rays), 1))], axis=1)
    normal = rotation[:, 2]
    points = rays * ((normal @ origin) / (rays @ normal))[:, None] - origin
    on_board = (points @ rotation)[:, :2] * scale - 0.5
    map_x, map_y = (on_board[:, i].reshape(SIZE[1], SIZE[0]).astype(np.float32) for i in (0, 1))
    seen = cv2.remap(printed, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=255)
    noisy = seen + np.random.default_rng(1).normal(0, 2, seen.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def pictures() -> list[NDArray[np.uint8]]:
    poses = [(0, 0, 0, 0), (0.4, 0, 5, -3), (-0.4, 0.1, -6, 4), (0, 0.45, 4, 5), (0.1, -0.45, -5, -5), (0.3, 0.3, 0, 0)]
    poses += [(-0.3, 0.35, 8, 2), (0.35, -0.3, -8, -2)]
    return [render(a, b, x, y, DISTANCE_MM + 4 * i) for i, (a, b, x, y) in enumerate(poses)]


@pytest.fixture(scope="module")
def calibration(pictures: list[NDArray[np.uint8]]) -> Calibration:
    return calibrate(pictures, BOARD)


def test_pixel_size_and_lens_are_found_again(calibration: Calibration) -> None:
    true_mm = DISTANCE_MM / MATRIX[0, 0]
    assert calibration.pixel_mm == pytest.approx(true_mm, rel=0.0005)
    assert calibration.pixel_mm_spread < 0.002
    assert calibration.rms_px < 0.1
    assert calibration.matrix[0][0] == pytest.approx(1100, rel=0.002)
    assert calibration.distortion[0] == pytest.approx(-0.18, abs=0.02)


def test_undistorting_makes_lines_straight(calibration: Calibration, pictures: list[NDArray[np.uint8]]) -> None:
    def bend(image: NDArray[np.uint8]) -> float:
        corners, ids, _, _ = BOARD.detector()[1].detectBoard(image)
        row = corners.reshape(-1, 2)[(ids.reshape(-1) // (BOARD.columns - 1)) == 0]
        line = np.polyfit(row[:, 0], row[:, 1], 1)
        return float(np.abs(np.polyval(line, row[:, 0]) - row[:, 1]).max())

    before, after = bend(pictures[0]), bend(calibration.undistort(pictures[0]))
    assert before > 0.4
    assert after < 0.15


def test_it_survives_its_file(calibration: Calibration, tmp_path: Path) -> None:
    path = tmp_path / "top.json"
    calibration.save(path)
    assert Calibration.load(path) == calibration
    path.write_text('{"width_px": 3}')
    with pytest.raises(CameraError, match=r"top\.json"):
        Calibration.load(path)
    with pytest.raises(CameraError, match=r"none\.json"):
        Calibration.load(tmp_path / "none.json")


def test_too_few_boards_and_other_sizes_are_refused(
    calibration: Calibration, pictures: list[NDArray[np.uint8]]
) -> None:
    blank = np.full((SIZE[1], SIZE[0]), 200, np.uint8)
    with pytest.raises(CameraError, match=r"pictures \[1, 2\] of 6"):
        calibrate([*pictures[:2], *[blank] * 4], BOARD)
    with pytest.raises(CameraError, match="first"):
        calibrate([blank, *pictures[1:]], BOARD)
    with pytest.raises(CameraError, match="800 x 640 px, found 100 x 50"):
        calibration.undistort(np.zeros((50, 100), np.uint8))


def test_the_tilt_of_the_first_picture_shows_in_the_spread(pictures: list[NDArray[np.uint8]]) -> None:
    tilted = calibrate([pictures[1], pictures[0], *pictures[2:]], BOARD)
    assert tilted.pixel_mm_spread > 0.03
    assert math.isfinite(tilted.pixel_mm)
