"""What one training step sees. A batch is a function of (seed, step) alone, so that a resumed run repeats nothing it kept.

Crops: half are centred on defects, balanced over classes, half lie on good parts, taken in turn so that each good part is
used; some of those get a defect pasted. Whole inputs, towards the end: half bad (with and without a known place), half good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from linegate.models.preprocess import IGNORE
from linegate.training.augment import U8, Variation, bend, cut_patch, paste, relight, window
from linegate.training.pictures import Pictures

Item = tuple[U8, U8 | None, bool]
"""A picture, its mask, and whether it is a whole input of a bad part, which may not show the defect."""
_POINTS = 24
_LEAST_TARGET = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Arrays of one step.

    image: (N, C, H, W) uint8; target: (N, K, h, w) float32 0..1; valid: (N, 1, h, w) float32 0/1, where the truth is known;
    part: (N,) float32 0/1; part_weight: (N,) float32, 0 where the crop doesn't tell.
    """

    image: U8
    target: NDArray[np.float32]
    valid: NDArray[np.float32]
    part: NDArray[np.float32]
    part_weight: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Spot:
    """One defect region of one picture: where it is, and some of its pixels (n, 2) x, y."""

    picture: int
    box: tuple[int, int, int, int]
    points: NDArray[np.int32]


class Batches:
    """Draws batches from the pictures on the training side.

    ``size`` counts the items of all ``ranks`` processes. A batch is a row of pairs, bad and good, and each process draws every
    ``ranks``-th pair: shares of single items would show some processes nothing but defects.
    """

    def __init__(
        self,
        pictures: Pictures,
        stride_px: int,
        seed: int,
        crop_px: int,
        size: int,
        vary: Variation,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self._pictures = pictures
        self._stride = stride_px
        self._seed = seed
        self._size = size
        self._vary = vary
        self._rank, self._ranks = rank, ranks
        spec = pictures.spec
        self.crop = (min(crop_px, spec.height_px), min(crop_px, spec.width_px))
        self.whole = (spec.height_px, spec.width_px)
        ratio = self.crop[0] * self.crop[1] / (spec.height_px * spec.width_px)
        self.whole_size = 2 * ranks * max(1, min(size // (2 * ranks), round(size * ratio / (2 * ranks))))
        self._good = [i for i, s in enumerate(pictures.samples) if s.label == "good"]
        self._bad = [i for i, s in enumerate(pictures.samples) for _ in range(s.weight) if s.label == "defect"]
        self._spots = _find_spots(pictures)
        self._by_class = [
            [i for i, s in enumerate(pictures.samples) for _ in range(s.weight) if (i, k) in self._spots]
            for k in range(1, len(pictures.classes) + 1)
        ]
        self._shown = [k for k, found in enumerate(self._by_class) if found]
        counts = np.array([len(self._by_class[k]) for k in self._shown], np.float64)
        self._share = np.sqrt(counts) / np.sqrt(counts).sum() if counts.size else counts

    def crops(self, step: int) -> Batch:
        """A batch of crops."""
        items = []
        for slot in self._slots(self._size):
            rng = np.random.default_rng([self._seed, step, 0, slot])
            on_defect = slot % 2 == 0 or not self._good
            item = self._defect_crop(rng) if on_defect and self._shown else self._good_crop(step, slot, rng)
            items.append(self._lit(item, rng))
        return self._stack(items, self.crop)

    def wholes(self, step: int) -> Batch:
        """A batch of inputs as the line will see them."""
        items = []
        for slot in self._slots(self.whole_size):
            rng = np.random.default_rng([self._seed, step, 1, slot])
            on_defect = (slot % 2 == 0 and self._bad) or not self._good
            order = self._bad if on_defect else self._good
            index = self._turn(order, step * self.whole_size // 2 + slot // 2, 3 if on_defect else 2)
            if on_defect and self._shown and rng.random() < 0.5:
                index = self._spot(rng).picture
            items.append(self._lit(self._whole(index, rng), rng))
        return self._stack(items, self.whole)

    @property
    def places(self) -> bool:
        """Whether any defect's place is known; crops are of no use without."""
        return bool(self._shown)

    def _slots(self, size: int) -> list[int]:
        """This process's slots of a batch of ``size``."""
        return [slot for slot in range(size) if slot // 2 % self._ranks == self._rank]

    def _lit(self, item: Item, rng: np.random.Generator) -> Item:
        picture, mask, whole_is_bad = item
        return relight(picture, self._vary, rng), mask, whole_is_bad

    def _turn(self, order: Sequence[int], number: int, stream: int) -> int:
        """The ``number``-th of endless shuffled rounds over ``order``."""
        lap, place = divmod(number, len(order))
        return order[int(np.random.default_rng([self._seed, stream, lap]).permutation(len(order))[place])]

    def _spot(self, rng: np.random.Generator) -> Spot:
        shown = self._shown[int(rng.choice(len(self._shown), p=self._share))]
        picture = self._by_class[shown][int(rng.integers(len(self._by_class[shown])))]
        spots = self._spots[picture, shown + 1]
        return spots[int(rng.integers(len(spots)))]

    def _defect_crop(self, rng: np.random.Generator) -> Item:
        spot = self._spot(rng)
        height, width = self.crop
        x, y = spot.points[int(rng.integers(len(spot.points)))]
        x, y = int(x) - int(width * rng.uniform(0.15, 0.85)), int(y) - int(height * rng.uniform(0.15, 0.85))
        return (*self._cut(spot.picture, x, y, self.crop, rng), False)

    def _good_crop(self, step: int, slot: int, rng: np.random.Generator) -> Item:
        index = self._turn(self._good, step * (self._size // 2) + slot // 2, 2)
        rows, columns = self._content(index)
        y = int(rng.integers(0, max(1, rows - self.crop[0] + 1)))
        x = int(rng.integers(0, max(1, columns - self.crop[1] + 1)))
        image, mask = self._cut(index, x, y, self.crop, rng)
        if mask is not None and self._shown and rng.random() < self._vary.paste_share:
            image, mask = np.array(image), np.array(mask)
            spot = self._spot(rng)
            source = self._pictures.mask(spot.picture)
            if source is not None and max(spot.box[2:]) < 0.7 * min(self.crop):
                patch = cut_patch(self._pictures.image(spot.picture), source, spot.box)
                if patch is not None:
                    paste(image, mask, patch, rng)
        return image, mask, False

    def _whole(self, index: int, rng: np.random.Generator) -> Item:
        rows, columns = self._pictures.image(index).shape[:2]
        height, width = self.whole
        y, x = int(rng.integers(0, rows - height + 1)), int(rng.integers(0, columns - width + 1))
        weak = self._pictures.samples[index].label == "defect"
        return (*self._cut(index, x, y, self.whole, rng), weak)

    def _cut(self, index: int, x: int, y: int, size: tuple[int, int], rng: np.random.Generator) -> tuple[U8, U8 | None]:
        rows, columns = self._content(index)
        height, width = size
        # Windows stay inside the picture: beyond its border the line never sees anything, and padding teaches nothing.
        x, y = max(0, min(x, columns - width)), max(0, min(y, rows - height))
        image, mask = window(self._pictures.image(index), self._pictures.mask(index), x, y, width, height)
        return bend(image, mask, self._vary, rng)

    def _content(self, index: int) -> tuple[int, int]:
        """Rows and columns of the picture itself, without what padding added below and on the right."""
        mask = self._pictures.mask(index) if self._pictures.spec.fit == "pad" else None
        if mask is None:
            rows, columns = self._pictures.image(index).shape[:2]
            return rows, columns
        return int(np.count_nonzero(mask[:, 0] != IGNORE)), int(np.count_nonzero(mask[0] != IGNORE))

    def _stack(self, items: Sequence[Item], size: tuple[int, int]) -> Batch:
        height, width = size
        channels, classes = self._pictures.spec.channels, len(self._pictures.classes)
        grid = (height // self._stride, width // self._stride)
        count = len(items)
        image = np.empty((count, channels, height, width), np.uint8)
        target = np.zeros((count, classes, *grid), np.float32)
        valid = np.ones((count, 1, *grid), np.float32)
        part = np.zeros(count, np.float32)
        weight = np.ones(count, np.float32)
        for n, (picture, mask, whole_is_bad) in enumerate(items):
            image[n] = picture[None] if channels == 1 else picture.transpose(2, 0, 1)
            if mask is None:
                valid[n] = 0
                part[n] = 1
                continue
            cover(mask, self._stride, target[n], valid[n, 0])
            found = float(target[n].max(initial=0))
            part[n] = float(found > 0)
            if 0 < found < _LEAST_TARGET or (whole_is_bad and found == 0):
                weight[n] = 0  # a sliver of a defect at the border, or a tile without it: the crop doesn't tell
        return Batch(image, target, valid, part, weight)


def cover(mask: U8, stride_px: int, target: NDArray[np.float32], valid: NDArray[np.float32]) -> None:
    """Fill ``target`` (K, h, w) and ``valid`` (h, w) of one (H, W) class-index mask.

    A cell's target is the share of it that the class covers, times stride / 2 and at most 1: a line of 2 pixels through the
    cell counts in full, so that thin scratches aren't trained away on a coarse grid.
    """
    rows, columns = valid.shape
    gain = max(1.0, stride_px / 2)
    for index in np.flatnonzero(np.bincount(mask.ravel(), minlength=256)).tolist():
        if not index:
            continue
        share = cv2.resize((mask == index).astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
        if index == IGNORE:
            valid[share > 0.5] = 0
        else:
            np.minimum(share * gain, 1.0, out=target[index - 1])


def _find_spots(pictures: Pictures) -> dict[tuple[int, int], list[Spot]]:
    """Defect regions by (picture, class index)."""
    found: dict[tuple[int, int], list[Spot]] = {}
    for index, sample in enumerate(pictures.samples):
        mask = pictures.mask(index) if sample.label == "defect" else None
        if mask is None:
            continue
        rng = np.random.default_rng([index, 7])
        for value in np.unique(mask[(mask > 0) & (mask != IGNORE)]).tolist():
            plane = (mask == value).astype(np.uint8)
            count, labels, stats, _ = cv2.connectedComponentsWithStats(plane)
            for region in range(1, min(count, 65)):
                x, y, width, height = (int(v) for v in stats[region, :4])
                ys, xs = np.nonzero(labels[y : y + height, x : x + width] == region)
                pick = rng.integers(0, len(xs), min(_POINTS, len(xs)))
                points = np.stack([xs[pick] + x, ys[pick] + y], 1).astype(np.int32)
                found.setdefault((index, value), []).append(Spot(index, (x, y, width, height), points))
    return found
