"""The migrations and the tables say the same, on both databases."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import NullPool, create_engine, make_url, text

from linegate.inspect.partlog.database import HEAD, log_url, make_engine, migrate
from linegate.inspect.partlog.errors import LogBusy, LogError
from linegate.inspect.partlog.schema import metadata
from linegate.inspect.partlog.writer import PartLog
from linegate.inspect.settings import LogSettings


def test_migrated_schema_equals_the_tables(settings: LogSettings, tmp_path: Path) -> None:
    engine = make_engine(log_url(settings, tmp_path), access="write")
    with engine.begin() as connection:
        metadata.drop_all(connection)
        connection.execute(text("DROP TABLE IF EXISTS alembic_version"))
    migrate(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == HEAD  # the last of the revisions, which migrate runs up to
    engine.dispose()


def test_migrating_twice_changes_nothing(settings: LogSettings, tmp_path: Path) -> None:
    engine = make_engine(log_url(settings, tmp_path), access="write")
    migrate(engine)
    migrate(engine)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM alembic_version")).scalar() == 1
    engine.dispose()


def test_postgresql_is_durable_whatever_the_server_prefers(postgres_url: str) -> None:
    url = make_url(postgres_url)
    admin = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with admin.connect() as connection:
        connection.execute(text(f"ALTER DATABASE {url.database} SET synchronous_commit = off"))
    found = {}
    for access in ("read", "write"):
        engine = make_engine(url, access=access)
        with engine.connect() as connection:
            found[access] = connection.execute(text("SHOW synchronous_commit")).scalar()
        engine.dispose()
    with admin.connect() as connection:
        connection.execute(text(f"ALTER DATABASE {url.database} RESET synchronous_commit"))
    assert found == {"read": "off", "write": "on"}


def test_sqlite_is_durable_and_shared(tmp_path: Path) -> None:
    engine = make_engine(log_url(LogSettings(), tmp_path), access="write", busy_timeout_ms=123)
    with engine.connect() as connection:
        pragma = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    engine.dispose()
    assert pragma == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 123}


def test_a_reader_cannot_write(settings: LogSettings, tmp_path: Path) -> None:
    PartLog.open(settings, tmp_path).close()
    reader = make_engine(log_url(settings, tmp_path), access="read")
    with reader.connect() as connection, pytest.raises(Exception, match="read"):
        connection.execute(text("DELETE FROM part"))
    reader.dispose()


def test_a_newer_schema_is_refused(settings: LogSettings, tmp_path: Path) -> None:
    PartLog.open(settings, tmp_path).close()
    engine = make_engine(log_url(settings, tmp_path), access="write")
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'r9999'"))
    engine.dispose()
    with pytest.raises(LogError, match="r9999, made by a newer Linegate"):
        PartLog.open(settings, tmp_path)


def test_a_second_writer_is_refused(settings: LogSettings, tmp_path: Path) -> None:
    first = PartLog.open(settings, tmp_path)
    with pytest.raises(LogBusy, match="one line process"):
        PartLog.open(settings, tmp_path)
    first.close()
    PartLog.open(settings, tmp_path).close()


@pytest.mark.parametrize(
    ("url", "found"),
    [("nonsense", "log.url 'nonsense'"), ("mysql://x/y", "mysql"), ("postgresql+nodriver://x/y", "nodriver")],
)
def test_a_wrong_url_is_named(url: str, found: str, tmp_path: Path) -> None:
    with pytest.raises(LogError, match=found) as caught:
        PartLog.open(LogSettings(url=url), tmp_path)
    assert "station.toml" in caught.value.remedy


def test_no_server_is_named(tmp_path: Path) -> None:
    pytest.importorskip("pg8000")
    with pytest.raises(LogBusy, match=r"127\.0\.0\.1:1/x") as caught:
        PartLog.open(LogSettings(url="postgresql+pg8000://me:secret@127.0.0.1:1/x"), tmp_path)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "linegate.db").write_bytes(b"This is no database, " * 100)
    with pytest.raises(LogError, match="not a database") as caught:
        PartLog.open(LogSettings(), tmp_path)
    assert str(tmp_path / "linegate.db") in str(caught.value)


def test_a_data_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("x")
    with pytest.raises(LogError, match="data folder"):
        PartLog.open(LogSettings(), tmp_path / "data")


def test_open_names_a_locked_database(tmp_path: Path) -> None:
    PartLog.open(LogSettings(), tmp_path).close()
    holder = sqlite3.connect(tmp_path / "linegate.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(LogBusy, match="locked"):
            PartLog.open(LogSettings(), tmp_path)
    finally:
        holder.close()
