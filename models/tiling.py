"""Overlapping tiles along two independent axes, and the blend that leaves no seam.

Tiles start on whole cells of the output grid, so outputs are never resampled before they are blended. Each tile's weight
rises in a straight line across its overlap and the weights of a cell are divided by their sum, so that they add up to one: a
network that answers the same in both tiles leaves no trace of them, and one that does not fades from one to the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """One axis of a layout.

    Attributes:
        length_px: content along this axis, after scaling.
        cells: cells of the stitched map.
        starts: first cell of each tile.
        stride_px: pixels per cell.
        weights: for each tile, (cells of one tile,) float32; over the tiles they sum to one at every cell of the map.
    """

    length_px: int
    cells: int
    starts: tuple[int, ...]
    stride_px: int
    weights: tuple[NDArray[np.float32], ...]

    @staticmethod
    def single(length_px: int, tile_px: int, stride_px: int) -> Axis:
        """One tile whose first ``length_px`` pixels are content and the rest padding."""
        cells = -(-length_px // stride_px)
        return Axis(length_px, cells, (0,), stride_px, (np.ones(tile_px // stride_px, np.float32),))

    @staticmethod
    def tiled(length_px: int, tile_px: int, overlap_px: int, stride_px: int) -> Axis:
        """As few evenly spaced tiles as cover ``length_px`` with at least ``overlap_px`` between neighbours."""
        if length_px <= tile_px:
            return Axis.single(length_px, tile_px, stride_px)
        cells, tile = -(-length_px // stride_px), tile_px // stride_px
        overlap = min(-(-overlap_px // stride_px), tile - 1)
        count = -(-(cells - overlap) // (tile - overlap))
        starts = tuple(i * (cells - tile) // (count - 1) for i in range(count))
        return Axis(length_px, cells, starts, stride_px, _weights(starts, tile, cells))


def _weights(starts: tuple[int, ...], tile: int, cells: int) -> tuple[NDArray[np.float32], ...]:
    position = np.arange(tile, dtype=np.float64) + 0.5
    raw = []
    for index, start in enumerate(starts):
        weight = np.ones(tile)
        if index > 0:
            shared = starts[index - 1] + tile - start
            weight = np.minimum(weight, position / shared)
        if index < len(starts) - 1:
            shared = start + tile - starts[index + 1]
            weight = np.minimum(weight, (tile - position) / shared)
        raw.append(weight)
    total = np.zeros(cells)
    for start, weight in zip(starts, raw, strict=True):
        total[start : start + tile] += weight
    return tuple(
        (weight / total[start : start + tile]).astype(np.float32) for start, weight in zip(starts, raw, strict=True)
    )


def cut(
    image: NDArray[np.uint8], x: Axis, y: Axis, size_px: tuple[int, int], border: int, value: Sequence[float] = (0.0,)
) -> list[NDArray[np.uint8]]:
    """Pieces of ``size_px`` (width, height) in the order rows, then columns; ``border`` (cv2.BORDER_*) fills what lies
    beyond the image, with ``value`` of each channel where it is constant. A piece may be a view of ``image``."""
    width, height = size_px
    right = x.starts[-1] * x.stride_px + width - image.shape[1]
    bottom = y.starts[-1] * y.stride_px + height - image.shape[0]
    if right > 0 or bottom > 0:
        filled = cv2.copyMakeBorder(image, 0, max(bottom, 0), 0, max(right, 0), border, value=value)
        image = np.asarray(filled, np.uint8)
    return [
        image[top : top + height, left : left + width]
        for top in (start * y.stride_px for start in y.starts)
        for left in (start * x.stride_px for start in x.starts)
    ]


def stitch(masks: Sequence[NDArray[np.float32]], x: Axis, y: Axis) -> NDArray[np.float32]:
    """Tiles (K, h, w) in ``cut``'s order to one (K, y.cells, x.cells); a view where there is one tile only."""
    if len(masks) != len(x.starts) * len(y.starts):
        raise ValueError(f"expected {len(x.starts) * len(y.starts)} tiles, found {len(masks)}")
    if len(masks) == 1:
        return masks[0][:, : y.cells, : x.cells]
    classes = masks[0].shape[0]
    out = np.zeros((classes, y.cells, x.cells), np.float32)
    tiles = iter(masks)
    for top, weight_y in zip(y.starts, y.weights, strict=True):
        for left, weight_x in zip(x.starts, x.weights, strict=True):
            target = out[:, top : top + len(weight_y), left : left + len(weight_x)]
            weight = np.outer(weight_y, weight_x)[: target.shape[1], : target.shape[2]]
            target += next(tiles)[:, : target.shape[1], : target.shape[2]] * weight
    return out
