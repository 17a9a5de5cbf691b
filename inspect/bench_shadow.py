"""`linegate bench --shadow BUNDLE`: what a candidate that judges along costs the live verdicts, in one run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from linegate.inspect.bench_phases import PHASE_S, SETTLE_S, compare, measure, print_ratio, turning_order
from linegate.inspect.benchmark import under_load
from linegate.inspect.bundles import station_bundle

if TYPE_CHECKING:
    from linegate.inspect.settings import StationSettings

START_S = 3.0
"""What loading the candidate may take, for the number of parts on the belt."""
WHO, WHY = "linegate bench", "measured"


def bench_shadow(
    console: Console,
    settings: StationSettings,
    bundle: str,
    data: Path,
    base: Path,
    seconds: float,
    pool: int,
    tell: Callable[[str], None],
    phase_s: float = PHASE_S,
) -> dict[str, Any]:
    """Measure for ``seconds`` of counted time in all, and print. The result's ``failures`` is [] when the limit holds and the
    shadow did judge. Raises BundleError for a bundle that can't be used, LinegateError when the line stops."""
    assert settings.virtual is not None
    candidate = station_bundle(bundle, base, data)
    order = turning_order(seconds, phase_s)
    longest_s = len(order) * (phase_s + SETTLE_S) + order.count(True) * START_S
    parts = round(settings.virtual.rate_parts_per_s * longest_s)
    with under_load(settings, data, base, parts, pool, lambda what, _share: tell(what)) as (_plant, station):
        name = station.store.add(candidate.folder, WHO, WHY).bundle
        judged = skipped = 0

        def read() -> None:
            nonlocal judged, skipped
            if (shadow := station.line.shadow) is not None:
                report = shadow.report()
                judged, skipped = report.judged, report.skipped

        def switch(n: int, wanted: bool) -> None:
            tell(f"phase {n + 1} of {len(order)}, shadow {'on' if wanted else 'off'}")
            read()
            if wanted is not (station.store.shadow() is not None):
                station.store.set_shadow(name if wanted else "", WHO, WHY)
                station.shadows.follow()

        found = measure(station, order, phase_s, switch)
        read()
        misses = station.counts().deadline_misses
    result = compare(found[False], found[True], "a shadow")
    result |= {"deadline_misses": misses, "judged": judged, "skipped": skipped, "load_average": os.getloadavg()}
    if not judged:
        result["failures"].append("the shadow judged no part, so nothing was measured")
    print_ratio(console, result, "shadow", ("off", "on"))
    console.print(f"The shadow judged {judged} parts and skipped {skipped}; deadline misses {misses}.", highlight=False)
    return result
