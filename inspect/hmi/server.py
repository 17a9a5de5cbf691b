"""The screens' one FastAPI app: operator board, review screen, their small JSON API, one event stream, Gradio beside them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool

from linegate.cameras.errors import LinegateError
from linegate.inspect.hmi import api_command, api_live, api_parts, api_people, api_session
from linegate.inspect.hmi.accounts import Accounts
from linegate.inspect.hmi.auth import Sessions
from linegate.inspect.hmi.context import Screens
from linegate.inspect.hmi.desk import Desk
from linegate.inspect.hmi.engineer import EngineerDoor
from linegate.inspect.hmi.errors import ScreenError
from linegate.inspect.hmi.guard import Guard, TooLarge
from linegate.inspect.hmi.hub import LiveHub
from linegate.inspect.hmi.links import LogProbe
from linegate.inspect.hmi.lockout import ClientLockout
from linegate.inspect.hmi.previews import Previews
from linegate.inspect.hmi.rates import BatchRates
from linegate.inspect.hmi.setup_first import SetupFirst, log_failed
from linegate.inspect.partlog.audit import AuditTrail
from linegate.inspect.partlog.commands import CommandBox
from linegate.inspect.partlog.database import log_url as resolve_log_url
from linegate.inspect.partlog.database import make_engine, migrate
from linegate.inspect.partlog.errors import LogError
from linegate.inspect.settings import LogSettings, ScreenSettings

STATIC = Path(__file__).parent / "static"
REVIEW = "linegate.inspect.hmi.review.routes"
LARGE_BODIES = {"/api/review": 160_000_000, "/engineer": 160_000_000}


def create_app(settings: ScreenSettings, data: Path, log_url: str = "") -> FastAPI:
    """The screens of one station.

    Args:
        data: the station's data folder.
        log_url: the log's SQLAlchemy URL, "" for SQLite in the data folder. The log is made where there is none yet.

    Raises LogError where the log can't be opened or made.
    """
    url = resolve_log_url(LogSettings(url=log_url), data)
    data.mkdir(parents=True, exist_ok=True)
    writer, reader = make_engine(url, access="write"), make_engine(url, access="read")
    migrate(writer)
    accounts = Accounts(writer, reader)
    previews = Previews(data)
    probe = LogProbe(reader)
    screens = Screens(
        settings=settings,
        data=data,
        reader=reader,
        writer=writer,
        accounts=accounts,
        sessions=Sessions(settings.sign_out_s, accounts),
        clients=ClientLockout(),
        hub=LiveHub(data, add_to_status=BatchRates(), links=probe.state, on_record=previews.keep),
        previews=previews,
        desk=Desk(CommandBox(writer, reader), AuditTrail(writer)),
        probe=probe,
    )
    app = FastAPI(title="Linegate screens", docs_url=None, redoc_url=None, openapi_url=None, lifespan=_lifespan)
    app.state.screens = screens
    _add_errors(app)
    _add_pages(app)
    app.include_router(api_session.router)
    app.include_router(api_people.router)
    app.include_router(api_live.router)
    app.include_router(api_command.router)
    app.include_router(api_parts.router)
    if find_spec(REVIEW.rpartition(".")[0]) is not None:
        import_module(REVIEW).add_to(app, screens)
    app.add_middleware(EngineerDoor)
    app.add_middleware(SetupFirst, accounts=accounts)
    app.add_middleware(Guard, names=[settings.host], large=LARGE_BODIES)
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    screens: Screens = app.state.screens
    task = asyncio.create_task(screens.hub.run())
    screens.probe.start()
    try:
        yield
    finally:
        for close in screens.closing:
            await close()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await run_in_threadpool(screens.probe.stop)
        screens.reader.dispose()
        screens.writer.dispose()


def _add_pages(app: FastAPI) -> None:
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    pages = {"/": "operator", "/operator": "operator", "/setup": "setup", "/people": "people"}
    for path, page in pages.items():
        app.add_api_route(path, _page(page), methods=["GET"], include_in_schema=False)


def _page(name: str) -> Any:
    async def page() -> FileResponse:
        return FileResponse(STATIC / "pages" / f"{name}.html", media_type="text/html; charset=utf-8")

    return page


def _add_errors(app: FastAPI) -> None:
    async def refused(_request: Request, error: Exception) -> JSONResponse:
        if isinstance(error, ScreenError):
            seconds = error.values.get("seconds")
            return JSONResponse(error.body(), error.status, {"Retry-After": str(seconds)} if seconds else None)
        if isinstance(error, LogError):
            return log_failed(error)
        return JSONResponse({"key": "operator.error.failed", "args": {"detail": str(error)}}, 500)

    async def malformed(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        where = ", ".join(".".join(str(step) for step in e["loc"][1:]) or str(e["loc"][0]) for e in error.errors())
        return JSONResponse({"key": "operator.error.malformed", "args": {"detail": where}}, 422)

    async def too_large(_request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"key": "operator.error.too_large", "args": {"limit_mb": error.args[0] / 1e6}}, 413)

    app.add_exception_handler(LinegateError, refused)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(TooLarge, too_large)
