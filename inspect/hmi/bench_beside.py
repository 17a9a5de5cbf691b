"""`linegate bench --screen --line`: what both screens cost the line, in one run.

The virtual line runs without a break, in phases without any screens process and phases with the screens served, open in a
browser and in use.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from linegate.cameras.errors import LinegateError
from linegate.inspect.bench_phases import PHASE_S, SETTLE_S, compare, measure, print_ratio, turning_order
from linegate.inspect.benchmark import under_load
from linegate.inspect.hmi.bench_feed import BenchServer

if TYPE_CHECKING:
    from linegate.inspect.settings import StationSettings

START_S = 25.0
"""What a start of screens and pages may take at the most, for the number of parts on the belt."""
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
    order = turning_order(seconds, phase_s)
    longest_s = len(order) * (phase_s + SETTLE_S) + order.count(True) * START_S
    parts = round(settings.virtual.rate_parts_per_s * longest_s)
    server = BenchServer(data, data)
    visitors = Visitors()
    is_open = False

    def switch(n: int, wanted: bool) -> None:
        nonlocal is_open
        tell(f"phase {n + 1} of {len(order)}, screens {'open and busy' if wanted else 'off'}")
        if wanted and not is_open:
            server.start()
            is_open = True
            visitors.ask({"url": server.url, "name": server.name, "pin": server.pin})
        elif is_open and not wanted:
            visitors.ask(None)
            server.stop()
            is_open = False

    try:
        with under_load(settings, data, base, parts, pool, lambda what, _share: tell(what)) as (_plant, station):
            try:
                found = measure(station, order, phase_s, switch)
            finally:
                if is_open:
                    server.stop()
            misses = station.counts().deadline_misses
    finally:
        visitors.close()
    result = compare(found[False], found[True], "both screens")
    result |= {"deadline_misses": misses, "load_average": os.getloadavg()}
    print_ratio(console, result, "screens", ("off", "both open and busy"))
    return result
