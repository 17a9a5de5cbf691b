"""Small patches of light and dark, laid on a panel: the common ground of defects and harmless marks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
Points = NDArray[np.float64]
"""(n, 2), x and y in pixels."""

_SHIFT = 4


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """Grey levels to add around a place: ``delta`` (h, w) float32 with its top left corner at (x, y); ``inside``
    (h, w) bool is the mark's true extent, and ``delta`` is 0 outside it."""

    x: int
    y: int
    delta: F32
    inside: NDArray[np.bool_]

    @property
    def area_px(self) -> int:
        """Pixels of the extent."""
        return int(np.count_nonzero(self.inside))

    @property
    def strength(self) -> float:
        """Typical change within the extent, in grey levels (root mean square)."""
        values = self.delta[self.inside]
        return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0

    def cut_to(self, image_shape: tuple[int, int], solid: U8) -> Patch | None:
        """Only what lies in the image and on ``solid`` (255 = yes); None when nothing does."""
        x0, y0 = max(self.x, 0), max(self.y, 0)
        x1 = min(self.x + self.delta.shape[1], image_shape[1])
        y1 = min(self.y + self.delta.shape[0], image_shape[0])
        if x0 >= x1 or y0 >= y1:
            return None
        piece = np.s_[y0 - self.y : y1 - self.y, x0 - self.x : x1 - self.x]
        inside = self.inside[piece] & (solid[y0:y1, x0:x1] > 0)
        return Patch(x0, y0, np.where(inside, self.delta[piece], np.float32(0)), inside) if inside.any() else None

    def add_to(self, image: U8) -> None:
        """Lay it on ``image`` in place; must lie within (see cut_to)."""
        height, width = self.delta.shape
        target = image[self.y : self.y + height, self.x : self.x + width]
        cv2.add(target, self.delta, dst=target, dtype=cv2.CV_8U)


def canvas(points: Points, margin_px: int) -> tuple[int, int, F32, Points]:
    """An empty patch around ``points``: its x, y, the patch, and the points relative to it."""
    low = np.floor(points.min(axis=0)).astype(int) - margin_px
    high = np.ceil(points.max(axis=0)).astype(int) + margin_px
    size = high - low + 1
    return int(low[0]), int(low[1]), np.zeros((int(size[1]), int(size[0])), np.float32), points - low


def line(shape: tuple[int, int], points: Points, width_px: float) -> F32:
    """Coverage 0..1 of a polyline of any width ≥ 0.5 px, anti-aliased."""
    drawn = np.zeros(shape, np.uint8)
    fixed = np.rint(points * (1 << _SHIFT)).astype(np.int32).reshape(-1, 1, 2)
    cv2.polylines(drawn, [fixed], False, 255, max(1, round(width_px)), cv2.LINE_AA, _SHIFT)
    return np.asarray(drawn, np.float32) * np.float32(min(1.0, width_px) / 255)


def curve(start: Points, angle_rad: float, length_px: float, bend: float, steps: int = 24) -> Points:
    """A bow of ``length_px`` through ``start``; ``bend`` is its height as a share of its length."""
    t = np.linspace(0, 1, steps)
    along, aside = (t - 0.5) * length_px, 4 * bend * length_px * t * (1 - t)
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    return np.asarray(start + np.stack([along * c - aside * s, along * s + aside * c], axis=1), np.float64)


def taper(shape: tuple[int, int], points: Points, low: float) -> F32:
    """Weight 1 in the middle of ``points``, falling to ``low`` at both ends, for pixels by their place along the chord."""
    chord = points[-1] - points[0]
    length2 = float(chord @ chord) or 1.0
    x, y = np.meshgrid(np.arange(shape[1], dtype=np.float32), np.arange(shape[0], dtype=np.float32))
    t = (x - np.float32(points[0][0])) * np.float32(chord[0]) + (y - np.float32(points[0][1])) * np.float32(chord[1])
    t = np.clip(t / np.float32(length2), 0, 1)
    return np.asarray(low + (1 - low) * np.minimum(1, 5 * np.minimum(t, 1 - t)), np.float32)


def cloud(rng: np.random.Generator, shape: tuple[int, int], scale_px: float) -> F32:
    """Smooth random field, mean 0, standard deviation about 1."""
    small = (max(2, int(shape[0] / scale_px) + 2), max(2, int(shape[1] / scale_px) + 2))
    field = rng.standard_normal(small, np.float32)
    return np.asarray(cv2.resize(field, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC), np.float32)
