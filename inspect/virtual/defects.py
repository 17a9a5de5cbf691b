"""The defects, as patches: what a scratch, dent, stain, crack and weld spatter look like on brushed metal.

Each function draws one at ``place`` (x, y in image pixels) for a surface of about ``level`` grey; sizes and strengths
span from plain to hard. Whether it is strong enough to be seen is judged by ``visibility``, not here.
"""

from __future__ import annotations

import cv2
import numpy as np

from linegate.inspect.virtual import strokes
from linegate.inspect.virtual.lot import Lot
from linegate.inspect.virtual.strokes import F32, Patch, Points

FLOOR = 2.6
"""Least visibility of a defect that is drawn; below it, a person with a lamp would argue."""


def visibility(patch: Patch, lot: Lot) -> float:
    """Strength against the grain, growing with the square root of the area as a matched filter's response does; areas
    beyond 900 px count no further, because a wide and faint change hides in the light's falloff."""
    return patch.strength / (lot.contrast + 2.0) * float(np.sqrt(min(patch.area_px, 900))) / 10


def _finish(x: int, y: int, delta: F32, least: float) -> Patch:
    inside = np.abs(delta) >= least
    return Patch(x, y, np.where(inside, delta, np.float32(0)), inside)


def scratch(rng: np.random.Generator, place: Points, level: float) -> Patch:
    """A thin line, 1 to 4 px, bright where metal is bared or dark where it is gouged, with the other tone beside it."""
    length, width = rng.uniform(34, 260), rng.uniform(1.0, 3.4)
    points = strokes.curve(place, rng.uniform(0, np.pi), length, rng.normal(0, 0.05))
    x, y, field, points = strokes.canvas(points, 8)
    shape = (field.shape[0], field.shape[1])
    normal = points[-1] - points[0]
    normal = np.array([-normal[1], normal[0]]) / (np.linalg.norm(normal) + 1e-9)
    side = normal * (width / 2 + 0.9) * rng.choice([-1.0, 1.0])
    tone = (1 if rng.random() < 0.6 else -1) * rng.uniform(18, 72) * level / 160
    core = strokes.line(shape, points, width)
    edge = np.clip(strokes.line(shape, points + side, 1.0) - core, 0, 1)
    uneven = 1 + 0.22 * strokes.cloud(rng, shape, 14)
    weight = strokes.taper(shape, points, 0.35) * np.clip(uneven, 0.45, 1.5)
    return _finish(x, y, np.asarray((core - 0.55 * edge) * tone * weight, np.float32), 4.0)


