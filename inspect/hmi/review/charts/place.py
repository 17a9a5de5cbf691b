"""Where on the part defects lie: a heat map over a picture of the part."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from linegate.inspect.hmi.review.charts.formulas import density
from linegate.inspect.hmi.review.charts.rates import Words
from linegate.inspect.hmi.review.charts.svg import Plot

_STOPS = np.array([(0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)], np.float64)
"""Five stops of the inferno ramp (RGB), dark to light: order survives every kind of colour blindness and grey print."""


def place_map(
    points_px: Sequence[tuple[float, float]],
    size_px: tuple[int, int],
    words: Words,
    photo: NDArray[np.uint8] | None = None,
) -> str:
    """Centres of regions (x, y in picture pixels) over a picture of the part.

    Args:
        size_px: width and height of the picture they are in.
        photo: (h, w) or (h, w, 3) BGR uint8 of any size, or None for an outline.
    """
    width, height = size_px
    plot = Plot(words("review.chart.place"), (0, width), (height, 0), height=300, left=12, right=12, bottom=12)
    room_w, room_h = plot.width - 24, plot.height - plot.top - 12
    scale = min(room_w / width, room_h / height)
    w, h = width * scale, height * scale
    x0, y0 = (plot.width - w) / 2, plot.top + (room_h - h) / 2
    box = f'x="{x0:.1f}" y="{y0:.1f}" width="{w:.1f}" height="{h:.1f}"'
    if photo is not None:
        small = cv2.resize(photo, (max(1, round(w)), max(1, round(h))), interpolation=cv2.INTER_AREA)
        plot.raw(f'<image {box} preserveAspectRatio="none" href="{_data(".jpg", np.asarray(small, np.uint8))}"/>')
    else:
        plot.raw(f'<rect {box} fill="#2a2f36"/>')
    if points_px:
        x, y = (np.array(column, np.float64) for column in zip(*points_px, strict=True))
        smooth = cv2.resize(density(x, y, width, height), (round(w), round(h)), interpolation=cv2.INTER_CUBIC)
        warm = _colour(np.asarray(smooth, np.float64))
        plot.raw(f'<image {box} preserveAspectRatio="none" href="{_data(".png", warm)}"/>')
        for px, py in points_px[:400]:
            plot.raw(
                f'<circle cx="{x0 + px * scale:.1f}" cy="{y0 + py * scale:.1f}" r="1.6" fill="#fff" opacity="0.7"/>'
            )
    return plot.render("place", f"n = {len(points_px)}" if points_px else words("review.chart.none"))


def _colour(heat: NDArray[np.float64]) -> NDArray[np.uint8]:
    """(h, w) 0..1 → (h, w, 4) BGRA; nothing there is clear."""
    heat = np.clip(heat, 0, 1)
    out = np.zeros((*heat.shape, 4), np.uint8)
    for channel in range(3):
        out[:, :, 2 - channel] = np.interp(heat, np.linspace(0, 1, len(_STOPS)), _STOPS[:, channel])
    out[:, :, 3] = np.interp(heat, [0.03, 0.25, 1.0], [0, 150, 225])
    return out


def _data(kind: str, image: NDArray[np.uint8]) -> str:
    done, encoded = cv2.imencode(kind, image)
    if not done:
        raise ValueError(f"picture of {image.shape} can't be encoded as {kind}")
    mime = "jpeg" if kind == ".jpg" else "png"
    return f"data:image/{mime};base64,{base64.b64encode(encoded.tobytes()).decode()}"
