"""The three-way decision from judged validation parts, with the guarantee that the data allow, or the statement that they
allow none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from linegate.inspect.bounds import rate
from linegate.models.manifest import ClassThreshold, ScoreSpec, Thresholds
from linegate.training.guarantee import fixed_sequence
from linegate.training.judge import SMOOTHINGS, Judged
from linegate.training.metrics import average_precision
from linegate.training.units import in_words, units_of

RISKS = (0.005, 0.01, 0.02, 0.05, 0.10, 0.20)
ERROR = 0.05
"""Probability that the guarantee is wrong, shared equally among RISKS."""
_MOST_REVIEWED = 0.02
"""Share of good parts that may be held back, for a stricter risk to be preferred."""
_SECOND_LOOKS = 0.015
"""Share of good parts that may be held back, where bad ones pass, to catch more than was promised: a second look costs less
than an escape."""
_MOST_HELD = 0.25
"""A promise that would hold back more of the good parts than this isn't worth its price; then none is made."""
_GRID = tuple(float(t) for t in 1 / (1 + np.exp(-np.linspace(-7.0, 7.0, 141))))
"""Candidate thresholds, fixed before any data are seen, denser towards 0 and 1."""


def choose_score(judged: Sequence[Judged]) -> ScoreSpec:
    """Weight of the part head and smoothing of the mask: average precision less the escapes it leaves at 1 % overkill.

    Near-ties go to the even mix, which is tried first: a choice between equals would only follow the validation
    set's noise.
    """
    best, best_value = ScoreSpec(), -2.0
    bad = [j.bad for j in judged]
    for smooth in (3, 1, 5, 7):
        assert smooth in SMOOTHINGS
        for weight in (0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8, 0.1, 0.9, 1.0):
            scores = [weight * j.head + (1 - weight) * j.peaks[smooth] for j in judged]
            value = average_precision(bad, scores) - 0.5 * _escapes_at(bad, scores, 0.01)
            if value > best_value + 0.003:
                best, best_value = ScoreSpec(head_weight=weight, smooth_cells=smooth), value
    return best


def _escapes_at(bad: Sequence[bool], scores: Sequence[float], overkill: float) -> float:
    good = sorted(score for b, score in zip(bad, scores, strict=True) if not b)
    allowed = int(overkill * len(good))
    threshold = good[-1 - allowed] if len(good) else 0.0
    missed = [score <= threshold for b, score in zip(bad, scores, strict=True) if b]
    return sum(missed) / max(1, len(missed))


def choose_thresholds(judged: Sequence[Judged], classes: Sequence[str]) -> Thresholds:
    """Thresholds for pictures whose ``score`` already is the final one. Physical parts are counted, not pictures: a bad one
    has the lowest score of its bad pictures, a good one the highest.

    ``part_review``: fixed-sequence learn-then-test of the escape rate over a fixed grid, for each risk in RISKS at
    ERROR / len(RISKS); the strictest risk that holds back at most 2 % of the good parts is promised, else the mildest that
    holds back at most 25 %. Any lower threshold keeps the promise, so it is moved down into the middle of the gap below the
    bad parts, if there is one; where bad parts pass all the same, to where 1.5 % of the good ones are held back, and into the
    gap there. Where nothing can be promised, the sum of both error rates decides, of pictures: of a few parts with many
    pictures each, nearly every threshold misses every one on some picture.
    ``part_reject``: the lowest threshold, from part_review up, that no good validation part reaches.
    """
    units = units_of(judged)
    bad = np.sort([unit.score for unit in units if unit.bad])
    good = np.sort([unit.score for unit in units if not unit.bad])
    witnesses = [unit for unit in units if unit.bad]
    limits = {risk: _highest(bad, risk) for risk in RISKS}
    able = {risk: limit for risk, limit in limits.items() if limit is not None and _held(good, limit) <= _MOST_HELD}
    gentle = [risk for risk, limit in able.items() if _held(good, limit) <= _MOST_REVIEWED]
    if able:
        risk = min(gentle) if gentle else max(able)
        review = _into_gap(good, _looked_at(bad, good, able[risk]))
        guarantee = (
            f"With {100 * (1 - ERROR):.0f} % confidence at most {100 * risk:g} % of bad parts like the "
            f"{in_words(witnesses)} of the validation set get a score below {review:.4f} on any of their bad pictures "
            "(fixed-sequence learn-then-test; the score's mix of heads was chosen on the same parts, which the confidence "
            "does not cover); "
        )
    elif any(limit is not None for limit in limits.values()):
        review = _best_guess(judged)
        guarantee = (
            f"No guarantee: even a promise of {100 * max(RISKS):g} % escapes would hold back more than "
            f"{100 * _MOST_HELD:g} % of the good parts; "
        )
    else:
        review = _best_guess(judged)
        guarantee = (
            f"No guarantee: {in_words(witnesses, 'bad validation parts')} are too few to promise an escape rate of even "
            f"{100 * max(RISKS):g} % or less; "
        )
    review = round(review, 6)
    missed, held = int((bad < review).sum()), int((good >= review).sum())
    guarantee += f"seen there: escapes {rate(missed, len(bad))}, good parts held back {rate(held, len(good))}."
    return Thresholds(
        part_review=review,
        part_reject=round(_reject(good, review), 6),
        classes={name: _class_threshold(judged, index) for index, name in enumerate(classes)},
        guarantee=guarantee,
    )


