"""Samples through the line's own preprocessing, engine and score: what is measured here is what the line will do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from linegate.inspect.part import Decision
from linegate.inspect.regions import find_regions
from linegate.inspect.runtime.engines import open_session
from linegate.inspect.runtime.session import InferenceSession, Output
from linegate.inspect.settings import RuntimeSettings
from linegate.inspect.verdict import judge_view
from linegate.models.bundle import Bundle
from linegate.models.manifest import Manifest
from linegate.models.preprocess import Preprocessor
from linegate.models.score import mask_peak, part_score
from linegate.training.checks import open_sample
from linegate.training.dataset import DatasetError, Sample
from linegate.training.progress import quiet

SMOOTHINGS = (1, 3, 5, 7)
_FOUND_SHARE = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """One sample and what the network said of it.

    Attributes:
        score: by the manifest's ``score``. decision: the line's verdict, regions included. blamed: its class, or "".
        head: worst part head of its tiles. peaks: mask peak by smoothing.
        class_peaks: (K,) highest region score of each class, as the line takes it (no smoothing).
        both, either: (K,) intersection and union in image pixels of mask and truth at the mask threshold; zeros where the
            place isn't known.
        regions, found: labelled defect regions, and those of which at least a tenth is marked by any class.
        region_areas: (n,) areas of the labelled regions in image pixels.

    A labelled class that the network doesn't know counts as a defect all the same: for the verdict and for the regions, not
    for ``both`` and ``either``.
    """

    sample: Sample
    score: float
    decision: Decision
    blamed: str
    head: float
    peaks: dict[int, float]
    class_peaks: NDArray[np.float64]
    both: NDArray[np.int64]
    either: NDArray[np.int64]
    regions: int = 0
    found: int = 0
    region_areas: tuple[int, ...] = field(default=(), repr=False)

    @property
    def bad(self) -> bool:
        """Labelled as a defect."""
        return self.sample.label == "defect"

    @property
    def passed(self) -> bool:
        """Only OK passes; REVIEW leaves the line until a person has looked."""
        return self.decision is Decision.OK


def judge(
    bundle: Bundle,
    samples: Sequence[Sample],
    settings: RuntimeSettings | None = None,
    *,
    skip_broken: bool = False,
    progress: Callable[[int], None] = quiet,
) -> list[Judged]:
    """Run ``samples`` through ``bundle`` on one engine. Broken files are left out only if ``skip_broken``.

    Raises:
        DatasetError: a broken file. RuntimeFailed: the engine doesn't take the bundle.
    """
    with closing(open_session(bundle, settings or RuntimeSettings(precision="accuracy"))) as session:
        return list(judged_on(session, bundle.manifest, samples, skip_broken=skip_broken, progress=progress))


def judged_on(
    session: InferenceSession,
    manifest: Manifest,
    samples: Sequence[Sample],
    *,
    skip_broken: bool = False,
    progress: Callable[[int], None] = quiet,
) -> Iterator[Judged]:
    """The same on a session that is open already. Raises DatasetError, RuntimeFailed."""
    preprocess = Preprocessor(manifest.input)
    for index, sample in enumerate(samples):
        try:
            image, mask = open_sample(sample, manifest.classes, manifest.input.channels, others=True)
        except DatasetError:
            if not skip_broken:
                raise
            continue
        yield _one(manifest, preprocess, session, sample, image, mask)
        progress(index + 1)


def _one(
    manifest: Manifest,
    preprocess: Preprocessor,
    session: InferenceSession,
    sample: Sample,
    image: NDArray[np.uint8],
    mask: NDArray[np.uint8] | None,
) -> Judged:
    prepared = preprocess.prepare(image)
    outputs = [_copied(session.infer(tensor)) for tensor in prepared.tensors]
    stitched = prepared.layout.stitch([output.mask for output in outputs])
    heads = [output.part_score for output in outputs]
    score = part_score(heads, stitched, manifest.score)
    judgement = judge_view(find_regions(stitched, prepared.layout.grid, manifest), score, manifest.thresholds)
    both = np.zeros(len(manifest.classes), np.int64)
    either = np.zeros(len(manifest.classes), np.int64)
    regions, found = 0, 0
    areas: tuple[int, ...] = ()
    if mask is not None:
        marked = np.zeros(mask.shape, np.uint8)
        for index, name in enumerate(manifest.classes):
            own = (
                prepared.layout.grid.to_image(np.ascontiguousarray(stitched[index]))
                >= manifest.thresholds.classes[name].mask
            )
            truth = mask == index + 1
            both[index] = np.count_nonzero(own & truth)
            either[index] = np.count_nonzero(own | truth)
            marked |= own
        regions, found, areas = _region_recall(mask, marked)
    return Judged(
        sample=sample,
        score=score,
        decision=judgement.decision,
        blamed=judgement.defect_class,
        head=max(heads),
        peaks={side: mask_peak(stitched, side) for side in SMOOTHINGS},
        class_peaks=stitched.max((1, 2)).astype(np.float64),
        both=both,
        either=either,
        regions=regions,
        found=found,
        region_areas=areas,
    )


def _copied(output: Output) -> Output:
    """The session reuses its buffers; a tiled part needs several outputs at once."""
    return Output(output.mask.copy(), output.part_score, None)


def _region_recall(mask: NDArray[np.uint8], marked: NDArray[np.uint8]) -> tuple[int, int, tuple[int, ...]]:
    total, found = 0, 0
    areas: list[int] = []
    for value in np.unique(mask[mask > 0]).tolist():
        count, labels = cv2.connectedComponents((mask == value).astype(np.uint8))
        size = np.bincount(labels.ravel(), minlength=count)[1:]
        hit = np.bincount(labels[marked > 0], minlength=count)[1:]
        total += count - 1
        found += int(np.count_nonzero(hit >= np.maximum(1, _FOUND_SHARE * size)))
        areas.extend(size.tolist())
    return total, found, tuple(areas)
