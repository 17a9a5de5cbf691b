"""What the writer does inside one transaction: many parts, their outcomes, events and pictures, all or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Insert, bindparam, exists, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from linegate.inspect.part import GateResult, PartKey
from linegate.inspect.partlog.errors import LogError
from linegate.inspect.partlog.records import Outcome, PartRecord
from linegate.inspect.partlog.rows import PartRows, Row, bare_rows, part_rows
from linegate.inspect.partlog.schema import event, image, part, region, thresholds, view

Done = Callable[[LogError | None], None]

SERVER_TROUBLE = ("08", "40", "53", "55", "57", "58", "XX")
"""SQLSTATE classes that say nothing against the row: connection, conflict, resources, shutdown, system."""

_by_key = (part.c.epoch == bindparam("k_epoch")) & (part.c.sequence == bindparam("k_sequence"))
_set_outcome = (
    update(part)
    .where(_by_key)
    .values(
        {name: bindparam(name) for name in ("wire_verdict", "wire_written", "latency_ms", "slack_ms", "outcome_note")}
    )
)
_set_gate = update(part).where(_by_key).values(gate=bindparam("gate"))
_image_values = {
    column.name: bindparam(column.name, type_=column.type) for column in image.columns if column.name != "id"
}
_same_image = exists().where(
    *(image.c[name] == _image_values[name] for name in ("epoch", "sequence", "camera", "sha256")),
)
_insert_image = insert(image).from_select(list(_image_values), select(*_image_values.values()).where(~_same_image))
_find = select(part.c.id, part.c.token).where(_by_key)


@dataclass(slots=True, eq=False)
class Pending:
    """A record on its way. ``until_ns``: so long it may wait for a busy database. ``answered``: ``done`` was called with an
    error, so the part was not passed."""

    record: PartRecord
    done: Done
    token: int
    since_ns: int
    until_ns: int = 0
    outcome: Outcome | None = None
    gate: GateResult | None = None
    answered: bool = False
    refused: LogError | None = None
    """Why it is not in the log as it was handed over."""
    has_row: bool = True


@dataclass(slots=True)
class Extras:
    """What rides along: columns of outcomes and gate results by key, event and image rows, further statements."""

    outcomes: list[Row] = field(default_factory=list)
    gates: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    images: list[Row] = field(default_factory=list)
    once: list[tuple[Any, Row]] = field(default_factory=list)
    """(table, row) to be inserted unless its primary key is there."""

    def append(self, later: Extras) -> None:
        """Add what came later."""
        self.outcomes += later.outcomes
        self.gates += later.gates
        self.events += later.events
        self.images += later.images
        self.once += later.once

    def singles(self) -> list[Extras]:
        """Each of them alone."""
        return [
            *(Extras(outcomes=[row]) for row in self.outcomes),
            *(Extras(gates=[row]) for row in self.gates),
            *(Extras(images=[row]) for row in self.images),
            *(Extras(events=[row]) for row in self.events),
            *(Extras(once=[row]) for row in self.once),
        ]

    def __len__(self) -> int:
        return len(self.outcomes) + len(self.gates) + len(self.events) + len(self.images) + len(self.once)


def is_trouble(error: BaseException) -> bool:
    """True when the database failed, False when it refused what it was given."""
    if isinstance(error, OSError | PoolTimeout):
        return True
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated or isinstance(error, OperationalError | InterfaceError):
        return True
    details = error.orig.args[0] if error.orig is not None and error.orig.args else None
    if isinstance(details, dict):  # pg8000's: field letter to text, "C" is the SQLSTATE
        return str(details.get("C", "XX")).startswith(SERVER_TROUBLE)
    return "malformed" in str(error.orig)


def insert_once(connection: Connection, table: Any, row: Row) -> None:
    """Insert unless the primary key is there already."""
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(make(table).on_conflict_do_nothing(), row)


def insert_images(connection: Connection, rows: Sequence[Row]) -> None:
    """Insert pictures' rows. One that is there already stays: a person may have asked for a picture that was on its way."""
    _insert(connection, _insert_image, list(rows))


