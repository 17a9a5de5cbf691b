"""Joins the review screen to the screens' app: its pages, its API, and the objects they share."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse

from linegate.inspect.hmi.context import Screens
from linegate.inspect.hmi.review import (
    routes_charts,
    routes_exchange,
    routes_jobs,
    routes_labels,
    routes_parts,
    routes_queues,
    routes_release,
)
from linegate.inspect.hmi.review.context import Review
from linegate.inspect.hmi.review.heat import HeatMaker
from linegate.inspect.hmi.review.pictures import Pictures
from linegate.inspect.hmi.review.presence import Presence
from linegate.inspect.partlog.commands import CommandBox
from linegate.inspect.partlog.errors import CodedError
from linegate.inspect.partlog.labels import ClassGone, LabelConflict, LabelStore

PAGE = Path(__file__).parent.parent / "static" / "pages" / "review.html"


def add_to(app: FastAPI, screens: Screens) -> None:
    """Called once, by ``create_app``."""
    app.state.review = Review(
        screens=screens,
        labels=LabelStore(screens.writer, screens.reader, screens.data),
        pictures=Pictures(screens.data),
        heat=HeatMaker(screens.data),
        presence=Presence(),
        commands=CommandBox(screens.writer, screens.reader),
    )
    app.add_api_route("/review", _page, methods=["GET"], include_in_schema=False)
    for module in (
        routes_queues,
        routes_parts,
        routes_labels,
        routes_charts,
        routes_exchange,
        routes_jobs,
        routes_release,
    ):
        app.include_router(module.router)
    app.add_exception_handler(CodedError, _refused)


async def _page() -> FileResponse:
    return FileResponse(PAGE, media_type="text/html; charset=utf-8")


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    """What people sent was not right: say what, and how to put it right."""
    assert isinstance(error, CodedError)
    if isinstance(error, LabelConflict | ClassGone):
        return JSONResponse({"key": f"review.error.{error.code}", "args": error.values}, 409)
    return JSONResponse({"key": f"review.refused.{error.code}", "args": {"thing": error.thing, **error.values}}, 422)
