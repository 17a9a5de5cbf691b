"""The station's shifts as stretches of time, for the filters and the report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

KEPT = 21
"""A week of three shifts a day."""


@dataclass(frozen=True, slots=True)
class Shift:
    """One shift, [from, to) in UTC ns. ``day`` (2026-05-12), ``start`` and ``end`` (06:00) are local to the station."""

    from_utc_ns: int
    to_utc_ns: int
    day: str
    start: str
    end: str


def last_shifts(starts: Sequence[str], now_s: float, count: int = KEPT) -> list[Shift]:
    """The shift of ``now_s`` (UTC, s) and those before it, newest first.

    Args:
        starts: when shifts begin, "HH:MM" in the station's own time zone. A shift ends where the next one begins, so a night
            shift lasts an hour more or less when the clocks change. () for none.
    """
    if not starts:
        return []
    today = time.localtime(now_s)
    days_back = count // len(starts) + 2
    begins = sorted(
        _local_s(today, -back, start) for back in range(-1, days_back + 1) for start in starts
    )  # to tomorrow's first: the end of tonight's
    shifts = [_shift(a, b) for a, b in pairwise(begins) if a <= now_s]
    return shifts[::-1][:count]


def _local_s(day: time.struct_time, days: int, start: str) -> float:
    hour, minute = (int(part) for part in start.split(":"))
    return time.mktime((day.tm_year, day.tm_mon, day.tm_mday + days, hour, minute, 0, 0, 0, -1))


def _shift(from_s: float, to_s: float) -> Shift:
    first, last = time.localtime(from_s), time.localtime(to_s)
    return Shift(
        round(from_s) * 1_000_000_000,
        round(to_s) * 1_000_000_000,
        time.strftime("%Y-%m-%d", first),
        time.strftime("%H:%M", first),
        time.strftime("%H:%M", last),
    )
