"""Which parts a failed challenge puts in doubt, and what the log knows of challenges.

Each challenge part leaves an event whose data name the last good challenge as of then, so that it outlives the station.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, or_, select

from linegate.inspect.part import Decision, GateResult, PartKey
from linegate.inspect.partlog.schema import event, part

CHALLENGE, FAILED = "challenge", "challenge_failed"


@dataclass(frozen=True, slots=True)
class Quarantine:
    """One challenge part that was accepted: everything since the last good challenge (None: since the log began) is in doubt,
    up to it and with it."""

    failed: PartKey
    last_good: PartKey | None
    at_utc_ns: int


def challenge_data(last_good: PartKey | None, judged: Decision) -> dict[str, Any]:
    """What a challenge part's event carries."""
    return {"last_good": None if last_good is None else str(last_good), "judged": str(judged)}


def last_challenge(connection: Connection) -> tuple[PartKey | None, PartKey | None]:
    """(the part of the last good challenge, the accepted challenge part since which none was caught)."""
    rows = select(event).where(event.c.kind.in_((CHALLENGE, FAILED))).order_by(event.c.id.desc())
    last_good, newest = None, True
    for row in connection.execute(rows.limit(1000)):
        data = _data(row.data)
        if newest and "last_good" in data:
            last_good, newest = _key(data["last_good"]), False
        if row.kind == FAILED:
            return last_good, PartKey(row.epoch, row.sequence)
        if data.get("judged") in (Decision.NG, Decision.REVIEW):
            return last_good, None
    return last_good, None


def quarantines(connection: Connection, limit: int = 50) -> list[Quarantine]:
    """The failed challenges, newest first."""
    rows = connection.execute(select(event).where(event.c.kind == FAILED).order_by(event.c.id.desc()).limit(limit))
    return [
        Quarantine(PartKey(row.epoch, row.sequence), _key(_data(row.data).get("last_good")), row.at_utc_ns)
        for row in rows
    ]


def quarantined_parts(connection: Connection, doubt: Quarantine) -> list[dict[str, Any]]:
    """The rows of all parts in doubt that may have left as good ones, oldest first: released, and not proven to have been
    rejected at the gate. The accepted challenge part is one of them.

    They lie between the two challenges by the order of logging or by the clock: rows can be stored late, and clocks are set.
    """
    end = connection.execute(select(part).where(_is(doubt.failed))).one_or_none()
    start = None
    if doubt.last_good is not None:
        start = connection.execute(select(part).where(_is(doubt.last_good))).one_or_none()
    by_id: list[ColumnElement[bool]] = []
    by_time: list[ColumnElement[bool]] = []
    if start is not None:
        by_id.append(part.c.id > start.id)
        by_time.append(part.c.triggered_utc_ns > start.triggered_utc_ns)
    if end is not None:
        by_id.append(part.c.id <= end.id)
        by_time.append(part.c.triggered_utc_ns <= end.triggered_utc_ns)
    else:
        by_id.append(part.c.triggered_utc_ns <= doubt.at_utc_ns)
        by_time.append(part.c.triggered_utc_ns <= doubt.at_utc_ns)
    released = (part.c.decision == str(Decision.OK)) & or_(
        part.c.gate.is_(None), part.c.gate != str(GateResult.REJECTED)
    )
    left = or_(released, part.c.gate == str(GateResult.PASSED))
    rows = select(part).where(left, or_(and_(*by_id), and_(*by_time))).order_by(part.c.id)
    return [dict(row._mapping) for row in connection.execute(rows)]


def _is(key: PartKey) -> ColumnElement[bool]:
    return (part.c.epoch == key.epoch) & (part.c.sequence == key.sequence)


def _data(text: str | None) -> Mapping[str, Any]:
    data = json.loads(text) if text else {}
    return data if isinstance(data, dict) else {}


def _key(text: str | None) -> PartKey | None:
    return None if text is None else PartKey.parse(text)
