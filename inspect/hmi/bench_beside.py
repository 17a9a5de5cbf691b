"""`linegate bench --screen --line`: what both screens cost the line, in one run.

The virtual line runs without a break. Phases without any screens process and phases with the screens served, open in a
browser and in use follow each other, in turning order (0 1 1 0 0 1 …), so that a machine that slowly gets busier or warmer
weighs on both alike. What starting costs is left out: the first seconds of each phase are not counted.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from linegate.cameras.errors import LinegateError
from linegate.inspect.benchmark import under_load
from linegate.inspect.hmi.bench_feed import BenchServer

if TYPE_CHECKING:
    from linegate.inspect.settings import StationSettings
    from linegate.inspect.station import Station

PHASE_S = 15.0
SETTLE_S = 3.0
START_S = 25.0
"""What a start of screens and pages may take at the most, for the number of parts on the belt."""
MOST_RATIO = 1.10
DRAWS = 2000
OPEN_S = 120.0


class Visitors:
    """``bench_visitors`` as a child process."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "linegate.inspect.hmi.bench_visitors"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, wanted: dict[str, str] | None) -> None:
        """Open both screens, or leave them; returns when it is done. Raises LinegateError."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(wanted) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if json.loads(answer or "{}").get("open") is not (wanted is not None):
            raise LinegateError(
                "linegate bench",
                expected="a browser with both screens",
                found=answer.strip() or "an early end, see above",
                remedy="Run `linegate bench --screen` alone first.",
            )

    def close(self) -> None:
        """End browser and process."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


def bench_beside(
    console: Console,
    settings: StationSettings,
    data: Path,
    base: Path,
    seconds: float,
    pool: int,
    tell: Callable[[str], None],
    phase_s: float = PHASE_S,
) -> dict[str, Any]:
    """Measure for ``seconds`` of counted time in all, and print. The result's ``failures`` is [] when the limit holds."""
    assert settings.virtual is not None
    pairs = max(2, round(seconds / (2 * phase_s)))
    order = list(itertools.islice(itertools.cycle((False, True, True, False)), 2 * pairs))
    longest_s = len(order) * (phase_s + SETTLE_S) + pairs * START_S
    parts = round(settings.virtual.rate_parts_per_s * longest_s)
    found: dict[bool, list[list[float]]] = {False: [], True: []}
    server = BenchServer(data, data)
    visitors = Visitors()
    try:
        with under_load(settings, data, base, parts, pool, lambda what, _share: tell(what)) as (_plant, station):
            is_open = False
            try:
                for n, wanted in enumerate(order):
                    tell(f"phase {n + 1} of {len(order)}, screens {'open and busy' if wanted else 'off'}")
                    if wanted and not is_open:
                        server.start()
                        visitors.ask({"url": server.url, "name": server.name, "pin": server.pin})
                    elif is_open and not wanted:
                        visitors.ask(None)
                        server.stop()
                    is_open = wanted
                    found[wanted].append(_phase(station, phase_s))
            finally:
                if is_open:
                    server.stop()
            misses = station.counts().deadline_misses
    finally:
        visitors.close()
    result = compare(found[False], found[True]) | {"deadline_misses": misses, "load_average": os.getloadavg()}
    _print(console, result)
    return result


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


def compare(without: list[list[float]], beside: list[list[float]]) -> dict[str, Any]:
    """Each argument: phases of latencies, ms. The ratio of the pooled p99 with a 90 % interval, whole phases drawn anew, as
    parts of one phase share what the machine did then."""
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
    failures = [] if ratio < MOST_RATIO else [f"p99 with both screens is {ratio:.2f} times the p99 without"]
    low, high = (round(float(q), 3) for q in np.percentile(ratios, [5, 95]))
    return rows | {"p99_ratio": round(ratio, 3), "p99_ratio_90": [low, high], "failures": failures}


def _print(console: Console, result: dict[str, Any]) -> None:
    table = Table(title="Trigger to verdict, milliseconds", title_justify="left")
    for name in ("screens", "parts", "p50", "p99", "p99 of each phase"):
        table.add_column(name, justify="left" if name == "screens" else "right")
    for name, words in (("without", "off"), ("beside", "both open and busy")):
        row = result[name]
        each = ", ".join(f"{ms:g}" for ms in row["phases_p99_ms"])
        table.add_row(words, str(row["parts"]), f"{row['p50_ms']:g}", f"{row['p99_ms']:g}", each)
    console.print(table)
    low, high = result["p99_ratio_90"]
    console.print(
        f"p99 ratio {result['p99_ratio']:.3f} (90 % interval {low:.3f} to {high:.3f}), limit {MOST_RATIO:g}. "
        f"Load average {os.getloadavg()[0]:.1f}.",
        highlight=False,
    )
    for failure in result["failures"]:
        console.print(f"✗ {failure}", style="bold red", highlight=False)
