"""Physically plausible variations of a crop, and defects pasted onto good surface (Poisson or hard, half and half)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from linegate.models.preprocess import IGNORE

U8 = NDArray[np.uint8]
_FEATHER_PX = 3


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """A defect cut out with some surface around it: image (h, w[, 3]), its own pixels (h, w) 0/1, class index from 1."""

    image: U8
    own: U8
    class_index: int


def as_u8(array: object) -> U8:
    """What OpenCV returns, typed as what it is; no copy."""
    return np.asarray(array, np.uint8)


@dataclass(frozen=True, slots=True)
class Variation:
    """How much pictures are varied.

    flips: whether a mirrored part is as likely as the part; not where it carries writing or lies the same way every time.
    turn_share: share of pictures that are turned by up to 12° and scaled by up to a quarter.
    paste_share: share of good crops that get a defect pasted.
    light: strength of the changes of lamp and lens, 1 for small datasets.
    """

    flips: bool = True
    turn_share: float = 0.4
    paste_share: float = 0.4
    light: float = 1.0


def window(image: U8, mask: U8 | None, x: int, y: int, width: int, height: int) -> tuple[U8, U8 | None]:
    """Cut (height, width) at x, y; outside the picture the border is repeated and the mask says ``IGNORE``."""
    rows, columns = image.shape[:2]
    x0, y0, x1, y1 = max(0, x), max(0, y), min(columns, x + width), min(rows, y + height)
    cut = image[y0:y1, x0:x1]
    cut_mask = None if mask is None else mask[y0:y1, x0:x1]
    border = (y0 - y, y + height - y1, x0 - x, x + width - x1)
    if any(border):
        cut = as_u8(cv2.copyMakeBorder(cut, *border, cv2.BORDER_REPLICATE))
        if cut_mask is not None:
            cut_mask = as_u8(cv2.copyMakeBorder(cut_mask, *border, cv2.BORDER_CONSTANT, value=[IGNORE]))
    return cut, cut_mask


def bend(image: U8, mask: U8 | None, vary: Variation, rng: np.random.Generator) -> tuple[U8, U8 | None]:
    """Flip, and now and then turn and scale a little; same size, what comes in from outside is a reflection."""
    if vary.flips and rng.random() < 0.5:
        image, mask = image[:, ::-1], None if mask is None else mask[:, ::-1]
    if vary.flips and rng.random() < 0.5:
        image, mask = image[::-1], None if mask is None else mask[::-1]
    if rng.random() < vary.turn_share:
        height, width = image.shape[:2]
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(-12, 12), rng.uniform(0.8, 1.25))
        source = np.ascontiguousarray(image)
        size, border = (width, height), cv2.BORDER_REFLECT_101
        image = as_u8(cv2.warpAffine(source, turn, size, flags=cv2.INTER_LINEAR, borderMode=border))
        if mask is not None:
            source = np.ascontiguousarray(mask)
            mask = as_u8(cv2.warpAffine(source, turn, size, flags=cv2.INTER_NEAREST, borderMode=border))
    return np.ascontiguousarray(image), None if mask is None else np.ascontiguousarray(mask)


def relight(image: U8, vary: Variation, rng: np.random.Generator) -> U8:
    """Another lamp, another lens: gain and offset always, gamma, a light gradient, blur and noise at times."""
    table = np.arange(256, dtype=np.float64)
    if rng.random() < 0.3 * vary.light:
        table = 255 * (table / 255) ** rng.uniform(0.8, 1.25)
    table = table * (1 + vary.light * rng.uniform(-0.15, 0.15)) + vary.light * rng.uniform(-14, 14)
    out = as_u8(cv2.LUT(image, np.clip(table, 0, 255).astype(np.uint8)))
    if rng.random() < 0.12 * vary.light:
        out = as_u8(cv2.GaussianBlur(out, (0, 0), rng.uniform(0.4, 1.0)))
    if rng.random() < 0.25 * vary.light:
        noise = np.empty((out.shape[0], out.size // out.shape[0]), np.int8)
        cv2.setRNGSeed(int(rng.integers(2**31)))
        cv2.randn(noise, np.zeros(1), np.full(1, rng.uniform(1, 6)))
        out = as_u8(cv2.add(out.reshape(noise.shape), noise, dtype=cv2.CV_8U)).reshape(out.shape)
    return out


def cut_patch(image: U8, mask: U8, box: tuple[int, int, int, int], margin: int = 10) -> Patch | None:
    """The region of one class in ``box`` (x, y, w, h) of the picture with ``margin`` around it; None where it is empty."""
    x, y, width, height = box
    rows, columns = mask.shape
    x0, y0 = max(0, x - margin), max(0, y - margin)
    x1, y1 = min(columns, x + width + margin), min(rows, y + height + margin)
    inner = mask[y : y + height, x : x + width]
    values, counts = np.unique(inner[(inner > 0) & (inner != IGNORE)], return_counts=True)
    if not values.size:
        return None
    index = int(values[counts.argmax()])
    own = np.zeros((y1 - y0, x1 - x0), np.uint8)
    own[y - y0 : y - y0 + height, x - x0 : x - x0 + width] = inner == index
    return Patch(np.array(image[y0:y1, x0:x1]), own, index)


def paste(image: U8, mask: U8, patch: Patch, rng: np.random.Generator) -> bool:
    """Put the defect onto ``image`` and ``mask``, in place, flipped and relit at random. False where it doesn't fit."""
    source, own = np.array(patch.image), patch.own
    for axis in (0, 1):
        if rng.random() < 0.5:
            source, own = np.flip(source, axis), np.flip(own, axis)
    source, own = np.ascontiguousarray(source), np.ascontiguousarray(own)
    height, width = own.shape
    rows, columns = mask.shape
    if height + 4 >= rows or width + 4 >= columns:
        return False
    x, y = int(rng.integers(2, columns - width - 2)), int(rng.integers(2, rows - height - 2))
    place = np.s_[y : y + height, x : x + width]
    if (mask[place] != 0).any():
        return False
    near = as_u8(cv2.dilate(own, np.ones((2 * _FEATHER_PX + 1,) * 2, np.uint8)))
    near[[0, -1], :], near[:, [0, -1]] = 0, 0  # seamlessClone reads one pixel around what it clones
    if not near.any():
        return False
    done = _poisson(image[place], source, near) if rng.random() < 0.5 else None
    if done is None:
        done = _hard(image[place], source, own, rng)
    image[place] = done
    mask[place][own > 0] = patch.class_index
    return True


