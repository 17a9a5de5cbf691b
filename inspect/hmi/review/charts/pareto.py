"""Which defects cost most: bars in falling order, and their running share on an axis of its own."""

from __future__ import annotations

from collections.abc import Mapping
from xml.sax.saxutils import escape

from linegate.inspect.hmi.review.charts.rates import Words
from linegate.inspect.hmi.review.charts.svg import ALARM, WARN, Plot

MOST_BARS = 12


def pareto(counts: Mapping[str, int], words: Words) -> str:
    """Rejected parts by their worst region's class; what is beyond 12 classes is one bar."""
    ordered = sorted(((n, name) for name, n in counts.items() if n), key=lambda item: (-item[0], item[1]))
    if len(ordered) > MOST_BARS:
        rest = sum(n for n, _ in ordered[MOST_BARS - 1 :])
        ordered = [*ordered[: MOST_BARS - 1], (rest, words("review.chart.others"))]
    total = sum(n for n, _ in ordered)
    # Both axes end at the total, so that the first bar and the first point of the curve meet.
    plot = Plot(words("review.chart.pareto"), (-0.5, max(1, len(ordered)) - 0.5), (0, max(1, total)), right=58)
    if not ordered:
        return plot.render("pareto", words("review.chart.none"))
    plot.axis_y("")
    plot.axis_right(100, " %")
    room = (plot.width - plot.left - plot.right) / len(ordered) / 7.2
    so_far, curve = 0, []
    for i, (n, name) in enumerate(ordered):
        so_far += n
        plot.bar(i - 0.36, i + 0.36, n, f"{name}: {n} ({100 * n / total:.1f} %)")
        plot.text(plot.px(i), plot.py(n) - 6, str(n), anchor="middle")
        label = name if len(name) <= room else f"{name[: max(2, int(room) - 1)]}…"
        plot.text(plot.px(i), plot.height - plot.bottom + 18, label, anchor="middle")
        curve.append((float(i), float(so_far)))
    plot.line(curve, WARN)
    for (x, y), (_, name) in zip(curve, ordered, strict=True):
        tip = escape(f"… {name}: {100 * y / total:.1f} %")
        plot.raw(
            f'<circle cx="{plot.px(x):.1f}" cy="{plot.py(y):.1f}" r="3.4" fill="{WARN}"><title>{tip}</title></circle>'
        )
    plot.raw(f'<path d="M{plot.left} {plot.py(0.8 * total):.1f}H{plot.width - plot.right}" stroke="{ALARM}" '
             'stroke-dasharray="2 5" opacity="0.7"/>')  # fmt: skip
    return plot.render("pareto", f"n = {total}")
