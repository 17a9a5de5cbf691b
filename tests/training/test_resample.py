from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linegate.training.metrics import average_precision
from linegate.training.record import PartScore
from linegate.training.resample import interval, resampled_ap


def part(number: int, group: str, bad: bool, score: float) -> PartScore:
    return PartScore(
        name=f"{number}", group=group, bad=bad, classes=("pit",) if bad else (), score=score, decision="OK"
    )


@given(
    truth=st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 8)), min_size=1, max_size=30),
)
@settings(max_examples=60, deadline=None)
def test_each_round_is_the_average_precision_of_the_parts_that_it_drew(truth: list[tuple[int, bool, int]]) -> None:
    parts = [part(n, f"g{group}", bad, score / 8) for n, (group, bad, score) in enumerate(truth)]
    found = resampled_ap([parts], rounds=20, least=1)
    groups = sorted({p.group for p in parts})
    draws = np.random.default_rng(20).integers(0, len(groups), (20, len(groups)))
    for draw, ap in zip(draws, found, strict=True):
        drawn = [p for index in draw for p in parts if p.group == groups[index]]
        bad = [p.bad for p in drawn]
        if all(bad) or not any(bad):
            assert math.isnan(ap)
        else:
            assert ap == pytest.approx(average_precision(bad, [p.score for p in drawn]))


def test_pictures_of_one_part_are_no_independent_witnesses() -> None:
    rng = np.random.default_rng(0)
    scores = [(bad, float(np.clip(rng.normal(0.6 if bad else 0.4, 0.15), 0, 1))) for bad in [True, False] * 30]
    single = [part(n, f"g{n}", bad, score) for n, (bad, score) in enumerate(scores)]
    six = [part(6 * n + k, f"g{n}", bad, score) for n, (bad, score) in enumerate(scores) for k in range(6)]
    alone = [part(n, f"g{n}", p.bad, p.score) for n, p in enumerate(six)]
    widths = [sure.high - sure.low for sure in (interval(resampled_ap([ps])) for ps in (single, six, alone))]
    assert widths[1] == pytest.approx(widths[0], rel=0.1)  # six pictures of each part tell no more
    assert widths[2] < 0.6 * widths[0]  # six times as many parts would


def test_networks_are_compared_on_the_same_draws() -> None:
    rng = np.random.default_rng(1)
    truth = [True, False] * 40
    worse = [part(n, f"g{n}", bad, float(rng.random()) + 0.3 * bad) for n, bad in enumerate(truth)]
    better = [part(n, p.group, p.bad, p.score + 0.2 * p.bad) for n, p in enumerate(worse)]
    ahead = interval(resampled_ap([better]) - resampled_ap([worse]))
    assert ahead.low > 0
    assert interval(resampled_ap([worse]) - resampled_ap([worse])) == interval(np.zeros(5))


def test_the_interval_covers_as_often_as_it_says() -> None:
    def sample(rng: np.random.Generator, count: int) -> list[PartScore]:
        bad = rng.random(count) < 0.4
        scores = np.clip(rng.normal(0.35 + 0.25 * bad, 0.15), 0, 1)
        return [part(n, f"g{n}", bool(b), float(s)) for n, (b, s) in enumerate(zip(bad, scores, strict=True))]

    rng = np.random.default_rng(2)
    truth = float(np.nanmean(resampled_ap([sample(rng, 4000)], rounds=4)))
    held = [interval(resampled_ap([sample(rng, 80)], rounds=300)) for _ in range(100)]
    covered = sum(one.low <= truth <= one.high for one in held)
    assert 85 <= covered <= 100


def test_without_a_bad_or_a_good_part_nothing_is_said() -> None:
    for bad in (True, False):
        sure = interval(resampled_ap([[part(n, f"g{n}", bad, 0.5) for n in range(20)]]))
        assert math.isnan(sure.low)
        assert math.isnan(sure.high)


def test_of_few_groups_nothing_is_said_however_many_pictures_they_have() -> None:
    def pictures(groups: int) -> list[PartScore]:
        return [part(n, f"g{n % groups}", n % 4 < 2, (n * 7 % 10) / 10) for n in range(400)]

    assert math.isnan(interval(resampled_ap([pictures(7)])).low)
    assert interval(resampled_ap([pictures(8)])).low > 0
