"""What the line does now: the event stream, its snapshot, and the pictures that go with them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response, StreamingResponse

from linegate.inspect.hmi.api_session import Shared
from linegate.inspect.hmi.auth import Session, is_local, may_view
from linegate.inspect.hmi.errors import ScreenError

router = APIRouter(prefix="/api/live")
Viewer = Annotated[Session | None, Depends(may_view)]


@router.get("")
async def live(request: Request, screens: Shared, viewer: Viewer) -> StreamingResponse:
    """Server-sent events: ``part``, ``status``, ``beat`` five times a second, ``missed``, ``closed``."""
    hub = screens.hub
    local = is_local(request)

    def still_allowed() -> bool:
        return local or (viewer is not None and screens.sessions.left_s(viewer) > 0)

    stream = hub.stream(hub.place(request.headers.get("last-event-id", "")), still_allowed)
    return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


@router.get("/snapshot", dependencies=[Depends(may_view)])
async def snapshot(screens: Shared) -> dict[str, Any]:
    """What a screen begins with."""
    return screens.hub.snapshot()


@router.get("/preview/{name}", dependencies=[Depends(may_view)])
async def preview(name: str, screens: Shared) -> Response:
    """A part's small picture, by the name in its record; waits a moment for one that is still being written."""
    return _jpeg(await screens.previews.get(name))


@router.get("/recent/{key}/{camera}", dependencies=[Depends(may_view)])
async def recent(key: str, camera: str, screens: Shared) -> Response:
    """The small picture of one of the last rejects or passed parts."""
    return _jpeg(await screens.previews.kept(key, camera))


def _jpeg(content: bytes | None) -> Response:
    if content is None:
        raise ScreenError("operator.error.no_picture", 404)
    return Response(content, media_type="image/jpeg")
