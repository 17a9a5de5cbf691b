"""Labels out and in: ``/api/review/export.zip`` and ``/api/review/import``."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from typing import IO, Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from linegate.inspect.hmi.auth import Session
from linegate.inspect.hmi.errors import ScreenError
from linegate.inspect.hmi.review.classes import MOST_CLASSES
from linegate.inspect.hmi.review.context import Review, act_of
from linegate.inspect.hmi.review.download import spooled
from linegate.inspect.hmi.review.exchange import service
from linegate.inspect.hmi.review.exchange.archive import Format, read_upload, write_zip
from linegate.inspect.hmi.review.routes_labels import Labelling
from linegate.inspect.hmi.review.routes_queues import Looking, Narrow, Shared

router = APIRouter(prefix="/api/review")


@router.get("/export.zip")
def export(
    review: Shared,
    filters: Narrow,
    who: Looking,
    kind: Annotated[Format, Query(alias="format")] = "png",
    images: bool = True,
) -> StreamingResponse:
    """The labels that count, in another tool's format, with or without the pictures."""
    found = list(service.export(review.labels, filters))
    if not found:
        raise ScreenError("review.error.nothing_to_export", 404)
    review.audit(act_of(who, "export", kind, labels=len(found)))
    pictures, groups = [one.picture for one in found], [one.group for one in found]
    return spooled(
        lambda file: write_zip(file, kind, pictures, _pictures(review, found) if images else (), groups),
        "application/zip",
        f"labels-{kind}.zip",
    )


def _pictures(review: Review, found: list[service.Exported]) -> Iterator[tuple[str, bytes]]:
    for one in found:
        if one.image_sha256 is not None:
            yield one.picture.name, review.pictures.content(one.image_sha256)


@router.post("/import")
async def take_in(
    request: Request,
    review: Shared,
    who: Labelling,
    name: Annotated[str, Query(max_length=200)] = "upload",
    dry: bool = True,
    new_classes: bool = False,
) -> dict[str, Any]:
    """Read an uploaded file (the body). ``dry``: only say what would happen. Nothing is saved unless all of it can be read."""
    with tempfile.TemporaryFile(prefix="linegate-import-") as file:
        try:
            async for piece in request.stream():
                file.write(piece)
        except OSError as error:
            raise ScreenError("review.error.disk", 507, detail=error.strerror or str(error)) from error
        return await run_in_threadpool(_take_in, review, file, name, who, dry, new_classes)


def _take_in(review: Review, file: IO[bytes], name: str, who: Session, dry: bool, new_classes: bool) -> dict[str, Any]:
    if not review.importing.acquire(blocking=False):
        raise ScreenError("review.error.import_busy", 409)
    try:
        pictures = read_upload(file, name)
        plan = service.plan(review.labels, pictures)
        known = review.classes()
        unknown = sorted(plan.classes - set(known))
        if dry:
            return {"pictures": [asdict(one) for one in plan.pictures], "unknown_classes": unknown, "saved": 0}
        if unknown and not new_classes:
            raise ScreenError("review.error.unknown_classes", 409, names=", ".join(unknown))
        if len(known) + len(unknown) > MOST_CLASSES:
            raise ScreenError("review.error.too_many_classes", 409)
        new = sum(one.state == "new" for one in plan.pictures)
        act = act_of(who, "import", name, pictures=len(pictures), new=new)
        review.audit(act)
        for extra in unknown:
            review.add_class(extra, act_of(who, "class", extra))
        done = service.save(review.labels, pictures, classes=review.classes(), act=act, note=f"imported from {name}")
    except OSError as error:
        raise ScreenError("review.error.disk", 507, detail=error.strerror or str(error)) from error
    finally:
        review.importing.release()
    saved = sum(one.state == "saved" for one in done)
    return {"pictures": [asdict(one) for one in done], "unknown_classes": [], "saved": saved}
