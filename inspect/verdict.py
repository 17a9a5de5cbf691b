"""Rules: regions and part score to OK / NG / REVIEW, with the reason in words.

How a rule counts regions:

- It looks at regions of its class and zone that have at least its area and length.
- ``min_score`` None: a region from the bundle's ``review`` up counts, and counts in full from ``reject`` up; else it counts in
  full from ``min_score`` up. ``ignore`` rules without a ``min_score`` take any score.
- More than ``max_count`` regions that count in full: the rule's action. More than ``max_count`` that count at all: REVIEW.
- The first rule that fits decides. So that a higher score never earns a milder action, a region also keeps counting for a
  later rule that would have decided about it at a lower score.

Together with the part score, and with "worst wins" everywhere, a verdict never gets better by one more region or by a higher
score.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from linegate.inspect.part import Decision, Judgement, Region
from linegate.inspect.settings import RecipeSettings, RuleSettings, ZoneSettings
from linegate.models.manifest import Thresholds

_BADNESS = {Decision.OK: 0, Decision.REVIEW: 1, Decision.NG: 2, Decision.NOT_INSPECTED: 3}
_DEFAULT_RULE = RuleSettings()


def judge_view(
    regions: Sequence[Region], part_score: float, thresholds: Thresholds, recipe: RecipeSettings | None = None
) -> Judgement:
    """One view's verdict; without a recipe the bundle's thresholds alone decide.

    Args:
        regions: of ``find_regions``, any order.
        part_score: 0..1, of ``linegate.models.score``.
        thresholds: the bundle's.
        recipe: rules, zones and what the part score may do.
    """
    findings = [*_by_rules(regions, thresholds, recipe), _by_part_score(part_score, thresholds, recipe)]
    # Of equals, the finding that names a defect says more than the part score, which comes last.
    worst = max(findings, key=lambda finding: _BADNESS[finding.decision])
    named = worst.region or max(regions, key=lambda region: region.score, default=None)
    return Judgement(
        decision=worst.decision,
        score=part_score,
        defect_class=named.defect_class if named is not None else "",
        reason=worst.reason,
        regions=tuple(regions),
    )


def combine(views: Sequence[tuple[str, Judgement | None]]) -> Judgement:
    """A part's verdict of its views (name, judgement): the worst wins; a missing view (None) is NOT_INSPECTED.

    No views at all is NOT_INSPECTED too: nothing was proven.
    """
    judged = [
        (name, view if view is not None else not_inspected(f"no verdict of view {name!r}")) for name, view in views
    ]
    if not judged:
        return not_inspected("the part has no view")
    name, worst = max(judged, key=lambda pair: (_BADNESS[pair[1].decision], pair[1].score))
    return Judgement(
        decision=worst.decision,
        score=max(view.score for _, view in judged),
        defect_class=worst.defect_class,
        reason=worst.reason if len(judged) == 1 else f"{name}: {worst.reason}",
        regions=tuple(region for _, view in judged for region in view.regions),
    )


def not_inspected(reason: str) -> Judgement:
    """The judgement of something that could not be judged: score 1.0, because nothing speaks for it."""
    return Judgement(Decision.NOT_INSPECTED, 1.0, "", reason, ())


@dataclass(frozen=True, slots=True)
class _Finding:
    decision: Decision
    reason: str
    region: Region | None = None


def _by_part_score(score: float, thresholds: Thresholds, recipe: RecipeSettings | None) -> _Finding:
    action = "reject" if recipe is None else recipe.part_score
    if action == "reject" and score >= thresholds.part_reject:
        return _Finding(Decision.NG, f"Part score {score:.3f} (limit {thresholds.part_reject:.3f})")
    if action != "ignore" and score >= thresholds.part_review:
        return _Finding(Decision.REVIEW, f"Part score {score:.3f} (review from {thresholds.part_review:.3f})")
    limit = "not used" if action == "ignore" else f"limit {thresholds.part_review:.3f}"
    return _Finding(Decision.OK, f"No defect that counts; part score {score:.3f} ({limit})")


def _by_rules(regions: Sequence[Region], thresholds: Thresholds, recipe: RecipeSettings | None) -> Iterator[_Finding]:
    rules = recipe.rules if recipe is not None else (_DEFAULT_RULE,)
    zones = {zone.name: zone for zone in recipe.zones} if recipe is not None else {}
    named = {rule.defect_class for rule in rules}
    full: dict[int, list[Region]] = {}
    partly: dict[int, list[Region]] = {}
    every = (*rules, _DEFAULT_RULE)
    for region in regions:
        # A class nobody wrote a rule for must not pass for that: the bundle's thresholds apply.
        covered = "*" in named or region.defect_class in named
        candidates = range(len(rules)) if covered else [len(rules)]
        for index, in_full in _deciding(region, candidates, every, zones, thresholds):
            partly.setdefault(index, []).append(region)
            if in_full:
                full.setdefault(index, []).append(region)
    for index, found in partly.items():
        rule = every[index]
        if rule.action == "reject" and len(full.get(index, ())) > rule.max_count:
            yield _finding(Decision.NG, rule, full[index], thresholds)
        elif rule.action != "ignore" and len(found) > rule.max_count:
            yield _finding(Decision.REVIEW, rule, found, thresholds)


def _deciding(
    region: Region,
    candidates: Sequence[int],
    rules: Sequence[RuleSettings],
    zones: dict[str, ZoneSettings],
    thresholds: Thresholds,
) -> Iterator[tuple[int, bool]]:
    """The rules that decide about ``region`` at its own score or any lower one, and whether it counts in full there."""
    limits = thresholds.classes[region.defect_class]
    below = float("inf")  # from this score up an earlier rule decides
    for index in candidates:
        rule = rules[index]
        if not _fits(region, rule, zones):
            continue
        if rule.min_score is not None:
            lower = upper = rule.min_score
        elif rule.action == "ignore":
            lower = upper = 0.0
        else:
            lower, upper = limits.review, limits.reject
        if lower < below:
            if region.score >= lower:
                yield index, region.score >= upper and upper < below
            below = lower


def _fits(region: Region, rule: RuleSettings, zones: dict[str, ZoneSettings]) -> bool:
    return (
        rule.defect_class in ("*", region.defect_class)
        and region.area_mm2 >= rule.min_area_mm2
        and region.length_mm >= rule.min_length_mm
        and (not rule.zone or _inside(region, zones[rule.zone]))
    )


def _inside(region: Region, zone: ZoneSettings) -> bool:
    """Centre in the polygon; a centre on its border is in."""
    corners = np.array(zone.corners_mm, np.float32)
    return cv2.pointPolygonTest(corners, (region.x_mm, region.y_mm), False) >= 0


def _finding(decision: Decision, rule: RuleSettings, regions: Sequence[Region], thresholds: Thresholds) -> _Finding:
    worst = max(regions, key=lambda region: (region.score, region.area_mm2))
    limits = []
    if rule.min_length_mm > 0:
        limits.append(f"limit {rule.min_length_mm:.1f} mm")
    if rule.min_area_mm2 > 0:
        limits.append(f"limit {rule.min_area_mm2:.2f} mm²")
    if not limits:
        classes = thresholds.classes[worst.defect_class]
        bundle_limit = classes.reject if decision is Decision.NG else classes.review
        limits.append(f"score limit {bundle_limit if rule.min_score is None else rule.min_score:.2f}")
    if rule.max_count:
        limits.append(f"{len(regions)} found, {rule.max_count} allowed")
    where = f" in zone {rule.zone}" if rule.zone else ""
    more = f" and {len(regions) - 1} more" if len(regions) > 1 else ""
    words = (
        f"{worst.defect_class[:1].upper()}{worst.defect_class[1:]} {worst.length_mm:.1f} mm long, "
        f"{worst.area_mm2:.2f} mm², score {worst.score:.2f} ({', '.join(limits)}) "
        f"at {worst.x_mm:.0f}, {worst.y_mm:.0f} mm{where}{more}"
    )
    return _Finding(decision, words, worst)
