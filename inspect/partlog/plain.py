"""The log's common case on SQLite, parts and their children and nothing else, in as few steps as there are.

Between two parts the network drives everything else out of the processor's caches, and then each layer that a statement
passes through costs: with cold caches SQLAlchemy's way takes 0.4 ms longer than SQLite's own (``linegate bench``, stage log).
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Sequence

from sqlalchemy import Connection, Table, insert
from sqlalchemy.exc import DBAPIError

from linegate.inspect.partlog.rows import PartRows, Row
from linegate.inspect.partlog.schema import part, region, view


class _Insert:
    """One table's statement, written by SQLAlchemy from the schema, and the order of its values."""

    def __init__(self, table: Table, connection: Connection) -> None:
        compiled = insert(table).compile(
            dialect=connection.dialect, column_keys=[column.name for column in table.columns]
        )
        self.text = str(compiled)
        self._names = tuple(compiled.positiontup or ())

    def values(self, row: Row) -> tuple[object, ...]:
        """A row's values in the statement's order."""
        return tuple([row[name] for name in self._names])


class PlainCommit:
    """On the writer's own SQLite connection, and only while SQLAlchemy has no transaction on it."""

    def __init__(self, connection: Connection) -> None:
        self._dialect = connection.dialect
        self._wire = connection.connection
        self._cursor: sqlite3.Cursor = self._wire.cursor()  # type: ignore[assignment]
        self._part, self._view, self._region = (_Insert(table, connection) for table in (part, view, region))

    def store(self, rows: Sequence[PartRows], first_id: int) -> int:
        """Parts with ids from ``first_id``, durable on return, or an exception as SQLAlchemy would raise it, after which the
        connection has to be dropped. Returns when COMMIT began, host monotonic ns."""
        cursor, text = self._cursor, "BEGIN IMMEDIATE"
        try:
            cursor.execute(text)
            for part_id, each in enumerate(rows, first_id):
                each.number(part_id)
                text = self._part.text
                cursor.execute(text, self._part.values(each.part))
                for one, children in ((self._view, each.views), (self._region, each.regions)):
                    text = one.text
                    for row in children:
                        cursor.execute(text, one.values(row))
            text, began_ns = "COMMIT", time.monotonic_ns()
            self._dialect.do_commit(self._wire)
        except BaseException as error:
            # Closing alone would leave the lock held for as long as the traceback lives.
            with contextlib.suppress(sqlite3.Error):
                self._wire.rollback()
            if not isinstance(error, sqlite3.Error):
                raise
            raise DBAPIError.instance(text, None, error, sqlite3.Error, dialect=self._dialect) from error
        return began_ns
