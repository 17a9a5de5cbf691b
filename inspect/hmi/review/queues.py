"""The review queues: which parts wait for a person's eyes, and why. All functions take an open connection.

Targeted queues find defects, the random one proves rates: only there every part has a known chance of being shown, and that
chance (``probability``) is kept with the label.

A part is done with when quality has labelled it and no operator has reported it since: a report is what a part waits with,
not what it is done with.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Select, and_, case, exists, func, or_, select, tuple_

from linegate.inspect.part import Decision, PartKey
from linegate.inspect.partlog.labels import REPORTED, SAMPLED, newest_labels
from linegate.inspect.partlog.queries import Reading
from linegate.inspect.partlog.schema import command, event, image, label, part, region, thresholds, view

QUEUES = ("review", "escape", "overkill", "near", "sample", "shadow", "ng", "must_catch", "all")
MOST = 5000
MOST_EPOCH = 2**31 - 1
"""What the column holds."""
NEAR = 0.6
"""An OK whose score reached this share of its review threshold is near it."""
REPORTS = 2000
PAGE = 2000
_KEY = re.compile(r"([0-9a-f]{1,8})-([0-9]{1,15})", re.ASCII)


def key_of(text: str) -> PartKey | None:
    """ "1a2b-17" → PartKey; None for what no log can hold."""
    found = _KEY.fullmatch(text)
    if found is None or int(found[1], 16) > MOST_EPOCH:
        return None
    return PartKey(int(found[1], 16), int(found[2]))


@dataclass(frozen=True, slots=True)
class Filters:
    """What a queue is narrowed to; "" and None leave it as it is. ``todo``: only parts that quality is not done with."""

    defect_class: str = ""
    from_utc_ns: int | None = None
    to_utc_ns: int | None = None
    lot: str = ""
    recipe_id: int | None = None
    todo: bool = True


def _done() -> ColumnElement[bool]:
    reported = label.alias("reported")
    since = exists().where(
        reported.c.epoch == label.c.epoch,
        reported.c.sequence == label.c.sequence,
        reported.c.source == REPORTED,
        reported.c.id > label.c.id,
    )
    by_quality = (label.c.epoch == part.c.epoch, label.c.sequence == part.c.sequence, label.c.source != REPORTED)
    return exists().where(*by_quality, ~since)


def _reported(connection: Connection, kind: str) -> ColumnElement[bool]:
    """Parts that operators reported by the command ``kind``, by key or serial, whatever the line answered."""
    rows = connection.execute(
        select(command.c.args).where(command.c.kind == kind).order_by(command.c.id.desc()).limit(REPORTS)
    ).scalars()
    keys: set[tuple[int, int]] = set()
    serials: set[str] = set()
    for text in rows:
        args = json.loads(text)
        key = key_of(str(args.get("key") or ""))
        if key is not None:
            keys.add((key.epoch, key.sequence))
        elif args.get("serial"):
            serials.add(str(args["serial"]))
    labelled = select(label.c.epoch, label.c.sequence).where(label.c.kind == kind)
    found: list[ColumnElement[bool]] = [tuple_(part.c.epoch, part.c.sequence).in_(labelled)]
    if keys:
        found.append(tuple_(part.c.epoch, part.c.sequence).in_(sorted(keys)))
    if serials:
        found.append(part.c.serial.in_(sorted(serials)))
    return or_(*found)


def review_threshold(text: str | None) -> float | None:
    """``part_review`` from a row's thresholds JSON, wherever it stands in it; None where there is none."""
    try:
        todo: list[Any] = [json.loads(text or "{}")]
    except ValueError:
        return None
    while todo:
        node = todo.pop()
        if isinstance(node, dict):
            if isinstance(node.get("part_review"), int | float):
                return float(node["part_review"])
            todo.extend(node.values())
        elif isinstance(node, list):
            todo.extend(node)
    return None


