"""What a run proved: one summary, in words for people and as one JSON object for programs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from linegate.inspect.bounds import Rate, rate


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from trigger to written verdict."""

    p50: float
    p99: float
    p99_9: float
    max: float

    @classmethod
    def of(cls, values_ms: Sequence[float]) -> Latency:
        """Percentiles by the nearest rank, so that each is a value that occurred; NaN where there is none."""
        if not values_ms:
            return cls(math.nan, math.nan, math.nan, math.nan)
        ranked = sorted(values_ms)

        def at(share: float) -> float:
            return round(ranked[min(len(ranked) - 1, math.ceil(share * len(ranked)) - 1)], 3)

        return cls(at(0.5), at(0.99), at(0.999), round(ranked[-1], 3))

    def __str__(self) -> str:
        return f"p50 {self.p50} ms, p99 {self.p99} ms, p99.9 {self.p99_9} ms, max {self.max} ms"


@dataclass(frozen=True, slots=True)
class Truth:
    """What the virtual plant knows of the parts themselves."""

    defective: int
    good: int
    escapes: int
    overkill: int
    uninspected_passed: int
    missed_by_class: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Class to (escaped, all)."""

    @property
    def escape_rate(self) -> Rate:
        """Defective parts that passed, of all defective."""
        return rate(self.escapes, self.defective)

    @property
    def overkill_rate(self) -> Rate:
        """Good parts that were rejected, of all good."""
        return rate(self.overkill, self.good)


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run's counts, from each party that counts. ``contradictions`` is empty when all of them agree."""

    triggers: int
    frames: int
    frames_lost: int
    rows: int
    passed: int
    rejected: int
    not_inspected: int
    review: int
    plc_triggered: int
    plc_passed: int
    plc_rejected: int
    deadline_misses: int
    late_results: int
    passed_without_row: int
    unwatched: int
    latency: Latency
    parts_per_s: float
    bundle: str
    recipe: str
    device: str
    contradictions: tuple[str, ...]
    stopped: str = ""
    """Why the run ended before its parts were through; "" when it did not."""
    unsaved: str = ""
    """What could not be saved at the end, in words; "" when all was."""
    truth: Truth | None = None
    gate_latency: Latency | None = None

    @property
    def exit_code(self) -> int:
        """0 only if everything reconciles and nothing passed that must not."""
        unsafe = self.truth is not None and self.truth.uninspected_passed > 0
        failed = self.contradictions or unsafe or self.passed_without_row or self.stopped or self.unsaved
        return 1 if failed else 0

    def as_json(self) -> dict[str, Any]:
        """The object that ``linegate run --json`` prints; figures that do not exist are null."""
        truth = self.truth
        out: dict[str, Any] = {
            name: getattr(self, name)
            for name in self.__slots__
            if name not in {"latency", "gate_latency", "truth", "contradictions"}
        }
        out |= {
            "latency_ms": _numbers(self.latency),
            "contradictions": list(self.contradictions),
            "reconciled": not self.contradictions,
        }
        out["gate_latency_ms"] = _numbers(self.gate_latency)
        out |= {"escapes": None, "overkill": None, "defective": None, "good": None, "uninspected_passed": None}
        if truth is not None:
            out |= {
                name: getattr(truth, name)
                for name in ("escapes", "overkill", "defective", "good", "uninspected_passed")
            }
            for name, value in (("escape_rate", truth.escape_rate), ("overkill_rate", truth.overkill_rate)):
                out[name] = {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in asdict(value).items()}
            out["by_class"] = {name: {"escaped": e, "of": n} for name, (e, n) in truth.missed_by_class.items()}
        return out

    def print(self, console: Console) -> None:
        """The summary for people."""
        table = Table(title="Does it add up?", title_justify="left", box=None, pad_edge=False)
        table.add_column("who counts")
        for name in ("parts", "passed", "rejected"):
            table.add_column(name, justify="right")
        table.add_row("PLC", str(self.plc_triggered), str(self.plc_passed), str(self.plc_rejected))
        table.add_row("line: triggers", str(self.triggers + self.unwatched), str(self.passed), str(self.rejected))
        table.add_row("cameras: frames", str(self.frames), "", f"{self.frames_lost} lost" if self.frames_lost else "")
        table.add_row("log: rows", str(self.rows), "", "")
        console.print(table)
        if self.contradictions:
            for text in self.contradictions:
                console.print(f"✗ {text}", style="bold red", highlight=False)
        else:
            console.print(
                "✓ Everything adds up: every trigger has one row, every PASS had a durable row.", style="green"
            )
        if self.stopped:
            console.print(f"✗ Ended early: {self.stopped}", style="bold red", highlight=False)
        if self.unsaved:
            console.print(f"✗ Not saved: {self.unsaved}", style="bold red", highlight=False)
        words = f"not inspected {self.not_inspected}, deadline misses {self.deadline_misses}"
        console.print(f"{words}, passed without a row {self.passed_without_row}", highlight=False)
        console.print(f"trigger seen → verdict written   {self.latency}", highlight=False)
        if self.gate_latency is not None:
            console.print(
                f"photo-eye → verdict in the PLC   {self.gate_latency} (the plant's own clock)", highlight=False
            )
        console.print(f"{self.parts_per_s:.1f} parts/s, {self.device}, bundle {self.bundle[:12]}", highlight=False)
        if self.truth is not None:
            console.print(f"escapes  {self.truth.escape_rate.words()}", highlight=False)
            console.print(f"overkill {self.truth.overkill_rate.words()}", highlight=False)
            missed = {name: pair for name, pair in self.truth.missed_by_class.items() if pair[0]}
            for name, (escaped, total) in missed.items():
                console.print(f"  {name}: {escaped} of {total} escaped", highlight=False)
            if self.truth.uninspected_passed:
                console.print(f"✗ {self.truth.uninspected_passed} uninspected parts passed", style="bold red")


def _numbers(latency: Latency | None) -> dict[str, float | None] | None:
    if latency is None:
        return None
    return {name: None if math.isnan(value) else value for name, value in asdict(latency).items()}
