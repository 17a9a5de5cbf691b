"""Several training processes as torchrun starts them; one process is the special case in which nothing is exchanged."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn

from linegate.cameras.errors import LinegateError

T = TypeVar("T")


class NotFirst(Exception):
    """Raised in all processes but the first once the fit is over: only one exports, judges and writes."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process's number among ``count``.

    All processes take the same step at the same progress: gradients and batch-norm statistics are averaged in one exchange
    a step, and whatever a clock or a key press decides is agreed on. Batch norm normalises by each process's own share of
    the batch, which is the noise between one process and several.
    """

    rank: int = 0
    count: int = 1

    @staticmethod
    def join() -> Ranks:
        """Join the group that torchrun's environment (RANK, WORLD_SIZE, …) describes, if there is one."""
        count = int(os.environ.get("WORLD_SIZE", "1"))
        if count == 1:
            return Ranks()
        if not distributed.is_initialized():
            # Gloo stays for tensors on the CPU: what is agreed on between steps need not wait for a GPU.
            distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
        return Ranks(distributed.get_rank(), count)

    @staticmethod
    def leave() -> None:
        """Leave the group, if one was joined."""
        if distributed.is_available() and distributed.is_initialized():
            distributed.destroy_process_group()

    def average(self, net: nn.Module) -> None:
        """Replace every gradient and every batch-norm statistic by its mean over the processes.

        Call it before anything looks for infinities in the gradients: an infinity in one process is then one in all.
        """
        if self.count == 1:
            return
        gradients = [p.grad for p in net.parameters() if p.grad is not None]
        _mean([*gradients, *(b for b in net.buffers() if b.dtype.is_floating_point)], self.count)

    def agree(self, value: float, *, stop: bool = False) -> tuple[float, bool]:
        """The first process's ``value``, and whether any process wants to stop."""
        if self.count == 1:
            return value, stop
        shared = torch.tensor([value if self.rank == 0 else 0.0, float(stop)], dtype=torch.float64)
        distributed.all_reduce(shared)
        return float(shared[0]), bool(shared[1] > 0)

    def from_first(self, make: Callable[[], T]) -> T:
        """What ``make`` returns in the first process, in all of them; it isn't called in the others.

        Raises:
            LinegateError: as raised in the first process, in all of them, so that none waits for one that is gone.
        """
        if self.count == 1:
            return make()
        made: list[tuple[T | None, LinegateError | None]] = [(None, None)]
        if self.rank == 0:
            try:
                made = [(make(), None)]
            except LinegateError as error:
                made = [(None, error)]
        distributed.broadcast_object_list(made, 0)
        value, refusal = made[0]
        if refusal is not None:
            raise refusal
        return value  # type: ignore[return-value]  # None only where ``make`` returns it


def _mean(tensors: Sequence[Tensor], count: int) -> None:
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    distributed.all_reduce(flat)
    flat /= count
    start = 0
    for tensor in tensors:
        tensor.copy_(flat[start : start + tensor.numel()].view_as(tensor))
        start += tensor.numel()
