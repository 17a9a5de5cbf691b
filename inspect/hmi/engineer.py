"""The engineers' Gradio pages under /engineer: imported and built at the first visit, never before.

Importing Gradio takes seconds and memory the panel does not need, and a screen process that was killed must be back in one.
Gradio's own ``auth`` and ``auth_dependency`` do not cover other routes, so this door stands before everything under the path.
"""

from __future__ import annotations

import asyncio
import importlib.util
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from linegate.inspect.hmi.auth import session_of
from linegate.inspect.hmi.roles import Role

if TYPE_CHECKING:
    from fastapi import FastAPI

    from linegate.inspect.hmi.context import Screens

PATH = "/engineer"
ROLES = (Role.QUALITY, Role.MAINTENANCE)
PAGES = Path(__file__).parent / "static" / "pages"


class EngineerDoor:
    """ASGI middleware: requests under /engineer go to Gradio, all others on. One per app."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._inner: FastAPI | None = None
        self._task: asyncio.Task[None] | None = None
        self._failure = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        path = scope.get("path", "")
        if scope["type"] != "http" or not (path == PATH or path.startswith(f"{PATH}/")):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        answer = await self._refusal(connection)
        if answer is not None:
            await answer(scope, receive, send)
        elif self._inner is None:
            await self._start(connection)(scope, receive, send)
        else:
            await self._inner(scope, receive, send)

    async def _refusal(self, connection: HTTPConnection) -> Response | None:
        session = await session_of(connection)
        if session is not None and any(session.role.covers(role) for role in ROLES):
            return None
        if connection.url.path.rstrip("/") == PATH:
            return RedirectResponse("/", 303)
        if session is None:
            return JSONResponse({"key": "operator.error.sign_in_first", "args": {}}, 401)
        return JSONResponse({"key": "operator.error.role", "args": {"roles": [str(role) for role in ROLES]}}, 403)

    def _start(self, connection: HTTPConnection) -> Response:
        if importlib.util.find_spec("gradio") is None:
            return HTMLResponse((PAGES / "no_gradio.html").read_text("utf-8"), 503)
        if self._failure:
            return JSONResponse({"key": "operator.error.failed", "args": {"detail": self._failure}}, 500)
        if self._task is None:
            screens: Screens = connection.app.state.screens
            self._task = asyncio.create_task(self._run(screens))
            screens.closing.append(self.close)
        return HTMLResponse((PAGES / "starting.html").read_text("utf-8"), 200)

    async def _run(self, screens: Screens) -> None:
        """Build, then keep Gradio's own start and stop events around the serving."""
        try:
            inner = await _in_thread(screens)
        except Exception as error:  # Gradio may fail in any way; the panel goes on without it
            self._failure = f"{type(error).__name__}: {error}"
            return
        inner.state.screens = screens
        async with inner.router.lifespan_context(inner):
            self._inner = inner
            await asyncio.Event().wait()

    async def close(self) -> None:
        """At the end of the process's life."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


async def _in_thread(screens: Screens) -> FastAPI:
    """On a daemon thread of its own: a half-imported Gradio must not hold up the end of the process."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[FastAPI] = loop.create_future()

    def settle(app: FastAPI | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if app is not None:
            done.set_result(app)
        elif error is not None:
            done.set_exception(error)

    def build() -> None:
        try:
            from linegate.inspect.hmi.engineer_pages import build_gradio

            app, error = build_gradio(screens, PATH), None
        except Exception as caught:
            app, error = None, caught
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, app, error)

    threading.Thread(target=build, name="gradio-build", daemon=True).start()
    return await done
