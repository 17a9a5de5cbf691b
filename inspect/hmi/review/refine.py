"""Help with drawing, on the server: GrabCut inside a box, and intelligent scissors along an edge."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

MOST_BOX_PX = 1_200_000
MOST_SPAN_PX = 1400
MARGIN = 0.35


def grab_cut(image: NDArray[np.uint8], box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """(h, w) uint8 of 0 and 1 inside the box (x, y, w, h): what stands out from its surroundings.

    Args:
        image: (H, W) or (H, W, 3) RGB.

    Where GrabCut finds nothing or everything, the side of Otsu's threshold that stands out from the surroundings is taken
    instead: a scratch one pixel wide has too few pixels for two colour models.
    """
    x, y, w, h = box
    grow_x, grow_y = max(8, round(w * MARGIN)), max(8, round(h * MARGIN))
    x0, y0 = max(0, x - grow_x), max(0, y - grow_y)
    x1, y1 = min(image.shape[1], x + w + grow_x), min(image.shape[0], y + h + grow_y)
    crop = image[y0:y1, x0:x1]
    colour: Any = cv2.cvtColor(crop, cv2.COLOR_GRAY2BGR) if crop.ndim == 2 else crop[..., ::-1]
    colour = np.ascontiguousarray(colour)
    shrink = min(1.0, (MOST_BOX_PX / (crop.shape[0] * crop.shape[1])) ** 0.5)
    mask: Any = np.full(crop.shape[:2], cv2.GC_BGD, np.uint8)
    inside = (slice(y - y0, y - y0 + h), slice(x - x0, x - x0 + w))
    mask[inside] = cv2.GC_PR_FGD
    size = crop.shape[1], crop.shape[0]
    if shrink < 1:
        small = max(16, round(size[0] * shrink)), max(16, round(size[1] * shrink))
        colour = cv2.resize(colour, small, interpolation=cv2.INTER_AREA)
        mask = cv2.resize(mask, small, interpolation=cv2.INTER_NEAREST)
    cv2.setRNGSeed(1)  # GrabCut's k-means draws at random; the same box shall give the same mask
    colours: Any = np.zeros((2, 1, 65))
    try:
        cv2.grabCut(colour, mask, (0, 0, 1, 1), colours[0], colours[1], 4, cv2.GC_INIT_WITH_MASK)
    except cv2.error:
        mask[:] = cv2.GC_BGD  # one flat colour: nothing stands out
    found: Any = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    if shrink < 1:
        found = cv2.resize(found, size, interpolation=cv2.INTER_NEAREST)
    found = np.ascontiguousarray(found[inside])
    share = float(found.mean())
    if not 0.002 < share < 0.98:
        ring = np.ones(crop.shape[:2], np.bool_)
        ring[inside] = False
        found = _by_threshold(_grey(crop), inside, ring)
    return np.asarray(found, np.uint8)


def _grey(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    crop = np.ascontiguousarray(crop)
    return np.asarray(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) if crop.ndim == 3 else crop, np.uint8)


def _by_threshold(grey: NDArray[np.uint8], inside: tuple[slice, slice], ring: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Otsu's threshold inside the box; of the two sides, the one that is further from what surrounds the box."""
    box = cv2.GaussianBlur(np.ascontiguousarray(grey[inside]), (3, 3), 0)
    light: Any
    _, light = cv2.threshold(box, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    if not light.any() or light.all():
        return np.zeros(box.shape[:2], np.uint8)
    around = float(np.median(grey[ring])) if ring.any() else float(np.median(grey))
    far_light = abs(float(box[light > 0].mean()) - around)
    far_dark = abs(float(box[light == 0].mean()) - around)
    return np.asarray(light if far_light > far_dark else 1 - light, np.uint8)


def trace_edge(image: NDArray[np.uint8], start: tuple[float, float], end: tuple[float, float]) -> list[tuple[int, int]]:
    """Points (x, y) along the strongest edge from start to end (intelligent scissors, Mortensen and Barrett 1995).

    Over more than 1400 px it is the straight line: the search grows with the area.
    """
    (ax, ay), (bx, by) = start, end
    height, width = image.shape[:2]
    margin = 24 + 0.25 * max(abs(ax - bx), abs(ay - by))
    x0, y0 = int(max(0, min(ax, bx) - margin)), int(max(0, min(ay, by) - margin))
    x1, y1 = int(min(width, max(ax, bx) + margin)), int(min(height, max(ay, by) + margin))
    straight = [(round(ax), round(ay)), (round(bx), round(by))]
    if x1 - x0 < 4 or y1 - y0 < 4 or max(x1 - x0, y1 - y0) > MOST_SPAN_PX:
        return straight
    crop = np.ascontiguousarray(image[y0:y1, x0:x1])
    tool = cv2.segmentation.IntelligentScissorsMB()
    tool.setEdgeFeatureCannyParameters(16, 60)
    tool.setGradientMagnitudeMaxLimit(200)
    tool.applyImage(crop)

    def inside(x: float, y: float) -> tuple[int, int]:
        return min(max(0, round(x) - x0), x1 - x0 - 1), min(max(0, round(y) - y0), y1 - y0 - 1)

    tool.buildMap(inside(ax, ay))
    path = tool.getContour(inside(bx, by))
    if path is None or len(path) < 2:
        return straight
    return [(int(px) + x0, int(py) + y0) for px, py in np.asarray(path).reshape(-1, 2)]
