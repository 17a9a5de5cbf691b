"""Memory of the screens' server and of the browsers that show them, sampled while the bench runs."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, linear_regression

from linegate.inspect.hmi.bench_feed import memory_mb

SAMPLE_S = 2.0
SETTLED_SHARE = 0.25
"""What the first part of a run allocates for good is no growth."""
LEAST_TREND_S = 300.0
"""A browser collects its garbage in turns of minutes: over less, a trend says nothing."""
HORIZON_MIN = 30.0
MOST_GROWTH = 0.10
"""Flat: on its trend it grows by less than this share in HORIZON_MIN minutes."""


@dataclass(frozen=True, slots=True)
class Trend:
    """One program's memory over a run."""

    first_mb: float
    last_mb: float
    mb_per_min: float | None
    """By least squares over the settled part; None while the run is too short to tell."""
    mean_mb: float

    @property
    def growth(self) -> float | None:
        """Share by which it grows in HORIZON_MIN minutes."""
        return None if self.mb_per_min is None else self.mb_per_min * HORIZON_MIN / self.mean_mb

    @property
    def flat(self) -> bool:
        """Not seen to grow."""
        return self.growth is None or self.growth < MOST_GROWTH

    def as_dict(self) -> dict[str, float | None]:
        """For ``--json``."""
        return {
            "first_mb": round(self.first_mb, 1),
            "last_mb": round(self.last_mb, 1),
            "mb_per_min": self.mb_per_min,
            "growth_30_min": self.growth,
        }


def trend(samples: list[tuple[float, float]], least_s: float = LEAST_TREND_S) -> Trend:
    """``samples``: seconds since the start, MB."""
    last_s = samples[-1][0]
    settled = [(at_s / 60, mb) for at_s, mb in samples if at_s >= SETTLED_SHARE * last_s]
    slope = linear_regression(*zip(*settled, strict=True)).slope if last_s >= least_s and len(settled) > 2 else None
    return Trend(samples[0][1], samples[-1][1], slope, fmean(mb for _, mb in settled))


@dataclass(slots=True)
class MemoryWatch:
    """``with MemoryWatch(server_pid) as watch``: samples on a thread of its own until the block ends."""

    server_pid: int
    server: list[tuple[float, float]] = field(default_factory=list)
    browsers: list[tuple[float, float]] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> MemoryWatch:
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        assert self._thread is not None
        self._thread.join()
        self._sample(self.server[-1][0] + SAMPLE_S if self.server else 0.0)

    def _run(self) -> None:
        began = time.monotonic()
        while True:
            self._sample(time.monotonic() - began)
            if self._stop.wait(SAMPLE_S):
                return

    def _sample(self, at_s: float) -> None:
        with contextlib.suppress(OSError, IndexError):  # a process that ended between two looks
            self.server.append((at_s, memory_mb(self.server_pid)))
        self.browsers.append((at_s, browsers_mb()))


def browsers_mb() -> float:
    """Resident memory of all browser processes this process started, pages shared between them counted each time."""
    total = 0.0
    for pid in browser_pids():
        with contextlib.suppress(OSError, IndexError):
            total += memory_mb(pid)
    return total


def browser_pids() -> list[int]:
    """All browser processes this process started."""
    parents: dict[int, tuple[int, str]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                name, _, rest = (folder / "stat").read_text().rpartition(")")
                parents[int(folder.name)] = (int(rest.split()[1]), name.partition("(")[2])
    here = Path("/proc/self").resolve().name
    return [
        pid for pid, (_, name) in parents.items() if name.startswith("chrom") and _descends(pid, int(here), parents)
    ]


def _descends(pid: int, ancestor: int, parents: dict[int, tuple[int, str]]) -> bool:
    while pid in parents and pid != ancestor:
        pid = parents[pid][0]
    return pid == ancestor
