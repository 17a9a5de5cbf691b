"""All pictures of a dataset as the network will see them, decoded once, in one file that the system may page out."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from linegate.models.manifest import InputSpec
from linegate.models.preprocess import IGNORE, Preprocessor
from linegate.training.checks import open_sample, summarise
from linegate.training.dataset import DatasetError, Sample
from linegate.training.progress import quiet


@dataclass(frozen=True, slots=True)
class _Slot:
    offset: int
    shape: tuple[int, ...]


class Pictures:
    """Samples in the network's own scale: (H, W[, 3]) uint8 pictures and (H, W) class-index masks.

    For "resize" and "pad" they have the input's size; for "tile" their own, at least the input's. The backing file has no
    name any more, so that nothing stays behind, however the process ends.
    """

    def __init__(self, spec: InputSpec, classes: tuple[str, ...]) -> None:
        self.spec = spec
        self.classes = classes
        self.samples: list[Sample] = []
        self.skipped: list[tuple[Sample, DatasetError]] = []
        self._images: list[_Slot] = []
        self._masks: list[_Slot | None] = []
        self._map: mmap.mmap | None = None

    @staticmethod
    def load(
        spec: InputSpec,
        classes: tuple[str, ...],
        samples: Sequence[Sample],
        work: Path,
        *,
        skip_broken: bool = False,
        progress: Callable[[int], None] = quiet,
    ) -> Pictures:
        """Decode and check all ``samples``; ``work`` is a folder on a disk with room for them.

        Raises:
            DatasetError: names the first broken file and counts the others, unless ``skip_broken``; or the disk is full.
        """
        pictures = Pictures(spec, classes)
        work.mkdir(parents=True, exist_ok=True)
        try:
            with tempfile.TemporaryFile(dir=work) as file:
                pictures._fill(file.fileno(), samples, progress)
                length = os.fstat(file.fileno()).st_size
                if length:
                    pictures._map = mmap.mmap(file.fileno(), length, access=mmap.ACCESS_READ)
        except OSError as error:
            raise DatasetError(
                f"folder {work}",
                expected="room for the decoded pictures",
                found=error.strerror or str(error),
                remedy="Free some disk or choose another folder; nothing was lost.",
            ) from error
        if pictures.skipped and not skip_broken:
            raise summarise(pictures.skipped)
        return pictures

    def _fill(self, file: int, samples: Sequence[Sample], progress: Callable[[int], None]) -> None:
        preprocess = Preprocessor(self.spec)
        end = 0
        for index, sample in enumerate(samples):
            try:
                image, mask = open_sample(sample, self.classes, self.spec.channels)
            except DatasetError as error:
                self.skipped.append((sample, error))
                continue
            image, mask = self._scaled(preprocess, image, mask)
            self._images.append(_Slot(end, image.shape))
            end += _write(file, image)
            if mask is None or (sample.label == "good" and not mask.any()):
                self._masks.append(None)
            else:
                self._masks.append(_Slot(end, mask.shape))
                end += _write(file, mask)
            self.samples.append(sample)
            progress(index + 1)

    def _scaled(
        self, preprocess: Preprocessor, image: NDArray[np.uint8], mask: NDArray[np.uint8] | None
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        if self.spec.fit == "tile":
            down, right = max(0, self.spec.height_px - image.shape[0]), max(0, self.spec.width_px - image.shape[1])
            if down or right:
                image = np.asarray(cv2.copyMakeBorder(image, 0, down, 0, right, cv2.BORDER_REPLICATE), np.uint8)
                if mask is not None:
                    padded = cv2.copyMakeBorder(mask, 0, down, 0, right, cv2.BORDER_CONSTANT, value=[IGNORE])
                    mask = np.asarray(padded, np.uint8)
            return image, mask
        tensor = preprocess.prepare(image).tensors[0][0]
        scaled = tensor[0] if self.spec.channels == 1 else tensor.transpose(1, 2, 0)
        return np.ascontiguousarray(scaled), None if mask is None else preprocess.warp_mask(mask)[0]

    def __len__(self) -> int:
        return len(self.samples)

    def image(self, index: int) -> NDArray[np.uint8]:
        """(H, W) or (H, W, 3), read-only."""
        return self._view(self._images[index])

    def mask(self, index: int) -> NDArray[np.uint8] | None:
        """(H, W) class indices and ``IGNORE``, read-only; None where the part is bad and the place isn't known."""
        slot = self._masks[index]
        if slot is not None:
            return self._view(slot)
        if self.samples[index].label == "defect":
            return None
        return np.zeros(self._images[index].shape[:2], np.uint8)

    def _view(self, slot: _Slot) -> NDArray[np.uint8]:
        assert self._map is not None
        count = int(np.prod(slot.shape))
        return np.frombuffer(self._map, np.uint8, count, slot.offset).reshape(slot.shape)


def _write(file: int, array: NDArray[np.uint8]) -> int:
    view = memoryview(np.ascontiguousarray(array).data).cast("B")
    done = 0
    while done < len(view):
        done += os.write(file, view[done:])
    return done