def _poisson(target: U8, source: U8, near: U8) -> U8 | None:
    grey = target.ndim == 2
    below, above = (np.dstack([a] * 3) if grey else np.ascontiguousarray(a) for a in (target, source))
    left, top, width, height = cv2.boundingRect(near)
    centre = (left + width // 2, top + height // 2)
    try:
        mixed = as_u8(cv2.seamlessClone(above, below, near * 255, centre, cv2.NORMAL_CLONE))
    except cv2.error:
        return None
    return np.ascontiguousarray(mixed[..., 0]) if grey else mixed


def _hard(target: U8, source: U8, own: U8, rng: np.random.Generator) -> U8:
    """Alpha blend; the surface around the defect is brought to the target's brightness first."""
    alpha = cv2.GaussianBlur(cv2.dilate(own, np.ones((3, 3), np.uint8)).astype(np.float32), (0, 0), 1.0)
    around = own == 0
    shift = 0.0
    if around.any():
        shift = float(target[around].mean()) - float(source[around].mean())
    moved = source.astype(np.float32) + shift
    if rng.random() < 0.3:  # a fainter or a stronger one
        base = float(moved[around].mean()) if around.any() else float(moved.mean())
        moved = base + (moved - base) * rng.uniform(0.7, 1.3)
    if target.ndim == 3:
        alpha = alpha[..., None]
    return np.clip(target * (1 - alpha) + moved * alpha, 0, 255).astype(np.uint8)
