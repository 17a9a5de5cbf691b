"""The writer's connection: a transaction that stores a batch, and a fresh start after every failure."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing

from sqlalchemy import Connection, Engine

from linegate.inspect.part import PartKey
from linegate.inspect.partlog import batch
from linegate.inspect.partlog.batch import Extras, Pending
from linegate.inspect.partlog.plain import PlainCommit
from linegate.inspect.partlog.rows import PartRows, part_rows

KNOWN_LIMIT = 1000


class Committer:
    """Used by the writer thread only. Whatever it raises, nothing of that call was stored as far as it is known, and the
    next call begins with a new connection."""

    def __init__(self, engine: Engine, *, downgrade_late: bool, busy_timeout_ms: float) -> None:
        self._engine = engine
        self._downgrade_late = downgrade_late
        self._busy_timeout_ms = busy_timeout_ms
        self._connection: Connection | None = None
        self._plain: PlainCommit | None = None
        self._thresholds: set[str] = set()
        self._next_id = 0
        self.fsync_ns = 0
        """How long the last COMMIT took: the rows are in the database by then, and it makes them durable."""

    def commit(self, pendings: list[Pending], extras: Extras) -> list[PartKey]:
        """All or nothing, durable on return; returns the keys of outcomes that found no row."""
        late = self._downgrade_late
        rows = [part_rows(p.record, p.token, p.outcome, p.gate, late=p.answered and late) for p in pendings]
        try:
            connection = self._connection or self._connect()
            if self._plain is not None and not len(extras) and self._knows(rows):
                written_ns = self._plain.store(rows, self._next_id)
                known, orphans = self._thresholds, []
            else:
                known = set(self._thresholds) if len(self._thresholds) < KNOWN_LIMIT else set()
                with connection.begin():
                    batch.insert_parts(connection, rows, self._next_id, known)
                    orphans = batch.write_extras(connection, extras)
                    written_ns = time.monotonic_ns()
            self.fsync_ns = time.monotonic_ns() - written_ns
        except BaseException:
            self.drop()
            raise
        self._next_id += len(rows)
        self._thresholds = known
        return orphans

    def commit_one_by_one(self, pendings: list[Pending], refuse: Callable[[Pending, str, bool], None]) -> None:
        """After a group was refused: see ``batch.insert_one_by_one``."""
        try:
            connection = self._connect()
            with connection.begin():
                batch.insert_one_by_one(connection, pendings, set(), self._downgrade_late, refuse)
        finally:
            self.drop()  # the next one counts ids afresh

    def drop(self) -> None:
        """Close the connection, whatever state it is in."""
        connection, self._connection, self._plain = self._connection, None, None
        if connection is not None:
            connection.invalidate()
            connection.close()

    def _knows(self, rows: list[PartRows]) -> bool:
        return all(each.part["thresholds_sha256"] in self._thresholds for each in rows)

    def _connect(self) -> Connection:
        self.drop()
        self._connection = self._engine.connect()
        if self._engine.dialect.name == "sqlite":  # of this connection alone: ``drop`` never gives it back to the pool
            with closing(self._connection.connection.cursor()) as cursor:
                cursor.execute(f"PRAGMA busy_timeout = {round(self._busy_timeout_ms)}")
            self._plain = PlainCommit(self._connection)
        with self._connection.begin():
            self._next_id = batch.next_part_id(self._connection)
        self._thresholds = set()
        return self._connection
