"""Who did what, as a chain: each row's hash covers the row and the hash before it, so that no row can be changed, taken
out or moved without breaking the chain, and the stored head (count and hash) shows a tail that was cut off.

It shows tampering with rows; whoever rewrites the whole chain and its head with this code can't be caught by it. Note the
head elsewhere now and then (`linegate audit verify` prints it) to close that gap.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, Row, insert, select, text

from linegate.inspect.partlog.database import DATABASE_TROUBLE, MIGRATION_LOCK, explain
from linegate.inspect.partlog.queries import get_state, set_state
from linegate.inspect.partlog.rows import clean, dumps, sha256_text
from linegate.inspect.partlog.schema import audit

AUDIT_LOCK = MIGRATION_LOCK + 1
HEAD_KEY = "audit.head"
START = "0" * 64
PAGE = 1000


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One act of one person. ``detail`` is JSON text."""

    id: int
    at_utc_ns: int
    by: str
    role: str
    action: str
    subject: str
    detail: str
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class Act:
    """What a person is about to do. Whoever does it for them enters it in the very transaction that does it: a failure in
    between leaves neither, so nothing is ever done without its row, and nobody is told of a failure that was none."""

    by: str
    role: str
    action: str
    subject: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)

    def enter(self, connection: Connection, *, subject: str = "", **found: Any) -> AuditEntry:
        """Its row. ``subject`` and ``found`` (into the detail): what is known only once it is done, a new row's number."""
        return append_entry(
            connection,
            by=self.by,
            role=self.role,
            action=self.action,
            subject=subject or self.subject,
            detail={**self.detail, **found},
        )


@contextlib.contextmanager
def acting(engine: Engine, act: Act) -> Iterator[Connection]:
    """``with acting(engine, act) as connection``: one write transaction, whose last row is the act's. Raises LogError, and
    then nothing was done; what the block raises leaves as it is, and nothing was done either."""
    try:
        with engine.begin() as connection:
            yield connection
            act.enter(connection)
    except DATABASE_TROUBLE as error:
        raise explain(error, engine) from error


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What ``verify`` found. ``problems`` name each broken place, [] when the chain is whole."""

    count: int
    head: str
    problems: list[str]


class AuditTrail:
    """Appends from any process; the engine must be one for writing."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def append(
        self, *, by: str, role: str, action: str, subject: str = "", detail: Mapping[str, Any] | None = None
    ) -> AuditEntry:
        """Add one act; durable on return. Raises LogError."""
        try:
            with self._engine.begin() as connection:
                return append_entry(connection, by=by, role=role, action=action, subject=subject, detail=detail)
        except DATABASE_TROUBLE as error:
            raise explain(error, self._engine) from error


def append_entry(
    connection: Connection,
    *,
    by: str,
    role: str,
    action: str,
    subject: str = "",
    detail: Mapping[str, Any] | None = None,
) -> AuditEntry:
    """Add one act inside the caller's transaction, so that an act and its record stand or fall together. On SQLite the
    transaction must hold the write lock (engines for writing do); on PostgreSQL a lock of its own orders the writers."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({AUDIT_LOCK})"))
    count, previous = _head(connection)
    fields: dict[str, Any] = {
        "id": count + 1,
        "at_utc_ns": time.time_ns(),
        "by": clean(by),
        "role": clean(role)[:16],
        "action": clean(action)[:48],
        "subject": clean(subject),
        "detail": clean(dumps(dict(detail or {}))),
        "previous": previous,
    }
    entry = AuditEntry(**fields, hash=chain_hash(fields))
    connection.execute(insert(audit).values(**fields, hash=entry.hash))
    set_state(connection, HEAD_KEY, dumps({"count": entry.id, "hash": entry.hash}))
    return entry


def chain_hash(fields: Mapping[str, Any]) -> str:
    """sha256 over the previous hash and the row's canonical JSON (sorted keys, no spaces, UTF-8)."""
    return sha256_text(str(fields["previous"]) + dumps({name: fields[name] for name in fields if name != "previous"}))


def _head(connection: Connection) -> tuple[int, str]:
    value = get_state(connection, HEAD_KEY)
    if value is None:
        return 0, START
    head = json.loads(value)
    return int(head["count"]), str(head["hash"])


def verify(connection: Connection) -> AuditReport:
    """Walk the whole chain. Finds a changed, missing, inserted or reordered row and a cut tail, and names it."""
    problems: list[str] = []
    expected_id, previous = 1, START
    rows = connection.execution_options(yield_per=PAGE).execute(select(audit).order_by(audit.c.id))
    for row in rows:
        if row.id != expected_id:
            problems.append(_missing(expected_id, row.id - 1))
        elif row.previous != previous:
            problems.append(
                f"row {row.id} ({_words(row)}) does not follow row {row.id - 1}: one of them was replaced or moved"
            )
        fields = {name: value for name, value in row._mapping.items() if name != "hash"}
        if chain_hash(fields) != row.hash:
            problems.append(f"row {row.id} ({_words(row)}) was changed after it was written")
        expected_id, previous = row.id + 1, row.hash
    count, head = _head(connection)
    found = expected_id - 1
    if found < count:
        problems.append(f"{_missing(found + 1, count)} at the end")
    elif found > count:
        problems.append(f"rows {count + 1} to {found} were added without the head")
    elif previous != head:
        problems.append(f"the head's hash is not that of row {count}: the last row was replaced")
    return AuditReport(found, previous, problems)


def entries(
    connection: Connection, limit: int = 50, by: str | None = None, action: str | None = None
) -> list[AuditEntry]:
    """The latest acts, newest first."""
    wanted = select(audit).order_by(audit.c.id.desc()).limit(limit)
    if by is not None:
        wanted = wanted.where(audit.c.by == by)
    if action is not None:
        wanted = wanted.where(audit.c.action == action)
    return [AuditEntry(**row._mapping) for row in connection.execute(wanted)]


def _missing(first: int, last: int) -> str:
    return f"row {first} is missing" if first == last else f"rows {first} to {last} are missing"


def _words(row: Row[Any]) -> str:
    return f"{row.action} by {row.by}"
