"""A camera's calibration as the measuring of regions needs it: positions straightened, pixels left as they are.

Straightening whole pictures would cost milliseconds a part and show the network something it was not trained on. What is
measured of a region are its centre, its hull and the area of its cells, a few points each.

Image coordinates here are those of ``find_regions``: the first pixel reaches from 0 to 1; OpenCV's has its centre at 0.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from linegate.cameras.calibration import Calibration
from linegate.models.preprocess import Grid

F32 = NDArray[np.float32]


class Lens:
    """Used by one thread at a time. ``pixel_mm``: size of a straightened pixel in the part's plane."""

    def __init__(self, calibration: Calibration) -> None:
        self._calibration = calibration
        self._matrix = np.array(calibration.matrix, np.float64)
        self._distortion = np.array(calibration.distortion, np.float64)
        self._grid: Grid | None = None
        self._cells: F32 = np.zeros((0, 0), np.float32)
        self.pixel_mm = calibration.pixel_mm

    def straight(self, points_px: F32) -> F32:
        """(n, 2) image pixels to where a lens without distortion would show them, likewise (n, 2)."""
        centred = np.ascontiguousarray(points_px.reshape(-1, 1, 2) - 0.5, np.float32)
        moved = cv2.undistortPoints(centred, self._matrix, self._distortion, P=self._matrix)
        return np.asarray(moved.reshape(-1, 2) + 0.5, np.float32)

    def cell_areas_px(self, grid: Grid) -> F32:
        """(rows, columns): the straightened area of each cell of the score map, in pixels. Computed once for a grid.

        Raises CameraError for pictures of another size than the camera was calibrated with.
        """
        if grid != self._grid:
            self._calibration.check_size(grid.image_width_px, grid.image_height_px)
            x = np.arange(grid.columns + 1, dtype=np.float32) * np.float32(grid.step_x_px)
            y = np.arange(grid.rows + 1, dtype=np.float32) * np.float32(grid.step_y_px)
            corners = self.straight(np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)).reshape(len(y), len(x), 2)
            falling = corners[1:, 1:] - corners[:-1, :-1]
            rising = corners[:-1, 1:] - corners[1:, :-1]
            # Half the cross product of a quadrilateral's diagonals is its area.
            cross = falling[..., 0] * rising[..., 1] - falling[..., 1] * rising[..., 0]
            self._grid, self._cells = grid, np.asarray(np.abs(cross) / 2, np.float32)
        return self._cells
