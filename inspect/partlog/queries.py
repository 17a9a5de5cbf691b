"""The read side: reconciliation, the `log` command and the screens. All functions take an open connection."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from sqlalchemy import Connection, Engine, Select, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from linegate.inspect.part import Decision, PartKey
from linegate.inspect.partlog.database import DATABASE_TROUBLE, explain
from linegate.inspect.partlog.records import KnownParts
from linegate.inspect.partlog.schema import (
    bundle,
    event,
    image,
    label,
    lot,
    part,
    region,
    station_state,
    thresholds,
    view,
)


class Reading:
    """``with Reading(engine) as connection``: one read transaction; the database's failures leave as LogError."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None

    def __enter__(self) -> Connection:
        try:
            self._connection = self._engine.connect()
            self._connection.begin()
        except DATABASE_TROUBLE as error:
            raise explain(error, self._engine) from error
        return self._connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._connection is not None
        self._connection.close()
        if isinstance(error, DATABASE_TROUBLE):
            raise explain(error, self._engine) from error


def set_state(connection: Connection, key: str, value: str) -> None:
    """Insert or replace one line of ``station_state``."""
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    row = {"value": value, "at_utc_ns": time.time_ns()}
    statement = make(station_state).values(key=key, **row)
    connection.execute(statement.on_conflict_do_update(index_elements=["key"], set_=row))


def get_state(connection: Connection, key: str) -> str | None:
    """One line of ``station_state``, None where there is none."""
    return connection.execute(select(station_state.c.value).where(station_state.c.key == key)).scalar()


def count_parts(connection: Connection) -> int:
    """All part rows."""
    return int(connection.execute(select(func.count()).select_from(part)).scalar_one())


def known_parts(connection: Connection, epoch: int) -> KnownParts:
    """What rows there are of an epoch."""
    count, last = connection.execute(
        select(func.count(), func.coalesce(func.max(part.c.sequence), 0)).where(part.c.epoch == epoch)
    ).one()
    return KnownParts(epoch, int(count), int(last))


def missing_parts(connection: Connection, epoch: int, upto: int, after: int = 0) -> list[range]:
    """The sequences after + 1 to upto of an epoch that have no row, as ranges in rising order."""
    rows = (
        select(part.c.sequence, func.lag(part.c.sequence, 1, after).over(order_by=part.c.sequence).label("before"))
        .where(part.c.epoch == epoch, part.c.sequence.between(after + 1, upto))
        .subquery()
    )
    gaps = select(rows.c.before, rows.c.sequence).where(rows.c.sequence - rows.c.before > 1).order_by(rows.c.sequence)
    found = [range(int(before) + 1, int(sequence)) for before, sequence in connection.execute(gaps)]
    last = connection.execute(
        select(func.coalesce(func.max(part.c.sequence), after)).where(
            part.c.epoch == epoch, part.c.sequence.between(after + 1, upto)
        )
    ).scalar_one()
    if last < upto:
        found.append(range(int(last) + 1, upto + 1))
    return found


@dataclass(frozen=True, slots=True)
class PartFilter:
    """Which parts; None or "" leaves a criterion out. Times are UTC ns; ``defect_class`` matches any region of the part."""

    since_utc_ns: int | None = None
    until_utc_ns: int | None = None
    decision: Decision | None = None
    defect_class: str = ""
    lot: str = ""
    serial: str = ""
    recipe_id: int | None = None
    after_id: int | None = None
    before_id: int | None = None


def _filtered(statement: Select[Any], wanted: PartFilter) -> Select[Any]:
    if wanted.since_utc_ns is not None:
        statement = statement.where(part.c.triggered_utc_ns >= wanted.since_utc_ns)
    if wanted.until_utc_ns is not None:
        statement = statement.where(part.c.triggered_utc_ns < wanted.until_utc_ns)
    if wanted.decision is not None:
        statement = statement.where(part.c.decision == str(wanted.decision))
    if wanted.defect_class:
        having = select(region.c.part_id).where(region.c.defect_class == wanted.defect_class)
        statement = statement.where(or_(part.c.defect_class == wanted.defect_class, part.c.id.in_(having)))
    if wanted.lot:
        statement = statement.where(part.c.lot == wanted.lot)
    if wanted.serial:
        statement = statement.where(part.c.serial == wanted.serial)
    if wanted.recipe_id is not None:
        statement = statement.where(part.c.recipe_id == wanted.recipe_id)
    if wanted.after_id is not None:
        statement = statement.where(part.c.id > wanted.after_id)
    if wanted.before_id is not None:
        statement = statement.where(part.c.id < wanted.before_id)
    return statement


