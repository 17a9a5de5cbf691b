"""Shifts follow each other without a gap, through midnight and through both changes of the clocks."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
from pydantic import ValidationError

from linegate.inspect.hmi.review.shifts import last_shifts
from linegate.inspect.settings import ScreenSettings

THREE = ("06:00", "14:00", "22:00")


@pytest.fixture(autouse=True)
def berlin() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "CET-1CEST,M3.5.0,M10.5.0/3"
    time.tzset()
    yield
    os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
    time.tzset()


def at(text: str) -> float:
    return time.mktime(time.strptime(text, "%Y-%m-%d %H:%M"))


def test_the_night_shift_ends_in_the_morning() -> None:
    for now in ("2026-05-12 23:10", "2026-05-13 02:00", "2026-05-13 05:59"):
        night, late, *_ = last_shifts(THREE, at(now))
        assert (night.day, night.start, night.end) == ("2026-05-12", "22:00", "06:00")
        assert (night.from_utc_ns, night.to_utc_ns) == (
            round(at("2026-05-12 22:00")) * 10**9,
            round(at("2026-05-13 06:00")) * 10**9,
        )
        assert (late.day, late.start, late.end) == ("2026-05-12", "14:00", "22:00")
    assert last_shifts(THREE, at("2026-05-13 06:00"))[0].start == "06:00"


@pytest.mark.parametrize("now", ["2026-03-29 12:00", "2026-10-25 12:00", "2026-01-01 00:30", "2026-03-01 13:59"])
@pytest.mark.parametrize("starts", [THREE, ("06:00",), ("00:00", "12:00"), ("05:30", "17:30")])
def test_no_time_is_left_out(starts: tuple[str, ...], now: str) -> None:
    shifts = last_shifts(starts, at(now))
    assert len(shifts) == 21
    assert shifts[0].from_utc_ns <= at(now) * 1e9 < shifts[0].to_utc_ns
    for newer, older in pairwise(shifts):
        assert older.to_utc_ns == newer.from_utc_ns
        assert older.end == newer.start
    assert {shift.start for shift in shifts} == set(starts)


def test_the_night_of_the_change_is_an_hour_longer_or_shorter() -> None:
    for day, hours in (("2026-03-29", 7), ("2026-10-25", 9), ("2026-10-24", 8)):
        night = last_shifts(THREE, at(f"{day} 05:00"))[0]
        assert (night.to_utc_ns - night.from_utc_ns) / 3.6e12 == hours


def test_a_station_may_have_no_shifts() -> None:
    assert last_shifts((), time.time()) == []
    assert ScreenSettings(shifts=()).shifts == ()
    for wrong in (("14:00", "06:00"), ("06:00", "06:00"), ("6:00",), ("24:00",), ("06:60",)):
        with pytest.raises(ValidationError):
            ScreenSettings(shifts=wrong)
