"""One lot's look: all that panels of one coil share, computed once, so that a panel costs milliseconds.

Shapes are signed distances (negative inside) in pixels on the nominal, unrotated panel; light is a height map's slope
towards the lamp. Everything is (1024, 1024).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from linegate.inspect.virtual.spec import SIZE_PX, HoleSpec, PanelSpec

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
S8 = NDArray[np.int8]

MARGIN_PX = 256
"""Texture and noise are this much larger than a panel; every panel takes its own cut-out."""
ROLL_PX = 3.0
"""How far a punched edge is rolled over; beyond it the surface knows nothing of the hole."""
MISSING_MARGIN_PX = ROLL_PX + 3.0
"""The mask of a missing hole reaches this far beyond the hole: the rolled edge, the slope's and the resampling's reach."""
_CENTRE = (SIZE_PX - 1) / 2


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A piece of the nominal panel that replaces what is there: ``surface`` at column ``x``, row ``y``."""

    x: int
    y: int
    surface: U8
    metal: U8


@dataclass(frozen=True, slots=True, eq=False)
class Lot:
    """The shared look.

    surface: grey levels without grain; metal: 255 where grain lies (else 0); solid: 255 where a defect may lie;
    grain, noise: signed, larger than the image by MARGIN_PX; light: 128 = 1.0, in the camera's frame;
    unpunched: for each hole that can be missing, by its index, the surface without it; grain_rad: direction of the
    grain; contrast: standard deviation of the grain in grey levels; lamp: unit vector towards the lamp;
    offset: dx px, dy px, rotation rad that the whole lot has.
    """

    name: str
    surface: U8
    metal: U8
    solid: U8
    grain: S8
    noise: S8
    light: U8
    unpunched: dict[int, Window]
    grain_rad: float
    contrast: float
    lamp: tuple[float, float]
    offset: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class _Look:
    level: float
    lamp: tuple[float, float]
    relief: float
    rim: float
    shadow: float


def _edge(distance: F32) -> F32:
    """Coverage of the inside, with an edge about 1.6 px wide."""
    return np.asarray(np.clip(0.5 - distance / 1.6, 0.0, 1.0), np.float32)


def _rounded(x: F32, y: F32, half_w: float, half_h: float, radius: float) -> F32:
    qx, qy = np.abs(x) - (half_w - radius), np.abs(y) - (half_h - radius)
    outside = cv2.magnitude(np.maximum(qx, 0), np.maximum(qy, 0))
    return np.asarray(outside + np.minimum(np.maximum(qx, qy), 0) - radius, np.float32)


def _capsule(x: F32, y: F32, cx: float, half_length: float) -> F32:
    return np.asarray(cv2.magnitude(x - np.float32(cx), y - np.clip(y, -half_length, half_length)), np.float32)


def _hole_distance(x: F32, y: F32, hole: HoleSpec, pixel_mm: float) -> F32:
    cx, cy = np.float32(hole.x_mm / pixel_mm), np.float32(hole.y_mm / pixel_mm)
    return np.asarray(cv2.magnitude(x - cx, y - cy) - hole.diameter_mm / 2 / pixel_mm, np.float32)


def _letters(x: F32, y: F32, pixel_mm: float) -> F32:
    """The embossed type number under the centre hole, as heights 0..1."""
    full = np.zeros((SIZE_PX, SIZE_PX), np.uint8)
    text, font, scale = "LG-2041", cv2.FONT_HERSHEY_DUPLEX, 1.9
    (width, height), _ = cv2.getTextSize(text, font, scale, 7)
    origin = (int(_CENTRE - width / 2), int(_CENTRE + 64.0 / pixel_mm + height / 2))
    cv2.putText(full, text, origin, font, scale, 255, 7, cv2.LINE_AA)
    x0, y0 = round(float(x[0, 0]) + _CENTRE), round(float(y[0, 0]) + _CENTRE)
    padded = cv2.copyMakeBorder(cv2.GaussianBlur(full, (0, 0), 1.6), 64, 64, 64, 64, cv2.BORDER_CONSTANT)
    cut = padded[y0 + 64 : y0 + 64 + x.shape[0], x0 + 64 : x0 + 64 + x.shape[1]]
    return np.asarray(cut, np.float32) / np.float32(255)


