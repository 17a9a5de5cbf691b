"""Users in the log's ``user`` and ``session`` tables: argon2 hashes, growing lockout, badges found without a name.

All methods are called on worker threads, never on the event loop. A database that is locked or full raises LogError.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import time
from collections.abc import Iterator
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type, hash_secret
from sqlalchemy import Connection, Engine, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from linegate.inspect.hmi.auth import LONGEST_S, Person
from linegate.inspect.hmi.errors import ScreenError
from linegate.inspect.hmi.roles import Role
from linegate.inspect.partlog import schema
from linegate.inspect.partlog.database import explain
from linegate.inspect.partlog.errors import LogError

PIN_MIN, PIN_MAX = 4, 8
ADMIN_PIN_MIN = 6
BADGE_MIN, BADGE_MAX = 6, 128
HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
"""OWASP's smallest recommended argon2id setting: 20 ms here, and a storm of PINs can't take the line's memory."""
FREE_TRIES = 3
FIRST_WAIT_S = 5.0
LONGEST_WAIT_S = 900.0


def wait_s(failures: int) -> float:
    """How long the next try has to wait after so many failures in a row: 0, 0, 5, 10, 20 … 900 s."""
    if failures < FREE_TRIES:
        return 0.0
    return float(min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(failures - FREE_TRIES, 20)))


def check_pin(pin: str, role: Role) -> None:
    """Refuse a PIN that is too short, no number, or one digit repeated or counted up."""
    least = ADMIN_PIN_MIN if role is Role.ADMIN else PIN_MIN
    if not (pin.isascii() and pin.isdigit() and least <= len(pin) <= PIN_MAX):
        raise ScreenError("operator.error.pin_length", 422, least=least, most=PIN_MAX)
    steps = {(ord(b) - ord(a)) % 10 for a, b in itertools.pairwise(pin)}
    if len(steps) == 1 and steps <= {0, 1, 9}:
        raise ScreenError("operator.error.pin_simple", 422)


def clean_name(name: str) -> str:
    """A user's name as it is stored. Raises ScreenError for an empty, long or unprintable one."""
    cleaned = " ".join(name.split())
    if not 1 <= len(cleaned) <= 32 or not cleaned.isprintable():
        raise ScreenError("operator.error.name", 422)
    return cleaned


def badge_hash(badge: str) -> str:
    """A badge's hash. The salt is the same for all badges, so that one scan finds its owner with one slow hash."""
    if not BADGE_MIN <= len(badge) <= BADGE_MAX:
        raise ScreenError("operator.error.badge", 422)
    salt = hashlib.sha256(b"linegate badge").digest()[:16]
    return hash_secret(badge.encode(), salt, 2, 19_456, 1, 32, Type.ID).decode()


