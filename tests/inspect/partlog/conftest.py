"""Databases for the tests of the part log: a SQLite file and, where a server answers, a throw-away PostgreSQL database."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.migration import MigrationContext
from sqlalchemy import NullPool, create_engine, text

sys.path.insert(0, str(Path(__file__).parent))  # partlog_samples.py, for the tests and for the processes they start

from linegate.inspect.partlog.database import HEAD
from linegate.inspect.partlog.schema import metadata
from linegate.inspect.partlog.writer import PartLog
from linegate.inspect.settings import LogSettings

SERVER = os.environ.get("LINEGATE_TEST_POSTGRES", "postgresql+pg8000://root@127.0.0.1:5432/test")


@pytest.fixture(scope="session")
def postgres_database() -> Iterator[str]:
    """A database of our own on the test server; skipped when none answers."""
    pytest.importorskip("pg8000")
    admin = create_engine(SERVER, isolation_level="AUTOCOMMIT", connect_args={"timeout": 3}, poolclass=NullPool)
    name = f"linegate_test_{secrets.token_hex(6)}"
    try:
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
    except Exception as error:
        pytest.skip(f"no PostgreSQL at {SERVER}, set LINEGATE_TEST_POSTGRES (README, Run the tests): {error}")
    try:
        yield admin.url.set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def postgres_url(postgres_database: str) -> str:
    """An empty PostgreSQL database."""
    engine = create_engine(postgres_database, poolclass=NullPool)
    with engine.begin() as connection:
        if MigrationContext.configure(connection).get_current_revision() == HEAD:
            names = ", ".join(f'"{name}"' for name in metadata.tables)
            connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY"))  # quicker than a new schema
        else:
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
    return postgres_database


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest) -> LogSettings:
    """Log settings for both databases."""
    url = "" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    return LogSettings(url=url, min_free_mb=0)


@pytest.fixture
def log(settings: LogSettings, tmp_path: Path) -> Iterator[PartLog]:
    """A started log on either database."""
    opened = PartLog.open(settings, tmp_path)
    opened.start()
    yield opened
    opened.close()


@pytest.fixture
def sqlite_log(tmp_path: Path) -> Iterator[PartLog]:
    """A started log in a SQLite file."""
    opened = PartLog.open(LogSettings(min_free_mb=0), tmp_path)
    opened.start()
    yield opened
    opened.close()
