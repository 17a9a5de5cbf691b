"""The outermost layer: Host and Origin checks, body size, security headers. Plain ASGI, so that streams pass untouched."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SAFE = {"GET", "HEAD", "OPTIONS"}
BODY_LIMIT_BYTES = 64 * 1024
POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; style-src 'self' 'unsafe-inline'; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
)
POLICY_GRADIO = (
    "default-src 'self' blob: data:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; object-src 'none'; form-action 'self'; frame-ancestors 'self'"
)


class Guard:
    """Refuses what a browser on another site could send, before any route sees it.

    A name in Host that is not this machine's is a DNS-rebinding page (421). A request that changes something must come
    from this very origin (403), so another page can't use the operator's cookie. Bodies are bounded (413): 64 kB, or what
    ``large`` grants the paths that begin so.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str] = (), large: dict[str, int] | None = None) -> None:
        self._app = app
        self._names = {"localhost", socket.gethostname().lower(), *(name.lower() for name in names if name)}
        self._large = large or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_ours(host):
            await _refuse(scope, receive, send, 421, "operator.error.host")
            return
        if scope["type"] == "websocket" or scope["method"] not in SAFE:
            if not _same_origin(headers, host):
                await _refuse(scope, receive, send, 403, "operator.error.origin")
                return
            limit = self._limit(scope["path"])
            length = headers.get("content-length", "0")
            if not length.isdigit() or int(length) > limit:
                await _refuse(scope, receive, send, 413, "operator.error.too_large", limit_mb=round(limit / 1e6, 1))
                return
            receive = _bounded(receive, limit)
        await self._app(scope, receive, _with_headers(send, scope["path"]))

    def _is_ours(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        if name in self._names:
            return True
        try:
            ipaddress.ip_address(name)  # an address can't be rebound
        except ValueError:
            return False
        return True

    def _limit(self, path: str) -> int:
        return max((n for prefix, n in self._large.items() if path.startswith(prefix)), default=BODY_LIMIT_BYTES)


def _same_origin(headers: Headers, host: str) -> bool:
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site") == "same-origin"
    return urlsplit(origin).netloc.lower() == host.lower()


class TooLarge(Exception):
    """A chunked body grew beyond its limit; the server answers 413."""


def _bounded(receive: Receive, limit: int) -> Receive:
    got = 0

    async def counted() -> Message:
        nonlocal got
        message = await receive()
        got += len(message.get("body", b""))
        if got > limit:
            raise TooLarge(limit)
        return message

    return counted


def _with_headers(send: Send, path: str) -> Send:
    async def add(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.setdefault("Content-Security-Policy", POLICY_GRADIO if path.startswith("/engineer") else POLICY)
            headers["X-Content-Type-Options"] = "nosniff"
            headers["Referrer-Policy"] = "same-origin"
            headers["X-Frame-Options"] = "SAMEORIGIN"
            headers.setdefault("Cache-Control", "no-store" if path.startswith("/api/") else "no-cache")
        await send(message)

    return add


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, key: str, **values: object) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    await JSONResponse({"key": key, "args": values}, status)(scope, receive, _with_headers(send, scope["path"]))
