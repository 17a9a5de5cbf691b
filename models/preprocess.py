"""Image to network input and output grid back to image, one code for the line and for training.

Coordinates: pixel (column i, row j) covers the square [i, i+1) × [j, j+1), so its centre is at (i + 0.5, j + 0.5); grid cells
likewise. Cell centre c of the output grid lies at c · step in the image, with no offset: content starts at the top left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from linegate.cameras.errors import WrongImage
from linegate.cameras.frame import Image
from linegate.models.manifest import InputSpec
from linegate.models.tiling import Axis, cut, stitch

__all__ = ["IGNORE", "Grid", "Layout", "Prepared", "Preprocessor", "WrongImage"]

IGNORE = 255
"""In a warped mask: padding that belongs to no image pixel; training leaves it out of the loss."""
_AREA_BELOW = 0.5
# Linear interpolation looks at 2 × 2 pixels, so below half size it would skip some and lose thin scratches.
_KEEP_COVERAGE = 0.25
# A shrunken mask pixel stays a defect from this coverage up, so that a 1 px crack survives a 4:1 reduction.


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the cells of a stitched score map lie in the image.

    Attributes:
        image_width_px, image_height_px: the image's own size.
        columns, rows: cells of the map.
        step_x_px, step_y_px: image pixels per cell; they differ where ``resize`` changed the aspect ratio.
    """

    image_width_px: int
    image_height_px: int
    columns: int
    rows: int
    step_x_px: float
    step_y_px: float

    def to_image(self, plane: NDArray[np.float32]) -> NDArray[np.float32]:
        """One map (rows, columns) to the image's size (H, W), bilinear, borders held."""
        inverse = np.array(
            [[1 / self.step_x_px, 0, 0.5 / self.step_x_px - 0.5], [0, 1 / self.step_y_px, 0.5 / self.step_y_px - 0.5]]
        )
        size = (self.image_width_px, self.image_height_px)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        out = cv2.warpAffine(plane, inverse, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(out, np.float32)


@dataclass(frozen=True, slots=True)
class Layout:
    """How one image size becomes network inputs: scaled to ``scaled_*_px``, then cut at ``x`` and ``y``."""

    grid: Grid
    scaled_width_px: int
    scaled_height_px: int
    x: Axis
    y: Axis

    @property
    def tiles(self) -> int:
        """Number of network inputs."""
        return len(self.x.starts) * len(self.y.starts)

    def stitch(self, masks: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """The tiles' outputs, each (K, h, w) in the order of the tensors, to one map (K, rows, columns).

        One tile costs no copy: the result is a view of it. Overlaps are blended with weights that sum to one.
        """
        return stitch(masks, self.x, self.y)


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Network inputs of one image, each (1, C, H, W) uint8 contiguous, row by row; the way back is in ``layout``."""

    tensors: tuple[NDArray[np.uint8], ...]
    layout: Layout


class Preprocessor:
    """Images of any size to what one network takes. Holds only the layout of the last size: one thread each."""

    def __init__(self, spec: InputSpec) -> None:
        self.spec = spec
        self._last: tuple[int, int, Layout] | None = None

    def layout(self, width_px: int, height_px: int) -> Layout:
        """The layout for images of this size; the last one is kept, because a line's images are all alike."""
        if self._last is None or self._last[:2] != (width_px, height_px):
            self._last = (width_px, height_px, _layout(self.spec, width_px, height_px))
        return self._last[2]

    def prepare(self, image: Image) -> Prepared:
        """``image``: (H, W) grey or (H, W, 3) RGB, uint8, or uint16 over the full 16-bit range; it is not written to.

        Grey becomes three equal channels, RGB becomes grey (ITU-R BT.601), as the network asks. A grey uint8 image of the
        input's own size is passed on without a copy, so the tensor may be read-only.

        Raises:
            WrongImage: another shape or type.
        """
        check_image(image)
        layout = self.layout(image.shape[1], image.shape[0])
        scaled = _scale(_channels(_to_uint8(image), self.spec.channels), layout)
        size = (self.spec.width_px, self.spec.height_px)
        if self.spec.fit == "pad" and self.spec.fill == "mean":
            pieces = cut(scaled, layout.x, layout.y, size, cv2.BORDER_CONSTANT, cv2.mean(scaled))
        else:
            pieces = cut(scaled, layout.x, layout.y, size, cv2.BORDER_REPLICATE)
        return Prepared(tuple(_tensor(piece, self.spec.channels) for piece in pieces), layout)

    def warp_mask(self, mask: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], ...]:
        """A mask (H, W) of class indices as ``prepare`` treats its image: (height_px, width_px) uint8 for each tensor.

        Nothing is interpolated between classes; thin defects survive shrinking; padding is ``IGNORE``.

        Raises:
            WrongImage: not (H, W) uint8.
        """
        if mask.ndim != 2 or mask.dtype != np.uint8 or mask.size == 0:
            raise WrongImage(
                "mask",
                expected="(H, W) uint8 of class indices",
                found=f"{mask.shape} {mask.dtype}",
                remedy="Save the mask as an 8-bit PNG with one channel.",
            )
        layout = self.layout(mask.shape[1], mask.shape[0])
        size = (self.spec.width_px, self.spec.height_px)
        return tuple(cut(_scale_mask(mask, layout), layout.x, layout.y, size, cv2.BORDER_CONSTANT, (IGNORE,)))


def check_image(image: Image) -> None:
    """Raise WrongImage unless ``image`` is (H, W) or (H, W, 3), uint8 or uint16, and not empty."""
    shape_ok = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
    if not shape_ok or image.dtype not in (np.uint8, np.uint16) or image.size == 0:
        raise WrongImage(
            "image",
            expected="(H, W) or (H, W, 3), uint8 or uint16",
            found=f"{image.shape} {image.dtype}",
            remedy="Set the camera to a mono or RGB pixel format, or convert the file.",
        )


def with_channels(image: Image, channels: Literal[1, 3]) -> NDArray[np.uint8]:
    """(H, W) or (H, W, 3) uint8 as ``Preprocessor.prepare`` makes them of an image, before it scales and cuts.

    Raises:
        WrongImage: another shape or type.
    """
    check_image(image)
    found = _channels(_to_uint8(image), channels)
    return np.dstack([found] * 3) if channels == 3 and found.ndim == 2 else found


def _layout(spec: InputSpec, width: int, height: int) -> Layout:
    if spec.fit == "tile":
        scaled_width, scaled_height = width, height
        x = Axis.tiled(width, spec.width_px, spec.overlap_px or spec.width_px // 4, spec.stride_px)
        y = Axis.tiled(height, spec.height_px, spec.overlap_px or spec.height_px // 4, spec.stride_px)
    else:
        scaled_width, scaled_height = spec.width_px, spec.height_px
        if spec.fit == "pad":
            scale = min(spec.width_px / width, spec.height_px / height)
            scaled_width = max(1, min(spec.width_px, round(width * scale)))
            scaled_height = max(1, min(spec.height_px, round(height * scale)))
        x = Axis.single(scaled_width, spec.width_px, spec.stride_px)
        y = Axis.single(scaled_height, spec.height_px, spec.stride_px)
    step_x, step_y = spec.stride_px * width / scaled_width, spec.stride_px * height / scaled_height
    return Layout(Grid(width, height, x.cells, y.cells, step_x, step_y), scaled_width, scaled_height, x, y)


def _to_uint8(image: Image) -> NDArray[np.uint8]:
    if image.dtype == np.uint8:
        return image  # type: ignore[return-value]
    return np.asarray(cv2.convertScaleAbs(image, alpha=255 / 65535), np.uint8)


def _channels(image: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """Colour to grey as early as possible: a third of the work for everything after. Grey to colour comes last."""
    if channels == 1 and image.ndim == 3:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    return image


def _interpolation(height: int, width: int, layout: Layout) -> int:
    smallest = min(layout.scaled_width_px / width, layout.scaled_height_px / height)
    return int(cv2.INTER_AREA if smallest < _AREA_BELOW else cv2.INTER_LINEAR)


def _scale(image: NDArray[np.uint8], layout: Layout) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    size = (layout.scaled_width_px, layout.scaled_height_px)
    if (width, height) == size:
        return image
    return np.asarray(cv2.resize(image, size, interpolation=_interpolation(height, width, layout)), np.uint8)


def _scale_mask(mask: NDArray[np.uint8], layout: Layout) -> NDArray[np.uint8]:
    height, width = mask.shape
    size = (layout.scaled_width_px, layout.scaled_height_px)
    if (width, height) == size:
        return mask
    if size[0] >= width and size[1] >= height:
        return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)
    best = np.full((size[1], size[0]), _KEEP_COVERAGE, np.float32)
    out = np.zeros((size[1], size[0]), np.uint8)
    for index in np.unique(mask):
        if index:
            of_class = (mask == index).astype(np.float32)
            coverage = np.asarray(cv2.resize(of_class, size, interpolation=cv2.INTER_AREA), np.float32)
            out[coverage >= best] = index
            np.maximum(best, coverage, out=best)
    return out


def _tensor(piece: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """(H, W) or (H, W, 3) to (1, C, H, W) contiguous; a view where the memory already is that."""
    if channels == 1:
        return np.ascontiguousarray(piece)[None, None]
    height, width = piece.shape[:2]
    out = np.empty((1, 3, height, width), np.uint8)
    for channel in range(3):
        if piece.ndim == 2:
            out[0, channel] = piece
        else:
            cv2.extractChannel(piece, channel, dst=out[0, channel])
    return out
