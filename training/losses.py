"""The loss of the two heads: BCE and Dice on the mask, BCE on the part score, the weight moving from mask to part."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from linegate.training.network import NetOutput

_SMOOTH = 1.0
_HARD_SHARE = 0.05


class Losses(NamedTuple):
    """The sum that is minimised, and its parts (scalars) for the record."""

    total: Tensor
    mask: Tensor
    part: Tensor


def two_head_loss(
    out: NetOutput, target: Tensor, valid: Tensor, part: Tensor, part_weight: Tensor, *, progress: float
) -> Losses:
    """Shapes as in ``linegate.training.batches.Batch``; ``progress`` is 0 at the start of the run, 1 at its end.

    The mask's BCE is the mean plus the mean of the hardest 5 % of cells, because nearly all cells are easy background;
    Dice (Milletari et al., 3DV 2016) is taken over the batch for each class that the batch shows.
    """
    logits = out.mask.float()
    cells = functional.binary_cross_entropy_with_logits(logits, target, reduction="none") * valid
    known = valid.expand_as(cells)
    mean = cells.sum() / known.sum().clamp(min=1)
    hard = cells.flatten().topk(max(1, int(cells.numel() * _HARD_SHARE))).values.mean()
    probability = torch.sigmoid(logits) * valid
    truth = target * valid
    both = (probability * truth).sum((0, 2, 3))
    sizes = probability.square().sum((0, 2, 3)) + truth.square().sum((0, 2, 3))
    dice = 1 - (2 * both + _SMOOTH) / (sizes + _SMOOTH)
    shown = (truth.amax((0, 2, 3)) > 0).float()
    dice_mean = (dice * shown).sum() / shown.sum().clamp(min=1)
    mask = mean + hard + 0.5 * dice_mean
    each = functional.binary_cross_entropy_with_logits(out.part.float(), part, reduction="none")
    score = (each * part_weight).sum() / part_weight.sum().clamp(min=1)
    mask_share = 1.0 - 0.6 * progress
    return Losses(mask_share * mask + (0.2 + 0.8 * progress) * score, mask.detach(), score.detach())
