"""Score map to defect regions, in image pixels and in mm.

A cell belongs to the class whose probability is the highest among those that reach their own ``mask`` threshold there, so
regions of different classes never cover each other. Cells that touch, at a side or a corner, and have the same class are one
region.

Area: with A the area inside the polygon through the centres of a region's border cells and B their number, the region has
A + B/2 + 1 cells (Pick, "Geometrisches zur Zahlenlehre", 1899); holes lose their inner points, A − B/2 + 1. That is the
exact cell count, at a twentieth of what labelling every pixel costs.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from linegate.inspect.lens import Lens
from linegate.inspect.part import Region
from linegate.models.manifest import ClassThreshold, Manifest
from linegate.models.preprocess import Grid

MAX_REGIONS = 200
"""Largest regions that are measured; a map with more is a broken picture, and measuring them all would miss the deadline.
What is left out still counts in the part score."""

_MOST_BLOBS = 4 * MAX_REGIONS


def find_regions(
    mask: NDArray[np.float32],
    grid: Grid,
    manifest: Manifest,
    pixel_mm: float | None = None,
    lens: Lens | None = None,
) -> tuple[Region, ...]:
    """Regions of a stitched score map, worst score first.

    Args:
        mask: (K, rows, columns) float32, 0..1, in the order of the manifest's classes.
        grid: where its cells lie in the image.
        manifest: classes and their thresholds.
        pixel_mm: size of an image pixel on the part; None takes the manifest's.
        lens: the camera's calibration, by which mm are then measured instead; boxes and outlines stay in image pixels.

    Raises CameraError when the picture has another size than the calibration.
    """
    thresholds = [manifest.thresholds.classes[name] for name in manifest.classes]
    planes = _binary_planes(mask, thresholds)
    if not planes:
        return ()
    scale = lens.pixel_mm if lens is not None else manifest.input.pixel_mm if pixel_mm is None else pixel_mm
    cell_px = grid.step_x_px * grid.step_y_px
    blobs = [
        blob
        for index, binary in planes
        for blob in _blobs(binary, index)
        if blob.cells * cell_px >= thresholds[index].min_area_px
    ]
    blobs.sort(key=lambda blob: -blob.cells)
    regions = [
        _measure(blob, mask[blob.index], grid, scale, lens, manifest.classes[blob.index])
        for blob in blobs[:MAX_REGIONS]
    ]
    regions.sort(key=lambda region: -region.score)
    return tuple(regions)


def class_mask(mask: NDArray[np.float32], grid: Grid, manifest: Manifest) -> NDArray[np.uint8]:
    """(H, W) uint8 at the image's own size: class index + 1, 0 is background; scores are interpolated before they are cut."""
    out = np.zeros((grid.image_height_px, grid.image_width_px), np.uint8)
    best: NDArray[np.float32] | None = None
    for index, name in enumerate(manifest.classes):
        cut = manifest.thresholds.classes[name].mask
        plane = np.ascontiguousarray(mask[index])
        if cv2.minMaxLoc(plane)[1] < cut:
            continue
        score = grid.to_image(plane)
        wins = score >= cut
        if best is None:
            best = np.where(wins, score, np.float32(0))
        else:
            wins &= score > best
            best[wins] = score[wins]
        out[wins] = index + 1
    return out


@dataclass(slots=True, eq=False)
class _Blob:
    index: int
    contour: NDArray[np.int32]
    cells: float
    binary: NDArray[np.uint8]


def _binary_planes(mask: NDArray[np.float32], thresholds: list[ClassThreshold]) -> list[tuple[int, NDArray[np.uint8]]]:
    """For each class that reaches its threshold anywhere, (rows, columns) uint8 of 255 where it is the winner."""
    hot: list[tuple[int, NDArray[np.uint8]]] = []
    for index, threshold in enumerate(thresholds):
        plane = np.ascontiguousarray(mask[index])
        if cv2.minMaxLoc(plane)[1] >= threshold.mask:
            binary = cv2.compare(plane, threshold.mask, cv2.CMP_GE)  # type: ignore[call-overload]  # stubs know no scalar
            hot.append((index, binary))
    union: NDArray[np.uint8] | None = None
    contested: NDArray[np.uint8] | None = None
    for _, binary in hot:
        if union is None:
            union = binary.copy()
            continue
        both = cv2.bitwise_and(union, binary)
        contested = np.asarray(both if contested is None else cv2.bitwise_or(contested, both), np.uint8)
        cv2.bitwise_or(union, binary, dst=union)
    if contested is not None and cv2.countNonZero(contested):
        _settle(mask, hot, contested)
    return hot


