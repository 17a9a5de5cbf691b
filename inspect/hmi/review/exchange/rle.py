"""Run lengths in three dialects. Each pair of functions is exact. What is decoded is the least rectangle of the picture that
needs no more memory than a byte a pixel; what does not fit the picture is refused before anything of its size is made.

COCO: column by column, counts begin with background, packed as text (pycocotools' ``maskApi.c``: 5 bits a character plus a
continuation bit, offset 48, from the third count on the difference to the count two before).
CVAT: row by row inside the box, counts begin with background.
Label Studio: @thi.ng/rle-pack over the flattened RGBA picture, a bit stream as a list of bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from linegate.inspect.partlog.errors import CodedError

Mask = NDArray[np.bool_]
_RLE_SIZES = (3, 4, 8, 16)
_HEAD_BITS = 32 + 5 + 16
_MOST_CHARS = 13
"""Five bits each: no count of a COCO text is longer."""


class ExchangeError(CodedError):
    """A file of labels that can't be read, or whose content does not fit the parts it names."""


def bad(
    code: str,
    thing: str,
    expected: str,
    found: str,
    remedy: str = "Export it again, or correct the file.",
    **values: object,
) -> ExchangeError:
    """The room's one way to refuse a file. ``code`` and ``values``: the screen's text; it knows expected and found too."""
    words = {"expected": expected, "found": found, **values}
    return ExchangeError(thing, expected=expected, found=found, remedy=remedy, code=code, values=words)


def counts_of(flat: NDArray[np.bool_]) -> list[int]:
    """Lengths of the runs of a flat mask, background first (0 if it begins with foreground)."""
    if flat.size == 0:
        return []
    edges = np.flatnonzero(np.diff(flat.view(np.int8))) + 1
    runs = np.diff(np.concatenate(([0], edges, [flat.size]))).tolist()
    return [0, *runs] if flat[0] else runs


def flat_of(counts: Sequence[int], size: int, thing: str) -> NDArray[np.bool_]:
    """The inverse; raises ExchangeError where the counts do not add up to ``size``."""
    total = sum(counts)
    if any(n < 0 for n in counts) or total != size:
        raise bad("runs_sum", thing, f"run lengths that add up to {size} pixels", f"{total} pixels")
    values = np.zeros(len(counts), np.bool_)
    values[1::2] = True
    return np.repeat(values, np.asarray(counts, np.int64))


def encode_coco(mask: Mask) -> str:
    """COCO's compressed counts."""
    return _pack_coco(counts_of(np.asfortranarray(mask).ravel(order="F")))


def encode_coco_at(crop: Mask, x: int, y: int, height: int, width: int) -> str:
    """The same for a picture of height × width that is empty but for ``crop`` at (x, y); costs only the crop's columns."""
    columns = np.zeros((height, crop.shape[1]), np.bool_)
    columns[y : y + crop.shape[0]] = crop
    counts = counts_of(np.asfortranarray(columns).ravel(order="F"))
    before, after = x * height, (width - x - crop.shape[1]) * height
    counts[0] += before
    if len(counts) % 2:
        counts[-1] += after
    elif after:
        counts.append(after)
    return _pack_coco(counts)


def _pack_coco(counts: Sequence[int]) -> str:
    out: list[str] = []
    for i, count in enumerate(counts):
        rest = count - counts[i - 2] if i > 2 else count
        more = True
        while more:
            char = rest & 0x1F
            rest >>= 5
            more = rest != -1 if char & 0x10 else rest != 0
            out.append(chr((char | (0x20 if more else 0)) + 48))
    return "".join(out)


def decode_coco(counts: object, height: int, width: int, thing: str) -> tuple[int, Mask]:
    """COCO's counts, compressed or as a list: x and (height, w) bool of the columns that have foreground."""
    if isinstance(counts, str):
        runs = _unpack_coco(counts, thing)
    elif isinstance(counts, list) and all(type(n) is int for n in counts):
        runs = counts
    else:
        raise bad("runs_foreign", thing, "COCO's run lengths", "something else")
    total = sum(runs)
    if any(n < 0 for n in runs) or total != height * width:
        raise bad("runs_sum", thing, f"run lengths that add up to {height * width} pixels", f"{total} pixels")
    ends = np.cumsum(np.asarray(runs, np.int64))
    marked = np.flatnonzero(np.asarray(runs[1::2]))
    if not marked.size:
        return 0, np.zeros((height, 0), np.bool_)
    first, last = 2 * int(marked[0]) + 1, 2 * int(marked[-1]) + 1
    left, right = int(ends[first - 1]) // height, -(-int(ends[last]) // height)
    inner = [int(ends[first - 1]) - left * height, *runs[first : last + 1], right * height - int(ends[last])]
    return left, flat_of(inner, (right - left) * height, thing).reshape(right - left, height).T


