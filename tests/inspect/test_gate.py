"""What became of each part at the gate: proven by the PLC's counters, in the order of the triggers, or said to be unknown."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate.inspect.gate import MOST_AT_ONCE, PURGE_NS, STALL_NS, GateWatch
from linegate.inspect.part import GateResult, PartKey
from linegate.inspect.plc.registers import PLC_NOTHING, Control, PlcBlock

MS = 1_000_000
POLL_MS = 2.0
EPOCH = 7
PASSED, REJECTED, UNKNOWN = GateResult.PASSED, GateResult.REJECTED, GateResult.UNKNOWN


def block(passed: int, rejected: int, at_ms: float, **more: object) -> PlcBlock:
    counts = {"passed": passed & 0xFFFFFFFF, "rejected": rejected & 0xFFFFFFFF, "triggered": passed + rejected + 3}
    return replace(PLC_NOTHING, epoch=EPOCH, read_ns=round(at_ms * MS) + 10**12, **{**counts, **more})


def met(passed: int = 0, rejected: int = 0, triggered: int | None = None) -> GateWatch:
    """A gate watch that has met the PLC for the first time at 0 ms."""
    gate = GateWatch(POLL_MS)
    first = block(passed, rejected, 0)
    gate.on_epoch(first if triggered is None else replace(first, triggered=triggered), first=True)
    return gate


def key(sequence: int) -> PartKey:
    return PartKey(EPOCH, sequence)


def test_one_part_at_a_time_is_proven_and_a_mixture_is_not() -> None:
    gate = met()
    assert gate.on_block(block(1, 0, 2), 0) == [(key(1), PASSED)]
    assert gate.on_block(block(1, 0, 4), 0) == []
    assert gate.on_block(block(1, 2, 6), 0) == [(key(2), REJECTED), (key(3), REJECTED)]
    assert gate.on_block(block(2, 3, 8), 0) == [(key(4), UNKNOWN), (key(5), UNKNOWN)]
    assert gate.on_block(block(3, 3, 10), 0) == [(key(6), PASSED)]


def test_the_first_plc_has_counted_before_and_a_restarted_one_from_zero() -> None:
    gate = met(90, 7)
    assert gate.on_block(block(91, 7, 2), 0) == [(key(98), PASSED)], "one that was on the belt at the start"
    again = replace(block(0, 2, 4), epoch=8)
    gate.on_epoch(again, first=False)
    assert gate.on_block(again, 0) == [(PartKey(8, 1), REJECTED), (PartKey(8, 2), REJECTED)]


def test_counters_wrap() -> None:
    gate = met(2**32 - 1, 0)
    assert gate.on_block(block(0, 0, 2), 0) == [(key(0), PASSED)]
    assert gate.on_block(block(0, 1, 4), 0) == [(key(1), REJECTED)]


def test_a_counter_that_was_set_tells_nothing() -> None:
    gate = met(50, 50)
    assert gate.on_block(block(3, 50, 2), 0) == []
    assert gate.on_block(block(3, 51, 4), 0) == [(key(54), REJECTED)]
    assert gate.on_block(block(3_000_000, 51, 6), 0) == []


def test_many_parts_of_an_outage_are_told_bit_by_bit() -> None:
    gate = met()
    told = gate.on_block(block(0, 600, 10_000), 0)
    assert len(told) == MOST_AT_ONCE
    told += gate.on_block(block(1, 600, 10_002), 0) + gate.on_block(block(1, 600, 10_004), 0)
    assert told == [*((key(n), REJECTED) for n in range(1, 601)), (key(601), PASSED)]


@pytest.mark.parametrize(
    ("doubt_ms", "at_ms", "control", "has_reason"),
    [
        (-1.0, 3.0, Control.RUN, False),
        (1.0, 3.0, Control.RUN, False),
        (2.0, 3.0, Control.RUN, True),  # Linegate did not vouch
        (-1.0, 2 + POLL_MS + STALL_NS / MS, Control.RUN, False),
        (-1.0, 3 + POLL_MS + STALL_NS / MS, Control.RUN, True),  # somebody stood still
        (-1.0, 3.0, Control.PURGE, True),
    ],
)
def test_a_released_part_that_the_gate_rejects_needs_a_reason(
    doubt_ms: float, at_ms: float, control: Control, has_reason: bool
) -> None:
    gate = met()
    gate.on_block(block(0, 0, 2), 0)
    gate.released(key(1), True)
    assert gate.on_block(block(0, 1, at_ms, control=control), round(doubt_ms * MS) + 10**12) == [(key(1), REJECTED)]
    assert (gate.withheld, gate.unreleased) == (int(has_reason), 0)


def test_a_purge_reaches_parts_that_come_to_the_gate_later() -> None:
    gate = met()
    for sequence in (1, 2):
        gate.released(key(sequence), True)
    gate.on_block(block(0, 0, 2, control=Control.PURGE), 0)
    at_ms = 2.0
    while at_ms + 22 < PURGE_NS / MS:
        at_ms += 20
        gate.on_block(block(0, 0, at_ms), 0)
    gate.on_block(block(0, 1, at_ms + 1), 0)
    assert gate.withheld == 1
    gate.on_block(block(0, 1, at_ms + 20), 0)
    gate.on_block(block(0, 2, at_ms + 22), 0)
    assert gate.withheld == 1, "that long after it, a purge is no reason any more"


def test_a_part_that_passes_without_being_released_is_counted() -> None:
    gate = met(10, 0, triggered=12)  # two of an earlier station's are on the belt
    gate.on_block(block(12, 0, 2), 0)
    assert gate.unreleased == 0
    gate.released(key(13), True)
    gate.released(key(14), False)  # it may have reached the PLC
    gate.on_block(block(14, 0, 4), 0)
    assert gate.unreleased == 0
    gate.on_block(block(15, 0, 6), 0)
    assert gate.unreleased == 1
    gate.released(key(17), True)
    gate.on_block(block(17, 0, 8), 0)
    assert gate.unreleased == 2, "of two that passed, one was released"


@given(
    st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(1, 40)), min_size=1, max_size=60),
    st.integers(1, 30),
)
def test_whatever_is_proven_is_true_and_only_a_mixture_is_unknown(
    parts: list[tuple[bool, bool, int]], poll_ms: int
) -> None:
    """Parts (released, rejected all the same, ms after the one before) past a gate that passes only what was released."""
    gate = GateWatch(float(poll_ms))
    gate.on_epoch(block(0, 0, 0), first=True)
    truth: list[GateResult] = []
    at_gate_ms: list[int] = []
    for sequence, (released, spoilt, pause) in enumerate(parts, 1):
        truth.append(PASSED if released and not spoilt else REJECTED)
        at_gate_ms.append((at_gate_ms[-1] if at_gate_ms else 0) + pause)
        if released:
            gate.released(key(sequence), True)
    told: dict[PartKey, GateResult] = {}
    for now_ms in range(poll_ms, at_gate_ms[-1] + 2 * poll_ms, poll_ms):
        there = truth[: sum(at <= now_ms for at in at_gate_ms)]
        for one, result in gate.on_block(block(there.count(PASSED), there.count(REJECTED), now_ms), 0):
            assert one not in told
            told[one] = result
    assert list(told) == [key(n) for n in range(1, len(parts) + 1)]
    assert all(told[key(n)] in (result, UNKNOWN) for n, result in enumerate(truth, 1))
    for n, result in enumerate(truth, 1):
        same_poll = [
            truth[m] for m, at in enumerate(at_gate_ms) if (at - 1) // poll_ms == (at_gate_ms[n - 1] - 1) // poll_ms
        ]
        assert (told[key(n)] is UNKNOWN) is (len(set(same_poll)) > 1), result
    assert (gate.withheld, gate.unreleased) == (0, 0)
