"""Axes and marks as SVG text. Colours are CSS variables with print values behind them, so one chart fits screen and paper."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape, quoteattr

INK, SOFT, GRID = "var(--c-ink,#1b1f24)", "var(--c-soft,#5b6570)", "var(--c-grid,#d9dee3)"
LINE, ALARM, WARN = "var(--c-line,#1f5fa8)", "var(--c-alarm,#c1121f)", "var(--c-warn,#b26a00)"
GOOD, FILL = "var(--c-good,#14803c)", "var(--c-fill,#1f5fa8)"


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers (1, 2, 5 · 10^k apart) from low to high, ``most`` at the most."""
    if not high > low:
        return [low]
    raw = (high - low) / max(1, most - 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 12) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def number(value: float) -> str:
    """A tick's label: as few digits as tell it from its neighbours."""
    if value == 0:
        return "0"
    if abs(value) >= 10_000:
        return f"{value / 1000:g}k"
    return f"{value:.4g}"


@dataclass(slots=True)
class Plot:
    """One chart. x and y are data units; (0, 0) of the picture is top left.

    Args:
        title: shown above and read out by screen readers.
        x: data range of the horizontal axis; y of the vertical one.
    """

    title: str
    x: tuple[float, float]
    y: tuple[float, float]
    width: int = 620
    height: int = 300
    left: int = 56
    right: int = 24
    top: int = 44
    bottom: int = 30
    _body: list[str] = field(default_factory=list)

    def px(self, x: float) -> float:
        """Picture coordinate of a data x."""
        low, high = self.x
        return self.left + (x - low) / ((high - low) or 1) * (self.width - self.left - self.right)

    def py(self, y: float) -> float:
        """Picture coordinate of a data y."""
        low, high = self.y
        return self.height - self.bottom - (y - low) / ((high - low) or 1) * (self.height - self.top - self.bottom)

    def text(
        self,
        x: float,
        y: float,
        content: str,
        *,
        anchor: str = "start",
        size: int = 12,
        colour: str = SOFT,
        turn: int = 0,
    ) -> None:
        """Words at picture coordinates."""
        rotate = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
        self._body.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}"{rotate}>'
            f"{escape(content)}</text>"
        )

    def axis_y(self, label: str, scale: float = 1.0, unit: str = "") -> None:
        """The vertical axis with grid lines; values are shown times ``scale``."""
        for value in ticks(self.y[0] * scale, self.y[1] * scale):
            y = self.py(value / scale)
            self._body.append(f'<path d="M{self.left} {y:.1f}H{self.width - self.right}" stroke="{GRID}"/>')
            self.text(self.left - 8, y + 4, f"{number(value)}{unit}", anchor="end")
        if label:
            self.text(self.left - 44, self.top - 12, label)

    def axis_right(self, top: float, unit: str) -> None:
        """A second vertical axis from 0 to ``top`` of its own units, at the right edge."""
        for value in ticks(0, top):
            y = self.py(self.y[0] + value / top * (self.y[1] - self.y[0]))
            self.text(self.width - self.right + 8, y + 4, f"{number(value)}{unit}")

    def axis_x(self, marks: Sequence[tuple[float, str]], label: str = "") -> None:
        """The horizontal axis; ``marks`` beyond what fits are thinned out."""
        longest = max((len(text) for _, text in marks), default=1)
        room = max(1, (self.width - self.left - self.right) // max(34, 8 * longest))
        every = max(1, math.ceil(len(marks) / room))
        for at, text in marks[::every]:
            self.text(self.px(at), self.height - self.bottom + 18, text, anchor="middle")
        if label:
            self.text((self.left + self.width - self.right) / 2, self.height - 8, label, anchor="middle")

    def line(
        self, points: Sequence[tuple[float, float]], colour: str = LINE, width: float = 1.8, dash: str = ""
    ) -> None:
        """A polyline through data points; a NaN breaks it."""
        path, pen = [], "M"
        for x, y in points:
            if math.isnan(y):
                pen = "M"
                continue
            path.append(f"{pen}{self.px(x):.1f} {self.py(y):.1f}")
            pen = "L"
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self._body.append(
            f'<path d="{"".join(path)}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-linejoin="round"{dashes}/>'
        )

    def steps(self, values: Sequence[float], colour: str, dash: str = "") -> None:
        """A stepped line: value i from i − ½ to i + ½ (limits that differ from group to group)."""
        points = [(i + side, value) for i, value in enumerate(values) for side in (-0.5, 0.5)]
        self.line(points, colour, 1.3, dash)

    def band(self, lows: Sequence[float], highs: Sequence[float], colour: str = FILL) -> None:
        """The area between two rows of values at 0, 1, 2 …"""
        there = [*enumerate(highs)]
        back = [*enumerate(lows)][::-1]
        points = " ".join(f"{self.px(i):.1f},{self.py(v):.1f}" for i, v in [*there, *back])
        self._body.append(f'<polygon points="{points}" fill="{colour}" opacity="0.16"/>')

    def dot(self, x: float, y: float, tip: str, *, alarm: bool = False) -> None:
        """A point with its words on hover; ``alarm`` makes it a red diamond, not only a red point."""
        px, py = self.px(x), self.py(y)
        if alarm:
            shape = f'<path d="M{px:.1f} {py - 7:.1f}l7 7l-7 7l-7 -7z" fill="{ALARM}"'
        else:
            shape = f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3.4" fill="{LINE}"'
        self._body.append(f"{shape}><title>{escape(tip)}</title></{'path' if alarm else 'circle'}>")

    def bar(self, x0: float, x1: float, y: float, tip: str, colour: str = FILL) -> None:
        """A bar from the axis up to y."""
        left, right, top, foot = self.px(x0), self.px(x1), self.py(y), self.py(max(0.0, self.y[0]))
        self._body.append(
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{max(0.5, right - left):.1f}" height="{max(0.0, foot - top):.1f}" '
            f'fill="{colour}"><title>{escape(tip)}</title></rect>'
        )

    def raw(self, piece: str) -> None:
        """SVG text as it is."""
        self._body.append(piece)

    def render(self, name: str, note: str = "") -> str:
        """The whole picture. ``note``: a line under the title."""
        head = f'<text x="12" y="24" font-size="15" font-weight="600" fill="{INK}">{escape(self.title)}</text>'
        if note:
            head += f'<text x="{self.width - 12}" y="24" font-size="12" text-anchor="end" fill="{SOFT}">{escape(note)}</text>'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" class="chart" '
            f'data-chart="{name}" role="img" aria-label={quoteattr(self.title)} '
            f'font-family="inherit">{head}{"".join(self._body)}</svg>'
        )
