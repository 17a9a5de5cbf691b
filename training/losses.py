"""The loss of the two heads: BCE and Dice on the mask, BCE on the part score, the weight moving from mask to part."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from linegate.training.network import NetOutput

_SMOOTH = 1.0
_HARD_SHARE = 0.05
_SURE = 4.0
"""Logit beyond which nobody needs to be surer."""


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


def anchor_loss(out: NetOutput, before: NetOutput, part: Tensor, part_weight: Tensor) -> Tensor:
    """How far ``out`` is worse than what the network that it began with says of the same batch, in logits: above it on good
    parts, below it on bad ones that it found. Better is free. (Cf. positive-congruent training, Yan et al., CVPR 2021.)

    Shapes as in ``two_head_loss``; a scalar. Of the cells of good parts' masks the worst 5 % count.
    """
    known = part_weight > 0
    good, found = known & (part == 0), known & (part == 1) & (before.part > 0)
    above = functional.relu(out.part - before.part.clamp(min=-_SURE)) * good
    below = functional.relu(before.part.clamp(max=_SURE) - out.part) * found
    cells = (functional.relu(out.mask - before.mask.clamp(min=-_SURE)) * good.view(-1, 1, 1, 1)).flatten()
    worst = cells.topk(max(1, int(cells.numel() * _HARD_SHARE))).values.mean()
    return (above + below).float().sum() / known.sum().clamp(min=1) + worst.float()