def _unpack_coco(text: str, thing: str) -> list[int]:
    runs: list[int] = []
    at = 0
    while at < len(text):
        x, k, more = 0, 0, True
        while more:
            if at >= len(text) or not 48 <= ord(text[at]) < 112 or k >= _MOST_CHARS:
                raise bad("runs_foreign", thing, "COCO's compressed run lengths", "a cut or foreign text")
            char = ord(text[at]) - 48
            x |= (char & 0x1F) << (5 * k)
            more = bool(char & 0x20)
            at += 1
            k += 1
            if not more and char & 0x10:
                x |= -1 << (5 * k)
        if len(runs) > 2:
            x += runs[-2]
        runs.append(x)
    return runs


def encode_cvat(mask: Mask) -> tuple[list[int], tuple[int, int, int, int]]:
    """Counts and the box (left, top, width, height) of a mask that is not empty."""
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, bottom, left, right = int(ys[0]), int(ys[-1]) + 1, int(xs[0]), int(xs[-1]) + 1
    box = np.ascontiguousarray(mask[top:bottom, left:right])
    return counts_of(box.ravel()), (left, top, right - left, bottom - top)


def decode_cvat(counts: Sequence[int], box: tuple[int, int, int, int], height: int, width: int, thing: str) -> Mask:
    """The inverse: (h, w) bool of the box, which must lie inside the picture."""
    left, top, w, h = box
    if left < 0 or top < 0 or w < 1 or h < 1 or left + w > width or top + h > height:
        raise bad("cvat_box", thing, f"a box inside {width} x {height} px", f"left {left}, top {top}, {w} x {h}")
    return flat_of(counts, w * h, thing).reshape(h, w)


def encode_label_studio(mask: Mask) -> list[int]:
    """Label Studio's ``value.rle``: every pixel four bytes of 0 or 255."""
    counts = counts_of(mask.ravel())
    bits = [f"{mask.size * 4:032b}", f"{8 - 1:05b}", *(f"{size - 1:04b}" for size in _RLE_SIZES)]
    for i, count in enumerate(counts):
        value = "11111111" if i % 2 else "00000000"
        left = count * 4
        while left:
            index = next((k for k, size in enumerate(_RLE_SIZES) if left <= 1 << size), len(_RLE_SIZES) - 1)
            length = min(left, 1 << _RLE_SIZES[index])
            bits.append(f"1{index:02b}{length - 1:0{_RLE_SIZES[index]}b}{value}")
            left -= length
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8, "big"))


def decode_label_studio(packed: object, height: int, width: int, thing: str) -> Mask:
    """The inverse, (height, width) bool; any alpha above 0 is foreground."""
    if not isinstance(packed, list) or not all(type(n) is int and 0 <= n < 256 for n in packed):
        raise bad("runs_foreign", thing, "a list of bytes", "something else")
    reader = _Bits(bytes(packed))
    if reader.size < _HEAD_BITS:
        raise bad("runs_foreign", thing, "Label Studio's brush run lengths", f"{len(packed)} bytes")
    size, word = reader.read(32), reader.read(5) + 1
    sizes = [reader.read(4) + 1 for _ in range(4)]
    if size != height * width * 4 or word != 8:
        raise bad("runs_sum", thing, f"{height * width * 4} bytes of an RGBA picture", f"{size} values of {word} bits")
    alpha = np.zeros(height * width, np.bool_)
    at = 0
    while at < size:
        repeated = reader.read(1)
        end = at + 1 + reader.read(sizes[reader.read(2)])
        if end > size:
            raise bad("runs_sum", thing, "run lengths that fit the picture", "longer ones")
        if repeated:
            alpha[at // 4 : end // 4] = reader.read(8) > 0  # the alpha bytes are at 3, 7, 11 …
        else:
            for i in range(at, end):
                value = reader.read(8)
                if i % 4 == 3:
                    alpha[i // 4] = value > 0
        if reader.at > reader.size:
            raise bad("runs_foreign", thing, "run lengths that fit the picture", "a cut or damaged list")
        at = end
    return alpha.reshape(height, width)


class _Bits:
    """Reads numbers off a row of bits; beyond the end it reads zeros and ``at`` shows it."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = 8 * len(data)
        self.at = 0

    def read(self, count: int) -> int:
        """The next ``count`` bits, high first."""
        end = self.at + count
        first, last = self.at // 8, -(-end // 8)
        piece = self._data[first:last].ljust(last - first, b"\0")
        self.at = end
        return int.from_bytes(piece, "big") >> (8 * last - end) & ((1 << count) - 1)
