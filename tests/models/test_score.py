from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate.models.manifest import ScoreSpec
from linegate.models.score import mask_peak, part_score


def test_weights() -> None:
    mask = np.zeros((2, 9, 9), np.float32)
    mask[1, 3:6, 3:6] = 0.8
    assert part_score([0.2, 0.6], mask, ScoreSpec(head_weight=0.5)) == pytest.approx(0.7)
    assert part_score([0.6], mask, ScoreSpec(head_weight=1)) == pytest.approx(0.6)
    assert part_score([0.6], mask, ScoreSpec(head_weight=0)) == pytest.approx(0.8)


def test_one_hot_cell_is_damped_and_an_edge_is_not_favoured() -> None:
    mask = np.zeros((1, 9, 9), np.float32)
    mask[0, 4, 4] = 0.9
    assert mask_peak(mask, 3) == pytest.approx(0.1)
    assert mask_peak(mask, 1) == pytest.approx(0.9)
    mask[:] = 0
    mask[0, :2, 3:6] = 0.9
    assert mask_peak(mask, 3) == pytest.approx(0.9)


@given(
    st.lists(st.floats(0, 1, width=32), min_size=18, max_size=18), st.integers(0, 17), st.floats(0, 1), st.floats(0, 1)
)
def test_more_evidence_never_lowers_it(values: list[float], at: int, head: float, more: float) -> None:
    mask = np.array(values, np.float32).reshape(2, 3, 3)
    spec = ScoreSpec()
    before = part_score([head], mask, spec)
    assert 0 <= before <= 1
    raised = mask.copy()
    raised.flat[at] = 1
    assert part_score([head], raised, spec) >= before - 1e-6
    assert part_score([head, more], mask, spec) >= before
