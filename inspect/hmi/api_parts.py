"""Single parts out of the log: by serial, and their stored pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Depends
from fastapi.responses import Response
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool

from linegate.inspect.hmi.api_session import Shared
from linegate.inspect.hmi.auth import may_view
from linegate.inspect.hmi.context import Screens
from linegate.inspect.hmi.desk import KEY
from linegate.inspect.hmi.errors import ScreenError
from linegate.inspect.part import PartKey
from linegate.inspect.partlog import schema
from linegate.inspect.partlog.codec import decode_png, encode_preview
from linegate.inspect.partlog.files import content_path
from linegate.inspect.partlog.queries import Reading

router = APIRouter(prefix="/api/part", dependencies=[Depends(may_view)])


def parse_key(text: str) -> PartKey:
    """``1a2b-17`` as a PartKey. Raises ScreenError 422."""
    if not KEY.match(text):
        raise ScreenError("operator.error.malformed", 422, detail="key")
    epoch, sequence = text.split("-")
    return PartKey(int(epoch, 16), int(sequence))


@router.get("/by-serial/{serial:path}")
async def by_serial(serial: str, screens: Shared) -> dict[str, Any]:
    """The newest part with this serial, as live records carry parts, without regions."""
    return await run_in_threadpool(_by_serial, screens, serial)


def _by_serial(screens: Screens, serial: str) -> dict[str, Any]:
    part, view = schema.part.c, schema.view.c
    newest = select(schema.part).where(part.serial == serial).order_by(part.id.desc()).limit(1)
    views: Sequence[Any] = ()
    with Reading(screens.reader) as connection:
        row = connection.execute(newest).mappings().first()
        if row is not None:
            wanted = select(view.camera, view.width_px, view.height_px).where(view.part_id == row["id"])
            views = connection.execute(wanted.order_by(view.number)).all()
    if row is None:
        raise ScreenError("operator.error.no_part", 404, code=serial)
    return {
        "key": str(PartKey(row["epoch"], row["sequence"])),
        "sequence": row["sequence"],
        "decision": row["decision"],
        "cause": row["cause"],
        "defect_class": row["defect_class"],
        "serial": row["serial"],
        "utc_ns": row["triggered_utc_ns"],
        "regions": [],
        "views": [{"camera": v.camera, "preview": "", "width_px": v.width_px, "height_px": v.height_px} for v in views],
    }


@router.get("/{key}/picture/{camera}")
async def picture(key: str, camera: str, screens: Shared) -> Response:
    """A part's stored picture as a small JPEG; 404 where none was kept."""
    return Response(await run_in_threadpool(_picture, screens, parse_key(key), camera), media_type="image/jpeg")


def _picture(screens: Screens, key: PartKey, camera: str) -> bytes:
    image = schema.image.c
    with Reading(screens.reader) as connection:
        sha256 = connection.execute(
            select(image.sha256).where(
                image.epoch == key.epoch,
                image.sequence == key.sequence,
                image.camera == camera,
                image.deleted_utc_ns.is_(None),
            )
        ).scalar()
    if sha256 is None:
        raise ScreenError("operator.error.no_picture", 404)
    try:
        content = content_path(screens.data / "images", sha256).read_bytes()
    except OSError as error:
        raise ScreenError("operator.error.no_picture", 404) from error
    return encode_preview(decode_png(content))
