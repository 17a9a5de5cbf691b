"""Numbers of an evaluation: part-level rates with bounds, average precision, pixel IoU and region recall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from linegate.inspect.bounds import Rate, rate
from linegate.training.judge import Judged


def average_precision(bad: Sequence[bool], score: Sequence[float]) -> float:
    """Area under the precision-recall steps: mean over bad parts of the precision at each; ties share theirs.

    NaN where there is no bad part.
    """
    truth, value = np.asarray(bad, bool), np.asarray(score, np.float64)
    if not truth.any():
        return float("nan")
    order = np.argsort(-value, kind="stable")
    truth, value = truth[order], value[order]
    last = np.append(np.flatnonzero(np.diff(value)), len(value) - 1)
    hits = np.cumsum(truth)[last]
    precision, recall = hits / (last + 1), hits / truth.sum()
    return float(np.sum(precision * np.diff(recall, prepend=0.0)))


@dataclass(frozen=True, slots=True)
class Point:
    """The operating point at one threshold."""

    threshold: float
    escape: Rate
    overkill: Rate


class Scored(Protocol):
    """A part whose truth and score are known."""

    @property
    def bad(self) -> bool:
        """Labelled as a defect."""
        ...

    @property
    def score(self) -> float:
        """0..1, higher is worse."""
        ...


def operating_curve(judged: Sequence[Scored]) -> list[Point]:
    """Escape and overkill at every threshold at which either changes, from the strictest on."""
    bad, good, counts = _counts(judged)
    return [Point(threshold, rate(escapes, bad), rate(killed, good)) for threshold, escapes, killed in counts]


def _counts(judged: Sequence[Scored]) -> tuple[int, int, list[tuple[float, int, int]]]:
    """Bad parts, good parts, and (threshold, escapes, good parts killed), from the strictest threshold on."""
    bad = np.sort([j.score for j in judged if j.bad])
    good = np.sort([j.score for j in judged if not j.bad])
    thresholds = np.concatenate([[0.0], np.unique([j.score for j in judged]), [1.0]])
    escapes = np.searchsorted(bad, thresholds, "left")
    killed = len(good) - np.searchsorted(good, thresholds, "left")
    return len(bad), len(good), list(zip(thresholds.tolist(), escapes.tolist(), killed.tolist(), strict=True))


def at_threshold(judged: Sequence[Scored], threshold: float) -> Point:
    """Escape and overkill when everything from ``threshold`` up leaves the line."""
    bad = [j.score for j in judged if j.bad]
    good = [j.score for j in judged if not j.bad]
    return Point(
        threshold,
        rate(sum(score < threshold for score in bad), len(bad)),
        rate(sum(score >= threshold for score in good), len(good)),
    )


def escape_at_overkill(judged: Sequence[Scored], overkill: float = 0.02) -> float:
    """Lowest observed escape rate among thresholds with an observed overkill of at most ``overkill``."""
    bad, good, counts = _counts(judged)
    allowed = [escapes / max(1, bad) for _, escapes, killed in counts if killed / max(1, good) <= overkill]
    return min(allowed, default=1.0)


def overkill_at_no_escape(judged: Sequence[Scored]) -> float:
    """Observed overkill at the highest threshold without any escape."""
    _, good, counts = _counts(judged)
    return min((killed / max(1, good) for _, escapes, killed in counts if escapes == 0), default=1.0)


def pixel_iou(judged: Sequence[Judged]) -> NDArray[np.float64]:
    """(K,) intersection over union of each class, summed over all parts; NaN where a class never shows."""
    both = np.sum([j.both for j in judged], 0).astype(np.float64)
    either = np.sum([j.either for j in judged], 0).astype(np.float64)
    return np.asarray(np.divide(both, either, out=np.full_like(both, np.nan), where=either > 0), np.float64)


def region_recall(judged: Sequence[Judged]) -> float:
    """Share of labelled regions that are marked; NaN where none is labelled."""
    total = sum(j.regions for j in judged)
    return sum(j.found for j in judged) / total if total else float("nan")


def ap_of(judged: Sequence[Judged], classes: Sequence[str] | None = None) -> float:
    """Average precision of good parts against bad ones (of ``classes`` only, if given)."""
    kept = [j for j in judged if not j.bad or classes is None or set(j.sample.classes) & set(classes)]
    return average_precision([j.bad for j in kept], [j.score for j in kept])