def _surface(spec: PanelSpec, look: _Look, belt: F32, x0: int, y0: int, missing: int | None) -> tuple[F32, F32]:
    """Grey levels and metal coverage of the piece that begins at (x0, y0) and has ``belt``'s shape."""
    height, width = belt.shape
    columns = np.arange(x0, x0 + width, dtype=np.float32) - np.float32(_CENTRE)
    rows = np.arange(y0, y0 + height, dtype=np.float32) - np.float32(_CENTRE)
    x, y = np.meshgrid(columns, rows)
    px = 1 / spec.pixel_mm
    outline = _rounded(x, y, spec.width_mm / 2 * px, spec.height_mm / 2 * px, spec.corner_mm * px)
    coverage = _edge(outline)
    relief = -2.4 * np.square(np.clip(1 + outline / 9, 0, 1))
    rim = np.exp(-np.square((outline + 1.5) / 1.7))
    for number, hole in enumerate(spec.holes):
        distance = _hole_distance(x, y, hole, spec.pixel_mm)
        if hole.boss_mm:
            boss = distance - (hole.boss_mm - hole.diameter_mm) / 2 * px
            relief += 2.6 * np.clip(0.5 - boss / 5, 0, 1)
        if number == missing:  # the punch broke: its witness mark stays
            relief -= 0.35 * np.square(np.clip(1 - np.square((distance + 1) / 2.5), 0, 1))
            continue
        coverage = coverage * _edge(-distance)
        relief -= 1.6 * np.square(np.clip(1 - distance / ROLL_PX, 0, 1))
        rim = np.maximum(rim, np.square(np.clip(1 - np.square((distance - 0.8) / 2.2), 0, 1)))
    for side in (-62.0, 62.0):
        bead = _capsule(x, y, side * px, 42.0 * px) / np.float32(3.2 * px)
        relief += 4.5 * np.square(np.clip(1 - np.square(bead), 0, 1))
    relief += 2.2 * _letters(x, y, spec.pixel_mm)
    relief = np.asarray(relief, np.float32)
    slope = look.lamp[0] * cv2.Sobel(relief, cv2.CV_32F, 1, 0, scale=1 / 8)
    slope = slope + look.lamp[1] * cv2.Sobel(relief, cv2.CV_32F, 0, 1, scale=1 / 8)
    level = look.level - look.relief * np.tanh(slope * 1.6) + look.rim * rim
    dark = belt * (1 - look.shadow * np.exp(-np.maximum(outline, 0) / 14) * (outline > 0))
    return np.asarray(dark * (1 - coverage) + level * coverage, np.float32), np.asarray(coverage, np.float32)


def _grain(rng: np.random.Generator, angle_rad: float, sigma: float) -> S8:
    """Brushed metal: noise drawn out along the grain at three lengths."""
    side = SIZE_PX + MARGIN_PX
    total = np.zeros((side, side), np.float32)
    for length, strength in ((301, 1.0), (81, 0.8), (19, 0.45)):
        drawn = rng.standard_normal((side, side // 2), np.float32)
        wide = cv2.resize(drawn, (side, side), interpolation=cv2.INTER_LINEAR)
        field = cv2.boxFilter(wide, -1, (length, 1), borderType=cv2.BORDER_REFLECT)
        total += strength / float(field.std()) * field
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), np.degrees(-angle_rad), 1.0)
    turned = cv2.warpAffine(total, turn, (side, side), borderMode=cv2.BORDER_REFLECT)
    scaled = turned * (sigma / float(turned.std()))
    return np.asarray(np.clip(np.rint(scaled), -60, 60), np.int8)


