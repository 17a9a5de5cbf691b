"""What the PLC asks for is heard once, done once, and acknowledged only when it was done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from linegate.cameras.errors import LinegateError
from linegate.inspect.chores import Chores
from linegate.inspect.plc.registers import PLC_NOTHING, Command, Control
from linegate.inspect.plc.wishes import PlcWishes
from linegate.inspect.plc_desk import BUTTON, THE_PLC, PlcDesk

BLOCK = replace(PLC_NOTHING, epoch=7, control=Control.RUN)


def test_a_bit_counts_when_it_rises_and_a_command_when_it_changes() -> None:
    wishes = PlcWishes()
    assert wishes.see(BLOCK) == (Control(0), None)
    armed = replace(BLOCK, control=Control.RUN | Control.CHALLENGE_ARM, command=1)
    assert wishes.see(armed) == (Control.CHALLENGE_ARM, 1)
    assert wishes.see(armed) == (Control(0), None)
    assert wishes.see(replace(BLOCK, command=2)) == (Control(0), 2)
    assert wishes.see(BLOCK) == (Control(0), 0)
    assert wishes.see(armed) == (Control.CHALLENGE_ARM, 1)


def test_what_stands_when_a_plc_is_met_is_nobodys_wish() -> None:
    """An earlier station may have done it; after the PLC's restart it is a leftover."""
    wishes = PlcWishes()
    standing = replace(BLOCK, control=Control.RUN | Control.RESET_ERROR | Control.PURGE, command=1)
    assert wishes.see(standing) == (Control(0), None)
    assert wishes.see(replace(standing, epoch=8)) == (Control(0), None)
    assert wishes.see(replace(BLOCK, epoch=8)) == (Control(0), 0)
    assert wishes.see(replace(standing, epoch=8)) == (Control.RESET_ERROR | Control.PURGE, 1)


class Office:
    """A desk, its chores thread, and what it did."""

    def __init__(self) -> None:
        self.acknowledged: list[str] = []
        self.begun: list[tuple[str, str]] = []
        self.acks: list[int] = []
        self.events: list[tuple[str, str]] = []
        self.failed = threading.Event()
        self.hold = threading.Event()
        self.hold.set()
        self.error: LinegateError | None = None
        self.chores = Chores(lambda _name, _error: self.failed.set())
        self.desk = PlcDesk(
            self.acknowledged.append, self._begin, self.chores, lambda _kind, sev, text: self.events.append((sev, text))
        )

    def _begin(self, lot: str, by: str) -> None:
        assert self.hold.wait(10)
        if self.error is not None:
            raise self.error
        self.acks.append(self.desk.ack)
        self.begun.append((lot, by))

    def ask(self, command: int) -> None:
        self.desk.hear(Control(0), command)
        self.desk.do()


@pytest.fixture
def office() -> Iterator[Office]:
    made = Office()
    made.chores.start()
    yield made
    made.hold.set()
    made.chores.stop()


def until(done: Callable[[], object]) -> None:
    waiting = threading.Event()
    for _ in range(2000):
        if done():
            return
        waiting.wait(0.005)
    raise AssertionError("did not come true in time")


def test_the_reset_button_acknowledges_and_is_no_command(office: Office) -> None:
    office.desk.hear(Control.RESET_ERROR, None)
    office.desk.do()
    office.desk.do()
    assert (office.acknowledged, office.desk.ack) == ([BUTTON], 0)


def test_a_new_batch_is_acknowledged_when_it_has_begun_and_until_it_is_taken_back(office: Office) -> None:
    office.hold.clear()
    office.ask(Command.NEW_BATCH)
    assert office.desk.ack == 0, "it is still being done"
    office.hold.set()
    until(lambda: office.desk.ack == Command.NEW_BATCH)
    ((lot, by),) = office.begun
    assert by == THE_PLC and len(lot) == len("20260501-060000")
    office.ask(0)
    assert office.desk.ack == 0
    assert [severity for severity, _ in office.events] == ["info"]


def test_what_is_not_done_is_not_acknowledged(office: Office) -> None:
    office.error = LinegateError("log", expected="room", found="none", remedy="make some")
    office.ask(Command.NEW_BATCH)
    assert office.failed.wait(10)
    assert office.desk.ack == 0
    office.ask(77)
    assert office.desk.ack == 0
    assert "77" in office.events[-1][1] and "1 new batch, 2 acknowledge" in office.events[-1][1]


def test_a_command_that_was_taken_back_or_overtaken_is_not_acknowledged_late(office: Office) -> None:
    for next_command, ack in ((0, 0), (Command.ACKNOWLEDGE, Command.ACKNOWLEDGE)):
        office.hold.clear()
        before = len(office.begun)
        office.ask(Command.NEW_BATCH)
        office.ask(next_command)
        office.hold.set()
        until(lambda before=before: len(office.begun) > before)
        until(lambda before=before: sum("began batch" in text for _, text in office.events) > before)
        assert office.desk.ack == ack
    assert office.acknowledged == [THE_PLC]


def test_the_same_command_asked_again_is_not_acknowledged_by_the_first_ones_end(office: Office) -> None:
    office.hold.clear()
    for command in (Command.NEW_BATCH, 0, Command.NEW_BATCH):
        office.ask(command)
    acks = office.acks
    office.hold.set()
    until(lambda: office.desk.ack == Command.NEW_BATCH)
    assert (len(office.begun), acks) == (2, [0, 0])


def test_a_restarted_plc_asks_for_nothing(office: Office) -> None:
    office.ask(Command.ACKNOWLEDGE)
    assert office.desk.ack == Command.ACKNOWLEDGE
    office.desk.on_epoch()
    office.desk.do()
    assert office.desk.ack == 0
