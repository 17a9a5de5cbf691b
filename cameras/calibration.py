"""What a pixel is in millimetres, and how the lens bends lines: from pictures of a ChArUco board.

The board lies where the parts lie. Several pictures, the board tilted and moved, give the lens (Zhang's method, as in
OpenCV's ``calibrateCamera``); the first picture, the board flat in the part's plane, gives the size of a pixel there. With an
ordinary lens that size holds for this plane only: the relative error of a length is height change / working distance.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from linegate.cameras.errors import CameraError
from linegate.cameras.frame import Image

MIN_PICTURES = 5
MIN_CORNERS = 8


@dataclass(frozen=True, slots=True)
class Board:
    """A printed ChArUco board (ArUco dictionary 5X5_100). Squares along x and y, sizes in mm as measured on the print."""

    columns: int
    rows: int
    square_mm: float
    marker_mm: float

    def detector(self) -> tuple[Any, Any]:
        """OpenCV's board and detector."""
        import cv2

        dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_5X5_100)
        board = cv2.aruco.CharucoBoard((self.columns, self.rows), self.square_mm, self.marker_mm, dictionary)
        return board, cv2.aruco.CharucoDetector(board)

    def draw(self, path: Path, dpi: int = 600) -> None:
        """The board as a PNG in its true size at ``dpi``. Raises CameraError when it can't be drawn or written."""
        import cv2

        mm_to_px = dpi / 25.4
        size = (round(self.columns * self.square_mm * mm_to_px), round(self.rows * self.square_mm * mm_to_px))
        try:
            image = self.detector()[0].generateImage(size)
            path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
        except (OSError, cv2.error) as error:
            raise CameraError(
                f"board {path}",
                expected="a file that can be written, and a board of up to 200 squares",
                found=str(getattr(error, "strerror", None) or error).splitlines()[0],
                remedy="Name another file, or fewer squares.",
            ) from error


