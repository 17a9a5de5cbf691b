from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom

from linegate.inspect.bounds import rate
from linegate.models.preprocess import IGNORE
from linegate.training.batches import cover
from linegate.training.guarantee import fixed_sequence
from linegate.training.metrics import average_precision
from linegate.training.plots import Line, plot


def test_bounds_are_the_known_ones() -> None:
    assert rate(0, 299).upper == pytest.approx(0.01, abs=1e-4)
    assert rate(0, 40).upper == pytest.approx(0.072, abs=1e-3)
    assert rate(5, 5).upper == 1.0
    # exactness: with the true rate at the bound, so few or fewer are seen with probability 5 %
    found = rate(3, 120)
    assert binom.cdf(3, 120, found.upper) == pytest.approx(0.05, abs=1e-6)
    with pytest.raises(ValueError, match="4 of 3"):
        rate(4, 3)


def test_average_precision_of_known_orders() -> None:
    assert average_precision([True, True, False], [0.9, 0.8, 0.1]) == 1.0
    assert average_precision([True, False, True], [0.9, 0.8, 0.1]) == pytest.approx((1 + 2 / 3) / 2)
    # ties count as one step, whatever the order in which they came
    assert average_precision([True, False], [0.5, 0.5]) == average_precision([False, True], [0.5, 0.5]) == 0.5
    assert math.isnan(average_precision([False], [0.5]))


def test_fixed_sequence_keeps_its_promise() -> None:
    assert fixed_sequence([0, 0, 5], 100, 0.05, 0.05) == 2
    assert fixed_sequence([0, 0, 0], 20, 0.05, 0.05) == 0  # 20 parts can't prove 5 %
    # A model whose scores are uniform on bad parts: threshold t misses a share t. Promise 10 % at 95 %.
    rng = np.random.default_rng(0)
    grid = np.linspace(0.005, 0.5, 100)
    broken = 0
    for _ in range(400):
        scores = np.sort(rng.random(200))
        passed = fixed_sequence([int(np.searchsorted(scores, t)) for t in grid], 200, 0.10, 0.05)
        broken += passed > 0 and grid[passed - 1] > 0.10
    assert 0 < broken <= 400 * 0.05 + 3 * math.sqrt(400 * 0.05 * 0.95)


def test_target_of_a_thin_line_survives_a_coarse_grid() -> None:
    mask = np.zeros((32, 32), np.uint8)
    mask[:, 10:12] = 1
    mask[24:, :8] = IGNORE
    target, valid = np.zeros((1, 4, 4), np.float32), np.ones((4, 4), np.float32)
    cover(mask, 8, target, valid)
    assert target[0, :, 1].tolist() == [1, 1, 1, 1]
    assert target[0, :, 2].max() == 0
    assert valid[3, 0] == 0
    assert valid.sum() == 15


def test_plot_carries_titles_and_every_point() -> None:
    svg = plot("A < B", "x", "y", [Line("one", [0, 1, 2], [3, 1, 2]), Line("two", [1], [1], True, ["here"])])
    assert "A &lt; B" in svg
    assert svg.count("<circle") == 1
    assert "here" in svg
    assert len(svg.split('points="')[1].split('"')[0].split()) == 3
