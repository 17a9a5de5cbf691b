"""What size the network sees: chosen from the data, so that the smallest defects survive and the station stays fast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from linegate.models.manifest import InputSpec
from linegate.training.checks import open_sample
from linegate.training.dataset import Dataset, DatasetError, Sample, read_image
from linegate.training.network import NetSpec, Size

_PROBE = 240
_FAST_FROM_PX = 700_000
_MOST_PX = 1_600_000
_SMALLEST_DEFECT_PX = 20.0
"""A defect (10th percentile) that would cover less than this after scaling forbids scaling."""
_SAME = 0.02


@dataclass(frozen=True, slots=True)
class Survey:
    """A look at some of the data: picture sizes (n, 2) width, height; areas of single defect regions in pixels."""

    sizes: np.ndarray
    areas: np.ndarray
    colour: bool


def survey(dataset: Dataset, seed: int = 0) -> Survey:
    """Open up to 240 samples, half of them defective. Broken files are passed over here: they are reported when loaded."""
    rng = np.random.default_rng(seed)
    bad = [sample for sample in dataset.samples if sample.label == "defect"]
    good = [sample for sample in dataset.samples if sample.label == "good"]
    sizes: list[tuple[int, int]] = []
    areas: list[float] = []
    coloured = 0
    for sample in [*_some(bad, _PROBE // 2, rng), *_some(good, _PROBE // 2, rng)]:
        try:
            picture = read_image(sample.image, 3)
            _, mask = open_sample(sample, dataset.classes, 1)
        except DatasetError:
            continue
        sizes.append((picture.shape[1], picture.shape[0]))
        spread = cv2.absdiff(picture[::4, ::4, 0], picture[::4, ::4, 2])
        coloured += int(float(spread.mean()) > 2.0)
        if mask is not None and mask.any():
            _, _, stats, _ = cv2.connectedComponentsWithStats((mask > 0).astype(np.uint8))
            areas.extend(float(a) for a in stats[1:, cv2.CC_STAT_AREA])
    if not sizes:
        raise DatasetError(
            f"dataset {dataset.source}",
            expected="readable pictures",
            found=f"none among {min(_PROBE, len(dataset.samples))} tried",
            remedy="Restore the files in images/.",
        )
    return Survey(np.array(sizes), np.array(areas), coloured > len(sizes) // 4)


def choose_input(dataset: Dataset, found: Survey, pixel_mm: float = 1.0) -> tuple[InputSpec, Size]:
    """Input and network size for these data.

    Pictures of one size are scaled to the nearest size the network takes (``resize``); of several sizes, they keep their
    aspect ratio (``pad``). Pictures above 1.6 MP are scaled down to 1 MP where their defects stay large enough, else cut
    into tiles of 1024 × 1024.
    """
    width, height = (float(v) for v in np.percentile(found.sizes, 95, axis=0))
    low = np.percentile(found.sizes, 5, axis=0)
    fit: Literal["resize", "pad", "tile"] = "pad"
    if (found.sizes.max(0) - found.sizes.min(0) <= _SAME * found.sizes.max(0)).all():
        fit = "resize"
    elif (np.array([width, height]) - low <= _SAME * low).all():
        width, height = (float(v) for v in np.median(found.sizes, axis=0))
    if width * height > _MOST_PX:
        scale = (1024 * 1024 / (width * height)) ** 0.5
        small = float(np.percentile(found.areas, 10)) if found.areas.size else 0.0
        if small * scale**2 >= _SMALLEST_DEFECT_PX:
            width, height = width * scale, height * scale
        else:
            fit, width, height = "tile", 1024.0, 1024.0
    size: Size = "fast" if width * height >= _FAST_FROM_PX else "wide"
    channels: Literal[1, 3] = 3 if found.colour else 1
    net = NetSpec.of(size, len(dataset.classes), channels)
    return (
        InputSpec(
            width_px=_to_multiple(width, net.multiple_px),
            height_px=_to_multiple(height, net.multiple_px),
            channels=channels,
            fit=fit,
            fill="mean" if fit == "pad" else "border",
            overlap_px=128 if fit == "tile" else 0,
            stride_px=net.stride_px,
            pixel_mm=pixel_mm,
        ),
        size,
    )


def _to_multiple(length: float, multiple: int) -> int:
    return max(2, round(length / multiple)) * multiple


def _some(samples: Sequence[Sample], count: int, rng: np.random.Generator) -> list[Sample]:
    if len(samples) <= count:
        return list(samples)
    return [samples[i] for i in sorted(rng.choice(len(samples), count, replace=False).tolist())]