def _highest(bad: np.ndarray, risk: float) -> float | None:
    if not len(bad):
        return None
    misses = [int(np.searchsorted(bad, threshold, "left")) for threshold in _GRID]
    passed = fixed_sequence(misses, len(bad), risk, ERROR / len(RISKS))
    return _GRID[passed - 1] if passed else None


def _held(good: np.ndarray, threshold: float) -> float:
    return float((good >= threshold).mean()) if len(good) else 0.0


def _looked_at(bad: np.ndarray, good: np.ndarray, limit: float) -> float:
    """``limit``, or, where bad parts pass below it, as far down as _SECOND_LOOKS of the good parts allow."""
    spare = int(_SECOND_LOOKS * len(good)) - int((good >= limit).sum())
    below = good[good < limit]
    if spare <= 0 or not len(below) or not (bad < limit).any():
        return limit
    return float(below[-min(spare, len(below))])


def _into_gap(good: np.ndarray, limit: float) -> float:
    """From ``limit`` down (in logits) halfway to the highest good score below it: room for the unseen on both sides."""
    below = good[good < limit]
    floor = float(below[-1]) if len(below) else limit
    ends = np.clip([floor, limit], 1e-4, 1 - 1e-4)
    middle = np.log(ends / (1 - ends)).mean()
    return float(min(limit, 1 / (1 + np.exp(-middle))))


def _best_guess(judged: Sequence[Judged]) -> float:
    """The threshold with the least sum of the pictures' observed escape and overkill rates, in the middle of its gap."""
    bad, good = (np.array([j.score for j in judged if j.bad is kind]) for kind in (True, False))
    values = np.unique(np.concatenate([[0.0], bad, good, [1.0]]))
    middles = (values[1:] + values[:-1]) / 2
    if not len(middles):
        return 0.5
    cost = [
        (float((bad < t).mean()) if len(bad) else 0.0) + (float((good >= t).mean()) if len(good) else 0.0)
        for t in middles
    ]
    return float(middles[int(np.argmin(cost))])


def _reject(good: np.ndarray, review: float) -> float:
    highest = float(good[-1]) if len(good) else 0.0
    return float(min(1.0, max(review, highest + 0.25 * (1 - highest))))


def _class_threshold(judged: Sequence[Judged], index: int) -> ClassThreshold:
    """Region thresholds that no good validation part reaches: regions explain verdicts, the part score guards escapes."""
    highest = max((float(j.class_peaks[index]) for j in judged if not j.bad), default=0.0)
    areas = [area for j in judged for area in j.region_areas]
    review = min(1.0, max(0.6, highest + 0.25 * (1 - highest)))
    return ClassThreshold(
        review=round(review, 6),
        reject=round(min(1.0, max(0.9, review)), 6),
        mask=0.5,
        min_area_px=round(0.25 * float(np.percentile(areas, 2)), 2) if areas else 0.0,
    )
