"""Wishes of people to the line: screens write a row, the line takes it, does it, and answers in the same row."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, insert, select, update

from linegate.inspect.partlog.database import DATABASE_TROUBLE, explain, log_url, make_engine
from linegate.inspect.partlog.errors import LogError
from linegate.inspect.partlog.queries import Reading
from linegate.inspect.partlog.rows import clean, dumps
from linegate.inspect.partlog.schema import command
from linegate.inspect.settings import LogSettings

T = TypeVar("T")


class CommandState(StrEnum):
    """The life of a command: waiting → taken → done; or expired when the line didn't come in time."""

    WAITING = "waiting"
    TAKEN = "taken"
    DONE = "done"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Command:
    """A wish as the line takes it."""

    id: int
    kind: str
    args: dict[str, Any]
    by: str
    role: str
    at_utc_ns: int


@dataclass(frozen=True, slots=True)
class CommandAnswer:
    """What became of a command. ``ok`` is None until it is done."""

    id: int
    state: CommandState
    ok: bool | None
    answer: str


class CommandBox:
    """Connections of its own: neither side ever touches the writer's. Each call may wait for the database's lock, up to
    ``busy_timeout_ms``, so the line polls from a thread that is not on the verdict path."""

    def __init__(self, engine: Engine, reader: Engine) -> None:
        self._engine = engine
        self._reader = reader

    @classmethod
    def open(cls, settings: LogSettings, data: Path, busy_timeout_ms: float = 1000.0) -> CommandBox:
        """On the station's log, whose schema must be there. Raises LogError."""
        url = log_url(settings, data)
        return cls(
            make_engine(url, access="write", busy_timeout_ms=busy_timeout_ms),
            make_engine(url, access="read", busy_timeout_ms=busy_timeout_ms),
        )

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()
        self._reader.dispose()

    # -- the side that wishes

    def send(self, kind: str, args: Mapping[str, Any], *, by: str, role: str) -> int:
        """Write a command; returns its id. Raises LogError, also for ``args`` that JSON can't carry."""
        try:
            text = clean(dumps(dict(args)))
        except (TypeError, ValueError) as error:
            raise LogError(
                f"command {kind!r}",
                expected="arguments that JSON can carry",
                found=str(error),
                remedy="Send text, numbers, lists and tables.",
            ) from error
        row = {"at_utc_ns": time.time_ns(), "kind": kind, "args": text, "by": clean(by), "role": role}

        def write(connection: Connection) -> int:
            result = connection.execute(insert(command).values(**row, state=str(CommandState.WAITING)))
            assert result.inserted_primary_key is not None
            return int(result.inserted_primary_key[0])

        return self._do(write)

    def answer(self, command_id: int) -> CommandAnswer:
        """What became of it so far. Raises LogError for an id that isn't there."""

        def read(connection: Connection) -> CommandAnswer | None:
            row = connection.execute(select(command).where(command.c.id == command_id)).one_or_none()
            return None if row is None else CommandAnswer(row.id, CommandState(row.state), row.ok, row.answer or "")

        found = self._look(read)
        if found is None:
            raise LogError(
                f"command {command_id}", expected="a command of this log", found="none", remedy="Send it again."
            )
        return found

    def wait(self, command_id: int, timeout_s: float, poll_s: float = 0.05) -> CommandAnswer:
        """Wait for the line's answer. After ``timeout_s`` a command that nobody took expires, so that it can't be done
        later by surprise; one that was taken is returned as it stands. Raises LogError."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = self.answer(command_id)
            if found.state in {CommandState.DONE, CommandState.EXPIRED}:
                return found
            if time.monotonic() >= deadline:
                self._do(lambda connection: self._expire(connection, command_id))
                return self.answer(command_id)
            time.sleep(poll_s)

    # -- the line's side

    def take(self, kinds: tuple[str, ...] = (), other_than: tuple[str, ...] = ()) -> Command | None:
        """The oldest waiting command (of ``kinds``, () for all, and none of ``other_than``), now taken; None where there is
        none. Each is taken once."""
        wanted = select(command).where(command.c.state == str(CommandState.WAITING)).order_by(command.c.id).limit(1)
        if kinds:
            wanted = wanted.where(command.c.kind.in_(kinds))
        if other_than:
            wanted = wanted.where(command.c.kind.not_in(other_than))

        def peek(connection: Connection) -> bool:
            return connection.execute(wanted.with_only_columns(command.c.id)).first() is not None

        def take(connection: Connection) -> Command | None:
            row = connection.execute(wanted.with_for_update(skip_locked=True)).first()
            if row is None:
                return None
            connection.execute(
                update(command)
                .where(command.c.id == row.id)
                .values(state=str(CommandState.TAKEN), taken_utc_ns=time.time_ns())
            )
            return Command(row.id, row.kind, json.loads(row.args), row.by, row.role, row.at_utc_ns)

        return self._do(take) if self._look(peek) else None

    def ack(self, command_id: int, ok: bool, answer: str) -> None:
        """Answer a command that was taken. Raises LogError."""
        values = {"state": str(CommandState.DONE), "done_utc_ns": time.time_ns(), "ok": ok, "answer": clean(answer)}
        self._do(
            lambda connection: connection.execute(update(command).where(command.c.id == command_id).values(**values))
        )

    def expire_old(self, why: str = "the line was restarted") -> int:
        """At the line's start: what was asked of an earlier run is not done now. Returns how many there were."""

        def expire(connection: Connection) -> int:
            live = command.c.state.in_([str(CommandState.WAITING), str(CommandState.TAKEN)])
            values = {"state": str(CommandState.EXPIRED), "done_utc_ns": time.time_ns(), "ok": False, "answer": why}
            return connection.execute(update(command).where(live).values(**values)).rowcount

        return self._do(expire)

    @staticmethod
    def _expire(connection: Connection, command_id: int) -> None:
        waiting = (command.c.id == command_id) & (command.c.state == str(CommandState.WAITING))
        values = {"state": str(CommandState.EXPIRED), "done_utc_ns": time.time_ns(), "ok": False}
        connection.execute(update(command).where(waiting).values(**values, answer="the line did not take it in time"))

    def _do(self, work: Callable[[Connection], T]) -> T:
        try:
            with self._engine.begin() as connection:
                return work(connection)
        except DATABASE_TROUBLE as error:
            raise explain(error, self._engine) from error

    def _look(self, work: Callable[[Connection], T]) -> T:
        """Without the write lock: polling must not stand in the writer's way."""
        with Reading(self._reader) as connection:
            return work(connection)
