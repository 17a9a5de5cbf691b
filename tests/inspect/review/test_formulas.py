"""The charts' formulas against published numbers, and the charts against their data."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy.stats import binom

from linegate.inspect.hmi.review.chart_page import defect_words, words_of
from linegate.inspect.hmi.review.charts.formulas import density, laney_p_prime, share, upper_bound
from linegate.inspect.hmi.review.charts.pareto import pareto
from linegate.inspect.hmi.review.charts.place import place_map
from linegate.inspect.hmi.review.charts.rates import Group, control_chart, percent, yield_trend
from linegate.inspect.hmi.review.charts.svg import ticks
from linegate.inspect.hmi.review.charts.timing import CameraHealth, camera_chart, latency_chart
from linegate.inspect.hmi.texts import text


def words(key: str, **values: object) -> str:
    return text("en", key, **values)


def test_bounds_of_nothing_found() -> None:
    # methods: at 95 %, zero of 299 is 1.0 %, of 2,995 is 1,000 ppm; "0 of 40 means ≤ 7.2 %" (one-sided)
    assert upper_bound(0, 299) == pytest.approx(0.00997, abs=5e-5)
    assert upper_bound(0, 2995) == pytest.approx(0.001, abs=1e-6)
    assert upper_bound(0, 40) == pytest.approx(0.072, abs=5e-4)
    assert upper_bound(0, 0) == 1.0


@pytest.mark.parametrize(("k", "n"), [(0, 10), (1, 10), (3, 50), (10, 10), (250, 1000)])
def test_clopper_pearson_is_where_the_binomial_tails_are(k: int, n: int) -> None:
    found = share(k, n)
    if k:
        assert binom.sf(k - 1, n, found.low) == pytest.approx(0.025, rel=1e-6)
    if k < n:
        assert binom.cdf(k, n, found.high) == pytest.approx(0.025, rel=1e-6)


def test_laney_by_hand() -> None:
    k, n = [10, 30, 20, 20], [1000, 1000, 1000, 1000]
    chart = laney_p_prime(k, n)
    spread = np.sqrt(0.02 * 0.98 / 1000)
    ranges = np.array([0.02, 0.01, 0.0]) / spread
    assert chart.centre == pytest.approx(0.02)
    assert chart.sigma_z == pytest.approx(ranges.mean() / 1.128)
    assert chart.upper[0] == pytest.approx(0.02 + 3 * chart.sigma_z * spread)
    assert not chart.out.any()


def test_laney_knows_chance_from_change() -> None:
    rng = np.random.default_rng(3)
    n = rng.integers(4000, 6000, 60)
    chance = laney_p_prime(rng.binomial(n, 0.02).tolist(), n.tolist())
    assert chance.sigma_z == pytest.approx(1.0, abs=0.25)
    k = rng.binomial(n, 0.02)
    k[30:33] = rng.binomial(n[30:33], 0.045)
    changed = laney_p_prime(k.tolist(), n.tolist())
    assert set(np.flatnonzero(changed.out)) <= {30, 31, 32}
    assert changed.out.any()


@pytest.mark.parametrize(("k", "n"), [([], []), ([0, 0], [10, 10]), ([10], [10]), ([1], [1])])
def test_charts_of_next_to_nothing(k: list[int], n: list[int]) -> None:
    chart = laney_p_prime(k, n)
    assert not chart.out.any()
    groups = [Group(str(i), b, b - a) for i, (a, b) in enumerate(zip(k, n, strict=True))]
    for drawn in (yield_trend(groups, words), control_chart(groups, words)):
        ElementTree.fromstring(drawn)
        assert "nan" not in drawn.lower().replace("nano", "")


def test_bad_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="parts"):
        laney_p_prime([1], [0])
    with pytest.raises(ValueError, match=r"0\.\.n"):
        share(3, 2)


def test_ticks_are_round() -> None:
    assert ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(0, 7) == [0, 2, 4, 6]
    assert ticks(3, 3) == [3]


def test_density_peaks_where_the_points_are() -> None:
    rng = np.random.default_rng(1)
    heat = density(rng.normal(700, 10, 50), rng.normal(200, 10, 50), 1000, 500)
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert heat.max() == 1.0
    assert column == pytest.approx(0.7 * heat.shape[1], abs=2)
    assert row == pytest.approx(0.4 * heat.shape[0], abs=2)


def test_pareto_falls_and_its_curve_ends_at_the_total() -> None:
    drawn = pareto({"a & b": 3, "scratch": 12, "<dent>": 5, "none": 0}, words)
    ElementTree.fromstring(drawn)
    bars = [float(h) for h in re.findall(r'<rect [^>]*height="([\d.]+)"', drawn)]
    assert bars == sorted(bars, reverse=True)
    assert len(bars) == 3
    assert "a &amp; b: 100.0 %" in drawn
    many = pareto({f"class {n}": 20 - n for n in range(20)}, words)
    assert many.count("<rect") == 12
    assert "others" in many


def test_rejects_are_named_as_people_say_it() -> None:
    found = {"judged": 2, "dent": 1, "frame_gap": 1, "weld": 3}
    assert defect_words(words_of("en"), found) == {"Score alone": 2, "Dent": 1, "Picture lost": 1, "weld": 3}


def test_every_chart_is_well_formed_in_every_state() -> None:
    photo = np.full((60, 80), 120, np.uint8)
    health = [CameraHealth("top <1>", ((10, 0), (8, 2), (0, 0)))]
    for drawn in (
        place_map([], (80, 60), words),
        place_map([(10.0, 10.0)], (80, 60), words, photo),
        latency_chart([], [], words),
        latency_chart([12.0, 14.0, 250.0], [188.0, 186.0, -50.0], words),
        camera_chart([], [], words),
        camera_chart(health, ["a", "b", "c"], words),
    ):
        ElementTree.fromstring(drawn)
    assert "1 missed" in latency_chart([12.0, 250.0], [188.0, -50.0], words)
    assert "18 frames, 2 lost" in camera_chart(health, ["a", "b", "c"], words)


def test_small_shares_are_told_in_ppm() -> None:
    assert (percent(0.0312), percent(0.00025), percent(0.0), percent(1.0)) == ("3.12 %", "250 ppm", "0 %", "100 %")
