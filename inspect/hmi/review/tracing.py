"""One part, from its serial or key to everything the log has of it; and the shipped parts that look like it."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, RowMapping, and_, select

from linegate.inspect.hmi.review.queues import key_of, pages, view_rows
from linegate.inspect.hmi.review.reasons import reason_words
from linegate.inspect.part import Decision, PartKey
from linegate.inspect.partlog.queries import Reading
from linegate.inspect.partlog.rows import unpack_embedding, unpack_outline
from linegate.inspect.partlog.schema import bundle, command, event, image, part, region, thresholds, view

CHUNK = 4096
MOST_FOUND = 500


def find_parts(connection: Connection, text: str, limit: int = 50) -> list[RowMapping]:
    """Parts by serial (exact, else by its beginning) or key ("1a2b-17"); newest first."""
    text = text.strip()
    if not text:
        return []
    key = key_of(text.lower())
    by_key = part_row(connection, key) if key is not None else None
    if by_key is not None:
        return [by_key]
    newest = part.c.id.desc()
    exact = connection.execute(select(part).where(part.c.serial == text).order_by(newest).limit(limit)).mappings().all()
    if exact or len(text) < 3:
        return list(exact)
    begins = part.c.serial.startswith(text, autoescape=True)
    return list(connection.execute(select(part).where(begins).order_by(newest).limit(limit)).mappings().all())


def part_row(connection: Connection, key: PartKey) -> RowMapping | None:
    """The part's row, None where there is none."""
    wanted = select(part).where(part.c.epoch == key.epoch, part.c.sequence == key.sequence)
    return connection.execute(wanted).mappings().first()


def details(connection: Connection, key: PartKey) -> dict[str, Any] | None:
    """Everything of one part: row, views, regions, pictures, thresholds, bundle, events and reports about it."""
    row = part_row(connection, key)
    if row is None:
        return None
    limits = connection.execute(
        select(thresholds.c.text).where(thresholds.c.sha256 == row["thresholds_sha256"])
    ).scalar()
    model = connection.execute(select(bundle).where(bundle.c.sha256 == row["bundle_sha256"])).mappings().first()
    pictures = connection.execute(
        select(image).where(image.c.epoch == key.epoch, image.c.sequence == key.sequence).order_by(image.c.camera)
    ).mappings()
    events = connection.execute(
        select(event).where(event.c.epoch == key.epoch, event.c.sequence == key.sequence).order_by(event.c.id)
    ).mappings()
    return {
        **{name: value for name, value in row.items() if name != "token"},
        "key": str(key),
        "reason_words": [asdict(words) for words in reason_words(row["cause"], row["reason"])],
        "views": [
            {**found, "reason_words": [asdict(words) for words in reason_words(row["cause"], found["reason"])]}
            for found in view_rows(connection, row["id"])
        ],
        "regions": [_region(found) for found in regions(connection, row["id"])],
        "images": [dict(found) for found in pictures],
        "thresholds": _json(limits),
        "bundle": _bundle(model),
        "events": [{name: found[name] for name in ("at_utc_ns", "kind", "severity", "text")} for found in events],
        "reports": _reports(connection, str(key), row["serial"]),
    }


def regions(connection: Connection, part_id: int) -> list[RowMapping]:
    """Its defects, view by view."""
    wanted = select(region).where(region.c.part_id == part_id).order_by(region.c.view_number, region.c.number)
    return list(connection.execute(wanted).mappings())


def _region(row: RowMapping) -> dict[str, Any]:
    box = [row[f"box_{name}_px"] for name in ("x", "y", "width", "height")]
    kept = ("view_number", "defect_class", "score", "area_mm2", "length_mm", "x_mm", "y_mm")
    return {**{name: row[name] for name in kept}, "box_px": box}


