"""Queues, filters, rows and thumbnails: ``/api/review/queue…``."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from linegate.inspect.hmi.auth import Session, require
from linegate.inspect.hmi.errors import ScreenError
from linegate.inspect.hmi.review import queues
from linegate.inspect.hmi.review.charts.formulas import share, upper_bound
from linegate.inspect.hmi.review.context import Review, review_of
from linegate.inspect.hmi.review.queues import QUEUES, Filters
from linegate.inspect.hmi.review.shifts import last_shifts
from linegate.inspect.hmi.roles import Role
from linegate.inspect.partlog.queries import Reading

router = APIRouter(prefix="/api/review")
Shared = Annotated[Review, Depends(review_of)]
Looking = Annotated[Session, Depends(require(Role.LEAD))]
"""Who may look; labelling takes the role quality."""
KEEP = {"Cache-Control": "private, max-age=31536000, immutable"}
"""For what is named by its own hash."""
MOST_INT = 2**63 - 1
"""What a database takes as a number; more would be an error of its driver's."""


def filters_of(
    defect_class: Annotated[str, Query(alias="class", max_length=200)] = "",
    from_utc_ns: Annotated[int | None, Query(alias="from", ge=0, le=MOST_INT)] = None,
    to_utc_ns: Annotated[int | None, Query(alias="to", ge=0, le=MOST_INT)] = None,
    lot: Annotated[str, Query(max_length=200)] = "",
    recipe: Annotated[int | None, Query(ge=0, le=65_535)] = None,
    todo: bool = True,
) -> Filters:
    """The filters from the address; a dependency."""
    return Filters(defect_class, from_utc_ns, to_utc_ns, lot, recipe, todo)


Narrow = Annotated[Filters, Depends(filters_of)]


@router.get("/queues")
def get_counts(review: Shared, filters: Narrow, _who: Looking) -> dict[str, Any]:
    """How many parts wait in each queue, what the filters offer, and what the random sample has shown so far."""
    counted = {}
    for queue in QUEUES:  # each a transaction of its own, so that none is long
        with Reading(review.screens.reader) as connection:
            counted[queue] = queues.queue_count(connection, queue, filters)
    with Reading(review.screens.reader) as connection:
        bad, looked = queues.sample_estimate(connection, filters)
    with Reading(review.screens.reader) as connection:
        offered = queues.choices(connection)
    offered["shifts"] = [
        {"from": str(one.from_utc_ns), "to": str(one.to_utc_ns), "day": one.day, "start": one.start, "end": one.end}
        for one in last_shifts(review.screens.settings.shifts, time.time())
    ]  # as text: JavaScript's numbers round nanoseconds
    found = share(bad, looked)
    sample = {"bad": bad, "looked": looked, "low": found.low, "high": upper_bound(bad, looked)}
    return {"counts": counted, "most": queues.MOST, "choices": offered, "sample": sample, "classes": review.classes()}


@router.get("/queues/{queue}")
def get_queue(queue: str, review: Shared, filters: Narrow, _who: Looking) -> dict[str, Any]:
    """The ids of a queue's parts, in order; the list asks for the rows it shows."""
    if queue not in QUEUES:
        raise ScreenError("review.error.queue", 404, queue=queue[:40])
    with Reading(review.screens.reader) as connection:
        return {"ids": queues.queue_ids(connection, queue, filters), "most": queues.MOST}


@router.get("/rows")
def get_rows(review: Shared, _who: Looking, ids: Annotated[str, Query(max_length=6000)] = "") -> list[dict[str, Any]]:
    """What the list shows of these parts; ``ids``: numbers with commas."""
    numbers = [int(text) for text in ids.split(",") if text.isascii() and text.isdigit() and len(text) < 19]
    with Reading(review.screens.reader) as connection:
        return queues.rows(connection, numbers)


@router.get("/thumbs/{sha256}.jpg")
def get_thumb(sha256: str, review: Shared, _who: Looking) -> Response:
    """A small picture."""
    return Response(review.pictures.thumb(sha256), media_type="image/jpeg", headers=KEEP)


@router.get("/pictures/{sha256}.png")
def get_picture(sha256: str, review: Shared, _who: Looking) -> Response:
    """A stored picture at its native size, 8 bits a channel."""
    return Response(review.pictures.for_screen(sha256), media_type="image/png", headers=KEEP)
