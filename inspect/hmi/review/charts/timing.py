"""Latency and slack of the verdicts, and the cameras' health."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from linegate.inspect.hmi.review.charts.rates import Words
from linegate.inspect.hmi.review.charts.svg import ALARM, LINE, WARN, Plot, ticks

BINS = 48


def latency_chart(latency_ms: Sequence[float], slack_ms: Sequence[float], words: Words) -> str:
    """How long verdicts took (trigger to written) and what was left to the deadline; the deadline is where both end."""
    values, slack = np.asarray(latency_ms, np.float64), np.asarray(slack_ms, np.float64)
    title = words("review.chart.latency")
    if not values.size:
        return Plot(title, (0, 1), (0, 1)).render("latency", words("review.chart.none"))
    deadline = float(np.median(values + slack)) if slack.size == values.size else float(values.max())
    top = max(deadline * 1.02, float(values.max()))
    counts, edges = np.histogram(values, bins=BINS, range=(0, top))
    # Rare late parts are what matters: the square root keeps a bar of one part in sight.
    heights = np.sqrt(counts)
    plot = Plot(title, (0, top), (0, float(heights.max()) * 1.15), bottom=46)
    plot.axis_x([(v, f"{v:g}") for v in ticks(0, top, 9)], "ms")
    for n, height, a, b in zip(counts, heights, edges, edges[1:], strict=False):
        if n:
            plot.bar(float(a), float(b), float(height), f"{a:.0f}–{b:.0f} ms: {n}", ALARM if a >= deadline else LINE)
    p50, p99, most = (float(np.quantile(values, q)) for q in (0.5, 0.99, 1.0))
    for k, (name, value, colour) in enumerate((("p50", p50, WARN), ("p99", p99, WARN), ("max", most, WARN))):
        _mark(plot, value, name, colour, k)
    _mark(plot, deadline, words("review.chart.deadline"), ALARM, 3)
    least = float(slack.min()) if slack.size else deadline - most
    misses = int(np.count_nonzero(slack < 0)) if slack.size else 0
    note = f"p50 {p50:.1f} · p99 {p99:.1f} · max {most:.1f} ms · " + words(
        "review.chart.slack", least=f"{least:.1f}", misses=misses
    )
    return plot.render("latency", note)


def _mark(plot: Plot, value: float, name: str, colour: str, row: int) -> None:
    x = plot.px(value)
    plot.raw(f'<path d="M{x:.1f} {plot.top}V{plot.height - plot.bottom}" stroke="{colour}" stroke-dasharray="3 3"/>')
    late = x > plot.width * 0.75
    plot.text(
        x - 4 if late else x + 4, plot.top + 12 + 14 * row, name, anchor="end" if late else "start", colour=colour
    )


@dataclass(frozen=True, slots=True)
class CameraHealth:
    """One camera over a stretch of time. ``slices``: (frames seen, frames missing or broken) of each time slice."""

    name: str
    slices: tuple[tuple[int, int], ...]


def camera_chart(cameras: Sequence[CameraHealth], names: Sequence[str], words: Words) -> str:
    """A row a camera, a cell a time slice: height is the share of frames that came, red with a cross what was lost."""
    count = max(1, len(names))
    plot = Plot(words("review.chart.cameras"), (-0.5, count - 0.5), (0, max(1, len(cameras))), left=110,
                height=96 + 56 * max(1, len(cameras)))  # fmt: skip
    plot.axis_x([(i, name) for i, name in enumerate(names)])
    frames = lost = 0
    for row, camera in enumerate(cameras):
        foot = len(cameras) - row - 1
        plot.text(plot.left - 12, plot.py(foot + 0.45), camera.name, anchor="end")
        for i, (seen, missing) in enumerate(camera.slices):
            frames, lost = frames + seen, lost + missing
            if not seen + missing:
                continue
            top, bottom = plot.py(foot + 0.85), plot.py(foot + 0.1)
            split = bottom - (bottom - top) * seen / (seen + missing)
            left, right = plot.px(i - 0.44), plot.px(i + 0.44)
            tip = f"<title>{words('review.chart.frames', seen=seen, missing=missing)}</title>"
            cell = f'x="{left:.1f}" width="{right - left:.1f}"'
            plot.raw(
                f'<rect {cell} y="{split:.1f}" height="{bottom - split:.1f}" fill="{LINE}" opacity="0.75">{tip}</rect>'
            )
            if missing:
                plot.raw(f'<rect {cell} y="{top:.1f}" height="{max(5.0, split - top):.1f}" fill="{ALARM}">{tip}</rect>')
                plot.text((left + right) / 2, top + 11, "×", anchor="middle", colour="#fff")
    note = words("review.chart.frames", seen=frames, missing=lost) if frames + lost else words("review.chart.none")
    return plot.render("cameras", note)
