"""`linegate bench --screen`: verdict to pixels, with four browsers open on a real `linegate screens`.

A verdict's time is the one in its record (``verdict_ns``, CLOCK_MONOTONIC). Its pixels' time is taken in the page, in the
first task after the frame in which the panel's text (or the canvas) was drawn. The page's clock is laid over the host's by
asking for it many times and taking the fastest answer; half of that answer's duration bounds the error and is printed.
An NG keeps the panel for 1.5 s by design, so parts published in that time are left out of the verdict figures, NGs never.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from linegate.inspect.hmi.bench_feed import BenchServer, Feed
from linegate.inspect.hmi.bench_memory import LEAST_TREND_S, MemoryWatch, trend
from linegate.inspect.hmi.bench_page import BenchPage, Watched, open_pages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

BROWSERS = 4
SECONDS = 20.0
RATES = (10.0, 25.0)
"""Parts/s."""
LIMITED_TO_PER_S = 10.0
"""What must hold, holds up to this rate; above it pictures may be skipped, NGs never."""
P50_MS, P95_MS = 60.0, 150.0
"""What must hold at up to LIMITED_TO_PER_S verdicts/s."""
NG_SHARE, NG_SHARE_FAST = 0.02, 0.04
"""Share of NG among the parts, at up to LIMITED_TO_PER_S and above."""
SETTLE_S = 2.0
CHUNK_S = 20.0


def bench_screen(console: Console, as_json: bool, seconds: float = SECONDS, rates: Sequence[float] = RATES) -> int:
    """Measure at each rate and print; the exit code is 0 when the limits hold.

    Raises LinegateError without playwright or a browser."""
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="linegate-screen-") as folder:
        data = Path(folder) / "data"
        with BenchServer(Path(folder), data) as server, Feed(data) as feed, open_pages(server.url, BROWSERS) as pages:
            for rate in rates:
                bad = NG_SHARE if rate <= LIMITED_TO_PER_S else NG_SHARE_FAST
                feed.run(rate, SETTLE_S, 0.0)
                for page in pages:
                    page.forget()
                with MemoryWatch(server.pid) as watch, _bar(console, rate, seconds) as done:
                    sent, taken = _fed(feed, pages, rate, seconds, bad, done)
                found = _figures(taken, sent) | {"rate_per_s": rate, "seconds": seconds}
                memory = {"server": trend(watch.server), "browsers": trend(watch.browsers)}
                found["memory"] = {name: one.as_dict() for name, one in memory.items()}
                found["flat"] = all(one.flat for one in memory.values())
                results.append(found | {"heap_mb": sum(page.memory_mb() for page in pages)})
            clock_error_ms = max(page.clock_error_ms for page in pages)
    ok = _holds(results)
    _print(console, results, clock_error_ms)
    if as_json:
        out = {"screen": results, "clock_error_ms": clock_error_ms, "ok": ok, "load_average": os.getloadavg()}
        sys.stdout.write(json.dumps(out) + "\n")
    return 0 if ok else 1


@contextmanager
def _bar(console: Console, rate: float, seconds: float) -> Iterator[Callable[[float], None]]:
    """Yields a function of the seconds that are over: a bar with the rest on a terminal, else one line at the start."""
    words = f"{rate:g} verdicts/s, {BROWSERS} browsers, {seconds:g} s"
    if not console.is_terminal:
        console.print(f"{words} …", highlight=False)
        yield lambda _over_s: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(words, total=seconds)
        yield lambda over_s: bar.update(task, completed=over_s)


def _fed(
    feed: Feed,
    pages: Sequence[BenchPage],
    rate: float,
    seconds: float,
    bad: float,
    done: Callable[[float], None],
) -> tuple[dict[str, tuple[int, str, bool]], list[Watched]]:
    """What was sent, and what each page showed. The pages are asked every CHUNK_S and begin anew, as what they have noted
    would itself grow in their memory."""
    sent: dict[str, tuple[int, str, bool]] = {}
    taken = [Watched({}, {}, set()) for _ in pages]
    left_s = seconds
    while left_s > 0.01:
        sent |= feed.run(rate, min(CHUNK_S, left_s), bad)
        left_s -= CHUNK_S
        if left_s <= 0.01:
            time.sleep(SETTLE_S)
        for whole, page in zip(taken, pages, strict=True):
            seen = page.take()
            page.forget()
            for all_times, times in ((whole.verdicts, seen.verdicts), (whole.pictures, seen.pictures)):
                for key, at_ns in times.items():
                    all_times.setdefault(key, at_ns)
            whole.tiles.update(seen.tiles)
        done(seconds - max(0.0, left_s))
    return sent, taken


def _figures(taken: Sequence[Watched], sent: dict[str, tuple[int, str, bool]]) -> dict[str, Any]:
    """``sent``: key to (verdict_ns, decision, whether an NG held the panel then)."""
    verdict_ms: list[float] = []
    picture_ms: list[float] = []
    open_parts = {key for key, (_, decision, held) in sent.items() if decision == "NG" or not held}
    bad = {key for key, (_, decision, _) in sent.items() if decision == "NG"}
    shown = pictures = tiles = 0
    for watched in taken:
        words, drawn = open_parts & watched.verdicts.keys(), open_parts & watched.pictures.keys()
        verdict_ms.extend((watched.verdicts[key] - sent[key][0]) / 1e6 for key in words)
        picture_ms.extend((watched.pictures[key] - sent[key][0]) / 1e6 for key in drawn)
        shown += len(words)
        pictures += len(drawn)
        tiles += len(bad & watched.tiles)
    every = len(open_parts) * len(taken)
    return {
        "parts": len(sent),
        "ng": len(bad),
        "verdict_ms": _percentiles(verdict_ms),
        "picture_ms": _percentiles(picture_ms),
        "verdicts_shown": shown / every if every else 0.0,
        "pictures_shown": pictures / every if every else 0.0,
        "ng_shown": tiles / (len(bad) * len(taken)) if bad else 1.0,
    }


def _percentiles(values: list[float]) -> dict[str, float]:
    if not values:
        return {"p50": float("inf"), "p95": float("inf"), "max": float("inf")}
    p50, p95 = np.percentile(values, [50, 95])
    return {"p50": round(float(p50), 1), "p95": round(float(p95), 1), "max": round(max(values), 1)}


def _holds(results: list[dict[str, Any]]) -> bool:
    fast = all(
        found[what]["p50"] <= P50_MS and found[what]["p95"] <= P95_MS
        for found in results
        if found["rate_per_s"] <= LIMITED_TO_PER_S
        for what in ("verdict_ms", "picture_ms")
    )
    return fast and all(found["ng_shown"] == 1.0 and found["flat"] for found in results)


def _print(console: Console, results: list[dict[str, Any]], clock_error_ms: float) -> None:
    table = Table(title=f"Verdict to pixels, {BROWSERS} browsers, milliseconds", title_justify="left")
    for name in ("per s", "verdict p50", "p95", "picture p50", "p95", "words shown", "pictures", "NGs"):
        table.add_column(name, justify="right")
    for found in results:
        verdict, picture = found["verdict_ms"], found["picture_ms"]
        table.add_row(
            f"{found['rate_per_s']:g}",
            *(str(value) for value in (verdict["p50"], verdict["p95"], picture["p50"], picture["p95"])),
            *(f"{found[name]:.1%}" for name in ("verdicts_shown", "pictures_shown", "ng_shown")),
        )
    console.print(table)
    for found in results:
        words = "; ".join(_memory_words(name, one) for name, one in found["memory"].items())
        console.print(f"Memory at {found['rate_per_s']:g}/s: {words}.", highlight=False)
    console.print(
        f"JavaScript heaps {results[-1]['heap_mb']:.0f} MB. Clocks agree within {clock_error_ms:.1f} ms. "
        f"Load average {os.getloadavg()[0]:.1f}. Limits at 10/s: p50 ≤ {P50_MS:g}, p95 ≤ {P95_MS:g} ms.",
        highlight=False,
    )


def _memory_words(name: str, one: dict[str, float | None]) -> str:
    slope = one["mb_per_min"]
    if slope is None:
        rate = f"no trend before {LEAST_TREND_S / 60:g} min"
    else:
        rate = f"{slope:+.2f} MB/min, {one['growth_30_min']:+.1%} in 30 min"
    return f"{name} {one['first_mb']:.0f} → {one['last_mb']:.0f} MB ({rate})"
