"""One step of the optimiser, the same in every process."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from linegate.training.ranks import Ranks

_NORM = 5.0


def take_step(
    loss: Tensor, net: nn.Module, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler, ranks: Ranks
) -> None:
    """Backward, mean over the processes, clip, step.

    Gradients are averaged while they are still scaled: the scaler looks for overflow afterwards and finds the same in each
    process, so that all of them take the step or none does.
    """
    optimizer.zero_grad(set_to_none=True)
    scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
    ranks.average(net)
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(net.parameters(), _NORM)
    scaler.step(optimizer)
    scaler.update()
