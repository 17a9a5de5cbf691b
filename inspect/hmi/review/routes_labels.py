"""Masks and labels: ``/api/review/masks`` and ``/api/review/labels``. The mask goes first and is safe before anything else."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from linegate.inspect.hmi.auth import Session, require
from linegate.inspect.hmi.errors import ScreenError
from linegate.inspect.hmi.review.classes import LONGEST_CLASS, MOST_CLASSES, class_name
from linegate.inspect.hmi.review.context import Review, act_of, parse_key
from linegate.inspect.hmi.review.routes_parts import label_view
from linegate.inspect.hmi.review.routes_queues import KEEP, MOST_INT, Looking, Shared
from linegate.inspect.hmi.roles import Role
from linegate.inspect.part import Decision
from linegate.inspect.partlog.labels import NewLabel
from linegate.inspect.partlog.masks import MOST_PIXELS

router = APIRouter(prefix="/api/review")
Labelling = Annotated[Session, Depends(require(Role.QUALITY))]
MOST_MASK_BYTES = MOST_PIXELS + 2_000_000
"""A PNG of noise is hardly larger than its pixels."""


Source = Literal["review", "escape", "overkill", "near", "sample", "shadow", "ng", "must_catch", "all", "trace"]
"""The queue a label was made in, or the tracing page. Operators' reports and imports are not made here."""


class LabelIn(BaseModel):
    """A judgement to save on top of version ``parent``."""

    model_config = ConfigDict(extra="forbid")
    key: str = Field(max_length=40)
    camera: str = Field(max_length=32)
    parent: int = Field(ge=0, le=MOST_INT)
    decision: Literal["OK", "NG"]
    kind: Literal["label", "escape", "overkill"] = "label"
    mask_sha256: str | None = Field(None, max_length=64)
    classes: list[Annotated[str, Field(min_length=1, max_length=LONGEST_CLASS)]] = Field(
        default_factory=list, max_length=MOST_CLASSES
    )
    must_catch: bool = False
    note: str = Field("", max_length=2000)
    source: Source


class ClassIn(BaseModel):
    """A new defect class."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1, max_length=LONGEST_CLASS)


@router.post("/masks")
async def put_mask(request: Request, review: Shared, _who: Labelling) -> dict[str, Any]:
    """Keep a mask (body: 8-bit grey PNG); returns its hash and the values in it."""
    length = int(request.headers.get("content-length") or 0)
    if length > MOST_MASK_BYTES:
        raise ScreenError(
            "review.error.too_many_pixels", 413, limit_mp=MOST_PIXELS // 1_000_000, mb=length // 1_000_000
        )
    body = await request.body()
    return await run_in_threadpool(_put, review, body)


def _put(review: Review, body: bytes) -> dict[str, Any]:
    try:
        stored = review.labels.masks.put(body)
    except OSError as error:
        raise ScreenError("review.error.disk", 507, detail=error.strerror or str(error)) from error
    return {"sha256": stored.sha256, "width": stored.width_px, "height": stored.height_px, "labels": stored.labels}


@router.get("/masks/{sha256}.png")
def get_mask(sha256: str, review: Shared, _who: Looking) -> Response:
    """A stored mask, byte for byte as it was saved."""
    return Response(review.labels.masks.get(sha256), media_type="image/png", headers=KEEP)


@router.post("/labels")
def save_label(body: LabelIn, review: Shared, who: Labelling) -> dict[str, Any]:
    """Save a version. 409 with who was faster, where ``parent`` is no longer the newest."""
    new = NewLabel(
        key=parse_key(body.key),
        camera=body.camera,
        decision=Decision(body.decision),
        by=who.name,
        mask_sha256=body.mask_sha256,
        classes=tuple(body.classes),
        kind=body.kind,
        must_catch=body.must_catch,
        note=body.note,
        source=body.source,
    )
    detail = {name: getattr(body, name) for name in ("camera", "kind", "decision", "must_catch", "source")}
    act = act_of(who, "label", body.key, **detail)
    return label_view(review.labels.save(new, parent=body.parent, act=act, classes=review.classes()))


@router.post("/classes")
def add_class(body: ClassIn, review: Shared, who: Labelling) -> list[str]:
    """Add a defect class that the model does not know yet."""
    name = class_name(body.name)
    if name is None:
        raise ScreenError("review.error.class_taken", 409, name=body.name)
    return review.add_class(name, act_of(who, "class", name))
