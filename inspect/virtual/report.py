"""What truly happened on the virtual line: the PLC's counters beside the physical truth, with exact bounds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from linegate.inspect.bounds import Rate, rate
from linegate.inspect.part import WireVerdict


@dataclass(frozen=True, slots=True)
class PlcCounters:
    """What one life of the PLC counted."""

    epoch: int
    triggered: int
    passed: int
    rejected: int
    confirmed: int
    no_verdict: int
    untracked: int


@dataclass(frozen=True, slots=True)
class ClassTruth:
    """Parts that carry a class, and how many of them physically passed."""

    parts: int
    escapes: int


@dataclass(frozen=True, slots=True)
class PlantReport:
    """The PLC's view over all its lives, and the world's own.

    Attributes:
        triggered … no_verdict: the PLC's counters, summed over ``lives``; untracked: parts it saw at the gate only.
        parts: parts that came through the photo-eye's beam; in_transit: those of them that have not reached the bins.
        defective, good: truth of the parts that reached the bins.
        escapes: defective parts that physically passed, of the defective; overkill: good ones rejected, of the good.
        uninspected_passed: passed without a complete slot with verdict OK at the PLC; must be 0.
        latency_ms: photo-eye's edge to slot complete at the PLC, for each part that got one, in order.
        belt_late_us: how late each photo-eye edge came against its plan.
        starved_ms: how long the belt waited for pictures.
    """

    lives: tuple[PlcCounters, ...]
    parts: int
    in_transit: int
    physically_passed: int
    physically_rejected: int
    defective: int
    good: int
    escapes: Rate
    overkill: Rate
    uninspected_passed: int
    classes: dict[str, ClassTruth]
    latency_ms: tuple[float, ...] = field(repr=False)
    belt_late_us: tuple[float, ...] = field(repr=False)
    starved_ms: int = 0

    def _sum(self, name: str) -> int:
        return sum(int(getattr(life, name)) for life in self.lives)

    @property
    def triggered(self) -> int:
        """Photo-eye edges the PLC counted."""
        return self._sum("triggered")

    @property
    def passed(self) -> int:
        """PASS pulses."""
        return self._sum("passed")

    @property
    def rejected(self) -> int:
        """Tracked parts it rejected."""
        return self._sum("rejected")

    @property
    def confirmed(self) -> int:
        """Rejects that the confirm sensor saw in the bin."""
        return self._sum("confirmed")

    @property
    def no_verdict(self) -> int:
        """Rejects for want of a complete slot."""
        return self._sum("no_verdict")

    def latency_percentiles(self) -> dict[str, float]:
        """p50, p99, p99_9 and max in ms, by the PLC's own stamps; {} when no part got a verdict."""
        if not self.latency_ms:
            return {}
        p50, p99, p999 = np.percentile(self.latency_ms, [50, 99, 99.9])
        return {"p50": float(p50), "p99": float(p99), "p99_9": float(p999), "max": max(self.latency_ms)}


def build_report(
    rows: Sequence[dict[str, Any]], fed: int, lives: Iterable[PlcCounters], starved_ms: int
) -> PlantReport:
    """From the ledger's ``rows``, ``fed`` parts and the PLC's counters."""
    binned = [row for row in rows if row["outcome"] != "in_transit"]
    passed = [row for row in binned if row["outcome"] == "passed"]
    good = [row for row in binned if row["good"]]
    bad = [row for row in binned if not row["good"]]
    escapes = sum(not row["good"] for row in passed)
    names = sorted({name for row in bad for name in row["classes"]})
    return PlantReport(
        lives=tuple(lives),
        parts=fed,
        in_transit=fed - len(binned),
        physically_passed=len(passed),
        physically_rejected=len(binned) - len(passed),
        defective=len(bad),
        good=len(good),
        escapes=rate(escapes, len(bad)),
        overkill=rate(sum(row["outcome"] == "rejected" for row in good), len(good)),
        uninspected_passed=sum(row["verdict"] != WireVerdict.OK for row in passed),
        classes={
            name: ClassTruth(
                sum(name in row["classes"] for row in bad),
                sum(name in row["classes"] for row in passed),
            )
            for name in names
        },
        latency_ms=tuple(row["latency_ms"] for row in rows if row["latency_ms"] is not None),
        belt_late_us=tuple(row["eye_late_us"] for row in rows),
        starved_ms=starved_ms,
    )
