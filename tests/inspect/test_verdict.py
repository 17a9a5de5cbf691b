from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from linegate.inspect.part import Decision, Judgement, Region
from linegate.inspect.settings import RecipeSettings, RuleSettings, ZoneSettings
from linegate.inspect.verdict import combine, judge_view, not_inspected
from linegate.models.manifest import Thresholds

THRESHOLDS = Thresholds.model_validate(
    {
        "part_review": 0.4,
        "part_reject": 0.7,
        "classes": {"scratch": {"review": 0.5, "reject": 0.8}, "dent": {"review": 0.3, "reject": 0.3}},
    }
)
BADNESS = {Decision.OK: 0, Decision.REVIEW: 1, Decision.NG: 2, Decision.NOT_INSPECTED: 3}
LEFT = ZoneSettings(name="left", corners_mm=((0, 0), (50, 0), (50, 100), (0, 100)))


def region(name: str = "scratch", score: float = 0.9, area: float = 1.0, length: float = 3.1, x: float = 41) -> Region:
    return Region(name, score, area, length, x, 50.0, (0, 0, 1, 1), np.zeros((1, 2), np.int32))


def recipe(*rules: RuleSettings, part_score: str = "reject") -> RecipeSettings:
    return RecipeSettings.model_validate(
        {"id": 1, "name": "panel", "zones": (LEFT,), "rules": rules, "part_score": part_score}
    )


def decide(*regions: Region, part: float = 0.0, rules: RecipeSettings | None = None) -> Decision:
    return judge_view(regions, part, THRESHOLDS, rules).decision


def test_bundle_thresholds_alone() -> None:
    assert decide() is Decision.OK
    assert decide(region(score=0.49)) is Decision.OK
    assert decide(region(score=0.5)) is Decision.REVIEW
    assert decide(region(score=0.8)) is Decision.NG
    assert decide(region("dent", 0.3)) is Decision.NG
    assert decide(part=0.39) is Decision.OK
    assert decide(part=0.4) is Decision.REVIEW
    assert decide(part=0.7) is Decision.NG
    assert decide(region(score=0.6), part=0.7) is Decision.NG


def test_reason_is_in_words_with_the_limit_and_the_place() -> None:
    rules = recipe(RuleSettings(defect_class="scratch", min_length_mm=2.0))
    judgement = judge_view([region(), region(score=0.85)], 0.1, THRESHOLDS, rules)
    assert judgement.reason == ("Scratch 3.1 mm long, 1.00 mm², score 0.90 (limit 2.0 mm) at 41, 50 mm and 1 more")
    assert judgement.defect_class == "scratch"
    assert judgement.score == 0.1
    assert "score limit 0.80" in judge_view([region()], 0, THRESHOLDS).reason
    assert judge_view([], 0.9, THRESHOLDS).reason == "Part score 0.900 (limit 0.700)"
    assert "No defect" in judge_view([], 0.1, THRESHOLDS).reason


def test_limits_of_size_zone_and_count() -> None:
    long_only = recipe(RuleSettings(defect_class="scratch", min_length_mm=4))
    assert decide(region(length=3.9), rules=long_only) is Decision.OK
    assert decide(region(length=4), rules=long_only) is Decision.NG
    big_only = recipe(RuleSettings(min_area_mm2=2))
    assert decide(region(area=1.9), rules=big_only) is Decision.OK
    assert decide(region(area=2), rules=big_only) is Decision.NG
    in_zone = recipe(RuleSettings(zone="left"))
    assert decide(region(x=49), rules=in_zone) is Decision.NG
    assert decide(region(x=51), rules=in_zone) is Decision.OK
    three = recipe(RuleSettings(max_count=3))
    assert decide(*[region()] * 3, rules=three) is Decision.OK
    assert decide(*[region()] * 4, rules=three) is Decision.NG
    assert decide(*[region()] * 3, region(score=0.6), rules=three) is Decision.REVIEW
    assert "4 found, 3 allowed" in judge_view([region()] * 4, 0, THRESHOLDS, three).reason


def test_first_rule_that_fits_decides() -> None:
    rules = recipe(
        RuleSettings(defect_class="scratch", zone="left", action="ignore"),
        RuleSettings(defect_class="dent", action="review"),
        RuleSettings(),
    )
    assert decide(region(x=10), rules=rules) is Decision.OK
    assert decide(region(x=90), rules=rules) is Decision.NG
    assert decide(region("dent", 0.99), rules=rules) is Decision.REVIEW
    two_levels = recipe(RuleSettings(min_score=0.9), RuleSettings(min_score=0.2, action="review"))
    assert [decide(region(score=s), rules=two_levels) for s in (0.1, 0.2, 0.9)] == [
        Decision.OK,
        Decision.REVIEW,
        Decision.NG,
    ]


