"""Fit a network to pictures within a budget of minutes or steps."""

from __future__ import annotations

import copy
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from linegate.training.ahead import Ahead
from linegate.training.augment import Variation
from linegate.training.batches import Batch, Batches
from linegate.training.checkpoint import load_checkpoint, save_checkpoint
from linegate.training.hardware import Device, cores, pick_device
from linegate.training.interrupts import interruptible
from linegate.training.losses import anchor_loss, two_head_loss
from linegate.training.network import Net, NetOutput
from linegate.training.pictures import Pictures
from linegate.training.progress import quiet
from linegate.training.ranks import Ranks
from linegate.training.update import take_step

_FREE = {"minutes", "device", "threads", "loaders", "checkpoint_s"}
"""Settings that a run may be continued with others of: they change how long and where, not what is learnt."""
_ANCHOR = 0.2
"""Weight of ``anchor_loss``: ten times what BCE pulls at a good part's logit of -4."""


class FitSettings(BaseModel):
    """How to train. With ``steps`` a run is the same every time on the same machine; with ``minutes`` it is as long as asked
    for, and its schedule follows the clock."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    minutes: float | None = Field(20.0, gt=0)
    steps: int | None = Field(None, gt=0)
    """Instead of minutes."""
    seed: int = Field(0, ge=0)
    crop_px: int = Field(256, ge=64, le=2048)
    batch: int = Field(4, ge=2, le=512)
    """Small: of the same pictures, 1200 steps of 4, 600 of 8, 300 of 16 reached AP 0.70, 0.55, 0.39 on magnetic tile."""
    gpu_batch: int = Field(32, ge=2, le=4096)
    """Least batch of each GPU, which smaller ones leave idle. A batch larger than ``batch`` is learnt from at a rate larger by
    the root of their ratio (Malladi et al., NeurIPS 2022)."""
    rate: float = Field(2e-3, gt=0)
    weight_decay: float = Field(0.3, ge=0)
    """Strong enough to count within minutes: of 14000 steps on magnetic tile, seed 0, 0.02, 0.3 and 1.0 reached AP 0.81, 0.84,
    0.82. Decoupled (Loshchilov & Hutter, ICLR 2019), so it is times the rate."""
    whole_from: float = Field(0.7, ge=0, le=1)
    """Progress from which whole inputs are seen instead of crops."""
    ema: float = Field(0.998, ge=0, lt=1)
    vary: Literal["strong", "slight"] = "strong"
    """"slight" is for thousands of pictures of parts that always lie the same way; "strong" for everything else."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    threads: int | None = Field(None, ge=1, le=256)
    loaders: int | None = Field(None, ge=1, le=256)
    """Threads that draw batches ahead. By default one on a CPU, which is busy learning, and on a GPU this process's share of
    the machine's cores, at most 16."""
    checkpoint_s: float = Field(30.0, ge=0)
    """Time between checkpoints; 0 writes one every step."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the run is. ``done`` is 0..1; ``eta_s`` the expected rest."""

    step: int
    done: float
    elapsed_s: float
    eta_s: float
    loss: float
    mask_loss: float
    part_loss: float
    phase: Literal["crops", "whole"]
    images_per_s: float
    """Crops or whole inputs learnt from, over the last steps, all processes together."""


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A trained network (EMA weights, eval mode, on the CPU) and how it came about."""

    net: Net
    steps: int
    elapsed_s: float
    device: str
    history: tuple[Progress, ...]
    batch: int
    waited_s: float
    """Of the time since it was started (again): waiting for batches to be drawn."""


_VARIATIONS = {"strong": Variation(), "slight": Variation(flips=False, turn_share=0.0, paste_share=0.0, light=0.3)}


def fit(
    net: Net,
    pictures: Pictures,
    settings: FitSettings,
    work: Path,
    identity: dict[str, Any] | None = None,
    report: Callable[[Progress], None] = quiet,
    cancelled: Callable[[], bool] = lambda: False,
    *,
    anchored: bool = False,
) -> Fitted:
    """Train ``net`` on ``pictures``; ``work`` holds the checkpoint, from which an interrupted run goes on. ``anchored``: it
    judges already, and is not to become worse where it is right.

    ``identity`` says what run this is (data hash and the like): a checkpoint of another one is refused. ``report`` is called
    after every step on the calling thread. Where torchrun started several processes, each takes its share of every batch; the
    first one's clock and checkpoint are those of all, and a stop of one stops all.

    Raises:
        CheckpointError: the disk is full (the last checkpoint stays) or the checkpoint belongs to another run.
        KeyboardInterrupt: Ctrl-C or ``cancelled``, after the step in hand was finished and the state saved; a second Ctrl-C
            doesn't wait for that.
    """
    return _Run(net, pictures, settings, work, identity or {}, anchored).go(report, cancelled)


class _Run:
    """One run's moving state."""

    def __init__(
        self,
        net: Net,
        pictures: Pictures,
        settings: FitSettings,
        work: Path,
        identity: dict[str, Any],
        anchored: bool,
    ) -> None:
        self.ranks = Ranks.join()
        if settings.minutes is not None:  # what is left of a budget differs from process to process
            settings = settings.model_copy(update={"minutes": self.ranks.agree(settings.minutes)[0]})
        self.settings, self.work = settings, work
        self.identity = {**identity, **settings.model_dump(exclude=_FREE), "processes": self.ranks.count}
        self.device: Device = pick_device(
            settings.device, settings.precision, settings.threads, repeatable=settings.steps is not None
        )
        self.batch, self.rate = _batch(settings, self.device, self.ranks.count)
        self.batches = Batches(
            pictures,
            net.spec.stride_px,
            settings.seed,
            settings.crop_px,
            self.batch,
            _VARIATIONS[settings.vary],
            self.ranks.rank,
            self.ranks.count,
        )
        if self.ranks.count > 1:  # pretrained weights may have been fetched by one and not by another
            net.load_state_dict(self.ranks.from_first(net.state_dict))
        self.net = net.to(self.device.torch, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.ema = copy.deepcopy(self.net).eval().requires_grad_(False)
        self.before = copy.deepcopy(self.ema) if anchored else None
        decayed = [p for p in self.net.parameters() if p.ndim > 1]
        plain = [p for p in self.net.parameters() if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=self.rate, betas=(0.9, 0.99), fused=True)
        self.scaler = torch.amp.GradScaler("cuda", enabled=self.device.precision == "fp16")
        self.step = 0
        self.spent_s = 0.0
        self.history: list[Progress] = []
        self._restore()

    def go(self, report: Callable[[Progress], None], cancelled: Callable[[], bool]) -> Fitted:
        began, waited_s = time.monotonic(), 0.0
        base_s = saved_s = self.spent_s
        lately: deque[tuple[float, int]] = deque(maxlen=20)
        done = self._done()
        with interruptible() as pressed, Ahead(self._draw, self._loaders()) as ahead:
            while done < 1:
                asked = time.monotonic()
                batch, phase = ahead.take(self.step, self._done_at)
                waited_s += time.monotonic() - asked
                losses = self._learn(batch, done)
                self.step += 1
                ended = time.monotonic()
                self.spent_s, stop = self.ranks.agree(base_s + ended - began, stop=pressed() or cancelled())
                done = self._done()
                rest = self.spent_s / done * (1 - done) if done > 0 else 0.0
                lately.append((ended, len(batch.image) * self.ranks.count))
                speed = _images_per_s(lately, began)
                now = Progress(self.step, done, self.spent_s, rest, *losses, phase, speed)
                if self.step % 20 == 0 or done >= 1:
                    self.history.append(now)
                if stop or self.spent_s - saved_s >= self.settings.checkpoint_s:
                    self._save()
                    saved_s = self.spent_s
                report(now)  # after the checkpoint: what was told to others isn't undone by a kill
                if stop:
                    raise KeyboardInterrupt
        self._save()
        net, history = self.ema.to("cpu"), tuple(self.history)
        return Fitted(net, self.step, self.spent_s, self.device.name, history, self.batch, waited_s)

    def _loaders(self) -> int:
        if self.settings.loaders is not None or self.device.torch.type == "cpu":
            return self.settings.loaders or 1
        return max(1, min(16, cores() - 1))

    def _done(self) -> float:
        return self._done_at(self.step)

    def _done_at(self, step: int) -> float:
        """Progress at ``step``. By the clock, that of a step to come is a guess: how far the steps until now have led."""
        if self.settings.steps is not None:
            return min(1.0, step / self.settings.steps)
        assert self.settings.minutes is not None
        return min(1.0, self.spent_s / (60 * self.settings.minutes) * step / max(1, self.step))

    def _draw(self, step: int, done: float) -> tuple[Batch, Literal["crops", "whole"]]:
        if done >= self.settings.whole_from or not self.batches.places:
            return self.batches.wholes(step), "whole"
        return self.batches.crops(step), "crops"

    def _learn(self, batch: Batch, done: float) -> tuple[float, float, float]:
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * _schedule(done, self.step)
        image, target, valid, part, weight = (
            self._to_device(a) for a in (batch.image, batch.target, batch.valid, batch.part, batch.part_weight)
        )
        image = image.to(memory_format=torch.channels_last)
        with self.device.autocast():
            out = self.net(image)
            before = self._said_before(image)
        losses = two_head_loss(out, target, valid, part, weight, progress=done)
        total = losses.total
        if before is not None:
            total = total + _ANCHOR * anchor_loss(out, before, part, weight)
        take_step(total, self.net, self.optimizer, self.scaler, self.ranks)
        self._follow()
        total, mask, part = torch.stack([total.detach(), losses.mask, losses.part]).tolist()
        return total, mask, part

    @torch.no_grad()
    def _said_before(self, image: Tensor) -> NetOutput | None:
        return self.before(image) if self.before is not None else None

    def _to_device(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.device.torch, non_blocking=True)

    @torch.no_grad()
    def _follow(self) -> None:
        """EMA of weights and batch-norm statistics; quick at the start, when the weights are still nothing."""
        keep = min(self.settings.ema, (1 + self.step) / (10 + self.step))
        for mine, theirs in zip(self.ema.state_dict().values(), self.net.state_dict().values(), strict=True):
            if mine.dtype.is_floating_point:
                mine.lerp_(theirs, 1 - keep)
            else:
                mine.copy_(theirs)

    def _save(self) -> None:
        state = {
            "identity": self.identity,
            "step": self.step,
            "spent_s": self.spent_s,
            "net": self.net.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "history": [asdict(progress) for progress in self.history],
        }
        self.ranks.from_first(lambda: save_checkpoint(self.work, state))

    def _restore(self) -> None:
        state = self.ranks.from_first(lambda: load_checkpoint(self.work, self.identity))
        if state is None:
            return
        self.net.load_state_dict(state["net"])
        self.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.step, self.spent_s = state["step"], state["spent_s"]
        self.history = [Progress(**progress) for progress in state["history"]]


def _batch(settings: FitSettings, device: Device, ranks: int) -> tuple[int, float]:
    """Batch of all processes together, whole pairs of a bad and a good picture for each, and the rate it is learnt from at."""
    least = max(settings.batch, settings.gpu_batch * ranks) if device.torch.type == "cuda" else settings.batch
    batch = 2 * ranks * math.ceil(least / (2 * ranks))
    return batch, settings.rate * math.sqrt(batch / settings.batch)


def _images_per_s(steps: deque[tuple[float, int]], began: float) -> float:
    """Of the last steps (when each ended, its images); the first, which warms up, only counts while it is alone."""
    since = steps[0][0] if len(steps) > 1 else began
    images = sum(count for _, count in steps) - (steps[0][1] if len(steps) > 1 else 0)
    return images / max(1e-9, steps[-1][0] - since)


def _schedule(done: float, step: int) -> float:
    """Linear warm-up over 50 steps, then a cosine to 1 % (Loshchilov & Hutter, ICLR 2017)."""
    return min(1.0, (step + 1) / 50) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))
