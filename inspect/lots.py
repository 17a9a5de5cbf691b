"""The lot (batch) that parts now belong to, and how it fares."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, func, select

from linegate.inspect.part import Decision
from linegate.inspect.partlog import schema
from linegate.inspect.partlog.queries import Reading
from linegate.inspect.tracking_ports import FinishedPart

if TYPE_CHECKING:
    from linegate.inspect.partlog.writer import PartLog
    from linegate.inspect.tracking import Tracker


def last_lot(connection: Connection) -> tuple[str, int]:
    """The lot that was running when the station ended, and its beginning (UTC, ns); ("", 0) where none was ever begun.

    A lot ends with the next one only, so a station that is started again goes on with it: else its parts, and what the
    screen counts, would belong to nothing from a restart on.
    """
    lot, part = schema.lot.c, schema.part.c
    begun = connection.execute(select(lot.id, lot.started_utc_ns).order_by(lot.started_utc_ns.desc()).limit(1)).first()
    if begun is None:
        return "", 0
    named = select(part.lot, part.triggered_utc_ns).where(part.lot != "").order_by(part.id.desc()).limit(1)
    newest = connection.execute(named).first()
    if newest is None or begun.started_utc_ns > newest.triggered_utc_ns:
        return begun.id, begun.started_utc_ns
    started = connection.execute(select(lot.started_utc_ns).where(lot.id == newest.lot)).scalar()
    return newest.lot, started or newest.triggered_utc_ns


def counts_of(connection: Connection, lot: str) -> dict[Decision, int]:
    """The parts this lot has in the log, by decision."""
    part = schema.part.c
    rows = connection.execute(select(part.decision, func.count()).where(part.lot == lot).group_by(part.decision))
    return {Decision(decision): count for decision, count in rows}


def resume_lot(log: PartLog, lots: LotCounts, tracker: Tracker) -> None:
    """At the station's start: the lot that was running goes on. Raises LogError."""
    with Reading(log.reader) as connection:
        lot, started_utc_ns = last_lot(connection)
        if lot:
            lots.begin(lot, counts_of(connection, lot), started_utc_ns)
            tracker.set_lot(lot)


def begin_lot(log: PartLog, lots: LotCounts, tracker: Tracker, lot: str, by: str, serial: str) -> int:
    """See Station.begin_lot."""
    with Reading(log.reader) as connection:
        had = counts_of(connection, lot)
    log.start_lot(lot, by)
    lots.begin(lot, had)
    tracker.set_lot(lot, serial)
    return lots.parts


class LotCounts:
    """Counts of the present lot. Parts count for the lot they were triggered in; those of an earlier lot are not mixed in."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lot = ""
        self.begin("", {})

    def begin(self, lot: str, counts: Mapping[Decision, int], started_utc_ns: int = 0) -> None:
        """From now on this lot, with the parts it has already. The one that runs keeps its own counts, which are newer than
        the log's."""
        with self._lock:
            if lot and lot == self._lot:
                return
            self._lot = lot
            self._started_utc_ns = started_utc_ns or time.time_ns()
            self._counts = {decision: counts.get(decision, 0) for decision in Decision}

    def add(self, part: FinishedPart) -> None:
        """A part is through."""
        with self._lock:
            if part.record.lot == self._lot:
                self._counts[part.record.decision] += 1

    @property
    def parts(self) -> int:
        """How many there are in this lot."""
        with self._lock:
            return sum(self._counts.values())

    def as_dict(self) -> dict[str, Any]:
        """As the live status carries it."""
        with self._lock:
            ok, ng, review = (self._counts[d] for d in (Decision.OK, Decision.NG, Decision.REVIEW))
            return {
                "id": self._lot,
                "started_utc_ns": self._started_utc_ns,
                "inspected": ok + ng + review,
                "ok": ok,
                "ng": ng,
                "review": review,
                "not_inspected": self._counts[Decision.NOT_INSPECTED],
            }