def test_a_class_without_a_rule_is_judged_by_the_bundle() -> None:
    only_dents = recipe(RuleSettings(defect_class="dent"))
    assert decide(region("scratch", 0.9), rules=only_dents) is Decision.NG


def test_a_higher_score_earns_no_milder_action() -> None:
    odd = recipe(RuleSettings(min_score=0.9, action="ignore"), RuleSettings(min_score=0.5))
    assert decide(region(score=0.6), rules=odd) is Decision.NG
    assert decide(region(score=0.95), rules=odd) is Decision.NG


def test_what_the_part_score_may_do() -> None:
    assert decide(part=0.99, rules=recipe(RuleSettings(), part_score="ignore")) is Decision.OK
    assert decide(part=0.99, rules=recipe(RuleSettings(), part_score="review")) is Decision.REVIEW
    assert decide(part=0.99, rules=recipe(RuleSettings())) is Decision.NG
    assert decide(region(), part=0.0, rules=recipe(RuleSettings(), part_score="ignore")) is Decision.NG


def test_views_combine_to_the_worst() -> None:
    good = judge_view([], 0.1, THRESHOLDS)
    review = judge_view([], 0.5, THRESHOLDS)
    bad = judge_view([region()], 0.3, THRESHOLDS)
    assert combine([("top", good)]) == good
    assert combine([("top", good), ("side", good)]).decision is Decision.OK
    whole = combine([("top", review), ("side", bad), ("back", good)])
    assert whole.decision is Decision.NG
    assert whole.reason.startswith("side: Scratch")
    assert whole.score == 0.5
    assert len(whole.regions) == 1
    missing = combine([("top", good), ("side", None)])
    assert missing.decision is Decision.NOT_INSPECTED
    assert "'side'" in missing.reason
    assert combine([]).decision is Decision.NOT_INSPECTED
    assert combine([("top", bad), ("side", not_inspected("gap"))]).decision is Decision.NOT_INSPECTED


scores = st.floats(0, 1, allow_nan=False)
regions = st.builds(
    region,
    name=st.sampled_from(["scratch", "dent"]),
    score=scores,
    area=st.floats(0.1, 5),
    length=st.floats(0.1, 5),
    x=st.floats(0, 100),
)
rules = st.builds(
    RuleSettings,
    defect_class=st.sampled_from(["*", "scratch", "dent"]),
    min_score=st.none() | scores,
    min_area_mm2=st.sampled_from([0, 1, 3]),
    min_length_mm=st.sampled_from([0, 1, 3]),
    max_count=st.integers(0, 2),
    zone=st.sampled_from(["", "left"]),
    action=st.sampled_from(["reject", "review", "ignore"]),
)
recipes = st.none() | st.builds(
    lambda chosen, part: recipe(*chosen, part_score=part),
    st.lists(rules, max_size=4),
    st.sampled_from(["reject", "review", "ignore"]),
)


@given(found=st.lists(regions, max_size=5), more=regions, part=scores, chosen=recipes)
@settings(max_examples=300, deadline=None)
def test_one_more_region_never_helps(
    found: list[Region], more: Region, part: float, chosen: RecipeSettings | None
) -> None:
    before = BADNESS[decide(*found, part=part, rules=chosen)]
    assert BADNESS[decide(*found, more, part=part, rules=chosen)] >= before


@given(found=st.lists(regions, min_size=1, max_size=5), up=scores, part=scores, part_up=scores, chosen=recipes)
@settings(max_examples=300, deadline=None)
def test_a_higher_score_never_helps(
    found: list[Region], up: float, part: float, part_up: float, chosen: RecipeSettings | None
) -> None:
    before = BADNESS[decide(*found, part=part, rules=chosen)]
    worse = [replace(found[0], score=max(up, found[0].score)), *found[1:]]
    assert BADNESS[decide(*worse, part=max(part, part_up), rules=chosen)] >= before


@given(st.lists(st.sampled_from(list(Decision)), min_size=1, max_size=4), st.sampled_from([*Decision, None]))
def test_one_more_view_never_helps(decisions: list[Decision], more: Decision | None) -> None:
    views = [(f"v{i}", Judgement(d, 0.5, "", "", ())) for i, d in enumerate(decisions)]
    extra = ("x", None if more is None else Judgement(more, 0.5, "", "", ()))
    assert BADNESS[combine([*views, extra]).decision] >= BADNESS[combine(views).decision]
