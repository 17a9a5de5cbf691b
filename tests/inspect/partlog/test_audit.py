"""Every kind of tampering with the audit chain is found and named."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from linegate.inspect.partlog.audit import Act, AuditTrail, acting, entries, verify
from linegate.inspect.partlog.database import log_url, make_engine
from linegate.inspect.partlog.errors import LogError
from linegate.inspect.partlog.queries import get_state, set_state
from linegate.inspect.partlog.writer import PartLog
from linegate.inspect.settings import LogSettings

SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)


@pytest.fixture
def engine(settings: LogSettings, tmp_path: Path) -> Iterator[Engine]:
    PartLog.open(settings, tmp_path).close()
    made = make_engine(log_url(settings, tmp_path), access="write", busy_timeout_ms=20_000)
    trail = AuditTrail(made)
    for number in range(1, 7):
        trail.append(by="anna", role="lead", action="recipe", subject=f"panel {number}", detail={"n": number, "ü": "é"})
    yield made
    made.dispose()


def problems(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return verify(connection).problems


def tamper(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def test_a_whole_chain(engine: Engine) -> None:
    with engine.connect() as connection:
        report = verify(connection)
        latest = entries(connection, limit=2)
    assert (report.count, report.problems) == (6, [])
    assert [entry.id for entry in latest] == [6, 5]
    assert latest[0].hash == report.head
    assert latest[0].detail == '{"n":6,"ü":"é"}'


def test_an_act_and_its_row_stand_or_fall_together(engine: Engine) -> None:
    act = Act("anna", "admin", "person added", detail={"as_role": "lead"})
    with acting(engine, act) as connection:
        set_state(connection, "done", "1")
    with pytest.raises(ZeroDivisionError), acting(engine, act) as connection:
        set_state(connection, "done", "2")
        raise ZeroDivisionError
    with pytest.raises(LogError), acting(engine, act) as connection:
        set_state(connection, "done", "3")
        connection.execute(text("INSERT INTO nowhere VALUES (1)"))
    with engine.begin() as connection:
        act.enter(connection, subject="7", minutes=25)
    with engine.connect() as connection:
        latest = entries(connection, limit=3)
        assert (get_state(connection, "done"), verify(connection).problems) == ("1", [])
    assert [(entry.id, entry.subject) for entry in latest] == [(8, "7"), (7, ""), (6, "panel 6")]
    assert (latest[0].detail, latest[1].detail) == ('{"as_role":"lead","minutes":25}', '{"as_role":"lead"}')


@SQLITE
@pytest.mark.parametrize(
    "column", ["at_utc_ns = at_utc_ns + 1", "\"by\" = 'eve'", "role = 'admin'", "subject = ''", "detail = '{}'"]
)
def test_a_changed_row(engine: Engine, column: str) -> None:
    tamper(engine, f"UPDATE audit SET {column} WHERE id = 3")
    (problem,) = problems(engine)
    assert problem.startswith("row 3 (")
    assert problem.endswith("was changed after it was written")


@SQLITE
def test_a_changed_row_with_its_hash_made_to_fit(engine: Engine) -> None:
    from linegate.inspect.partlog.audit import chain_hash

    with engine.begin() as connection:
        row = dict(connection.execute(text("SELECT * FROM audit WHERE id = 3")).mappings().one())
        row["subject"] = "nothing"
        fields = {name: value for name, value in row.items() if name != "hash"}
        statement = text("UPDATE audit SET subject = 'nothing', hash = :hash WHERE id = 3")
        connection.execute(statement, {"hash": chain_hash(fields)})
    (problem,) = problems(engine)
    assert problem.startswith("row 4 (")
    assert "does not follow row 3" in problem


@SQLITE
def test_a_missing_row(engine: Engine) -> None:
    tamper(engine, "DELETE FROM audit WHERE id = 3")
    assert problems(engine) == ["row 3 is missing"]


@SQLITE
def test_reordered_rows(engine: Engine) -> None:
    tamper(
        engine,
        "UPDATE audit SET id = 100 WHERE id = 3",
        "UPDATE audit SET id = 3 WHERE id = 4",
        "UPDATE audit SET id = 4 WHERE id = 100",
    )
    found = problems(engine)
    assert any(problem.startswith("row 3 (") for problem in found)
    assert any(problem.startswith("row 4 (") for problem in found)


@SQLITE
def test_a_cut_tail(engine: Engine) -> None:
    tamper(engine, "DELETE FROM audit WHERE id >= 5")
    assert problems(engine) == ["rows 5 to 6 are missing at the end"]


@SQLITE
def test_all_rows_gone(engine: Engine) -> None:
    tamper(engine, "DELETE FROM audit")
    assert problems(engine) == ["rows 1 to 6 are missing at the end"]


@SQLITE
def test_a_head_that_is_gone(engine: Engine) -> None:
    tamper(engine, "DELETE FROM station_state WHERE key = 'audit.head'")
    assert problems(engine) == ["rows 1 to 6 were added without the head"]


def test_two_processes_append_to_one_chain(engine: Engine, settings: LogSettings, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from linegate.inspect.partlog.audit import AuditTrail\n"
        "from linegate.inspect.partlog.database import log_url, make_engine\n"
        "from linegate.inspect.settings import LogSettings\n"
        "url = log_url(LogSettings(url=sys.argv[1]), Path(sys.argv[2]))\n"
        "engine = make_engine(url, access='write', busy_timeout_ms=20000)\n"
        "for n in range(25): AuditTrail(engine).append(by=sys.argv[3], role='lead', action='n')\n"
    )
    command = [sys.executable, "-c", code, settings.url, str(tmp_path)]
    processes = [subprocess.Popen([*command, name]) for name in ("one", "two")]
    assert [process.wait(60) for process in processes] == [0, 0]
    with engine.connect() as connection:
        report = verify(connection)
    assert (report.count, report.problems) == (56, [])
