"""Exact bounds, held against published figures and against the binomial distribution itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from linegate.inspect.bounds import rate


@pytest.mark.parametrize(
    ("count", "total", "upper_percent"),
    [(0, 299, 0.997), (0, 40, 7.216), (0, 2995, 0.1), (0, 29956, 0.01), (1, 100, 4.656), (5, 5, 100.0)],
)
def test_one_sided_bounds_are_the_published_ones(count: int, total: int, upper_percent: float) -> None:
    assert 100 * rate(count, total).upper == pytest.approx(upper_percent, rel=2e-3)


@pytest.mark.parametrize(
    ("count", "total", "low", "high"), [(0, 10, 0.0, 0.3085), (3, 10, 0.0667, 0.6525), (0, 0, 0, 1)]
)
def test_two_sided_bounds_are_clopper_and_pearsons(count: int, total: int, low: float, high: float) -> None:
    assert (rate(count, total).low, rate(count, total).high) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_bounds_are_exact(pair: tuple[int, int]) -> None:
    count, total = pair
    r = rate(count, total)
    assert r.low <= r.share <= r.upper <= r.high
    if count < total:
        assert binom.cdf(count, total, r.upper) == pytest.approx(0.05, abs=1e-6)
        assert binom.cdf(count, total, r.high) == pytest.approx(0.025, abs=1e-6)
    if count > 0:
        assert binom.sf(count - 1, total, r.low) == pytest.approx(0.025, abs=1e-6)


def test_words_and_nonsense() -> None:
    assert rate(0, 40).words() == "0 of 40 = 0.00 % (≤ 7.22 % at 95 %)".replace(" %", "%").replace("95%", "95 %")
    assert "nothing" in rate(0, 0).words()
    with pytest.raises(ValueError, match="3 of 2"):
        rate(3, 2)
