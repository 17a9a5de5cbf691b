"""Marks that every press shop knows and nobody may reject a panel for: they have no place in the mask."""

from __future__ import annotations

import cv2
import numpy as np

from linegate.inspect.virtual import strokes
from linegate.inspect.virtual.strokes import Patch, Points


def harmless(rng: np.random.Generator, places: Points, level: float) -> list[Patch]:
    """A panel's share of marks at some of ``places`` ((n, 2), n ≥ 12, image pixels), drawn for about ``level`` grey."""
    free = iter(places)
    marks: list[Patch] = []
    for _ in range(int(rng.poisson(2.0))):
        marks.append(_dust(rng, next(free)))
        if len(marks) == 6:
            break
    if rng.random() < 0.35:
        marks.append(_handling(rng, next(free)))
    if rng.random() < 0.30:
        marks.append(_finger(rng, next(free)))
    if rng.random() < 0.25:
        marks.append(_film(rng, next(free)))
    if rng.random() < 0.10:
        marks.append(_chalk(rng, next(free), level))
    if rng.random() < 0.25:
        marks.append(_reflection(rng, next(free)))
    return marks


def _whole(x: int, y: int, delta: strokes.F32) -> Patch:
    return Patch(x, y, delta, delta != 0)


def _dust(rng: np.random.Generator, place: Points) -> Patch:
    """A speck of 1 to 2 px."""
    x, y, delta, centre = strokes.canvas(place[None], 3)
    spot = np.zeros(delta.shape, np.uint8)
    at = (round(centre[0, 0] * 16), round(centre[0, 1] * 16))
    cv2.circle(spot, at, round(rng.uniform(0.4, 1.1) * 16), 255, -1, cv2.LINE_AA, 4)
    return _whole(x, y, np.asarray(spot, np.float32) * np.float32(rng.choice([-1, 1]) * rng.uniform(18, 52) / 255))


def _handling(rng: np.random.Generator, place: Points) -> Patch:
    """A short, faint line from stacking: at most 30 px long, 1 px wide, and about as strong as the grain."""
    points = strokes.curve(place, rng.uniform(0, np.pi), rng.uniform(12, 30), rng.normal(0, 0.05))
    x, y, delta, points = strokes.canvas(points, 4)
    drawn = strokes.line((delta.shape[0], delta.shape[1]), points, 1.0)
    return _whole(x, y, np.asarray(drawn * rng.choice([-1, 1]) * rng.uniform(8, 15), np.float32))


def _ellipse(shape: tuple[int, int], turn: float, stretch: float) -> strokes.F32:
    y, x = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij")
    u, v = np.cos(turn) * x + np.sin(turn) * y, (-np.sin(turn) * x + np.cos(turn) * y) / stretch
    return np.asarray(np.square(np.clip(1 - np.square(u) - np.square(v), 0, 1)), np.float32)


def _finger(rng: np.random.Generator, place: Points) -> Patch:
    """A fingerprint: faint ridges in an oval."""
    half = int(rng.integers(26, 40))
    shape = (2 * half + 1, 2 * half + 1)
    y, x = np.meshgrid(np.arange(shape[0]) - half, np.arange(shape[1]) - half, indexing="ij")
    turn = rng.uniform(0, np.pi)
    bow = np.hypot(x - np.cos(turn) * half * 0.8, y - np.sin(turn) * half * 0.8) + 2.0 * strokes.cloud(rng, shape, 16)
    delta = np.sin(bow * (2 * np.pi / rng.uniform(4.5, 6.0))) * rng.uniform(4.5, 9.0) - 4.0
    return _whole(
        int(place[0]) - half, int(place[1]) - half, np.asarray(delta * _ellipse(shape, turn, 0.7), np.float32)
    )


def _film(rng: np.random.Generator, place: Points) -> Patch:
    """A film of oil: wide, smooth, a few grey levels."""
    half = int(rng.integers(50, 100))
    shape = (2 * half + 1, 2 * half + 1)
    delta = (rng.choice([-1, 1]) * rng.uniform(5, 11) + 2.5 * strokes.cloud(rng, shape, 40)) * _ellipse(
        shape, rng.uniform(0, np.pi), rng.uniform(0.5, 1)
    )
    return _whole(int(place[0]) - half, int(place[1]) - half, np.asarray(delta, np.float32))


def _chalk(rng: np.random.Generator, place: Points, level: float) -> Patch:
    """An inspector's tick: broad, bright, crumbling."""
    turn, size = rng.uniform(-0.4, 0.4), rng.uniform(22, 38)
    tick = np.array([[-0.55, -0.1], [-0.15, 0.4], [0.75, -0.7]]) * size
    c, s = np.cos(turn), np.sin(turn)
    points = place + tick @ np.array([[c, s], [-s, c]])
    x, y, delta, points = strokes.canvas(points, 8)
    shape = (delta.shape[0], delta.shape[1])
    drawn = cv2.GaussianBlur(strokes.line(shape, points, 6.0), (0, 0), 0.9)
    crumbs = np.clip(0.75 + 0.5 * strokes.cloud(rng, shape, 1.6), 0.15, 1)
    return _whole(x, y, np.asarray(drawn * crumbs * rng.uniform(28, 48) * (level / 160), np.float32))


def _reflection(rng: np.random.Generator, place: Points) -> Patch:
    """A soft bright streak that a neighbouring lamp throws."""
    half_w, half_h = int(rng.integers(60, 120)), int(rng.integers(20, 45))
    shape = (2 * half_h + 1, 2 * half_w + 1)
    delta = _ellipse(shape, rng.uniform(-0.3, 0.3), rng.uniform(0.5, 1)) * rng.uniform(10, 26)
    return _whole(int(place[0]) - half_w, int(place[1]) - half_h, np.asarray(delta, np.float32))