def parts_page(
    connection: Connection, wanted: PartFilter, limit: int = 50, *, oldest_first: bool = False
) -> list[dict[str, Any]]:
    """Part rows as dicts of their columns, newest first. Page on with ``before_id`` (or ``after_id``, oldest first)."""
    order = part.c.id if oldest_first else part.c.id.desc()
    rows = connection.execute(_filtered(select(part), wanted).order_by(order).limit(limit))
    return [dict(row._mapping) for row in rows]


def all_parts(connection: Connection, wanted: PartFilter, page: int = 1000) -> Iterator[list[dict[str, Any]]]:
    """All part rows in the order of logging, streamed by pages, so that memory stays flat. Each page is a transaction of its
    own: a long one would keep the line's write-ahead log from being emptied."""
    last = wanted.after_id or 0
    while True:
        statement = _filtered(select(part), wanted).where(part.c.id > last).order_by(part.c.id).limit(page)
        rows = [dict(row._mapping) for row in connection.execute(statement)]
        connection.rollback()
        if not rows:
            return
        yield rows
        last = rows[-1]["id"]


def regions_of(connection: Connection, part_ids: list[int], defect_class: str = "") -> list[dict[str, Any]]:
    """The defects of these parts (of one class, where it is named) with their camera, without their outlines."""
    columns = [column for column in region.columns if column.name != "outline"]
    joined = region.join(view, (view.c.part_id == region.c.part_id) & (view.c.number == region.c.view_number))
    statement = select(*columns, view.c.camera).select_from(joined).where(region.c.part_id.in_(part_ids))
    if defect_class:
        statement = statement.where(region.c.defect_class == defect_class)
    order = (region.c.part_id, region.c.view_number, region.c.number)
    return [dict(row._mapping) for row in connection.execute(statement.order_by(*order))]


def count_filtered(connection: Connection, wanted: PartFilter) -> int:
    """How many parts the filter lets through."""
    return int(connection.execute(_filtered(select(func.count()).select_from(part), wanted)).scalar_one())


def decision_counts(connection: Connection, wanted: PartFilter = PartFilter()) -> dict[Decision, int]:
    """Parts per decision; decisions that did not occur are 0."""
    rows = connection.execute(_filtered(select(part.c.decision, func.count()).group_by(part.c.decision), wanted))
    found = {str(decision): int(count) for decision, count in rows}
    return {decision: found.get(str(decision), 0) for decision in Decision}


def class_counts(connection: Connection, wanted: PartFilter = PartFilter()) -> dict[str, int]:
    """Rejected parts per worst defect class, most frequent first: the Pareto."""
    count = func.count().label("count")
    statement = select(part.c.defect_class, count).where(part.c.defect_class != "", part.c.decision != str(Decision.OK))
    rows = connection.execute(_filtered(statement.group_by(part.c.defect_class).order_by(count.desc()), wanted))
    return {str(name): int(number) for name, number in rows}


def cause_counts(connection: Connection, wanted: PartFilter = PartFilter()) -> dict[str, int]:
    """Parts per cause."""
    rows = connection.execute(_filtered(select(part.c.cause, func.count()).group_by(part.c.cause), wanted))
    return {str(name): int(number) for name, number in rows}


