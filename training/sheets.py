"""Picture sheets: the worst misses and false alarms side by side, truth outlined in green, what the network marks in red."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from contextlib import closing

import cv2
import numpy as np
from numpy.typing import NDArray

from linegate.inspect.judge import Judge
from linegate.inspect.runtime.engines import open_session
from linegate.inspect.settings import RuntimeSettings
from linegate.models.bundle import Bundle
from linegate.training.checks import open_sample
from linegate.training.judge import Judged

_CELL = 220
_COLUMNS = 4
_TRUTH, _MARKED = (60, 190, 60), (230, 60, 50)


def sheet_png(bundle: Bundle, judged: Sequence[Judged]) -> bytes:
    """The parts in the order given, four in a row, as one PNG; at least one part."""
    with closing(Judge(bundle, open_session(bundle, RuntimeSettings(precision="accuracy")))) as judge:
        cells = [_cell(bundle, judge, j) for j in judged]
    blank = np.full_like(cells[0], 255)
    cells += [blank] * (-len(cells) % min(_COLUMNS, len(cells)))
    columns = min(_COLUMNS, len(cells))
    rows = [np.hstack(cells[i : i + columns]) for i in range(0, len(cells), columns)]
    _, png = cv2.imencode(".png", cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))
    return bytes(png.tobytes())


def as_data_url(png: bytes) -> str:
    """A PNG as an address that an HTML page can carry itself."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _cell(bundle: Bundle, judge: Judge, judged: Judged) -> NDArray[np.uint8]:
    channels = bundle.manifest.input.channels
    image, mask = open_sample(judged.sample, bundle.manifest.classes, channels, others=True)
    marked = judge.judge(image).class_mask()
    picture = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if image.ndim == 2 else image.copy()
    view = _window(picture.shape[:2], [plane for plane in (mask, marked) if plane is not None])
    picture, marked = picture[view], marked[view]
    mask = None if mask is None else mask[view]
    scale = _CELL / max(picture.shape[:2])
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = np.asarray(cv2.resize(picture, size, interpolation=how), np.uint8)
    for plane, colour in ((mask, _TRUTH), (marked, _MARKED)):
        if plane is not None:
            _outline(small, plane > 0, size, colour)
    cell = np.full((_CELL + 34, _CELL + 8, 3), 255, np.uint8)
    cell[2 : 2 + small.shape[0], 4 : 4 + small.shape[1]] = small
    words = f"{judged.score:.3f} {'+'.join(judged.sample.classes) or judged.sample.label}"
    for line, text in enumerate((words, judged.sample.name)):
        cv2.putText(
            cell, text[-34:], (4, _CELL + 14 + 14 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (30, 30, 30), 1, cv2.LINE_AA
        )
    return cell


def _window(size: tuple[int, ...], planes: Sequence[NDArray[np.uint8]]) -> tuple[slice, slice]:
    """The part of the picture worth showing: around the first plane that marks anything, at least a quarter of the longer
    side, so that a small defect on a large part can be seen; the whole picture where nothing is marked."""
    height, width = size
    for plane in planes:
        x, y, w, h = cv2.boundingRect((plane > 0).astype(np.uint8))
        if w and h:
            side = min(max(height, width), max(2 * w, 2 * h, max(height, width) // 4, _CELL // 2))
            top = max(0, min(y + h // 2 - side // 2, height - side))
            left = max(0, min(x + w // 2 - side // 2, width - side))
            return slice(top, min(height, top + side)), slice(left, min(width, left + side))
    return slice(0, height), slice(0, width)


def _outline(
    small: NDArray[np.uint8], plane: NDArray[np.bool_], size: tuple[int, int], colour: tuple[int, int, int]
) -> None:
    share = cv2.resize(plane.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    contours, _ = cv2.findContours((share > 0.1).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(small, contours, -1, colour, 1)