def next_part_id(connection: Connection) -> int:
    """The id the next part row gets; there is one writer only."""
    return int(connection.execute(select(func.coalesce(func.max(part.c.id), 0))).scalar_one()) + 1


def insert_parts(connection: Connection, rows: Sequence[PartRows], first_id: int, known_thresholds: set[str]) -> None:
    """Insert the parts with ids from ``first_id`` and all their children; adds to ``known_thresholds``."""
    for part_id, each in enumerate(rows, first_id):
        each.number(part_id)
        sha256 = each.part["thresholds_sha256"]
        if sha256 not in known_thresholds:
            insert_once(connection, thresholds, {"sha256": sha256, "text": each.thresholds})
            known_thresholds.add(sha256)
    _insert(connection, insert(part), [each.part for each in rows])
    _insert(connection, insert(view), [row for each in rows for row in each.views])
    _insert(connection, insert(region), [row for each in rows for row in each.regions])


def _insert(connection: Connection, statement: Insert, rows: list[Row]) -> None:
    if rows:
        connection.execute(statement, rows)


def write_extras(connection: Connection, extras: Extras) -> list[PartKey]:
    """Write what rides along; returns the keys of outcomes for which there is no row."""
    orphans = [
        PartKey(row["k_epoch"], row["k_sequence"])
        for row in extras.outcomes
        if connection.execute(_set_outcome, row).rowcount == 0
    ]
    for row in extras.gates:
        connection.execute(_set_gate, row)
    insert_images(connection, extras.images)
    _insert(connection, insert(event), extras.events)
    for table, row in extras.once:
        insert_once(connection, table, row)
    return orphans


def insert_one_by_one(
    connection: Connection,
    pendings: Iterable[Pending],
    known_thresholds: set[str],
    downgrade: bool,
    refuse: Callable[[Pending, str, bool], None],
) -> None:
    """After a group was refused: find out whose fault it was, each record under a savepoint of its own.

    A row of the same key is a duplicate, unless it bears the record's token: then an earlier attempt was stored although
    its commit seemed to fail, and the row is brought to what the line was told. A record that can't be stored whole is
    stored bare. ``refuse`` is told why of all that are not in the log as handed over, and whether there is a bare row.
    """
    part_id = next_part_id(connection)
    for pending in pendings:
        key, late = pending.record.key, pending.answered and downgrade
        found = connection.execute(_find, {"k_epoch": key.epoch, "k_sequence": key.sequence}).first()
        if found is not None:
            if found.token == pending.token:
                rows = part_rows(pending.record, pending.token, pending.outcome, pending.gate, late=late)
                connection.execute(update(part).where(part.c.id == found.id).values(rows.part))
            else:
                refuse(pending, "duplicate", False)
            continue
        why = _try(connection, pending, part_id, known_thresholds, late, "")
        if why:
            worse = _try(connection, pending, part_id, known_thresholds, late, why)
            refuse(pending, worse or why, not worse)
            part_id += not worse
        else:
            part_id += 1


def _try(
    connection: Connection, pending: Pending, part_id: int, known_thresholds: set[str], late: bool, bare_because: str
) -> str:
    """Returns why it was refused, "" when stored; lets the database's own troubles pass through."""
    known = set(known_thresholds)
    try:
        if bare_because:
            rows = bare_rows(pending.record, pending.token, pending.outcome, pending.gate, bare_because)
        else:
            rows = part_rows(pending.record, pending.token, pending.outcome, pending.gate, late=late)
        with connection.begin_nested():
            insert_parts(connection, [rows], part_id, known)
    except Exception as error:
        if is_trouble(error):
            raise
        return " ".join(str(getattr(error, "orig", None) or error).split())[:300]
    known_thresholds |= known
    return ""
