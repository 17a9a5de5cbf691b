"""Opening samples and saying what is wrong with them, by file name, before an hour of training is spent on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from linegate.cameras.image_file import pixels_sha256
from linegate.training.dataset import Dataset, DatasetError, Sample, read_image, sample_mask, unknown_value
from linegate.training.progress import quiet
from linegate.training.splits import leaking_groups


def open_sample(
    sample: Sample, classes: tuple[str, ...], channels: Literal[1, 3], *, others: bool = False
) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """The picture and its class-index mask (None: bad, place unknown), both checked against each other.

    A dataset of the one class "defect" may carry any non-zero value (255, say) in its masks. An empty mask of a part that is
    labelled bad says "bad, somewhere". ``others``: a class that isn't among ``classes`` becomes one more value, above theirs:
    a network that was never told of it must still find the defect.

    Raises:
        DatasetError: names the file: unreadable, another size, unknown class, or a good part with defect pixels.
    """
    image = read_image(sample.image, channels)
    size = (image.shape[0], image.shape[1])
    mask = sample_mask(sample, size)
    if mask is None:
        return image, None
    highest = int(mask.max(initial=0))
    if sample.mask_classes:
        mask = _renamed(sample, mask, classes, others)
    elif classes == ("defect",):
        mask = (mask > 0).astype(np.uint8)
    elif highest > len(classes):
        raise unknown_value(sample.mask or sample.image, highest, classes)
    if sample.label == "good" and highest:
        raise DatasetError(
            f"mask {sample.mask or sample.image}",
            expected=f"an empty mask, because {sample.name} is labelled good",
            found=f"{int(np.count_nonzero(mask))} defect pixels",
            remedy="Correct the label or the mask.",
        )
    if sample.label == "defect" and not highest:
        return image, None
    return image, mask


def _renamed(sample: Sample, mask: NDArray[np.uint8], classes: tuple[str, ...], others: bool) -> NDArray[np.uint8]:
    """The mask's own class values to the dataset's. Raises DatasetError for a value or a name that isn't known."""
    own = sample.mask_classes
    table = np.zeros(256, np.uint8)
    for value in np.unique(mask[mask > 0]).tolist():
        if value > len(own) and own != ("defect",):
            raise unknown_value(sample.mask or sample.image, value, own)
        name = own[min(value, len(own)) - 1]
        if name not in classes and not others:
            raise unknown_value(sample.mask or sample.image, value, classes)
        table[value] = classes.index(name) + 1 if name in classes else len(classes) + 1
    return np.asarray(table[mask], np.uint8)


def find_problems(
    dataset: Dataset, channels: Literal[1, 3] = 1, progress: Callable[[int], None] = quiet
) -> list[tuple[Sample, DatasetError]]:
    """Every broken sample with what is wrong with it; an empty list means that the data can be trained on."""
    problems: list[tuple[Sample, DatasetError]] = []
    for index, sample in enumerate(dataset.samples):
        try:
            open_sample(sample, dataset.classes, channels)
        except DatasetError as error:
            problems.append((sample, error))
        progress(index + 1)
    leaks = leaking_groups(dataset)
    for sample in dataset.samples:
        sides = leaks.pop(sample.group, None)
        if sides:
            leak = DatasetError(
                f"group {sample.group} ({sample.name})",
                expected="one side",
                found=" and ".join(side or "(none)" for side in sides),
                remedy="Put all pictures of the group on one side.",
            )
            problems.append((sample, leak))
    return problems


def find_copies(dataset: Dataset) -> list[tuple[Sample, DatasetError]]:
    """Pictures that another group has too, decoded alike: on two sides of a split they would prove what they had taught."""
    problems: list[tuple[Sample, DatasetError]] = []
    seen: dict[str, Sample] = {}
    for sample in dataset.samples:
        digest = pixels_sha256(sample.image)
        first = seen.setdefault(digest, sample) if digest else sample
        if first.group != sample.group:
            error = DatasetError(
                f"image {sample.image}",
                expected="a picture that no other group has",
                found=f"the picture of {first.name}; groups {sample.group} and {first.group}",
                remedy="Give both one group, or take one out.",
            )
            problems.append((sample, error))
    return problems


def summarise(problems: Sequence[tuple[Sample, DatasetError]]) -> DatasetError:
    """One error for all: the first in full, the others counted."""
    first = problems[0][1]
    if len(problems) == 1:
        return first
    others = ", ".join(sample.name for sample, _ in problems[1:4])
    return DatasetError(
        first.thing,
        expected=first.expected,
        found=f"{first.found}; {len(problems) - 1} more files are broken ({others}{', …' if len(problems) > 4 else ''})",
        remedy=first.remedy,
    )
