"""Opening the log's database: URL, connection settings, migrations, the one-writer lock, and failures in words."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from linegate.inspect.partlog.errors import LogBusy, LogError, LogFull
from linegate.inspect.settings import LogSettings

FILE_NAME = "linegate.db"
WRITER_LOCK = 0x4C47_0001
"""PostgreSQL advisory lock of the one writer; the next numbers serve migrations and the audit chain."""
MIGRATION_LOCK = 0x4C47_0002
HEAD = "r0002"
"""This program's schema: the last revision under migrations/versions."""

Access = Literal["read", "write"]


def log_url(settings: LogSettings, data: Path) -> URL:
    """The database's URL. Raises LogError for one that SQLAlchemy doesn't understand."""
    if not settings.url:
        return URL.create("sqlite", database=str((data / FILE_NAME).absolute()))
    try:
        url = make_url(settings.url)
        url.get_dialect()
    except (ArgumentError, NoSuchModuleError) as error:
        raise LogError(
            f"log.url {settings.url!r}",
            expected="an SQLAlchemy URL: sqlite:////absolute/path.db or postgresql+pg8000://user:password@host/name",
            found=str(error).splitlines()[0],
            remedy="Correct url under [log] in station.toml, or leave it out for SQLite in the data folder.",
        ) from error
    if url.get_backend_name() not in {"sqlite", "postgresql"}:
        raise LogError(
            f"log.url {settings.url!r}",
            expected="sqlite or postgresql+pg8000",
            found=url.get_backend_name(),
            remedy="Use one of the two under [log] in station.toml.",
        )
    return url


def make_engine(url: URL, *, access: Access, busy_timeout_ms: float = 1000.0) -> Engine:
    """An engine whose transactions begin at once with the write lock (``write``) or can't write at all (``read``).

    SQLite: WAL, synchronous=FULL, foreign keys, busy timeout. PostgreSQL: lock_timeout, synchronous_commit=on whatever the
    server's own setting is: a PASS rests on a row that a power cut does not take back.

    SQLite moves its write-ahead log inside the commit that finds 1,000 pages of it. A checkpoint thread beside the writer
    was tried: its larger fsyncs made the slowest commits slower (p99 15–265 ms against 29–63 ms at 50 parts/s, same run).
    """
    # The pool prints a traceback for every connection that the server ended first; the failure itself is reported anyway.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL + 1)
    connect_args: dict[str, Any] = {}
    if url.get_backend_name() == "sqlite":
        connect_args = {"timeout": busy_timeout_ms / 1000.0, "check_same_thread": False}
    elif url.get_driver_name() == "pg8000":
        connect_args = {"timeout": 5.0}
    try:
        engine = create_engine(url, connect_args=connect_args, pool_size=4, pool_pre_ping=access == "read")
    except ModuleNotFoundError as error:
        raise LogError(
            f"log.url {url.render_as_string()!r}",
            expected=f"the driver {error.name}",
            found="not installed",
            remedy="Install it: pip install 'linegate[postgres]'.",
        ) from error
    if engine.dialect.name == "sqlite":
        _set_up_sqlite(engine, access, busy_timeout_ms)
    else:
        _set_up_postgresql(engine, access, busy_timeout_ms)
    return engine


def _set_up_sqlite(engine: Engine, access: Access, busy_timeout_ms: float) -> None:
    begin = "BEGIN IMMEDIATE" if access == "write" else "BEGIN"

    def on_connect(dbapi: Any, _record: Any) -> None:
        dbapi.isolation_level = None  # BEGIN is ours, else sqlite3 begins late and only before some statements
        with closing(dbapi.cursor()) as cursor:
            cursor.execute(f"PRAGMA busy_timeout = {round(busy_timeout_ms)}")
            cursor.execute("PRAGMA foreign_keys = ON")
            if access == "write":
                cursor.execute("PRAGMA journal_mode = WAL")
                cursor.execute("PRAGMA synchronous = FULL")
            else:
                cursor.execute("PRAGMA query_only = ON")

    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)


def _set_up_postgresql(engine: Engine, access: Access, busy_timeout_ms: float) -> None:
    def on_connect(dbapi: Any, _record: Any) -> None:
        with closing(dbapi.cursor()) as cursor:
            cursor.execute(f"SET lock_timeout = {max(1, round(busy_timeout_ms))}")
            if access == "read":
                cursor.execute("SET default_transaction_read_only = on")
            else:
                cursor.execute("SET synchronous_commit = on")
        dbapi.commit()

    event.listen(engine, "connect", on_connect)


