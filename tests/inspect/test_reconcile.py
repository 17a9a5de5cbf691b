"""Everything adds up, or says in words what does not."""

from __future__ import annotations

from dataclasses import replace

from linegate.inspect.part import PartKey
from linegate.inspect.plc.registers import PLC_NOTHING
from linegate.inspect.reconcile import BELIEVE_AFTER_NS, Life, PlcTotals, Reconciler, Stored, Tally

TALLY = Tally(
    triggers=10, frames=10, frames_lost=0, views_due=10, rows=9, rows_due=1, passes_written=6, passes_unproven=0,
    passes_withheld=0, passes_unreleased=0, kept_back=3, in_flight=1, unwatched=0,
)  # fmt: skip
PLC = PlcTotals(triggered=10, passed=5, rejected=3, epochs=1)
DONE = replace(TALLY, rows=10, rows_due=0, kept_back=4, in_flight=0)
GONE = replace(PLC, passed=6, rejected=4)
STORED = Stored(10, {})


def test_a_contradiction_counts_once_it_lasts() -> None:
    reconciler = Reconciler(16)
    assert reconciler.check(TALLY, PLC, 0) == []
    wrong = replace(TALLY, rows=8)
    assert reconciler.check(wrong, PLC, 10) == []
    assert "9 rows" in reconciler.check(wrong, PLC, 10 + BELIEVE_AFTER_NS)[0]
    assert reconciler.check(TALLY, PLC, 20 + BELIEVE_AFTER_NS) == []
    assert reconciler.check(wrong, PLC, 30 + BELIEVE_AFTER_NS) == [], "an old contradiction was remembered"


def test_each_count_is_held_against_the_others() -> None:
    for change, word in (
        ({"triggers": 9}, "line saw 9"),
        ({"frames": 9}, "9 came"),
        ({"passes_written": 4, "kept_back": 6}, "released 4"),
        ({"passes_written": 9, "kept_back": 1}, "passed 6 parts, the line released 9"),
        ({"kept_back": 3}, "kept 3 back"),
        ({"passes_unreleased": 1}, "1 parts passed the gate that the line had not released"),
    ):
        assert any(word in text for text in Reconciler.final(replace(DONE, **change), GONE, STORED)), change
    assert "between camera and gate" in Reconciler.final(DONE, PLC, STORED)[0]
    assert Reconciler.final(DONE, GONE, STORED) == []


def test_parts_released_and_rejected_need_a_reason() -> None:
    """Seven were released and three passed: nothing but what the line knows of may have kept the others back."""
    tally, plc = replace(DONE, passes_written=7, kept_back=3), replace(GONE, passed=3, rejected=7)
    assert Reconciler.final(tally, plc, STORED) == ["the gate passed 3 parts, the line released 7"]
    assert Reconciler.final(replace(tally, passes_withheld=4), plc, STORED) == []
    assert Reconciler.final(replace(tally, passes_withheld=3), plc, STORED) != []
    assert Reconciler.final(replace(tally, passes_written=6, kept_back=4, passes_withheld=2), plc, STORED) != []
    at_restart = replace(plc, passed=6, rejected=3, vanished=1)
    assert Reconciler.final(tally, at_restart, STORED) == []
    under_way = replace(plc, passed=3, rejected=3)
    assert Reconciler(16).check(tally, under_way, 0) == Reconciler(16).check(tally, under_way, BELIEVE_AFTER_NS) == []


def test_the_database_has_the_last_word_on_the_rows() -> None:
    lost = Reconciler.final(DONE, GONE, Stored(9, {1: [range(4, 5)]}))
    assert [text for text in lost if "9 rows" in text] and [text for text in lost if "the first of them 0001-4" in text]
    swapped = Reconciler.final(DONE, GONE, Stored(10, {1: [range(4, 6)]}))
    assert swapped == ["2 parts have no row in the log, the first of them 0001-4"], (
        "as many rows as parts, of other parts"
    )
    assert Reconciler.final(replace(DONE, rows_due=1), GONE, Stored(9, {1: [range(4, 5)]})) == [], "it is being stored"
    assert not Stored(10, {1: [range(4, 6)]}).has(PartKey(1, 5))
    assert Stored(10, {1: [range(4, 6)]}).has(PartKey(1, 6)) and Stored(10, {1: [range(4, 6)]}).has(PartKey(2, 5))


def test_totals_span_restarts_of_the_plc() -> None:
    totals = PlcTotals()
    totals.on_epoch(replace(PLC_NOTHING, epoch=1, triggered=100, passed=90, rejected=10))
    totals.on_block(replace(PLC_NOTHING, epoch=1, triggered=105, passed=93, rejected=11))
    assert (totals.now().triggered, totals.now().passed, totals.now().rejected) == (5, 3, 1)
    totals.on_epoch(replace(PLC_NOTHING, epoch=2, triggered=1))
    totals.on_block(replace(PLC_NOTHING, epoch=2, triggered=4, passed=2, rejected=2))
    assert (totals.now().triggered, totals.now().passed, totals.now().rejected) == (9, 5, 3)
    assert totals.now().epochs == 2
    assert totals.lives() == [Life(1, 100, 105), Life(2, 0, 4)]


def test_parts_on_the_belt_at_a_start_are_neither_missing_nor_too_many() -> None:
    """The station's start finds three parts before the gate; the PLC's restart leaves two of which nobody hears again."""
    totals = PlcTotals()
    totals.on_epoch(replace(PLC_NOTHING, epoch=1, triggered=100, passed=90, rejected=7))
    assert totals.now().in_transit == 3
    totals.on_block(replace(PLC_NOTHING, epoch=1, triggered=104, passed=92, rejected=10))
    assert totals.now().in_transit == 2
    totals.on_epoch(replace(PLC_NOTHING, epoch=2))
    assert totals.now().in_transit == 0
    totals.on_block(replace(PLC_NOTHING, epoch=2, triggered=4, passed=2, rejected=1))
    assert totals.now().in_transit == 1
    tally = replace(DONE, triggers=8, frames=8, views_due=8, passes_written=4, kept_back=4)
    assert "between camera and gate" in Reconciler.final(tally, totals.now(), Stored(8, {}))[0]
    totals.on_block(replace(PLC_NOTHING, epoch=2, triggered=4, passed=2, rejected=2))
    assert Reconciler.final(tally, totals.now(), Stored(8, {})) == []


def test_a_counter_that_wraps_goes_on() -> None:
    totals = PlcTotals()
    totals.on_epoch(replace(PLC_NOTHING, triggered=0xFFFFFFFE))
    totals.on_block(replace(PLC_NOTHING, triggered=3))
    assert totals.now().triggered == 5
