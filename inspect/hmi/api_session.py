"""Sign in and out, the first start, the language: ``/api/session`` and ``/api/setup``."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from linegate.inspect.hmi.auth import COOKIE, LONGEST_S, Person, Session, client_of, is_local, require, session_of
from linegate.inspect.hmi.context import Screens, screens_of
from linegate.inspect.hmi.errors import ScreenError
from linegate.inspect.hmi.roles import Role
from linegate.inspect.hmi.texts import LANGUAGES

router = APIRouter()
Shared = Annotated[Screens, Depends(screens_of)]


class Body(BaseModel):
    """Base of all request bodies: a key nobody knows is an error."""

    model_config = ConfigDict(extra="forbid")


class PinIn(Body):
    """Sign in by name and PIN."""

    name: str = Field(max_length=64)
    pin: str = Field(max_length=16)


class BadgeIn(Body):
    """Sign in by badge."""

    badge: str = Field(max_length=256)


class SetupIn(Body):
    """The first start: the admin's name and PIN."""

    name: str = Field(max_length=64)
    pin: str = Field(max_length=16)
    language: str = "en"


class LanguageIn(Body):
    """The language from now on."""

    language: str


def describe(screens: Screens, session: Session | None, request: Request) -> dict[str, Any]:
    """What a page knows of its user."""
    return {
        "name": session.name if session else "",
        "role": str(session.role) if session else "",
        "may": [str(role) for role in Role if session and session.role.covers(role)],
        "language": session.person.language if session else "",
        "left_s": screens.sessions.left_s(session) if session else 0.0,
        "idle_s": screens.settings.sign_out_s,
        "station_language": screens.settings.language,
        "local": is_local(request),
        "server_ns": time.monotonic_ns(),
    }


@router.get("/api/session")
async def who(request: Request, screens: Shared) -> dict[str, Any]:
    """Who is signed in."""
    return describe(screens, await session_of(request), request)


@router.get("/api/session/names")
async def names(request: Request, screens: Shared) -> list[dict[str, Any]]:
    """The names to choose from at the sign-in; only for the panel itself, elsewhere the name is typed."""
    if not is_local(request):
        return []
    people = await run_in_threadpool(screens.accounts.people)
    return [{"name": p["name"], "role": p["role"]} for p in people if not p["disabled"]]


@router.post("/api/session/pin")
async def sign_in_pin(body: PinIn, request: Request, response: Response, screens: Shared) -> dict[str, Any]:
    """Sign in by PIN."""

    def check() -> Person:
        return screens.accounts.sign_in_pin(body.name, body.pin)

    return await _sign_in(screens, request, response, check, body.name)


@router.post("/api/session/badge")
async def sign_in_badge(body: BadgeIn, request: Request, response: Response, screens: Shared) -> dict[str, Any]:
    """Sign in by badge."""

    def check() -> Person:
        return screens.accounts.sign_in_badge(body.badge)

    return await _sign_in(screens, request, response, check, "")


async def _sign_in(
    screens: Screens, request: Request, response: Response, check: Callable[[], Person], tried: str
) -> dict[str, Any]:
    client = client_of(request)

    def attempt() -> str:
        screens.clients.enter(client)
        name, ok = tried, False
        try:
            person = check()
            name, ok = person.name, True
        except ScreenError as error:
            if error.status == 401:  # waiting ones were not checked: a storm of them must not fill the audit
                screens.desk.note("sign-in refused", by=tried or "badge", subject=client, why=error.key)
            raise
        finally:
            screens.clients.leave(client, name, ok=ok)
        screens.desk.note("sign-in", by=person.name, role=str(person.role), subject=client)
        return screens.sessions.start(person)

    old = await session_of(request)
    token = await run_in_threadpool(attempt)
    if old is not None:
        await run_in_threadpool(screens.sessions.end, old)
    _set_cookie(response, token)
    return describe(screens, screens.sessions.find(token), request)


def _set_cookie(response: Response, token: str) -> None:
    response.set_cookie(COOKIE, token, max_age=int(LONGEST_S), httponly=True, samesite="strict", path="/")


@router.post("/api/session/touch")
async def touch(request: Request, screens: Shared) -> dict[str, Any]:
    """The user's hand moved."""
    session = await session_of(request)
    if session is not None:
        await run_in_threadpool(screens.sessions.touch, session)
    return describe(screens, session, request)


@router.post("/api/session/end")
async def sign_out(request: Request, response: Response, screens: Shared) -> dict[str, Any]:
    """Sign out."""
    session = await session_of(request)
    if session is not None:
        signed_in = session

        def end() -> None:
            screens.sessions.end(signed_in)
            screens.desk.note("sign-out", by=signed_in.name, role=str(signed_in.role), subject=client_of(request))

        await run_in_threadpool(end)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return describe(screens, None, request)


@router.put("/api/session/language")
async def set_language(
    body: LanguageIn, screens: Shared, session: Annotated[Session, Depends(require(Role.OPERATOR))]
) -> dict[str, Any]:
    """Keep the user's language."""
    language = known_language(body.language)
    await run_in_threadpool(lambda: screens.accounts.change(session.name, language=language))
    screens.sessions.rename_language(session.name, language)
    return {"language": language}


def known_language(language: str) -> str:
    """Refuse a language there are no texts for."""
    if language not in LANGUAGES:
        raise ScreenError("operator.error.language", 422)
    return language


@router.post("/api/setup")
async def set_up(body: SetupIn, request: Request, response: Response, screens: Shared) -> dict[str, Any]:
    """The first start: the admin chooses a name and a PIN, at the machine itself, once."""
    if not is_local(request):
        raise ScreenError("operator.error.setup_local", 403)
    language = known_language(body.language)

    def make() -> str:
        person = screens.accounts.add(body.name, Role.ADMIN, body.pin, language, first=True)
        screens.desk.note("first start", by=person.name, role=str(person.role), subject=client_of(request))
        return screens.sessions.start(person)

    token = await run_in_threadpool(make)
    _set_cookie(response, token)
    return describe(screens, screens.sessions.find(token), request)
