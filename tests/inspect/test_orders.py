"""The order desk on a real log that is locked between taking an order and answering it."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert

from linegate.inspect.orders import OrderDesk
from linegate.inspect.partlog import audit, schema
from linegate.inspect.partlog.audit import AuditTrail
from linegate.inspect.partlog.commands import Command, CommandBox
from linegate.inspect.partlog.queries import Reading
from linegate.inspect.partlog.writer import PartLog
from linegate.inspect.settings import LogSettings

SETTINGS = LogSettings(busy_timeout_ms=20.0, min_free_mb=0.0)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[PartLog]:
    made = PartLog.open(SETTINGS, tmp_path)
    yield made
    made.close()


def test_an_order_that_was_done_is_answered_and_audited_however_busy_the_log_is(log: PartLog, tmp_path: Path) -> None:
    box = CommandBox.open(SETTINGS, tmp_path, busy_timeout_ms=50.0)
    done: list[str] = []
    other = sqlite3.connect(tmp_path / "linegate.db", isolation_level=None, timeout=5, check_same_thread=False)
    locked = threading.Event()

    def lot(command: Command) -> str:
        if command.args["lot"] == "crash":
            raise RuntimeError("a handler's own mistake")
        other.execute("BEGIN IMMEDIATE")  # another program takes the database just now
        locked.set()
        done.append(str(command.args["lot"]))
        return "begun"

    desk = OrderDesk(box, AuditTrail(log.writer_engine), {"lot": lot})
    desk.start()
    try:
        crash = box.wait(box.send("lot", {"lot": "crash"}, by="Ada", role="operator"), 10.0)
        assert crash.ok is False
        assert "a handler's own mistake" in crash.answer
        order = box.send("lot", {"lot": "L-1"}, by="Ada", role="operator")
        assert locked.wait(10.0)
        deadline = time.monotonic() + 0.6  # longer than every timeout: the first attempts have failed by then
        while time.monotonic() < deadline:
            assert box.answer(order).ok is None
            time.sleep(0.05)
        other.execute("ROLLBACK")
        answer = box.wait(order, 10.0)
        assert (answer.ok, answer.answer) == (True, "begun")
        assert done == ["L-1"], "it was done once"
        with Reading(log.reader) as connection:
            assert [entry.subject for entry in audit.entries(connection, 10, None, None)] == ["lot L-1", "lot crash"]
    finally:
        desk.stop()
        box.close()
        other.close()


def test_a_stop_does_not_wait_behind_a_recipe_that_loads(log: PartLog, tmp_path: Path) -> None:
    box = CommandBox.open(SETTINGS, tmp_path)
    loaded = threading.Event()
    handlers = {"recipe": lambda _command: str(loaded.wait(20.0)), "stop": lambda _command: "told"}
    desk = OrderDesk(box, AuditTrail(log.writer_engine), handlers)
    desk.start()
    try:
        recipe = box.send("recipe", {"id": 2}, by="Ada", role="lead")
        stop = box.wait(box.send("stop", {}, by="Ada", role="operator"), 10.0)
        assert (stop.ok, stop.answer) == (True, "told")
        assert box.answer(recipe).ok is None
        loaded.set()
        assert box.wait(recipe, 10.0).ok
    finally:
        desk.stop()
        box.close()


def test_what_was_asked_long_ago_is_not_done_by_surprise_but_reports_are_kept(log: PartLog, tmp_path: Path) -> None:
    """Whoever asked may have closed the page, so that no screen calls it off."""
    box = CommandBox.open(SETTINGS, tmp_path)
    done: list[str] = []

    def do(command: Command) -> str:
        done.append(command.kind)
        return "done"

    desk = OrderDesk(box, AuditTrail(log.writer_engine), {"lot": do, "escape": do})
    desk.start()
    try:
        row = {
            "at_utc_ns": time.time_ns() - 60 * 10**9,
            "args": "{}",
            "by": "Ada",
            "role": "operator",
            "state": "waiting",
        }
        with log.writer_engine.begin() as connection:
            for number, kind in ((1, "lot"), (2, "escape")):
                connection.execute(insert(schema.command).values(id=number, kind=kind, **row))
        lot, escape = 1, 2
        assert box.wait(escape, 10.0).ok
        refused = box.wait(lot, 10.0)
        assert refused.ok is False and "is not done now" in refused.answer
        assert done == ["escape"]
    finally:
        desk.stop()
        box.close()
