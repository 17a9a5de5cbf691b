"""One evaluation: what a set of judged pictures says about a bundle, overall, per class and per group. Escapes and overkill
count physical parts, since pictures of one part are no independent witnesses; the curve and its points count pictures."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from linegate.inspect.bounds import Rate, rate
from linegate.inspect.part import Decision
from linegate.models.manifest import Manifest
from linegate.training.judge import Judged
from linegate.training.metrics import (
    Point,
    ap_of,
    escape_at_overkill,
    operating_curve,
    overkill_at_no_escape,
    pixel_iou,
    region_recall,
)
from linegate.training.resample import Interval, Witness, interval, resampled_ap
from linegate.training.units import units_of


@dataclass(frozen=True, slots=True)
class Slice:
    """One class or group: its physical parts, their escapes (bad ones that passed) and overkill (good ones that didn't)."""

    name: str
    escape: Rate
    overkill: Rate
    ap: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Numbers of one bundle on one set of parts; rates are of whole verdicts, REVIEW counting as rejected.

    ``searched``: parts that were looked for, not drawn at random: no rate of this set is the line's while there are some.
    ``iou`` is per class, NaN where the class doesn't show.
    """

    parts: int
    pictures: int
    searched: int
    escape: Rate
    overkill: Rate
    reviewed: int
    ap: float
    ap_sure: Interval
    """What ``ap`` would have come to on other groups of this kind, at 95 %."""
    escape_at_2: float
    """Lowest escape rate that the score allows at an overkill of at most 2 %."""
    overkill_at_0: float
    """Overkill at the highest threshold of the score without an escape."""
    iou: dict[str, float]
    region_recall: float
    classes: tuple[Slice, ...]
    groups: tuple[Slice, ...]
    curve: tuple[Point, ...]

    @property
    def ap_words(self) -> str:
        """ "0.868 (0.78 to 0.93 on other groups of this kind)"; "–" where there is nothing to measure on."""
        if math.isnan(self.ap):
            return "–"
        if math.isnan(self.ap_sure.low):
            return f"{self.ap:.3f} (too few groups to say how sure)"
        return f"{self.ap:.3f} ({self.ap_sure.low:.2f} to {self.ap_sure.high:.2f} on other groups of this kind)"


def evaluate(judged: Sequence[Judged], manifest: Manifest) -> Evaluation:
    """Sum up ``judged``, which came from a bundle with ``manifest``."""
    units = units_of(judged)
    whole = _slice("all", judged)
    by_group: defaultdict[str, list[Judged]] = defaultdict(list)
    for j in judged:
        by_group[j.sample.group].append(j)
    good = [j for j in judged if not j.bad]
    classes = []
    for name in manifest.classes:
        shown = [j for j in judged if j.bad and name in j.sample.classes]
        classes.append(_slice(name, [*shown, *good]))
    return Evaluation(
        parts=len(units),
        pictures=len(judged),
        searched=sum(any(j.sample.inclusion is None for j in unit.pictures) for unit in units),
        escape=whole.escape,
        overkill=whole.overkill,
        reviewed=sum(j.decision is Decision.REVIEW for j in judged),
        ap=whole.ap,
        ap_sure=interval(resampled_ap([[Witness(j.sample.group, j.bad, j.score) for j in judged]])),
        escape_at_2=escape_at_overkill(judged),
        overkill_at_0=overkill_at_no_escape(judged),
        iou=dict(zip(manifest.classes, pixel_iou(judged).tolist(), strict=True)) if judged else {},
        region_recall=region_recall(judged),
        classes=tuple(classes),
        groups=tuple(_slice(name, found) for name, found in sorted(by_group.items())),
        curve=tuple(operating_curve(judged)),
    )


def _slice(name: str, judged: Sequence[Judged]) -> Slice:
    units = units_of(judged)
    bad = [unit for unit in units if unit.bad]
    return Slice(
        name,
        rate(sum(bool(unit.missed) for unit in bad), len(bad)),
        rate(sum(bool(unit.held_back) for unit in units), len(units) - len(bad)),
        ap_of(judged),
    )
