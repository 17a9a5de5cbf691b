"""How long networks take on this machine, compared fairly: in turns, so that what disturbs one disturbs all."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from linegate.inspect.runtime.contract import input_port
from linegate.inspect.runtime.engines import open_session
from linegate.inspect.settings import RuntimeSettings
from linegate.models.bundle import Bundle

K = TypeVar("K")
ROUNDS = 20
_RUNS = 5
STATION = RuntimeSettings(engine="openvino", precision="bf16", threads=1)
"""As a station runs a network that nobody tuned for it."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Time of one inference in ms: the median and the quartiles, and the device in words."""

    median_ms: float
    low_ms: float
    high_ms: float
    device: str


def time_in_turns(
    bundles: Mapping[K, Bundle], settings: RuntimeSettings = STATION, rounds: int = ROUNDS
) -> dict[K, Timing]:
    """Each bundle's time: in every round each one runs some times, in another order, the first run of each left out because
    it finds the others' data in the caches.

    Raises:
        RuntimeFailed: the engine doesn't take a bundle.
    """
    rng = np.random.default_rng(0)
    names = list(bundles)
    times: dict[K, list[float]] = {name: [] for name in names}
    with ExitStack() as stack:
        sessions = {name: stack.enter_context(closing(open_session(b, settings))) for name, b in bundles.items()}
        images = {
            name: rng.integers(0, 256, input_port(bundle.manifest).shape).astype(np.uint8)
            for name, bundle in bundles.items()
        }
        for _ in range(rounds):
            for index in rng.permutation(len(names)).tolist():
                name = names[index]
                for run in range(_RUNS + 1):
                    began = time.perf_counter_ns()
                    sessions[name].infer(images[name])
                    if run:
                        times[name].append((time.perf_counter_ns() - began) / 1e6)
        devices = {name: session.device for name, session in sessions.items()}
    found = {}
    for name, values in times.items():
        low, median, high = np.percentile(values, (25, 50, 75)).tolist()
        found[name] = Timing(median, low, high, devices[name])
    return found
