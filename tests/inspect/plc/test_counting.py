"""The trigger counter in front of a PLC that sets its new epoch before it clears its counters, in any rhythm."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate.inspect.plc.counting import SETTLE_NS, Seen, TriggerCounter
from linegate.inspect.plc.registers import PLC_NOTHING, PlcBlock

MS = 1_000_000
SETTLE_MS = SETTLE_NS // MS


def block(epoch: int, triggered: int, at_ms: int) -> PlcBlock:
    return replace(
        PLC_NOTHING, epoch=epoch, triggered=triggered, trig_id=triggered & 0xFFFF, read_ns=at_ms * MS + 10**12
    )


def seen(counter: TriggerCounter, epoch: int, triggered: int, at_ms: int) -> Seen:
    return counter.see(block(epoch, triggered, at_ms), (at_ms - 1) * MS + 10**12)[0]


def running(counted: int = 4000) -> TriggerCounter:
    """A counter that has followed epoch 7 to ``counted``."""
    counter = TriggerCounter(200.0)
    assert seen(counter, 7, 0, -60_000) is Seen.NEW_EPOCH
    for count in range(256, counted + 256, 256):
        seen(counter, 7, min(count, counted), -50_000)
    return counter


def test_the_old_count_of_a_new_epoch_makes_no_parts() -> None:
    counter = running()
    assert [seen(counter, 8, 4000, at) for at in (0, 20, 400)] == [Seen.SETTLING] * 3
    assert seen(counter, 8, 0, 500) is Seen.NEW_EPOCH
    kind, triggers = counter.see(block(8, 1, 510), 10**12)
    assert kind is Seen.COUNTED
    assert [(t.key.epoch, t.key.sequence) for t in triggers] == [(8, 1)]


def test_a_count_that_is_not_zero_is_believed_when_it_has_stood() -> None:
    """Restarted and counting before anybody looked, or met for the first time."""
    for counter in (running(3), TriggerCounter(200.0)):
        assert seen(counter, 8, 3, 0) is Seen.SETTLING
        assert seen(counter, 8, 5, SETTLE_MS - 1) is Seen.SETTLING
        assert seen(counter, 8, 6, SETTLE_MS) is Seen.NEW_EPOCH
        assert counter.see(block(8, 8, SETTLE_MS + 10), 10**12)[1][-1].key.sequence == 8
        assert seen(counter, 8, 2, SETTLE_MS + 20) is Seen.BACKWARDS


def test_a_second_restart_while_the_first_settles() -> None:
    counter = running()
    assert seen(counter, 8, 4000, 0) is Seen.SETTLING
    assert seen(counter, 9, 4000, SETTLE_MS) is Seen.SETTLING, "the time of epoch 8 is not epoch 9's"
    assert counter.take_ended() is None, "all that epoch 8 showed was the count of epoch 7"
    assert seen(counter, 9, 4001, SETTLE_MS + 10) is Seen.SETTLING
    assert seen(counter, 10, 4100, SETTLE_MS + 20) is Seen.SETTLING
    ended = counter.take_ended()
    assert ended is not None
    assert (ended.epoch, ended.triggered) == (9, 4001), "parts came in epoch 9; nobody else will tell of them"
    assert counter.take_ended() is None
    assert seen(counter, 10, 2, SETTLE_MS + 30) is Seen.NEW_EPOCH


@pytest.mark.parametrize(
    ("old", "first", "kind"),
    [
        (4000, 3999, Seen.NEW_EPOCH),
        (4000, 4000, Seen.SETTLING),
        (70_000, 70_000 & 0xFFFF, Seen.SETTLING),  # the high word was cleared first
        (70_000, 0x1_0000, Seen.SETTLING),  # or the low one
        (70_000, 3, Seen.NEW_EPOCH),
        (0x1_0000, 1, Seen.SETTLING),
    ],
)
def test_a_count_is_believed_at_once_where_no_word_of_the_old_one_can_be_left(old: int, first: int, kind: Seen) -> None:
    counter = running(old)
    assert seen(counter, 8, first, 0) is kind
    if kind is Seen.SETTLING:
        assert seen(counter, 8, 0, 10) is Seen.NEW_EPOCH


@given(
    old=st.integers(0, 5000),
    clears_after_ms=st.integers(0, SETTLE_MS - 1),
    edges_ms=st.lists(st.integers(0, 4 * SETTLE_MS), max_size=40),
    polls_ms=st.lists(st.integers(1, 300), min_size=60, max_size=60),
    first=st.booleans(),
)
def test_no_part_twice_none_left_out_and_none_that_never_was(
    old: int, clears_after_ms: int, edges_ms: list[int], polls_ms: list[int], first: bool
) -> None:
    """However the restart falls between the polls: the parts of the new life are those the client is to reconcile, once, and
    those it is told of, once."""
    counter = TriggerCounter(200.0) if first else running(old)
    edges = sorted(edge for edge in edges_ms if edge >= clears_after_ms)
    epochs: list[int] = []
    told: list[int] = []
    at_ms = 0
    for pause in polls_ms:
        at_ms += pause
        now = sum(edge <= at_ms for edge in edges)
        kind, triggers = counter.see(block(8, old if at_ms < clears_after_ms else now, at_ms), 10**12)
        assert kind in (Seen.SETTLING, Seen.NEW_EPOCH, Seen.COUNTED)
        epochs += [now] if kind is Seen.NEW_EPOCH else []
        told += [trigger.key.sequence for trigger in triggers]
    if at_ms >= clears_after_ms + SETTLE_MS + 300:
        assert len(epochs) == 1
        assert list(range(1, epochs[0] + 1)) + told == list(range(1, sum(edge <= at_ms for edge in edges) + 1))
