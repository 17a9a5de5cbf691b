"""Reasons: whatever the rules can say about a part is taken apart without losing a number, in three languages."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linegate.inspect.hmi.review.reasons import Words, reason_words
from linegate.inspect.hmi.texts import LANGUAGES, text
from linegate.inspect.part import Cause, Region
from linegate.inspect.settings import RecipeSettings, RuleSettings, ZoneSettings
from linegate.inspect.verdict import combine, judge_view
from linegate.models.manifest import Thresholds

CLASSES = ("scratch", "missing_hole", "污渍", "edge (left), chipped")
OUTLINE = np.zeros((0, 2), np.int32)

shares = st.floats(0, 1)
regions = st.builds(
    lambda name, score, area, length, x, y: Region(name, score, area, length, x, y, (0, 0, 1, 1), OUTLINE),
    st.sampled_from(CLASSES), shares, st.floats(0, 500), st.floats(0, 99), st.floats(0, 100), st.floats(0, 100),
)  # fmt: skip
rules = st.builds(
    lambda name, action, **limits: RuleSettings(defect_class=name, action=action, **limits),
    st.sampled_from(("*", *CLASSES)),
    st.sampled_from(("reject", "review", "ignore")),
    min_area_mm2=st.sampled_from((0.0, 0.5)),
    min_length_mm=st.sampled_from((0.0, 2.0)),
    max_count=st.integers(0, 2),
    zone=st.sampled_from(("", "seal face")),
    min_score=st.none() | shares,
)
recipes = st.builds(
    lambda some, part_score: RecipeSettings(
        id=1,
        name="Panel A",
        rules=tuple(some),
        part_score=part_score,
        zones=(ZoneSettings(name="seal face", corners_mm=((0, 0), (50, 0), (50, 50), (0, 50))),),
    ),
    st.lists(rules, max_size=3),
    st.sampled_from(("reject", "review", "ignore")),
)


def limits() -> Thresholds:
    one = {"review": 0.3, "reject": 0.6}
    return Thresholds(part_review=0.4, part_reject=0.7, classes=dict.fromkeys(CLASSES, one), guarantee="none")


@settings(deadline=None, max_examples=150)
@given(st.lists(regions, max_size=4), shares, recipes, st.booleans())
def test_every_reason_of_the_rules_is_understood(
    found: list[Region], score: float, recipe: RecipeSettings, several: bool
) -> None:
    judgement = judge_view(found, score, limits(), recipe)
    if several:
        judgement = combine([("top", judgement), ("side-2", judge_view([], 0.0, limits(), recipe))])
    words = reason_words(Cause.JUDGED, judgement.reason)
    assert words, judgement.reason
    said = [value for one in words for key, value in one.args.items() if key not in {"name", "zone", "view"}]
    for number in said:
        assert number in judgement.reason
    for language in LANGUAGES:
        for one in words:
            text(language, one.key, **one.args)


def test_a_reason_names_its_region_and_its_limits() -> None:
    reason = (
        "top: Missing_hole 8.0 mm long, 50.27 mm², score 0.93 (limit 2.0 mm, limit 0.50 mm², 3 found, 2 allowed) "
        "at 12, 40 mm in zone seal face and 2 more"
    )
    named = {"name": "missing_hole", "length": "8.0", "area": "50.27", "score": "0.93", "x": "12", "y": "40"}
    assert reason_words("judged", reason) == [
        Words("review.reason.view", {"view": "top"}),
        Words("review.reason.region", named),
        Words("review.reason.zone", {"zone": "seal face"}),
        Words("review.reason.limit_length", {"limit": "2.0"}),
        Words("review.reason.limit_area", {"limit": "0.50"}),
        Words("review.reason.limit_count", {"found": "3", "allowed": "2"}),
        Words("review.reason.more", {"count": "2"}),
    ]


@pytest.mark.parametrize("cause", list(Cause))
def test_what_was_not_judged_says_its_cause(cause: Cause) -> None:
    words = reason_words(cause, "no picture within 500 ms")
    assert words == ([] if cause is Cause.JUDGED else [Words(f"operator.cause.{cause}")])


@pytest.mark.parametrize("reason", ["", "nothing found", "Part score high", "x: ", "top: something a person wrote"])
def test_other_words_are_left_as_they_stand(reason: str) -> None:
    assert reason_words("judged", reason) == []
    assert reason_words("of a newer version", reason) == []
