"""Who is asking: sessions in a cookie, and the dependency that each route states its roles with.

Sessions live in memory and, by the hash of their token, in the log's ``session`` table, so that a restarted screen process
does not sign anybody out. The cookie is HttpOnly and SameSite=Strict; ``guard.py`` checks Host and Origin besides.
"""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from linegate.inspect.hmi.errors import ScreenError
from linegate.inspect.hmi.roles import Role

COOKIE = "linegate_session"
LONGEST_S = 16 * 3600.0
"""Even a session in use ends after this."""
SAVE_EVERY_S = 20.0


@dataclass(frozen=True, slots=True)
class Person:
    """One user, as the screens know them."""

    name: str
    role: Role
    language: str


@dataclass(slots=True)
class Session:
    """One signed-in browser. Times are ``time.monotonic``: last seen, the end at the latest, last saved."""

    token_sha256: str
    person: Person
    seen_s: float
    until_s: float
    saved_s: float

    @property
    def name(self) -> str:
        """Who, as rows, commands and the audit name them."""
        return self.person.name

    @property
    def role(self) -> Role:
        """The role that is checked."""
        return self.person.role


class SessionStore(Protocol):
    """Where sessions outlive the process. Called on worker threads; failures are the store's to swallow or raise."""

    def remember(self, token_sha256: str, person: Person, seconds: float) -> None:
        """Keep a new session for this long."""
        ...

    def extend(self, token_sha256: str, seconds: float) -> None:
        """The session is in use and ends this much later."""
        ...

    def recall(self, token_sha256: str) -> tuple[Person, float] | None:
        """The session's person and the seconds it has left, or None."""
        ...

    def forget(self, token_sha256: str) -> None:
        """End it."""
        ...


class Sessions:
    """All open sessions. Thread-safe. A session ends ``idle_s`` after the last touch by its user's hand."""

    def __init__(self, idle_s: float, store: SessionStore) -> None:
        self.idle_s = idle_s
        self._store = store
        self._open: dict[str, Session] = {}
        self._over: dict[str, float] = {}
        self._lock = threading.Lock()

    def start(self, person: Person) -> str:
        """Open a session; returns the token for the cookie."""
        token = secrets.token_urlsafe(32)
        digest, now = _digest(token), time.monotonic()
        self._store.remember(digest, person, self.idle_s)
        with self._lock:
            self._sweep(now)
            self._open[digest] = Session(digest, person, now, now + LONGEST_S, now)
        return token

    def _sweep(self, now: float) -> None:
        """Let go of the sessions that ran out. For as long again they are known to be over; by then they are in the table."""
        for digest, session in list(self._open.items()):
            if now - session.seen_s > self.idle_s or now > session.until_s:
                del self._open[digest]
                self._over[digest] = now
        self._over = {digest: at for digest, at in self._over.items() if now - at <= self.idle_s}

    def find(self, token: str | None) -> Session | None:
        """The session of this token, unless it ran out or this process has not seen it yet (``restore``)."""
        if not token:
            return None
        digest, now = _digest(token), time.monotonic()
        with self._lock:
            session = self._open.get(digest)
        if session is None or (now - session.seen_s <= self.idle_s and now <= session.until_s):
            return session
        with self._lock:
            self._open.pop(digest, None)
            self._over[digest] = now
        return None

    def restore(self, token: str) -> Session | None:
        """A session from before this process started. Blocks on the database."""
        digest, now = _digest(token), time.monotonic()
        if digest in self._over:  # it ran out here, whatever end the table still has for it
            self._store.forget(digest)
            return None
        kept = self._store.recall(digest)
        if kept is None:
            return None
        person, left_s = kept
        session = Session(digest, person, now - max(0.0, self.idle_s - left_s), now + LONGEST_S, now)
        with self._lock:
            return self._open.setdefault(digest, session)

    def touch(self, session: Session) -> None:
        """The user did something: the idle time starts anew. Blocks on the database now and then."""
        now = session.seen_s = time.monotonic()
        if now - session.saved_s > SAVE_EVERY_S:
            session.saved_s = now
            self._store.extend(session.token_sha256, min(self.idle_s, session.until_s - now))

    def left_s(self, session: Session) -> float:
        """Seconds until this session ends by itself."""
        now = time.monotonic()
        return max(0.0, min(session.seen_s + self.idle_s, session.until_s) - now)

    def end(self, session: Session) -> None:
        """Sign out."""
        self._drop(session.token_sha256)

    def end_all_of(self, name: str, keep: str = "") -> None:
        """A person's PIN, badge, role or account changed, and their sessions in the table have ended with that: here they end
        too, but for the one with the token hash ``keep``."""
        now = time.monotonic()
        with self._lock:
            for digest in [digest for digest, session in self._open.items() if session.name == name and digest != keep]:
                del self._open[digest]
                self._over[digest] = now

    def rename_language(self, name: str, language: str) -> None:
        """The person chose another language; their open sessions know it at once."""
        with self._lock:
            for session in self._open.values():
                if session.name == name:
                    session.person = Person(name, session.person.role, language)

    def _drop(self, digest: str) -> None:
        with self._lock:
            self._open.pop(digest, None)
        self._store.forget(digest)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def is_local(connection: HTTPConnection) -> bool:
    """Whether the request comes from this machine itself and not through a proxy on it."""
    headers = connection.headers
    if connection.client is None or "forwarded" in headers or "x-forwarded-for" in headers:
        return False
    try:
        return ipaddress.ip_address(connection.client.host.split("%")[0]).is_loopback
    except ValueError:
        return False


def client_of(connection: HTTPConnection) -> str:
    """The client's address, as lockout and audit name it."""
    return connection.client.host if connection.client else "unknown"


async def session_of(connection: HTTPConnection) -> Session | None:
    """Who is signed in on this connection, or None."""
    sessions: Sessions = connection.app.state.screens.sessions
    token = connection.cookies.get(COOKIE)
    session = sessions.find(token)
    if session is None and token:
        session = await run_in_threadpool(sessions.restore, token)
    return session


def require(*roles: Role) -> Callable[[Request], Awaitable[Session]]:
    """A dependency: the session, if its role covers one of ``roles``. 401 without a session, 403 with too small a role."""

    async def check(request: Request) -> Session:
        session = await session_of(request)
        if session is None:
            raise ScreenError("operator.error.sign_in_first", 401)
        if not any(session.role.covers(role) for role in roles):
            raise ScreenError("operator.error.role", 403, roles=[str(role) for role in roles])
        return session

    return check


async def may_view(request: Request) -> Session | None:
    """A dependency for what a panel shows to everybody: anyone at this machine, from elsewhere only who is signed in."""
    session = await session_of(request)
    if session is None and not is_local(request):
        raise ScreenError("operator.error.sign_in_first", 401)
    return session
