"""Until the admin has chosen a PIN there is one page, and only for this machine: no default passwords, no open door."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from linegate.inspect.hmi.accounts import Accounts
from linegate.inspect.hmi.auth import is_local
from linegate.inspect.partlog.errors import LogBusy, LogError, LogFull

OPEN = ("/setup", "/static/", "/api/setup", "/favicon.ico")


class SetupFirst:
    """Plain ASGI. After the first start it costs one look at a flag."""

    def __init__(self, app: ASGIApp, accounts: Accounts) -> None:
        self._app = app
        self._accounts = accounts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and not self._accounts.admin_known:
            answer = await self._before(HTTPConnection(scope))
            if answer is not None:
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _before(self, connection: HTTPConnection) -> Response | None:
        try:
            if await run_in_threadpool(self._accounts.has_admin):
                return None
        except LogError as error:
            return log_failed(error)
        path = connection.url.path
        if not is_local(connection):
            return JSONResponse({"key": "operator.error.setup_local", "args": {}}, 403)
        if path.startswith(OPEN):
            return None
        if path.startswith("/api/"):
            return JSONResponse({"key": "operator.error.setup_first", "args": {}}, 403)
        return RedirectResponse("/setup", 303)


def log_failed(error: LogError) -> JSONResponse:
    """The answer while the log is locked, full or away: 503 with what the log says of it."""
    kind = "log_full" if isinstance(error, LogFull) else "log_busy" if isinstance(error, LogBusy) else "log"
    return JSONResponse({"key": f"operator.error.{kind}", "args": {"detail": str(error)}}, 503)