def _near(connection: Connection) -> ColumnElement[bool]:
    cuts = []
    for sha256, text in connection.execute(select(thresholds.c.sha256, thresholds.c.text)):
        cut = review_threshold(text)
        if cut is not None:
            cuts.append(and_(part.c.thresholds_sha256 == sha256, part.c.score >= NEAR * cut))
    return and_(part.c.decision == str(Decision.OK), or_(*cuts) if cuts else part.c.score >= NEAR * 0.5)


def _sampled() -> ColumnElement[bool]:
    kept = exists().where(
        image.c.epoch == part.c.epoch,
        image.c.sequence == part.c.sequence,
        image.c.probability < 1,
        image.c.deleted_utc_ns.is_(None),
    )
    # A challenge part is bad on purpose: among the passed ones it would count as an escape of the production.
    return and_(part.c.decision == str(Decision.OK), part.c.challenge.is_(False), kept)


def _shadow() -> ColumnElement[bool]:
    return exists().where(
        event.c.epoch == part.c.epoch, event.c.sequence == part.c.sequence, event.c.kind.like("shadow%disagree%")
    )


def _must_catch() -> ColumnElement[bool]:
    cases = newest_labels(must_catch=True).with_only_columns(label.c.epoch, label.c.sequence).order_by(None)
    return tuple_(part.c.epoch, part.c.sequence).in_(cases)


def _belongs(connection: Connection, queue: str) -> ColumnElement[bool]:
    if queue in {"escape", "overkill"}:
        return _reported(connection, queue)
    if queue == "near":
        return _near(connection)
    conditions: dict[str, ColumnElement[bool]] = {
        "review": part.c.decision == str(Decision.REVIEW),
        "sample": _sampled(),
        "shadow": _shadow(),
        "ng": part.c.decision == str(Decision.NG),
        "must_catch": _must_catch(),
        "all": part.c.id > 0,
    }
    return conditions[queue]


def narrowed(statement: Select[Any], filters: Filters) -> Select[Any]:
    """The filters as conditions."""
    if filters.defect_class:
        statement = statement.where(
            or_(
                part.c.defect_class == filters.defect_class,
                exists().where(region.c.part_id == part.c.id, region.c.defect_class == filters.defect_class),
            )
        )
    if filters.from_utc_ns is not None:
        statement = statement.where(part.c.triggered_utc_ns >= filters.from_utc_ns)
    if filters.to_utc_ns is not None:
        statement = statement.where(part.c.triggered_utc_ns < filters.to_utc_ns)
    if filters.lot:
        statement = statement.where(part.c.lot == filters.lot)
    if filters.recipe_id is not None:
        statement = statement.where(part.c.recipe_id == filters.recipe_id)
    return statement.where(~_done()) if filters.todo else statement


def pages(reader: Engine, wanted: Select[Any], size: int = PAGE) -> Iterator[Sequence[Any]]:
    """All rows of a statement over ``part`` whose first column is ``part.id``, oldest first, by pages. Each page is a
    transaction of its own: a long one would keep the line's write-ahead log from being emptied. Raises LogError."""
    last = 0
    while True:
        with Reading(reader) as connection:
            page = connection.execute(wanted.where(part.c.id > last).order_by(part.c.id).limit(size)).all()
        if not page:
            return
        yield page
        last = int(page[-1][0])


def queue_ids(connection: Connection, queue: str, filters: Filters) -> list[int]:
    """Part ids of a queue, at most 5,000: newest first, near-threshold ones by falling score."""
    order = part.c.score.desc() if queue == "near" else part.c.id.desc()
    wanted = _of_queue(connection, queue, filters).order_by(order, part.c.id.desc()).limit(MOST)
    return [int(n) for n in connection.execute(wanted).scalars()]


def queue_count(connection: Connection, queue: str, filters: Filters) -> int:
    """How many wait in it; no more than 5,000 are counted, since no more are listed."""
    listed = _of_queue(connection, queue, filters).limit(MOST).subquery()
    return int(connection.execute(select(func.count()).select_from(listed)).scalar_one())