def _settle(mask: NDArray[np.float32], hot: list[tuple[int, NDArray[np.uint8]]], contested: NDArray[np.uint8]) -> None:
    """Leave each contested cell to the class with the highest probability there, the first of equals. Only these cells are
    looked at: comparing whole maps would cost more than everything else together."""
    rows, columns = np.nonzero(contested)
    scores = np.stack([np.where(binary[rows, columns] > 0, mask[index, rows, columns], -1.0) for index, binary in hot])
    winner = scores.argmax(axis=0)
    for place, (_, binary) in enumerate(hot):
        lost = winner != place
        binary[rows[lost], columns[lost]] = 0


def _blobs(binary: NDArray[np.uint8], index: int) -> list[_Blob]:
    contours, hierarchy = cv2.findContours(binary, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return []
    links = np.asarray(hierarchy)[0]
    outer = np.flatnonzero(links[:, 3] < 0)
    if len(outer) > _MOST_BLOBS:  # the longest borders stand for the largest areas, at a hundredth of the cost
        lengths = np.fromiter((len(contours[i]) for i in outer.tolist()), np.int64, len(outer))
        outer = outer[np.argpartition(-lengths, _MOST_BLOBS)[:_MOST_BLOBS]]
    blobs = []
    for i in outer.tolist():
        contour = contours[i]
        cells = cv2.contourArea(contour) + len(contour) / 2 + 1 if len(contour) > 1 else 1.0
        child = links[i, 2]
        while child >= 0:
            hole = contours[child]
            cells -= max(0.0, cv2.contourArea(hole) - len(hole) / 2 + 1)
            child = links[child, 0]
        blobs.append(_Blob(index, np.asarray(contour, np.int32), cells, binary))
    return blobs


def _measure(
    blob: _Blob, plane: NDArray[np.float32], grid: Grid, pixel_mm: float, lens: Lens | None, name: str
) -> Region:
    left, top, width, height = cv2.boundingRect(blob.contour)
    inside = np.zeros((height, width), np.uint8)
    cv2.drawContours(inside, [blob.contour], 0, 255, cv2.FILLED, offset=(-left, -top))
    rows, columns = slice(top, top + height), slice(left, left + width)
    inside &= blob.binary[rows, columns]
    score = float(cv2.minMaxLoc(plane[rows, columns], inside)[1])
    moments = cv2.moments(inside, binaryImage=True)
    step = np.array([grid.step_x_px, grid.step_y_px], np.float32)
    centre = (np.array([moments["m10"], moments["m01"]]) / moments["m00"] + (left + 0.5, top + 0.5)) * step
    corners = (blob.contour[:, 0].astype(np.float32) + 0.5) * step
    cell_px, hull = float(step[0]) * float(step[1]), corners
    if lens is not None:
        cell_px = cv2.mean(lens.cell_areas_px(grid)[rows, columns], inside)[0]
        centre = lens.straight(centre.astype(np.float32))[0]
        hull = lens.straight(np.asarray(cv2.convexHull(corners), np.float32).reshape(-1, 2))
    return Region(
        defect_class=name,
        score=min(1.0, score),
        area_mm2=blob.cells * cell_px * pixel_mm**2,
        length_mm=_length_px(hull, step) * pixel_mm,
        x_mm=float(centre[0]) * pixel_mm,
        y_mm=float(centre[1]) * pixel_mm,
        box_px=_box(left, top, width, height, grid),
        outline_px=_outline(corners, step, grid),
    )


def _length_px(corners: NDArray[np.float32], step: NDArray[np.float32]) -> float:
    """Long side of the smallest rectangle around whole cells: the one around their centres, and half a cell at each end."""
    _, (side_a, side_b), angle = cv2.minAreaRect(corners)
    turn = np.radians(angle if side_a >= side_b else angle + 90)
    # How far a cell reaches along that direction: a full step along an axis, the projection of it between them.
    reach = float(np.hypot(step[0] * np.cos(turn), step[1] * np.sin(turn)))
    return max(side_a, side_b) + reach


def _box(left: int, top: int, width: int, height: int, grid: Grid) -> tuple[int, int, int, int]:
    x0, y0 = int(left * grid.step_x_px), int(top * grid.step_y_px)
    x1 = min(grid.image_width_px, int(np.ceil((left + width) * grid.step_x_px)))
    y1 = min(grid.image_height_px, int(np.ceil((top + height) * grid.step_y_px)))
    return x0, y0, max(1, x1 - x0), max(1, y1 - y0)


def _outline(corners: NDArray[np.float32], step: NDArray[np.float32], grid: Grid) -> NDArray[np.int32]:
    simple = cv2.approxPolyDP(corners[:, None], 0.5 * float(step.max()), True)[:, 0]
    limit = (grid.image_width_px - 1, grid.image_height_px - 1)
    return np.clip(np.floor(simple), 0, limit).astype(np.int32)
