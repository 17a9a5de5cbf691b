"""How sure an average precision is: groups drawn again, with all their pictures (cluster bootstrap; Efron & Tibshirani, An
Introduction to the Bootstrap, 1993, chapters 8 and 13). A group is a physical part, or a lot where the data name that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from linegate.training.metrics import Scored

ROUNDS = 2000
LEAST_GROUPS = 8
"""Of fewer, drawing again shows little but the few: nothing is said."""
_SEED = 20
_AT_ONCE = 250
"""Rounds; bounds the memory with thousands of pictures."""


class Grouped(Scored, Protocol):
    """A picture whose truth, score and group are known."""

    @property
    def group(self) -> str:
        """Pictures of one group are no independent witnesses."""
        ...


class Witness(NamedTuple):
    """The plainest ``Grouped``."""

    group: str
    bad: bool
    score: float


@dataclass(frozen=True, slots=True)
class Interval:
    """Two-sided, at 95 %; NaN where nothing can be said."""

    low: float
    high: float


def interval(values: NDArray[np.float64]) -> Interval:
    """The 2.5th and 97.5th percentile of what the rounds came to; rounds without bad or good parts (NaN) don't count."""
    known = values[~np.isnan(values)]
    if not known.size:
        return Interval(math.nan, math.nan)
    low, high = np.percentile(known, [2.5, 97.5])
    return Interval(float(low), float(high))


def resampled_ap(
    runs: Sequence[Sequence[Grouped]], rounds: int = ROUNDS, least: int = LEAST_GROUPS
) -> NDArray[np.float64]:
    """(rounds,) average precision, mean over ``runs``, of as many groups drawn with replacement; NaN where no bad or no good
    picture was drawn, and everywhere where there are fewer than ``least`` groups.

    Each round draws the same groups for every run and every call on the same pictures: the difference of two networks' values
    is a paired one.
    """
    return np.asarray(np.mean([_one(parts, rounds, least) for parts in runs], 0), np.float64)


def _one(parts: Sequence[Grouped], rounds: int, least: int) -> NDArray[np.float64]:
    groups, of_part = np.unique([part.group for part in parts], return_inverse=True)
    if len(groups) < least:
        return np.full(rounds, math.nan)
    draws = np.random.default_rng(_SEED).integers(0, len(groups), (rounds, len(groups)))
    score = np.array([part.score for part in parts])
    order = np.argsort(-score, kind="stable")
    score, bad, of_part = score[order], np.array([part.bad for part in parts])[order], of_part[order]
    some = [_ap(score, bad, of_part, draws[n : n + _AT_ONCE]) for n in range(0, rounds, _AT_ONCE)]
    return np.concatenate(some)


def _ap(
    score: NDArray[np.float64], bad: NDArray[np.bool_], of_part: NDArray[np.intp], draws: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Of each of ``draws`` (rounds, groups); the pictures' ``score``, ``bad`` and group, the highest score first."""
    times = np.stack([np.bincount(draw, minlength=draws.shape[1]) for draw in draws])[:, of_part]
    # Ties share their precision, as in average_precision.
    last = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)
    hits, seen = np.cumsum(times * bad, 1)[:, last], np.cumsum(times, 1)[:, last]
    whole = hits[:, -1:]
    with np.errstate(invalid="ignore"):  # rounds without a bad part: 0 / 0
        gained = np.diff(hits, prepend=0, axis=1) / whole
    ap = (gained * hits / np.maximum(seen, 1)).sum(1)
    ap[whole[:, 0] == seen[:, -1]] = math.nan  # rounds without a good part: nothing to tell bad ones from
    return np.asarray(ap, np.float64)