@dataclass(frozen=True, slots=True)
class Calibration:
    """A camera's geometry.

    Attributes:
        pixel_mm: size of an undistorted image pixel in the plane of the first picture.
        pixel_mm_spread: standard deviation of that size over the board's squares, relative; large when the board lay tilted.
        rms_px: root mean square reprojection error of all corners.
        matrix: 3 × 3 pinhole matrix, row by row, in px.
        distortion: k1, k2, p1, p2, k3 of OpenCV's lens model.
    """

    width_px: int
    height_px: int
    pixel_mm: float
    pixel_mm_spread: float
    rms_px: float
    matrix: tuple[tuple[float, ...], ...]
    distortion: tuple[float, ...]

    def undistort(self, image: Image) -> Image:
        """The picture as a lens without distortion would show it, same size and type. Raises CameraError for a picture of
        another size than the camera was calibrated with."""
        import cv2

        self.check_size(image.shape[1], image.shape[0])
        result = cv2.undistort(image, np.array(self.matrix), np.array(self.distortion))
        result.flags.writeable = False
        return cast("Image", result)

    def check_size(self, width_px: int, height_px: int) -> None:
        """Raises CameraError for pictures of another size than the camera was calibrated with."""
        if (width_px, height_px) != (self.width_px, self.height_px):
            raise CameraError(
                "calibration",
                expected=f"a picture of {self.width_px} x {self.height_px} px",
                found=f"{width_px} x {height_px} px",
                remedy="Calibrate again with the ROI that the camera has now.",
            )

    def save(self, path: Path) -> None:
        """As JSON. Raises CameraError when it can't be written."""
        try:
            path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise CameraError(
                f"calibration {path}",
                expected="a file that can be written",
                found=error.strerror or str(error),
                remedy="Name another file with --out, or free space.",
            ) from error

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """The inverse of ``save``. Raises CameraError naming the file."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            matrix = tuple(tuple(float(v) for v in row) for row in values.pop("matrix"))
            distortion = tuple(float(v) for v in values.pop("distortion"))
            return cls(matrix=matrix, distortion=distortion, **values)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise CameraError(
                f"calibration {path}",
                expected="a file that a calibration has saved",
                found=str(error) or type(error).__name__,
                remedy="Calibrate again.",
            ) from error


def find_corners(picture: Image, board: Board) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The board's corners that a picture shows: (n, 1, 3) mm on the board, (n, 1, 2) px in the picture; n may be 0."""
    import cv2

    charuco, detector = board.detector()
    pixels = np.asarray(picture // 256 if picture.dtype == np.uint16 else picture, np.uint8)
    grey = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    corners, ids, _, _ = detector.detectBoard(grey)
    if ids is None or not len(ids):
        return np.zeros((0, 1, 3), np.float32), np.zeros((0, 1, 2), np.float32)
    on_board, in_image = charuco.matchImagePoints(corners, ids)
    return np.asarray(on_board, np.float32), np.asarray(in_image, np.float32)


def calibrate(pictures: Sequence[Image], board: Board) -> Calibration:
    """Lens and pixel size from pictures of ``board``, the first one flat in the part's plane.

    Args:
        pictures: (H, W) or (H, W, 3), uint8 or uint16, all of one size.

    Raises:
        CameraError: pictures of different sizes; fewer than MIN_PICTURES pictures show MIN_CORNERS corners, or the first does
            not.
    """
    import cv2

    sizes = sorted({picture.shape[1::-1] for picture in pictures})
    if len(sizes) > 1:
        raise CameraError(
            "calibration",
            expected="pictures of one size",
            found=", ".join(f"{width} x {height} px" for width, height in sizes),
            remedy="Take all of them with the same ROI.",
        )
    seen: list[tuple[int, NDArray[np.float32], NDArray[np.float32]]] = []
    for index, picture in enumerate(pictures):
        on_board, in_image = find_corners(picture, board)
        if len(on_board) >= MIN_CORNERS:
            seen.append((index, on_board, in_image))
    if len(seen) < MIN_PICTURES or seen[0][0] != 0:
        raise CameraError(
            "calibration",
            expected=f"the board in the first and at least {MIN_PICTURES} pictures, {MIN_CORNERS} corners each",
            found=f"it in pictures {[index + 1 for index, _, _ in seen]} of {len(pictures)}",
            remedy="Light the board evenly, check its size against the settings, and take more pictures.",
        )
    height, width = pictures[0].shape[:2]
    rms, found_matrix, found_distortion, _, _ = cv2.calibrateCamera(
        [points for _, points, _ in seen], [points for _, _, points in seen], (width, height), None, None
    )
    matrix: NDArray[np.float64] = np.asarray(found_matrix, np.float64)
    distortion: NDArray[np.float64] = np.asarray(found_distortion, np.float64)
    size, spread = _pixel_mm(seen[0][1], seen[0][2], matrix, distortion, board.square_mm)
    return Calibration(
        width_px=width,
        height_px=height,
        pixel_mm=size,
        pixel_mm_spread=spread,
        rms_px=float(rms),
        matrix=tuple(tuple(float(v) for v in row) for row in matrix),
        distortion=tuple(float(v) for v in np.ravel(distortion)[:5]),
    )


def _pixel_mm(
    on_board: NDArray[np.float32],
    in_image: NDArray[np.float32],
    matrix: NDArray[np.float64],
    distortion: NDArray[np.float64],
    square_mm: float,
) -> tuple[float, float]:
    """Mean size of a pixel over all pairs of neighbouring corners, in the undistorted picture, and its relative spread."""
    import cv2

    straight = cv2.undistortPoints(in_image, matrix, distortion, P=matrix).reshape(-1, 2)
    plane = on_board.reshape(-1, 3)[:, :2]
    steps_mm = np.linalg.norm(plane[:, None] - plane[None], axis=2)
    first, second = np.nonzero(np.triu(np.abs(steps_mm - square_mm) < 0.01 * square_mm))
    sizes = square_mm / np.linalg.norm(straight[first] - straight[second], axis=1)
    return float(np.mean(sizes)), float(np.std(sizes) / np.mean(sizes))
