"""What a network that judges already pays for becoming worse."""

from __future__ import annotations

import pytest
import torch

from linegate.training.losses import anchor_loss
from linegate.training.network import NetOutput


def output(*part: float, cell: float = -6.0) -> NetOutput:
    """Part logits of a batch whose first mask has one cell of ``cell``, all else -6."""
    mask = torch.full((len(part), 1, 4, 5), -6.0)
    mask[0, 0, 1, 2] = cell
    return NetOutput(mask, torch.tensor(part), torch.zeros(len(part), 8))


GOOD, BAD, UNKNOWN = (0.0, 1.0), (1.0, 1.0), (0.0, 0.0)


@pytest.mark.parametrize(
    ("before", "now", "truth", "cost"),
    [
        (-3.0, -3.0, GOOD, 0.0),
        (-3.0, -1.0, GOOD, 2.0),
        (-3.0, -5.0, GOOD, 0.0),  # better is free
        (-9.0, -4.5, GOOD, 0.0),  # sure enough
        (-9.0, -3.0, GOOD, 1.0),
        (3.0, 1.0, BAD, 2.0),
        (3.0, 5.0, BAD, 0.0),
        (9.0, 4.5, BAD, 0.0),
        (-1.0, -3.0, BAD, 0.0),  # it wasn't found before: nothing to lose
        (-3.0, 5.0, UNKNOWN, 0.0),
    ],
)
def test_only_what_is_worse_than_before_costs(
    before: float, now: float, truth: tuple[float, float], cost: float
) -> None:
    part, weight = (torch.tensor([value, value]) for value in truth)
    found = anchor_loss(output(now, now), output(before, before), part, weight)
    assert float(found) == pytest.approx(cost)


def test_a_good_parts_mask_may_not_rise_and_a_bad_ones_may() -> None:
    """The worst 5 % of 40 cells are two: one that rose from -4, what counts as sure, to -1, and one that did not."""
    for truth, cost in ((GOOD, 1.5), (BAD, 0.0)):
        part, weight = (torch.tensor([value, value]) for value in truth)
        same = float(truth == BAD) * 8 - 4
        found = anchor_loss(output(same, same, cell=-1.0), output(same, same), part, weight)
        assert float(found) == pytest.approx(cost)
