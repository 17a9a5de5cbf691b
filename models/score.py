"""One number for a part: how bad it is, 0..1. Training's evaluation and the line call the same function."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from linegate.models.manifest import ScoreSpec


def mask_peak(mask: NDArray[np.float32], smooth_cells: int) -> float:
    """Highest value, 0..1, of a score map (K, h, w) after averaging over ``smooth_cells`` × ``smooth_cells``.

    Averaging keeps a single hot cell, as noise makes them, from deciding about a part. Borders are held, so that a defect at
    the edge counts as much as one in the middle.
    """
    highest = 0.0
    # An average never exceeds its maximum, so most maps need not be averaged: the hottest first, until none can win.
    for raw, plane in sorted(((cv2.minMaxLoc(p)[1], p) for p in map(np.ascontiguousarray, mask)), key=lambda x: -x[0]):
        if raw <= highest:
            break
        smooth = cv2.blur(plane, (smooth_cells, smooth_cells), borderType=cv2.BORDER_REPLICATE)
        highest = max(highest, cv2.minMaxLoc(smooth)[1])
    return min(1.0, highest)


def part_score(heads: Sequence[float], mask: NDArray[np.float32], spec: ScoreSpec) -> float:
    """``head_weight`` · part head + (1 − ``head_weight``) · smoothed mask peak, 0..1, higher = worse.

    Args:
        heads: the part head's answer for each tile of the image; the worst tile speaks for the part.
        mask: the stitched score map (K, h, w), 0..1.
        spec: the manifest's ``score``.

    Rises with either head and never falls when one of them rises, so that more evidence never makes a part look better.
    """
    head = min(1.0, max(0.0, *heads) if heads else 0.0)
    return spec.head_weight * head + (1.0 - spec.head_weight) * mask_peak(mask, spec.smooth_cells)
