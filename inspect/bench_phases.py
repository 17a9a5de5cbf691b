"""What something beside the line costs it, in one run: phases without it and with it, in turning order.

0 1 1 0 0 1 …, so that a machine that slowly gets busier or warmer weighs on both alike. What starting costs is left out: the
first seconds of each phase are not counted.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from linegate.cameras.errors import LinegateError

if TYPE_CHECKING:
    from linegate.inspect.station import Station

PHASE_S = 15.0
SETTLE_S = 3.0
MOST_RATIO = 1.10
DRAWS = 2000


def turning_order(seconds: float, phase_s: float) -> list[bool]:
    """Which phases of ``seconds`` of counted time have the thing beside the line; at least two of each kind."""
    pairs = max(2, round(seconds / (2 * phase_s)))
    return list(itertools.islice(itertools.cycle((False, True, True, False)), 2 * pairs))


def measure(
    station: Station, order: list[bool], phase_s: float, switch: Callable[[int, bool], None]
) -> dict[bool, list[list[float]]]:
    """Trigger to verdict of the parts of each phase, ms. ``switch(n, wanted)`` brings the thing or takes it away before phase
    n. Raises LinegateError when the line stops."""
    found: dict[bool, list[list[float]]] = {False: [], True: []}
    for n, wanted in enumerate(order):
        switch(n, wanted)
        found[wanted].append(_phase(station, phase_s))
    return found


def _phase(station: Station, seconds: float) -> list[float]:
    """Trigger to verdict of the parts of this phase, ms."""
    time.sleep(SETTLE_S)
    first = len(station.line.latencies_ms)
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        if why := station.held_up():
            raise LinegateError(
                "the line under load",
                expected="parts inspected without a stop",
                found=why,
                remedy="Lower --rate, or free the machine: its load average stands in the output.",
            )
        time.sleep(0.2)
    return list(itertools.islice(station.line.latencies_ms, first, None))


def compare(without: list[list[float]], beside: list[list[float]], what: str) -> dict[str, Any]:
    """``without``, ``beside``: phases of latencies, ms; ``what`` is beside the line, in words. The ratio of the pooled p99
    with a 90 % interval, whole phases drawn anew, as parts of one phase share what the machine did then."""
    rng = np.random.default_rng(1)

    def p99(phases: list[list[float]]) -> float:
        pooled = [ms for phase in phases for ms in phase]
        return float(np.percentile(pooled, 99)) if pooled else float("nan")

    def drawn(phases: list[list[float]]) -> list[list[float]]:
        return [phases[k] for k in rng.integers(0, len(phases), len(phases))]

    ratios = [p99(drawn(beside)) / p99(drawn(without)) for _ in range(DRAWS)]
    ratio = p99(beside) / p99(without)
    rows = {
        name: {
            "phases_p99_ms": [round(p99([phase]), 2) for phase in phases],
            "parts": sum(map(len, phases)),
            "p50_ms": round(float(np.percentile([ms for phase in phases for ms in phase], 50)), 2),
            "p99_ms": round(p99(phases), 2),
        }
        for name, phases in (("without", without), ("beside", beside))
    }
    failures = [] if ratio < MOST_RATIO else [f"p99 with {what} is {ratio:.2f} times the p99 without"]
    low, high = (round(float(q), 3) for q in np.percentile(ratios, [5, 95]))
    return rows | {"p99_ratio": round(ratio, 3), "p99_ratio_90": [low, high], "failures": failures}


def print_ratio(console: Console, result: dict[str, Any], title: str, words: tuple[str, str]) -> None:
    """The table of ``compare``; ``words``: for the phases without and with what ``title`` names."""
    table = Table(title="Trigger to verdict, milliseconds", title_justify="left")
    for name in (title, "parts", "p50", "p99", "p99 of each phase"):
        table.add_column(name, justify="left" if name == title else "right")
    for name, word in zip(("without", "beside"), words, strict=True):
        row = result[name]
        each = ", ".join(f"{ms:g}" for ms in row["phases_p99_ms"])
        table.add_row(word, str(row["parts"]), f"{row['p50_ms']:g}", f"{row['p99_ms']:g}", each)
    console.print(table)
    low, high = result["p99_ratio_90"]
    console.print(
        f"p99 ratio {result['p99_ratio']:.3f} (90 % interval {low:.3f} to {high:.3f}), limit {MOST_RATIO:g}. "
        f"Load average {os.getloadavg()[0]:.1f}.",
        highlight=False,
    )
    for failure in result["failures"]:
        console.print(f"✗ {failure}", style="bold red", highlight=False)