def _revision(connection: Connection) -> str | None:
    """The database's schema; None before the first migration."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def migrate(engine: Engine) -> None:
    """Bring the database to this program's schema; two processes may do it at once.

    Raises LogError when the database's schema is newer than this program, or as ``explain`` says.
    """
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
            current = _revision(connection)
            if current == HEAD:
                return
            # Imported when there is something to do: it takes a quarter of the time that a command needs to start.
            import alembic.command
            from alembic.config import Config
            from alembic.script import ScriptDirectory

            config = Config()
            config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
            config.set_main_option("path_separator", "os")
            script = ScriptDirectory.from_config(config)
            if current is not None and current not in {revision.revision for revision in script.walk_revisions()}:
                raise LogError(
                    place(engine),
                    expected=f"a schema up to revision {HEAD}",
                    found=f"revision {current}, made by a newer Linegate",
                    remedy="Start the newer version again, or point data (or log.url) in station.toml to a new place.",
                )
            config.attributes["connection"] = connection
            alembic.command.upgrade(config, "head")
    except (SQLAlchemyError, OSError) as error:
        raise explain(error, engine) from error


def open_reader(settings: LogSettings, data: Path) -> Engine:
    """A read-only engine on a log that is there already. Raises LogError when it isn't, or has another schema."""
    url = log_url(settings, data)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file():
        raise LogError(
            f"log {url.database}",
            expected="a log that a station has written",
            found="no such file",
            remedy="Name the station's data folder with --data, or start `linegate run` once.",
        )
    engine = make_engine(url, access="read")
    try:
        with engine.connect() as connection:
            current = _revision(connection)
    except DATABASE_TROUBLE as error:
        engine.dispose()
        raise explain(error, engine) from error
    if current != HEAD:
        engine.dispose()
        raise LogError(
            place(engine),
            expected=f"schema revision {HEAD}",
            found=f"revision {current}",
            remedy="Start `linegate run` of this version once, which updates an older log; for a newer log, update Linegate.",
        )
    return engine


def place(engine: Engine) -> str:
    """The database as its user knows it: the file, or the URL without the password."""
    if engine.dialect.name == "sqlite":
        return f"log {engine.url.database}"
    return f"log {engine.url.render_as_string(hide_password=True)}"


DATABASE_TROUBLE = (SQLAlchemyError, OSError)
"""What ``explain`` puts into words; anything else is a mistake in a program and must not be dressed up as the log's."""


def explain(error: BaseException, engine: Engine) -> LogError:
    """A database's failure as a LogError that names the place and the remedy."""
    if isinstance(error, LogError):
        return error
    cause: BaseException = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    found = " ".join(str(cause).split()) or type(cause).__name__
    low = found.lower()
    kind: type[LogError] = LogError
    remedy = "Look at the database named above; the station rejects every part until rows can be written again."
    if "locked" in low or "lock timeout" in low or "lock_not_available" in low:
        kind, remedy = (
            LogBusy,
            "Another process holds the database: close it (a database viewer, a backup, a second station).",
        )
    elif "disk is full" in low or "no space left" in low or "too large" in low or _errno(cause) == errno.ENOSPC:
        kind, remedy = LogFull, "Free disk space, or lower max_gb under [images] in station.toml."
    elif "readonly" in low or "read-only" in low or "permission denied" in low:
        remedy = "Make the file and its folder writeable for the user that runs Linegate."
    elif "unable to open" in low:
        remedy = "Check that the folder exists and is writeable for the user that runs Linegate."
    elif "malformed" in low or "not a database" in low:
        remedy = "The file is damaged or no database: move it away; Linegate starts a new one."
    elif "refused" in low or "can't create a connection" in low or "network error" in low or "reset by peer" in low:
        kind, remedy = LogBusy, "Start the database server, or correct url under [log] in station.toml."
    return kind(place(engine), expected="rows can be read and written", found=found, remedy=remedy)


def _errno(error: BaseException) -> int | None:
    return error.errno if isinstance(error, OSError) else None


def hold_writer_lock(engine: Engine) -> Callable[[], None]:
    """Make this process the only writer; returns what gives the lock back. Raises LogBusy when there is one already."""
    if engine.dialect.name == "postgresql":
        return _hold_advisory_lock(engine)
    path = Path(f"{engine.url.database}-writer")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise explain(error, engine) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise _second_writer(engine) from error
    held = [descriptor]

    def release() -> None:  # a second time it would close whatever has got the number since
        if held:
            os.close(held.pop())

    return release


def _hold_advisory_lock(engine: Engine) -> Callable[[], None]:
    """The lock lives in a connection of its own. Should that be lost, the unique key still keeps rows single."""
    try:
        connection = engine.connect()
    except (SQLAlchemyError, OSError) as error:
        raise explain(error, engine) from error
    got = connection.execute(text(f"SELECT pg_try_advisory_lock({WRITER_LOCK})")).scalar()
    connection.commit()
    if not got:
        connection.close()
        raise _second_writer(engine)

    def release() -> None:
        connection.invalidate()  # closes the session, and with it the lock
        connection.close()

    return release


def _second_writer(engine: Engine) -> LogBusy:
    return LogBusy(
        place(engine),
        expected="one line process writing this log",
        found="another one that does",
        remedy="Stop the other `linegate run`, or give this station its own data folder (--data).",
    )