def _light(rng: np.random.Generator, grain_rad: float) -> U8:
    """Falloff of the lamp, and the band that brushed metal shows across its grain; 128 = 1.0."""
    axis = np.linspace(-1, 1, 128, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    cx, cy = rng.uniform(-0.35, 0.35, 2)
    falloff = 1 - rng.uniform(0.14, 0.36) * (np.square(x - cx) + np.square(y - cy)) / 2
    across = np.cos(grain_rad) * x + np.sin(grain_rad) * y
    band = rng.uniform(0.04, 0.13) * np.exp(-np.square((across - rng.uniform(-0.6, 0.6)) / rng.uniform(0.25, 0.6)))
    field = (falloff + band) * rng.uniform(0.86, 1.12) * 128
    return np.asarray(cv2.resize(np.clip(field, 1, 255), (SIZE_PX, SIZE_PX)), np.uint8)


@lru_cache(maxsize=3)
def lot_of(seed: int, number: int, spec: PanelSpec) -> Lot:
    """Lot ``number`` of ``seed``: the same arguments give the same lot, to the bit. About 0.2 s the first time."""
    rng = np.random.default_rng([seed, number, 0])
    grain_rad = float(rng.normal(0, 0.05)) + (np.pi / 2 if rng.random() < 0.25 else 0.0)
    contrast = float(rng.uniform(4.0, 8.0))
    lamp_rad = float(np.deg2rad(225 + rng.uniform(-12, 12)))
    look = _Look(
        level=float(rng.uniform(150, 190)),
        lamp=(float(np.cos(lamp_rad)), float(np.sin(lamp_rad))),
        relief=float(rng.uniform(42, 62)),
        rim=float(rng.uniform(34, 66)),
        shadow=float(rng.uniform(0.3, 0.6)),
    )
    weave = cv2.GaussianBlur(rng.standard_normal((SIZE_PX, SIZE_PX), np.float32), (0, 0), 1.3)
    belt = np.asarray(rng.uniform(24, 40) + weave / weave.std() * 2.2, np.float32)
    surface, coverage = _surface(spec, look, belt, 0, 0, None)
    metal = np.asarray((coverage > 0.5) * 255, np.uint8)
    unpunched = {
        number: _window(spec, look, belt, number) for number, hole in enumerate(spec.holes) if hole.boss_mm > 0
    }
    sigma = float(rng.uniform(1.3, 2.6))
    noise = rng.standard_normal((SIZE_PX + MARGIN_PX, SIZE_PX + MARGIN_PX), np.float32) * np.float32(sigma)
    return Lot(
        name=f"S{seed}-L{number:03d}",
        surface=_u8(surface),
        metal=metal,
        solid=np.asarray(cv2.erode(metal, np.ones((7, 7), np.uint8), borderValue=0), np.uint8),
        grain=_grain(rng, grain_rad, contrast),
        noise=np.clip(np.rint(noise), -60, 60).astype(np.int8),
        light=_light(rng, grain_rad),
        unpunched=unpunched,
        grain_rad=grain_rad,
        contrast=contrast,
        lamp=look.lamp,
        offset=(float(rng.uniform(-4, 4)), float(rng.uniform(-4, 4)), float(rng.normal(0, 0.004))),
    )


def _window(spec: PanelSpec, look: _Look, belt: F32, number: int) -> Window:
    hole = spec.holes[number]
    reach = int(hole.diameter_mm / 2 / spec.pixel_mm + ROLL_PX + 4)
    x = int(_CENTRE + hole.x_mm / spec.pixel_mm) - reach
    y = int(_CENTRE + hole.y_mm / spec.pixel_mm) - reach
    edge = 4  # the slope at the border of a piece is wrong by the filter's reach
    piece = belt[y - edge : y + 2 * reach + 1 + edge, x - edge : x + 2 * reach + 1 + edge]
    surface, coverage = _surface(spec, look, piece, x - edge, y - edge, number)
    inner = np.s_[edge:-edge, edge:-edge]
    return Window(x, y, _u8(surface[inner]), np.asarray((coverage[inner] > 0.5) * 255, np.uint8))


def _u8(field: F32) -> U8:
    return np.clip(np.rint(field), 0, 255).astype(np.uint8)