def latency_percentiles(
    connection: Connection,
    wanted: PartFilter = PartFilter(),
    shares: tuple[float, ...] = (0.5, 0.99, 0.999, 1.0),
) -> dict[float, float]:
    """Trigger → verdict written in ms, at each share; empty where nothing was written. Exact, not interpolated: the
    smallest latency that the share of parts does not exceed."""
    base = _filtered(select(part.c.latency_ms), wanted).where(part.c.latency_ms.is_not(None))
    count = connection.execute(select(func.count()).select_from(base.subquery())).scalar_one()
    if not count:
        return {}
    result = {}
    for share in shares:
        rank = max(0, min(count - 1, -int(-share * count // 1) - 1))
        result[share] = float(connection.execute(base.order_by(part.c.latency_ms).offset(rank).limit(1)).scalar_one())
    return result


def lots(connection: Connection, limit: int = 50) -> list[dict[str, Any]]:
    """The latest lots with their counts: parts, ok."""
    counts = (
        select(
            part.c.lot,
            func.count().label("parts"),
            func.count().filter(part.c.decision == str(Decision.OK)).label("ok"),
        )
        .group_by(part.c.lot)
        .subquery()
    )
    latest = select(lot).order_by(lot.c.started_utc_ns.desc()).limit(limit).subquery()
    statement = select(
        latest, func.coalesce(counts.c.parts, 0).label("parts"), func.coalesce(counts.c.ok, 0).label("ok")
    )
    rows = connection.execute(
        statement.outerjoin_from(latest, counts, latest.c.id == counts.c.lot).order_by(latest.c.started_utc_ns.desc())
    )
    return [dict(row._mapping) for row in rows]


def events_page(
    connection: Connection, limit: int = 50, kind: str = "", severity: str = "", after_id: int | None = None
) -> list[dict[str, Any]]:
    """Events, newest first."""
    statement = select(event).order_by(event.c.id.desc()).limit(limit)
    if kind:
        statement = statement.where(event.c.kind == kind)
    if severity:
        statement = statement.where(event.c.severity == severity)
    if after_id is not None:
        statement = statement.where(event.c.id > after_id)
    return [dict(row._mapping) for row in connection.execute(statement)]


def open_alarms(connection: Connection) -> list[dict[str, Any]]:
    """Alarms nobody has acknowledged, newest first."""
    unacknowledged = (event.c.severity == "alarm") & event.c.acknowledged_utc_ns.is_(None)
    return [
        dict(row._mapping)
        for row in connection.execute(select(event).where(unacknowledged).order_by(event.c.id.desc()))
    ]


def whole_part(connection: Connection, key: PartKey) -> dict[str, Any] | None:
    """Everything known of one part: its columns, ``views`` (each with ``regions``), ``thresholds``, ``manifest`` (of the bundle
    that judged it, as JSON), ``images``, ``labels``, ``events``; None where there is no row. Outlines and embeddings stay
    packed (see rows.py)."""
    here = (part.c.epoch == key.epoch) & (part.c.sequence == key.sequence)
    row = connection.execute(select(part).where(here)).one_or_none()
    if row is None:
        return None

    def all_of(statement: Select[Any]) -> list[dict[str, Any]]:
        return [dict(each._mapping) for each in connection.execute(statement)]

    whole = dict(row._mapping)
    whole["thresholds"] = connection.execute(
        select(thresholds.c.text).where(thresholds.c.sha256 == row.thresholds_sha256)
    ).scalar()
    whole["manifest"] = connection.execute(
        select(bundle.c.manifest).where(bundle.c.sha256 == row.bundle_sha256)
    ).scalar()
    whole["views"] = all_of(select(view).where(view.c.part_id == row.id).order_by(view.c.number))
    regions = all_of(select(region).where(region.c.part_id == row.id).order_by(region.c.view_number, region.c.number))
    for each in whole["views"]:
        each["regions"] = [found for found in regions if found["view_number"] == each["number"]]
    for name, table in (("images", image), ("labels", label), ("events", event)):
        mine = (table.c.epoch == key.epoch) & (table.c.sequence == key.sequence)
        whole[name] = all_of(select(table).where(mine).order_by(table.c.id))
    return whole


def pictured_views(connection: Connection, key: PartKey) -> tuple[str, ...]:
    """The cameras of which a picture of this part is kept."""
    kept = (image.c.epoch == key.epoch) & (image.c.sequence == key.sequence) & image.c.deleted_utc_ns.is_(None)
    return tuple(connection.execute(select(image.c.camera).where(kept).order_by(image.c.camera)).scalars())


def epochs(connection: Connection) -> list[KnownParts]:
    """All epochs in the log."""
    rows = connection.execute(
        select(part.c.epoch, func.count(), func.max(part.c.sequence)).group_by(part.c.epoch).order_by(part.c.epoch)
    )
    return [KnownParts(int(epoch), int(count), int(last)) for epoch, count, last in rows]