def suggested_mask(
    connection: Connection, part_id: int, camera: str, classes: list[str], size: tuple[int, int]
) -> NDArray[np.uint8]:
    """(H, W) uint8: what the model saw in this view, as its stored outlines; a start for the person, not a label."""
    import cv2

    width, height = size
    mask = np.zeros((height, width), np.uint8)
    numbers = {row["number"] for row in view_rows(connection, part_id) if row["camera"] == camera}
    for row in sorted(regions(connection, part_id), key=lambda r: float(r["score"])):
        if row["view_number"] in numbers and row["defect_class"] in classes:
            outline = unpack_outline(row["outline"])
            if len(outline):
                value = classes.index(row["defect_class"]) + 1
                cv2.fillPoly(mask, [outline], value)
    return mask


def _reports(connection: Connection, key: str, serial: str) -> list[dict[str, Any]]:
    found = []
    wanted = select(command).where(command.c.kind.in_(["escape", "overkill"])).order_by(command.c.id.desc()).limit(2000)
    for row in connection.execute(wanted).mappings():
        args = json.loads(row["args"])
        if args.get("key") == key or (serial and args.get("serial") == serial):
            found.append({"kind": row["kind"], "by": row["by"], "at_utc_ns": row["at_utc_ns"], "args": args})
    return found


def _json(text: str | None) -> Any:
    try:
        return json.loads(text or "{}")
    except ValueError:
        return {}


def _bundle(row: RowMapping | None) -> dict[str, Any] | None:
    if row is None:
        return None
    manifest = _json(row["manifest"])
    kept = {name: manifest.get(name) for name in ("classes", "thresholds", "provenance")} if manifest else {}
    return {"sha256": row["sha256"], "name": row["name"], "version": row["version"], **kept}


@dataclass(frozen=True, slots=True)
class LookAlike:
    """A shipped part that looks like the one asked about. ``similarity``: cosine of the embeddings, 1 = the same."""

    part_id: int
    similarity: float


def look_alikes(reader: Engine, key: PartKey, *, limit: int = 60, from_utc_ns: int | None = None) -> list[LookAlike]:
    """OK parts of the same camera and bundle, nearest first by the cosine of the model's own embedding.

    Embeddings of two models can't be compared, so only parts that the same bundle judged are looked at. The scan reads
    4,096 rows at a time, each time in a transaction of its own: memory stays flat however many parts there are, and the
    line's write-ahead log is not kept from being emptied. A part with several views counts by its nearest.
    """
    with Reading(reader) as connection:
        row = part_row(connection, key)
        if row is None:
            return []
        own = connection.execute(
            select(view.c.camera, view.c.embedding).where(view.c.part_id == row["id"], view.c.embedding.is_not(None))
        ).all()
    limit = max(1, min(limit, MOST_FOUND))
    best: dict[int, float] = {}
    for camera, packed in own:
        probe = _unit(unpack_embedding(packed)[None])[0]
        for ids, matrix in _embeddings(reader, row, camera, probe.size, from_utc_ns):
            similar = matrix @ probe
            for i in np.argsort(-similar)[:limit]:
                best[int(ids[i])] = max(best.get(int(ids[i]), -1.0), float(similar[i]))
            best = dict(heapq.nlargest(limit, best.items(), key=lambda item: item[1]))
    ordered = sorted(best.items(), key=lambda item: (-item[1], item[0]))
    return [LookAlike(part_id, similarity) for part_id, similarity in ordered]


def _embeddings(
    reader: Engine, row: RowMapping, camera: str, size: int, from_utc_ns: int | None
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    wanted = (
        select(part.c.id, view.c.embedding)
        .join(view, and_(view.c.part_id == part.c.id, view.c.camera == camera))
        .where(
            part.c.decision == str(Decision.OK),
            part.c.bundle_sha256 == row["bundle_sha256"],
            part.c.id != row["id"],
            view.c.embedding.is_not(None),
        )
    )
    if from_utc_ns is not None:
        wanted = wanted.where(part.c.triggered_utc_ns >= from_utc_ns)
    for chunk in pages(reader, wanted, CHUNK):
        fitting = [(number, packed) for number, packed in chunk if len(packed) == 2 * size]
        if fitting:
            matrix = np.frombuffer(b"".join(p for _, p in fitting), "<f2").reshape(len(fitting), size)
            yield np.array([number for number, _ in fitting], np.int64), _unit(matrix.astype(np.float32))


def _unit(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    return np.asarray(matrix / np.maximum(norms, 1e-12), np.float32)
