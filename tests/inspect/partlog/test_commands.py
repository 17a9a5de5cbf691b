"""A wish is taken once, answered once, and never done late by surprise."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from linegate.inspect.partlog.commands import CommandBox, CommandState
from linegate.inspect.partlog.errors import LogError
from linegate.inspect.partlog.writer import PartLog
from linegate.inspect.settings import LogSettings


@pytest.fixture
def box(settings: LogSettings, log: PartLog, tmp_path: Path) -> Iterator[CommandBox]:
    opened = CommandBox.open(settings, tmp_path)
    yield opened
    opened.close()


def test_the_line_takes_does_and_answers(box: CommandBox) -> None:
    first = box.send("recipe", {"id": 2, "name": "Blech ü"}, by="anna", role="lead")
    second = box.send("stop", {}, by="ben", role="operator")
    taken = box.take()
    assert taken is not None
    assert (taken.id, taken.kind, taken.args, taken.by, taken.role) == (
        first, "recipe", {"id": 2, "name": "Blech ü"}, "anna", "lead",
    )  # fmt: skip
    assert box.answer(first).state is CommandState.TAKEN
    box.ack(first, True, "recipe 2 is active")
    answer = box.wait(first, 0.0)
    assert (answer.state, answer.ok, answer.answer) == (CommandState.DONE, True, "recipe 2 is active")
    assert box.answer(second).state is CommandState.WAITING
    assert box.take(("recipe",)) is None
    following = box.take(("stop",))
    assert following is not None
    assert following.id == second
    assert box.take() is None


def test_waiting_ends_with_the_answer(box: CommandBox) -> None:
    sent = box.send("lot", {"id": "L2"}, by="anna", role="operator")

    def line() -> None:
        while (taken := box.take()) is None:
            pass
        box.ack(taken.id, False, "a part is in transit")

    thread = threading.Thread(target=line)
    thread.start()
    answer = box.wait(sent, 20.0)
    thread.join()
    assert (answer.ok, answer.answer) == (False, "a part is in transit")


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_command_nobody_took_expires(box: CommandBox) -> None:
    sent = box.send("stop", {}, by="anna", role="operator")
    answer = box.wait(sent, 0.1)
    assert (answer.state, answer.ok) == (CommandState.EXPIRED, False)
    assert box.take() is None


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_taken_command_does_not_expire(box: CommandBox) -> None:
    sent = box.send("stop", {}, by="anna", role="operator")
    assert box.take() is not None
    assert box.wait(sent, 0.1).state is CommandState.TAKEN


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_restarted_line_does_not_do_old_commands(box: CommandBox) -> None:
    sent = [box.send("stop", {}, by="anna", role="operator") for _ in range(2)]
    box.take()
    assert box.expire_old() == 2
    assert [box.answer(each).answer for each in sent] == ["the line was restarted"] * 2
    assert box.take() is None


def test_two_takers_never_get_the_same(settings: LogSettings, box: CommandBox, tmp_path: Path) -> None:
    sent = {box.send("n", {"n": n}, by="a", role="b") for n in range(20)}
    other = CommandBox.open(settings, tmp_path, busy_timeout_ms=10_000)
    got: list[int] = []

    def take_all(from_box: CommandBox) -> None:
        while (taken := from_box.take()) is not None:
            got.append(taken.id)

    threads = [threading.Thread(target=take_all, args=(each,)) for each in (box, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while (taken := box.take()) is not None:  # a lost race ends a taker early on PostgreSQL
        got.append(taken.id)
    other.close()
    assert sorted(got) == sorted(sent)


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_bad_arguments_and_ids_are_named(box: CommandBox) -> None:
    with pytest.raises(LogError, match="arguments that JSON can carry"):
        box.send("x", {"when": object()}, by="a", role="b")
    with pytest.raises(LogError, match="command 4711"):
        box.answer(4711)
