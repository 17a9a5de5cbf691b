"""Small plots as SVG, drawn by hand: a report needs no plotting library and its figures stay sharp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 560, 320, 56, 16, 28, 44
_BESIDE = 140
_COLOURS = ("#1b6ca8", "#c0392b", "#2e8b57", "#b7791f", "#6b4fa0", "#555555", "#d16ba5", "#17a2b8")


@dataclass(frozen=True, slots=True)
class Line:
    """One curve, or points where ``marks`` is set; ``labels`` stand beside the points."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    marks: bool = False
    labels: Sequence[str] = ()


def plot(
    title: str,
    x_name: str,
    y_name: str,
    lines: Sequence[Line],
    *,
    upright: Sequence[tuple[float, str]] = (),
) -> str:
    """Curves over linear axes as an SVG element. ``upright`` are vertical rules with a name.

    Curves start at y = 0. Where there are only marks, x starts at 0, y shows what they differ in, and the legend stands beside.
    """
    only_marks = bool(lines) and all(line.marks for line in lines)
    beside = _BESIDE if only_marks else 0
    xs = [v for line in lines for v in line.x] + [v for v, _ in upright]
    ys = [v for line in lines for v in line.y]
    x0, x1 = _span([0.0, *xs] if only_marks else xs)
    y0, y1 = _span(ys if only_marks else [0.0, *ys])
    if only_marks:  # none on the frame
        x1, y0, y1 = x1 + 0.04 * (x1 - x0), y0 - 0.1 * (y1 - y0), y1 + 0.1 * (y1 - y0)
    to_x, to_y = _scaler(x0, x1, _LEFT, _WIDTH - _RIGHT), _scaler(y0, y1, _HEIGHT - _BOTTOM, _TOP)
    out = [_frame(title, x_name, y_name, _WIDTH + beside)]
    for value in _ticks(x0, x1):
        out.append(_text(to_x(value), _HEIGHT - _BOTTOM + 16, f"{value:g}", "middle"))
        out.append(_rule(to_x(value), _HEIGHT - _BOTTOM, to_x(value), _HEIGHT - _BOTTOM + 4, "#888"))
    for value in _ticks(y0, y1):
        out.append(_text(_LEFT - 6, to_y(value) + 4, f"{value:g}", "end"))
        out.append(_rule(_LEFT, to_y(value), _WIDTH - _RIGHT, to_y(value), "#e4e4e4"))
    for value, name in upright:
        out.append(_rule(to_x(value), _TOP, to_x(value), _HEIGHT - _BOTTOM, "#999", dashed=True))
        out.append(_text(to_x(value) + 3, _TOP + 10, name, "start"))
    for number, line in enumerate(lines):
        out.append(_curve(line, _COLOURS[number % len(_COLOURS)], to_x, to_y))
        out.append(_legend(line.name, number, _WIDTH - _RIGHT - 130 + beside))
    return "".join(out) + "</svg>"


def histogram(
    title: str, x_name: str, series: Sequence[tuple[str, Sequence[float]]], upright: Sequence[tuple[float, str]]
) -> str:
    """Shares of each series over 0..1 in 40 bins, as stepped curves."""
    bins = 40
    lines = []
    for name, values in series:
        counts = [0] * bins
        for value in values:
            counts[min(bins - 1, max(0, int(value * bins)))] += 1
        x = [edge / bins for i in range(bins) for edge in (i, i + 1)]
        y = [100 * count / max(1, len(values)) for count in counts for _ in (0, 1)]
        lines.append(Line(name, x, y))
    return plot(title, x_name, "share, %", lines, upright=upright)


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _scaler(low: float, high: float, start: float, end: float) -> _Scale:
    return _Scale(low, (end - start) / (high - low), start)


@dataclass(frozen=True, slots=True)
class _Scale:
    low: float
    factor: float
    start: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) * self.factor


def _ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / 5
    power = 10.0 ** (len(f"{int(rough)}") - 1) if rough >= 1 else 1.0
    while power > rough:
        power /= 10
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough)
    first = -(-low // step)
    return [round((first + i) * step, 10) for i in range(int((high - first * step) / step + 1e-9) + 1)]


def _frame(title: str, x_name: str, y_name: str, width: int) -> str:
    middle = (_TOP + _HEIGHT - _BOTTOM) / 2
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_HEIGHT}" width="{width}" height="{_HEIGHT}" '
        'font-family="sans-serif" font-size="11">'
        + _text(_WIDTH / 2, 14, title, "middle", bold=True)
        + _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, x_name, "middle")
        + f'<g transform="rotate(-90 12 {middle})">{_text(12, middle, y_name, "middle")}</g>'
        + _rule(_LEFT, _HEIGHT - _BOTTOM, _WIDTH - _RIGHT, _HEIGHT - _BOTTOM, "#888")
        + _rule(_LEFT, _TOP, _LEFT, _HEIGHT - _BOTTOM, "#888")
    )


def _curve(line: Line, colour: str, to_x: _Scale, to_y: _Scale) -> str:
    points = [(to_x(x), to_y(y)) for x, y in zip(line.x, line.y, strict=True)]
    if not line.marks:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
    out = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>' for x, y in points]
    out += [_text(x + 6, y - 5, label, "start") for (x, y), label in zip(points, line.labels, strict=False)]
    return "".join(out)


def _legend(name: str, number: int, x: float) -> str:
    y = _TOP + 12 + 14 * number
    colour = _COLOURS[number % len(_COLOURS)]
    square = f'<rect x="{x}" y="{y - 8}" width="10" height="10" fill="{colour}"/>'
    return square + _text(x + 14, y, name, "start")


def _text(x: float, y: float, words: str, anchor: str, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{weight}>{escape(words)}</text>'


def _rule(x0: float, y0: float, x1: float, y1: float, colour: str, *, dashed: bool = False) -> str:
    dash = ' stroke-dasharray="4 3"' if dashed else ""
    return f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="{colour}"{dash}/>'
