"""Parts that came while nobody watched: each gets its row, however long the log takes no more."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select

from linegate.inspect import backfill as backfilling
from linegate.inspect.backfill import Backfilled, backfill
from linegate.inspect.chores import Chores
from linegate.inspect.part import Cause, GateResult, PartKey
from linegate.inspect.partlog import schema, writer
from linegate.inspect.partlog.writer import PartLog
from linegate.inspect.settings import LogSettings
from linegate.inspect.unwatched import AddRows, Unwatched

ACTIVE: Any = SimpleNamespace(recipe=SimpleNamespace(id=1, name="Panel"))


@pytest.fixture
def log(tmp_path: Path) -> Iterator[PartLog]:
    opened = PartLog.open(LogSettings(min_free_mb=0), tmp_path)
    opened.start()
    yield opened
    opened.close()


@pytest.fixture
def locked(tmp_path: Path, log: PartLog) -> Iterator[Callable[[], None]]:
    """The database is held by another connection until this is called."""
    other = sqlite3.connect(tmp_path / "linegate.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with contextlib.closing(other):
        yield lambda: (other.in_transaction and other.execute("ROLLBACK"), None)[1]


def adder(log: PartLog) -> AddRows:
    return lambda epoch, upto, cause, left: backfill(log, epoch, upto, ACTIVE, cause, left)


def until(done: Callable[[], object]) -> None:
    pause = threading.Event()
    for _ in range(4000):
        if done():
            return
        pause.wait(0.005)
    raise AssertionError("did not come true in time")


def gates(log: PartLog) -> dict[int, str | None]:
    with log.reader.connect() as connection:
        return {row.sequence: row.gate for row in connection.execute(select(schema.part))}


def test_only_rows_that_the_log_took_are_counted_and_the_rest_is_named(
    log: PartLog, locked: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MAX_BACKLOG", 10)
    added = backfill(log, 7, 25, ACTIVE, Cause.CRASH)
    assert 10 <= added.rows < 25
    assert added.left == (range(added.rows + 1, 26),)
    locked()
    until(lambda: log.status().backlog == 0)
    assert log.count() == added.rows
    monkeypatch.undo()
    assert backfill(log, 7, 25, ACTIVE, Cause.CRASH, added.left) == Backfilled(25 - added.rows, ())
    until(lambda: log.status().backlog == 0)
    assert (log.count(), log.missing(7, 25)) == (25, [])


def test_a_plc_that_has_counted_for_weeks_is_no_loss_of_millions(log: PartLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfilling, "MOST_ROWS", 5)
    assert backfill(log, 7, 1000, ACTIVE, Cause.CRASH) == Backfilled(5, ())
    until(lambda: log.count() == 5)
    assert sorted(gates(log)) == [996, 997, 998, 999, 1000]
    assert backfill(log, 7, 1010, ACTIVE, Cause.CRASH) == Backfilled(1005, ()), "an epoch the log knows has no gaps"


def test_the_parts_of_a_restarted_plc_get_their_rows_when_the_log_works_again(
    log: PartLog, locked: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log is full, then it works: all rows come, once each, with what the gate did."""
    monkeypatch.setattr(writer, "MAX_BACKLOG", 10)
    chores = Chores(print)
    chores.start()
    try:
        unwatched = Unwatched(log, chores, adder(log), 0)
        unwatched.on_epoch(7, 3)
        unwatched.on_epoch(8, 25)
        for sequence in range(1, 26):
            unwatched.on_gate(PartKey(8, sequence), GateResult.REJECTED)
        until(lambda: log.status().backlog >= 10)
        locked()
        until(lambda: log.count() == 28 and log.status().backlog == 0)
        assert log.missing(7, 3) == log.missing(8, 25) == []
        assert (unwatched.count, unwatched.rows_before) == (25, 3)
        unwatched.on_gate(PartKey(8, 25), GateResult.REJECTED)
        until(lambda: gates(log)[25] == "rejected")
    finally:
        chores.stop()


def test_what_the_gate_did_reaches_the_row_that_is_still_to_be_added(log: PartLog) -> None:
    chores = Chores(print)
    unwatched = Unwatched(log, chores, adder(log), 0)
    unwatched.on_epoch(7, 0)
    unwatched.on_epoch(8, 2)
    for sequence in (1, 2):
        unwatched.on_gate(PartKey(8, sequence), GateResult.REJECTED)
    chores.start()
    try:
        until(lambda: gates(log) == {1: "rejected", 2: "rejected"})
    finally:
        chores.stop()
