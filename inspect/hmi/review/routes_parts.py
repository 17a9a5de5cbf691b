"""One part: everything the log has of it, look-alikes, heat map, help with drawing: ``/api/review/parts…``."""

from __future__ import annotations

from typing import Annotated, Any

import cv2
import numpy as np
from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from linegate.inspect.hmi.errors import ScreenError
from linegate.inspect.hmi.review import queues, tracing
from linegate.inspect.hmi.review.context import Review, act_of, parse_key, utc_text
from linegate.inspect.hmi.review.refine import grab_cut, trace_edge
from linegate.inspect.hmi.review.report import csv_lines
from linegate.inspect.hmi.review.routes_queues import MOST_INT, Looking, Shared
from linegate.inspect.partlog.codec import decode_png
from linegate.inspect.partlog.labels import Label
from linegate.inspect.partlog.masks import encode_mask
from linegate.inspect.partlog.queries import Reading

router = APIRouter(prefix="/api/review")
Since = Annotated[int | None, Query(alias="from", ge=0, le=MOST_INT)]


class PresenceIn(BaseModel):
    """Which part this browser window shows; "" for none."""

    model_config = ConfigDict(extra="forbid")
    key: str = Field("", max_length=40)
    window: str = Field(max_length=64)


class RefineIn(BaseModel):
    """A box (x, y, w, h) in picture pixels."""

    model_config = ConfigDict(extra="forbid")
    sha256: str = Field(max_length=64)
    box: tuple[int, int, int, int]


class TraceIn(BaseModel):
    """Two points in picture pixels."""

    model_config = ConfigDict(extra="forbid")
    sha256: str = Field(max_length=64)
    start: tuple[float, float]
    end: tuple[float, float]


def label_view(label: Label) -> dict[str, Any]:
    """A label as the browser gets it."""
    return {
        "camera": label.camera,
        "version": label.version,
        "decision": str(label.decision),
        "kind": label.kind,
        "must_catch": label.must_catch,
        "by": label.by,
        "at_utc_ns": label.at_utc_ns,
        "note": label.note,
        "mask_sha256": label.mask_sha256,
        "classes": list(label.classes),
        "source": label.source,
        "probability": label.probability,
    }


@router.get("/find")
def find(review: Shared, _who: Looking, text: Annotated[str, Query(max_length=200)] = "") -> list[dict[str, Any]]:
    """Parts by serial or key, newest first."""
    with Reading(review.screens.reader) as connection:
        ids = [int(row["id"]) for row in tracing.find_parts(connection, text)]
        return queues.rows(connection, ids)


@router.get("/parts/{key}")
def get_part(key: str, review: Shared, _who: Looking) -> dict[str, Any]:
    """Everything of one part."""
    part_key = parse_key(key)
    with Reading(review.screens.reader) as connection:
        found = tracing.details(connection, part_key)
    if found is None:
        raise ScreenError("review.error.key", 404, part=key[:40])
    labels = [label_view(label) for label in review.labels.history(part_key)]
    return {**found, "labels": labels, "review_classes": review.classes()}


@router.get("/parts/{key}/suggestion/{camera}.png")
def suggestion(key: str, camera: str, review: Shared, _who: Looking) -> Response:
    """What the model saw, as a mask in the review screen's classes; a start to correct."""
    with Reading(review.screens.reader) as connection:
        row = tracing.part_row(connection, parse_key(key))
        views = [] if row is None else queues.view_rows(connection, row["id"])
        seen = next((v for v in views if v["camera"] == camera), None)
        if row is None or seen is None or not seen["width_px"]:
            raise ScreenError("review.error.no_picture", 404)
        size = (seen["width_px"], seen["height_px"])
        mask = tracing.suggested_mask(connection, row["id"], camera, review.classes(), size)
    return Response(encode_mask(mask), media_type="image/png")


@router.get("/parts/{key}/heat/{camera}.png")
def heat(key: str, camera: str, review: Shared, _who: Looking) -> Response:
    """The heat map of the bundle that judged the part, 8-bit grey, made now from the stored picture."""
    with Reading(review.screens.reader) as connection:
        found = tracing.details(connection, parse_key(key))
    pictures = [] if found is None else found["images"]
    picture = next((p for p in pictures if p["camera"] == camera and p["deleted_utc_ns"] is None), None)
    if found is None or picture is None:
        raise ScreenError("review.error.no_picture", 404)
    image = decode_png(review.pictures.content(picture["sha256"]))
    return Response(
        encode_mask(review.heat.heat(picture["sha256"], image, found["bundle_sha256"])), media_type="image/png"
    )


def _alikes(review: Review, key: str, limit: int, from_utc_ns: int | None) -> list[dict[str, Any]]:
    found = tracing.look_alikes(review.screens.reader, parse_key(key), limit=limit, from_utc_ns=from_utc_ns)
    similar = {one.part_id: one.similarity for one in found}
    with Reading(review.screens.reader) as connection:
        return [{**row, "similarity": similar[row["id"]]} for row in queues.rows(connection, list(similar))]


@router.get("/parts/{key}/alike")
def alike(key: str, review: Shared, _who: Looking, limit: int = 60, since: Since = None) -> list[dict[str, Any]]:
    """Shipped parts that look like this one, nearest first."""
    return _alikes(review, key, limit, since)


@router.get("/parts/{key}/alike.csv")
def alike_csv(key: str, review: Shared, who: Looking, limit: int = 200, since: Since = None) -> StreamingResponse:
    """The same as a list for containment: serials and lots to stop, find and look at again."""
    found = _alikes(review, key, limit, since)
    review.audit(act_of(who, "containment-list", key, parts=len(found)))
    columns = ("rank", "similarity", "serial", "lot", "part", "time_utc", "score", "reason")
    rows = (
        (n, f"{row['similarity']:.4f}", row["serial"], row["lot"], row["key"], utc_text(row["utc_ns"]), row["score"],
         row["reason"])
        for n, row in enumerate(found, 1)
    )  # fmt: skip
    name = f"containment-{parse_key(key)}.csv"
    return StreamingResponse(
        csv_lines(rows, columns),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@router.post("/presence")
def presence(body: PresenceIn, review: Shared, who: Looking) -> dict[str, Any]:
    """This window shows a part; who else has it open?"""
    return {"others": review.presence.here(body.key, body.window, who.name)}


@router.post("/refine")
def refine(body: RefineIn, review: Shared, _who: Looking) -> Response:
    """GrabCut in a box: an 8-bit grey PNG of 0 and 1, of the box's size."""
    image = review.pictures.pixels(body.sha256)
    x, y, w, h = body.box
    if x < 0 or y < 0 or w < 4 or h < 4 or x + w > image.shape[1] or y + h > image.shape[0]:
        raise ScreenError("review.error.box", 422)
    found = grab_cut(image, body.box)
    return Response(encode_mask(np.ascontiguousarray(found)), media_type="image/png")


@router.post("/trace-edge")
def edge(body: TraceIn, review: Shared, _who: Looking) -> dict[str, Any]:
    """Points along the strongest edge between two points."""
    image = review.pictures.pixels(body.sha256)
    points = [*body.start, *body.end]
    if not all(np.isfinite(points)) or max(map(abs, points)) > 100_000:
        raise ScreenError("review.error.box", 422)
    try:
        return {"points": trace_edge(image, body.start, body.end)}
    except cv2.error as error:
        raise ScreenError("review.error.box", 422) from error