def dent(rng: np.random.Generator, place: Points, level: float, lamp: tuple[float, float]) -> Patch:
    """A shallow hollow: the slope towards the lamp is bright, the one away from it dark."""
    radius, stretch, turn = rng.uniform(8, 30), rng.uniform(0.65, 1.0), rng.uniform(0, np.pi)
    half = int(np.ceil(radius)) + 1
    axis = np.arange(-half, half + 1, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    c, s = np.cos(turn), np.sin(turn)
    u, v = (c * x + s * y) / radius, (-s * x + c * y) / (radius * stretch)
    r2 = np.square(u) + np.square(v)
    inside = r2 < 1
    slope = np.where(inside, 4 * np.square(1 - r2), 0)  # of -(1 - r²)³, over r, up to its scale
    gx, gy = c * u - s * v / stretch, s * u + c * v / stretch
    # a hollow faces the lamp on its far side
    delta = -slope * (gx * lamp[0] + gy * lamp[1])
    delta = delta / float(np.abs(delta).max()) * rng.uniform(20, 78) * level / 160
    delta += np.where(inside, np.power(np.maximum(1 - r2 * 2.2, 0), 2), 0) * rng.uniform(-6, 14)
    left, top = np.rint(place).astype(int) - half
    return Patch(int(left), int(top), np.asarray(np.where(inside, delta, 0), np.float32), np.asarray(inside))


def stain(rng: np.random.Generator, place: Points, level: float) -> Patch:
    """Dark, soft-edged blotches that ran together, darker towards their rim as dried liquid is."""
    count = int(rng.integers(2, 7))
    spread = rng.uniform(8, 26)
    centres = place + rng.normal(0, spread, (count, 2))
    radii = rng.uniform(8, 22, count)
    x, y, field, centres = strokes.canvas(centres, int(radii.max() * 1.6) + 4)
    shape = (field.shape[0], field.shape[1])
    columns, rows = np.meshgrid(np.arange(shape[1], dtype=np.float32), np.arange(shape[0], dtype=np.float32))
    for (cx, cy), radius in zip(centres, radii, strict=True):
        field += np.exp(-(np.square(columns - cx) + np.square(rows - cy)) / np.float32(radius**2))
    field *= np.clip(1 + 0.22 * strokes.cloud(rng, shape, 9), 0.4, 1.6)
    body = np.clip((field - 0.42) / 0.45, 0, 1)
    ring = body * (1 - body) * 4
    tone = rng.uniform(13, 54) * level / 160
    delta = -tone * (body * (1 - 0.25 * (body > 0.98)) + 0.25 * ring)
    return _finish(x, y, np.asarray(delta, np.float32), 3.0)


def crack(rng: np.random.Generator, place: Points, level: float) -> Patch:
    """A jagged dark line that thins out and may branch, with a thin bright lip."""
    heading = rng.uniform(0, 2 * np.pi)
    trunk = _jagged(rng, place, heading, rng.uniform(40, 170))
    limbs = [(trunk, rng.uniform(1.2, 3.2))]
    for _ in range(int(rng.integers(0, 3))):
        at = int(rng.integers(len(trunk) // 4, max(len(trunk) // 4 + 1, len(trunk) - 2)))
        branch = _jagged(rng, trunk[at], heading + rng.choice([-1, 1]) * rng.uniform(0.4, 1.0), rng.uniform(12, 55))
        limbs.append((branch, 1.0))
    x, y, field, _ = strokes.canvas(np.concatenate([points for points, _ in limbs]), 6)
    shape = (field.shape[0], field.shape[1])
    lip = np.zeros_like(field)
    offset = np.array([x, y])
    for points, width in limbs:
        points = points - offset
        half = max(2, len(points) // 2)
        field = np.maximum(field, strokes.line(shape, points[: half + 1], width))
        field = np.maximum(field, strokes.line(shape, points[half:], max(1.0, width - 1)))
        lip = np.maximum(lip, strokes.line(shape, points + 1.6, 1.0))
    tone = rng.uniform(34, 110) * level / 160
    delta = -tone * field + 0.22 * tone * np.clip(lip - field, 0, 1)
    return _finish(x, y, np.asarray(delta, np.float32), 5.0)


def _jagged(rng: np.random.Generator, start: Points, heading: float, length_px: float) -> Points:
    steps = rng.uniform(3, 9, max(4, int(length_px / 6)))
    turns = heading + np.cumsum(rng.normal(0, 0.22, steps.size)) + rng.normal(0, 0.55, steps.size)
    moves = np.stack([np.cos(turns) * steps, np.sin(turns) * steps], axis=1)
    return np.concatenate([start[None], start + np.cumsum(moves, axis=0)])


def weld_spatter(rng: np.random.Generator, place: Points, level: float) -> Patch:
    """Small bright beads with a dark burnt ring, thrown around a spot."""
    count = int(rng.integers(6, 22))
    beads = place + rng.normal(0, rng.uniform(8, 24), (count, 2))
    x, y, delta, beads = strokes.canvas(beads, 12)
    for (cx, cy), radius in zip(beads, rng.uniform(1.4, 4.2, count), strict=True):
        dot, ring = np.zeros(delta.shape, np.uint8), np.zeros(delta.shape, np.uint8)
        centre = (round(cx * 16), round(cy * 16))
        cv2.circle(ring, centre, round((radius + 2.0) * 16), 255, -1, cv2.LINE_AA, 4)
        cv2.circle(dot, centre, round(radius * 16), 255, -1, cv2.LINE_AA, 4)
        delta = np.where(ring > 0, np.asarray(ring, np.float32) * np.float32(-38 / 255), delta)
        delta = delta + np.asarray(dot, np.float32) * np.float32(rng.uniform(80, 125) / 255)
    delta = cv2.GaussianBlur(delta, (0, 0), 0.8) * (level / 160)
    return _finish(x, y, np.asarray(delta, np.float32), 4.0)


_DRAW = {"scratch": scratch, "stain": stain, "crack": crack, "weld_spatter": weld_spatter}


def draw_defect(kind: str, rng: np.random.Generator, place: Points, level: float, lot: Lot) -> Patch:
    """One defect of ``kind`` (a missing hole is no patch, see the lot's windows). Raises KeyError for a kind unknown."""
    return dent(rng, place, level, lot.lamp) if kind == "dent" else _DRAW[kind](rng, place, level)