def _of_queue(connection: Connection, queue: str, filters: Filters) -> Select[Any]:
    # A case of the release gate has a label by its nature; that it is labelled is no reason to leave it out.
    todo = filters.todo and queue != "must_catch"
    return narrowed(select(part.c.id).where(_belongs(connection, queue)), replace(filters, todo=todo))


def rows(connection: Connection, ids: Sequence[int]) -> list[dict[str, Any]]:
    """What the list shows of these parts, in the order asked for."""
    ids = ids[:500]
    parts = {row["id"]: dict(row) for row in connection.execute(select(part).where(part.c.id.in_(ids))).mappings()}
    keys = {(row["epoch"], row["sequence"]): n for n, row in parts.items()}
    if not keys:
        return []
    of_keys = tuple_(image.c.epoch, image.c.sequence).in_(list(keys))
    for row in connection.execute(select(image).where(of_keys, image.c.deleted_utc_ns.is_(None))).mappings():
        parts[keys[row["epoch"], row["sequence"]]].setdefault("images", []).append(dict(row))
    named = tuple_(label.c.epoch, label.c.sequence).in_(list(keys))
    for row in connection.execute(select(label).where(named).order_by(label.c.id)).mappings():
        parts[keys[row["epoch"], row["sequence"]]]["label"] = dict(row)
    return [_row(parts[n]) for n in ids if n in parts]


def _row(found: dict[str, Any]) -> dict[str, Any]:
    images = found.get("images", [])
    chosen = found.get("label")
    return {
        "id": found["id"],
        "key": f"{found['epoch']:04x}-{found['sequence']}",
        "decision": found["decision"],
        "score": found["score"],
        "defect_class": found["defect_class"],
        "reason": found["reason"],
        "lot": found["lot"],
        "serial": found["serial"],
        "utc_ns": found["triggered_utc_ns"],
        "thumb": images[0]["sha256"] if images else "",
        "probability": min((row["probability"] for row in images), default=None),
        "label": chosen and {name: chosen[name] for name in ("decision", "kind", "by", "version", "source")},
    }


def choices(connection: Connection) -> dict[str, list[Any]]:
    """What the filters can be set to: lots (newest first), recipes, classes."""
    newest = func.max(part.c.id)
    lots = select(part.c.lot).where(part.c.lot != "").group_by(part.c.lot).order_by(newest.desc()).limit(200)
    recipes = select(part.c.recipe_id, func.max(part.c.recipe_name)).group_by(part.c.recipe_id)
    classes = select(part.c.defect_class).where(part.c.defect_class != "").distinct()
    return {
        "lots": list(connection.execute(lots).scalars()),
        "recipes": [{"id": n, "name": name} for n, name in connection.execute(recipes.order_by(part.c.recipe_id))],
        "classes": sorted(connection.execute(classes).scalars()),
    }


def sample_estimate(connection: Connection, filters: Filters) -> tuple[int, int]:
    """(bad, looked at) among randomly kept OK parts that a person labelled: the honest way to an escape rate. A part is bad
    when one of its views is."""
    newest = (
        select(part.c.id.label("part_id"), func.max(label.c.id).label("last"))
        .join(label, and_(label.c.epoch == part.c.epoch, label.c.sequence == part.c.sequence))
        .where(_sampled(), label.c.source == SAMPLED)
        .group_by(part.c.id, label.c.camera)
    )
    views = narrowed(newest, replace(filters, todo=False)).subquery()
    is_bad = func.max(case((label.c.decision == str(Decision.NG), 1), else_=0))
    looked_at = select(is_bad).join(views, views.c.last == label.c.id).group_by(views.c.part_id)
    bad = connection.execute(looked_at).scalars().all()
    return sum(bad), len(bad)


def view_rows(connection: Connection, part_id: int) -> list[dict[str, Any]]:
    """A part's views, without their embeddings."""
    columns = [column for column in view.c if column.name != "embedding"]
    wanted = select(*columns, view.c.embedding.is_not(None).label("has_embedding")).where(view.c.part_id == part_id)
    return [dict(row) for row in connection.execute(wanted.order_by(view.c.number)).mappings()]