class Accounts:
    """The users of one station.

    Args:
        engine: writes to the log's database (``make_engine(url, access="write")``), migrated.
        reader: reads it (``access="read"``), so that looking never waits for the line's writer.
    """

    def __init__(self, engine: Engine, reader: Engine) -> None:
        self._engine = engine
        self._reader = reader
        self.admin_known = False
        """The first start is over; never false again, as the last admin stays."""

    def has_admin(self) -> bool:
        """Whether the first start is over: somebody can sign in as admin."""
        if not self.admin_known:
            with self._reading() as connection:
                found = connection.execute(
                    select(func.count())
                    .select_from(schema.user)
                    .where(schema.user.c.role == str(Role.ADMIN), schema.user.c.disabled.is_(False))
                ).scalar_one()
            self.admin_known = found > 0
        return self.admin_known

    def people(self) -> list[dict[str, Any]]:
        """All users, by name, without their hashes."""
        user = schema.user.c
        with self._reading() as connection:
            rows = connection.execute(select(schema.user).order_by(user.name)).mappings().all()
        return [
            {
                "name": row["name"],
                "role": row["role"],
                "language": row["language"],
                "disabled": row["disabled"],
                "badge": row["badge_hash"] is not None,
                "wait_s": max(0.0, ((row["locked_until_utc_ns"] or 0) - time.time_ns()) / 1e9),
            }
            for row in rows
        ]

    def add(self, name: str, role: Role, pin: str, language: str, *, first: bool = False) -> Person:
        """A new user. ``first``: refused when there is an admin already (two first starts at once)."""
        name = clean_name(name)
        check_pin(pin, role)
        values = {
            "name": name,
            "pin_hash": HASHER.hash(pin),
            "badge_hash": None,
            "role": str(role),
            "language": language,
            "disabled": False,
            "failed_attempts": 0,
            "locked_until_utc_ns": None,
            "created_utc_ns": time.time_ns(),
        }
        try:
            with self._writing() as connection:
                if first and connection.execute(select(func.count()).select_from(schema.user)).scalar_one():
                    raise ScreenError("operator.error.setup_done", 409)
                connection.execute(insert(schema.user).values(values))
        except IntegrityError as error:
            raise ScreenError("operator.error.name_taken", 409, name=name) from error
        return Person(name, role, language)

    def change(
        self,
        name: str,
        *,
        role: Role | None = None,
        pin: str | None = None,
        badge: str | None = None,
        language: str | None = None,
        disabled: bool | None = None,
        keep_session: str = "",
    ) -> None:
        """Change what is given. ``badge`` "" takes the badge away. The last admin can't be demoted or disabled.

        Whatever the person may do by it changes, so every session that was opened before ends in the same transaction, those
        this process has not met yet too; only the one with the token hash ``keep_session`` goes on.
        """
        values: dict[str, Any] = {}
        if role is not None:
            values["role"] = str(role)
        if language is not None:
            values["language"] = language
        if disabled is not None:
            values["disabled"] = disabled
        if badge is not None:
            values["badge_hash"] = badge_hash(badge) if badge else None
        with self._writing() as connection:
            users = {row["name"]: row for row in connection.execute(select(schema.user)).mappings()}
            if name not in users:
                raise ScreenError("operator.error.no_such_user", 404, name=name)
            if pin is not None:
                check_pin(pin, role or Role(users[name]["role"]))
                values |= {"pin_hash": HASHER.hash(pin), "failed_attempts": 0, "locked_until_utc_ns": None}
            new = {**users[name], **values}
            others = [u for u in users.values() if u["name"] != name]
            if not any(u["role"] == str(Role.ADMIN) and not u["disabled"] for u in [*others, new]):
                raise ScreenError("operator.error.last_admin", 409)
            if badge and any(u["badge_hash"] == values["badge_hash"] for u in others):
                raise ScreenError("operator.error.badge_taken", 409)
            if values:
                connection.execute(update(schema.user).where(schema.user.c.name == name).values(values))
            if not (role is None and pin is None and badge is None and disabled is None):
                session = schema.session.c
                old = (session.user_name == name) & session.ended_utc_ns.is_(None)
                ended = update(schema.session).where(old, session.token_sha256 != keep_session)
                connection.execute(ended.values(ended_utc_ns=time.time_ns()))

    def sign_in_pin(self, name: str, pin: str) -> Person:
        """The person, if the PIN is theirs. Raises ScreenError: 401 wrong, 429 too soon after failures."""
        with self._reading() as connection:
            row = connection.execute(select(schema.user).where(schema.user.c.name == name)).mappings().first()
        if row is None or row["disabled"]:
            with contextlib.suppress(VerificationError):
                HASHER.verify(_NOBODY, pin)  # as slow as a real one: the answer's time names nobody
            raise ScreenError("operator.error.pin_wrong", 401)
        left = ((row["locked_until_utc_ns"] or 0) - time.time_ns()) / 1e9
        if left > 0:
            raise ScreenError("operator.error.locked_out", 429, seconds=_ceil(left))
        try:
            HASHER.verify(row["pin_hash"], pin)
        except (VerificationError, InvalidHashError) as error:
            waiting = self._failed(name)
            if waiting > 0:
                raise ScreenError("operator.error.pin_wrong_wait", 401, seconds=_ceil(waiting)) from error
            raise ScreenError("operator.error.pin_wrong", 401) from error
        if row["failed_attempts"] or row["locked_until_utc_ns"]:
            with self._writing() as connection:
                connection.execute(
                    update(schema.user)
                    .where(schema.user.c.name == name)
                    .values(failed_attempts=0, locked_until_utc_ns=None)
                )
        return Person(row["name"], Role(row["role"]), row["language"])

    def sign_in_badge(self, badge: str) -> Person:
        """The person whose badge this is. Raises ScreenError 401."""
        digest = badge_hash(badge)
        user = schema.user.c
        with self._reading() as connection:
            row = (
                connection.execute(select(schema.user).where(user.badge_hash == digest, user.disabled.is_(False)))
                .mappings()
                .first()
            )
        if row is None:
            raise ScreenError("operator.error.badge_unknown", 401)
        return Person(row["name"], Role(row["role"]), row["language"])

    def is_badge(self, code: str) -> bool:
        """Whether this is somebody's badge."""
        if not BADGE_MIN <= len(code) <= BADGE_MAX:
            return False
        with self._reading() as connection:
            owner = select(schema.user.c.name).where(schema.user.c.badge_hash == badge_hash(code))
            return connection.execute(owner).first() is not None

    def _failed(self, name: str) -> float:
        user = schema.user.c
        with self._writing() as connection:
            count = connection.execute(select(user.failed_attempts).where(user.name == name)).scalar_one() + 1
            waiting = wait_s(count)
            until = time.time_ns() + round(waiting * 1e9) if waiting else None
            connection.execute(
                update(schema.user).where(user.name == name).values(failed_attempts=count, locked_until_utc_ns=until)
            )
        return waiting

    def remember(self, token_sha256: str, person: Person, seconds: float) -> None:
        """SessionStore: keep a new session; old ones of everybody that ran out go."""
        now, session = time.time_ns(), schema.session.c
        with self._writing() as connection:
            connection.execute(delete(schema.session).where(session.expires_utc_ns < now))
            connection.execute(
                insert(schema.session).values(
                    token_sha256=token_sha256,
                    user_name=person.name,
                    started_utc_ns=now,
                    seen_utc_ns=now,
                    expires_utc_ns=now + round(min(seconds, LONGEST_S) * 1e9),
                    ended_utc_ns=None,
                )
            )

    def extend(self, token_sha256: str, seconds: float) -> None:
        """SessionStore: the session is in use. Best effort: a database that is away costs at most a new sign-in."""
        session = schema.session.c
        now = time.time_ns()
        with contextlib.suppress(LogError), self._writing() as connection:
            connection.execute(
                update(schema.session)
                .where(session.token_sha256 == token_sha256)
                .values(seen_utc_ns=now, expires_utc_ns=now + round(seconds * 1e9))
            )

    def recall(self, token_sha256: str) -> tuple[Person, float] | None:
        """SessionStore: a session from before this process started. A database that can't be read knows nobody."""
        session, user = schema.session.c, schema.user.c
        try:
            with self._reading() as connection:
                row = connection.execute(
                    select(user.name, user.role, user.language, session.expires_utc_ns)
                    .join_from(schema.session, schema.user, session.user_name == user.name)
                    .where(
                        session.token_sha256 == token_sha256,
                        session.ended_utc_ns.is_(None),
                        session.expires_utc_ns > time.time_ns(),
                        user.disabled.is_(False),
                    )
                ).first()
        except LogError:
            return None
        if row is None:
            return None
        return Person(row[0], Role(row[1]), row[2]), (row[3] - time.time_ns()) / 1e9

    def forget(self, token_sha256: str) -> None:
        """SessionStore: end a session. With the database away it still ends here, and in the table by its expiry."""
        with contextlib.suppress(LogError), self._writing() as connection:
            connection.execute(
                update(schema.session)
                .where(schema.session.c.token_sha256 == token_sha256)
                .values(ended_utc_ns=time.time_ns())
            )

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except IntegrityError:
            raise
        except (SQLAlchemyError, OSError) as error:
            raise explain(error, self._engine) from error

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Connection]:
        try:
            with self._reader.connect() as connection:
                yield connection
        except (SQLAlchemyError, OSError) as error:
            raise explain(error, self._reader) from error


_NOBODY = HASHER.hash("no such user")


def _ceil(seconds: float) -> int:
    return int(seconds) + 1
