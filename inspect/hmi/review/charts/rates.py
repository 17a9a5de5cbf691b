"""Yield over time with its exact bounds, and the Laney p' chart of rejects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from linegate.inspect.hmi.review.charts.formulas import laney_p_prime, share
from linegate.inspect.hmi.review.charts.svg import ALARM, SOFT, Plot, number

Words = Callable[..., str]
"""A text key and its values to words in the reader's language."""


@dataclass(frozen=True, slots=True)
class Group:
    """Parts of one time slice or lot. ``passed``: OK; the rest was rejected, uninspected parts too."""

    name: str
    parts: int
    passed: int


def yield_trend(groups: Sequence[Group], words: Words) -> str:
    """Share of OK parts, group by group; the band is the exact 95 % interval."""
    groups = [g for g in groups if g.parts]
    total = share(sum(g.passed for g in groups), sum(g.parts for g in groups))
    shares = [share(g.passed, g.parts) for g in groups]
    lowest = min((s.low for s in shares), default=0.0)
    plot = Plot(words("review.chart.yield"), (-0.5, len(groups) - 0.5), (max(0.0, lowest - 0.02), 1.0))
    plot.axis_y("", 100, " %")
    plot.axis_x([(i, g.name) for i, g in enumerate(groups)])
    if groups:
        plot.band([s.low for s in shares], [s.high for s in shares])
        plot.line([(i, s.value) for i, s in enumerate(shares)])
    for i, (g, s) in enumerate(zip(groups, shares, strict=True)):
        plot.dot(
            i, s.value, f"{g.name}: {percent(s.value)} ({percent(s.low)} – {percent(s.high)}), {g.passed} / {g.parts}"
        )
    note = f"{percent(total.value)}  [{percent(total.low)} – {percent(total.high)}] · n = {total.n}" if total.n else ""
    return plot.render("yield", note or words("review.chart.none"))


def control_chart(groups: Sequence[Group], words: Words) -> str:
    """Laney p' chart of the share rejected; stepped limits, points beyond them as red diamonds."""
    groups = [g for g in groups if g.parts]
    chart = laney_p_prime([g.parts - g.passed for g in groups], [g.parts for g in groups])
    top = max([*chart.p.tolist(), *chart.upper.tolist(), 0.01]) * 1.1
    plot = Plot(words("review.chart.pprime"), (-0.5, len(groups) - 0.5), (0.0, min(1.0, top)), right=64)
    plot.axis_y("", 100, " %")
    plot.axis_x([(i, g.name) for i, g in enumerate(groups)])
    if groups:
        plot.steps(chart.upper.tolist(), ALARM, "5 3")
        plot.steps(chart.lower.tolist(), ALARM, "5 3")
        plot.steps([chart.centre] * len(groups), SOFT)
        plot.line([(i, float(p)) for i, p in enumerate(chart.p)])
        at = plot.width - plot.right + 6
        plot.text(at, plot.py(float(chart.upper[-1])) + 4, "UCL", colour=ALARM)
        plot.text(at, plot.py(chart.centre) + 4, words("review.chart.mean"))
        if chart.lower[-1] > 0:
            plot.text(at, plot.py(float(chart.lower[-1])) + 4, "LCL", colour=ALARM)
    for i, g in enumerate(groups):
        tip = f"{g.name}: {percent(float(chart.p[i]))}, {g.parts - g.passed} / {g.parts}"
        plot.dot(i, float(chart.p[i]), tip, alarm=bool(chart.out[i]))
    if not groups:
        return plot.render("pprime", words("review.chart.none"))
    out = int(chart.out.sum())
    note = (
        words("review.chart.mean")
        + f" {percent(chart.centre)} · σz {chart.sigma_z:.2f} · "
        + words("review.chart.beyond", count=out)
    )
    return plot.render("pprime", note)


def percent(value: float) -> str:
    """0.0312 → "3.12 %"; below 0.1 % in ppm, where people speak of it so."""
    if 0 < value < 0.001:
        return f"{value * 1e6:.0f} ppm"
    return f"{number(round(value * 100, 2))} %"
