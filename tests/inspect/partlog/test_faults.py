"""Real faults: a database locked by another process, a full disk, a process killed with -9, a server that goes away."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from partlog_samples import Answer, put, record, until
from sqlalchemy import NullPool, create_engine, select, text
from sqlalchemy.exc import OperationalError

from linegate.inspect.part import Decision, GateResult, PartKey, WireVerdict
from linegate.inspect.partlog import schema
from linegate.inspect.partlog.errors import LogBusy, LogError, LogFull
from linegate.inspect.partlog.files import content_matches
from linegate.inspect.partlog.images import ImageStore
from linegate.inspect.partlog.records import Outcome
from linegate.inspect.partlog.writer import ATTEMPT_MS, PartLog
from linegate.inspect.settings import ImageSettings, LogSettings

HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


def rows(log: PartLog) -> dict[int, tuple]:
    columns = schema.part.c
    wanted = select(columns.sequence, columns.decision, columns.judged, columns.cause, columns.wire_verdict)
    with log.reader.connect() as connection:
        found = [tuple(row) for row in connection.execute(wanted)]
    assert len({row[0] for row in found}) == len(found), "one row per part"
    return {row[0]: row[1:] for row in found}


@contextmanager
def held_by_another_process(database: Path) -> Iterator[None]:
    """Another process holds BEGIN EXCLUSIVE."""
    command = [sys.executable, "-c", HOLDER, str(database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        try:
            yield
        finally:
            holder.stdin.close()
            holder.wait(20)


def test_a_database_locked_by_another_process(sqlite_log: PartLog, tmp_path: Path) -> None:
    log = sqlite_log
    assert put(log, record(1)) is None
    with held_by_another_process(tmp_path / "linegate.db"):
        answers = [Answer() for _ in range(4)]
        log.put(record(2), answers[0])
        log.put(record(3, decision=Decision.NG, defect_class="dent"), answers[1])
        assert isinstance(answers[0].wait(), LogBusy)
        assert "locked" in str(answers[1].wait())
        assert not log.ok
        log.put_outcome(Outcome(PartKey(7, 2), WireVerdict.NOT_INSPECTED, True, 110.0, 90.0))
        log.put(record(4), answers[2])
        assert isinstance(answers[2].wait(), LogBusy)
        log.put(record(2), answers[3])
        assert answers[3].wait() is not None
        status = log.status()
        assert (status.rows, status.failed > 0, "locked" in status.last_error) == (1, True, True)
    until(lambda: log.ok)
    assert put(log, record(5)) is None
    until(lambda: log.status().backlog == 0)
    assert rows(log) == {
        1: ("OK", "OK", "judged", None),
        2: ("NOT_INSPECTED", "OK", "log_failed", 3),
        3: ("NG", "NG", "judged", None),
        4: ("NOT_INSPECTED", "OK", "log_failed", None),
        5: ("OK", "OK", "judged", None),
    }
    assert [len(answer.calls) for answer in answers] == [1, 1, 1, 1]
    until(lambda: {"log_failed", "log_recovered"} <= set(kinds(log)))


def test_a_lock_that_ends_in_time_costs_no_part_and_makes_no_event(sqlite_log: PartLog, tmp_path: Path) -> None:
    """Four attempts long, within the parts' time: LogOK is 0 meanwhile, then each row is stored as it was judged."""
    log = sqlite_log
    assert put(log, record(1)) is None
    other = sqlite3.connect(tmp_path / "linegate.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    answers = [Answer() for _ in range(3)]
    until_ns = time.monotonic_ns() + 20 * 10**9
    for sequence, answer in enumerate(answers, 2):
        assert log.put(record(sequence), answer, until_ns)
    until(lambda: not log.ok)
    failing_ns = time.monotonic_ns()
    until(lambda: time.monotonic_ns() - failing_ns > 4 * ATTEMPT_MS * 1e6)
    assert not log.ok
    assert "locked" in log.status().last_error
    assert not any(answer.calls for answer in answers)
    log.put_gate_result(PartKey(7, 3), GateResult.REJECTED)
    other.execute("ROLLBACK")
    other.close()
    assert [answer.wait() for answer in answers] == [None] * 3
    until(lambda: log.ok)
    assert {row[:2] for row in rows(log).values()} == {("OK", "OK")}
    assert not kinds(log)


def test_a_lock_that_lasts_is_told_when_the_part_can_wait_no_longer(sqlite_log: PartLog, tmp_path: Path) -> None:
    log = sqlite_log
    assert put(log, record(1)) is None
    with held_by_another_process(tmp_path / "linegate.db"):
        patient, hurried = Answer(), Answer()
        until_ns = time.monotonic_ns() + 150_000_000
        log.put(record(2), patient, until_ns)
        log.put(record(3), hurried)
        assert isinstance(hurried.wait(), LogBusy)
        assert isinstance(patient.wait(), LogBusy)
        assert not log.ok
    until(lambda: log.status().backlog == 0)
    assert {key: row[:3] for key, row in rows(log).items()} == {
        1: ("OK", "OK", "judged"),
        2: ("NOT_INSPECTED", "OK", "log_failed"),
        3: ("NOT_INSPECTED", "OK", "log_failed"),
    }
    until(lambda: kinds(log).count("log_failed") == kinds(log).count("log_recovered") == 1)


def test_what_the_gate_did_reaches_a_row_that_is_stored_late(sqlite_log: PartLog, tmp_path: Path) -> None:
    log = sqlite_log
    with held_by_another_process(tmp_path / "linegate.db"):
        for sequence in (1, 2, 3):  # the first of them is stored with what rides along, the others after it
            assert put(log, record(sequence, decision=Decision.NG)) is not None
            log.put_gate_result(PartKey(7, sequence), GateResult.REJECTED)
    assert put(log, record(4)) is None
    log.put_gate_result(PartKey(7, 4), GateResult.PASSED)

    def gates() -> dict[int, str]:
        with log.reader.connect() as connection:
            return {row.sequence: row.gate for row in connection.execute(select(schema.part))}

    until(lambda: gates() == {1: "rejected", 2: "rejected", 3: "rejected", 4: "passed"})


def kinds(log: PartLog) -> list[str]:
    with log.reader.connect() as connection:
        return list(connection.execute(select(schema.event.c.kind)).scalars())


def test_where_a_pass_does_not_need_the_log_the_row_keeps_its_ok(tmp_path: Path) -> None:
    log = PartLog.open(LogSettings(min_free_mb=0, pass_requires_log=False), tmp_path)
    log.start()
    with held_by_another_process(tmp_path / "linegate.db"):
        assert put(log, record(1)) is not None
    until(lambda: log.status().backlog == 0)
    assert rows(log)[1][0] == "OK"
    log.close()


def test_closing_a_log_that_cannot_write_says_what_is_missing(tmp_path: Path) -> None:
    log = PartLog.open(LogSettings(min_free_mb=0, busy_timeout_ms=20), tmp_path)
    log.start()
    with held_by_another_process(tmp_path / "linegate.db"):
        assert put(log, record(1)) is not None
        with pytest.raises(LogError, match="1 rows that could not be") as caught:
            log.close(timeout_s=0.3)
    assert "NOT_INSPECTED" in caught.value.remedy


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"this user can't mount a small disk: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk(small_disk: Path) -> None:
    log = PartLog.open(LogSettings(min_free_mb=0), small_disk)
    log.start()
    assert put(log, record(1)) is None
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(bytes(4096))
    failures: list[LogError] = []
    sequence = 1
    while not failures and sequence < 500:  # the write-ahead log still has some pages
        sequence += 1
        error = put(log, record(sequence, reason="x" * 3000))
        failures += [error] if error else []
    assert isinstance(failures[0], LogFull), failures
    assert "disk" in failures[0].remedy
    assert not log.ok
    assert put(log, record(sequence + 1)) is not None
    filler.unlink()
    until(lambda: log.ok)
    until(lambda: log.status().backlog == 0)
    found = rows(log)
    assert sorted(found) == list(range(1, sequence + 2)), "no trigger without a row"
    assert found[sequence][:3] == ("NOT_INSPECTED", "OK", "log_failed")
    assert found[sequence - 1][0] == "OK", "what was answered durable stays as it was"
    log.close()


def test_a_disk_too_full_to_start(small_disk: Path) -> None:
    with (small_disk / "filler").open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(bytes(4096))
    with pytest.raises(LogFull, match=r"linegate\.db"):
        PartLog.open(LogSettings(), small_disk)


def test_pictures_on_a_full_disk_leave_no_row_without_a_file(small_disk: Path) -> None:
    log = PartLog.open(LogSettings(min_free_mb=0), small_disk)
    log.start()
    store = ImageStore(small_disk, ImageSettings(), log)
    store.start()
    rng = np.random.default_rng(1)
    for sequence in range(1, 41):
        until(lambda: store.status().waiting < 10)
        store.put(rng.integers(0, 255, (512, 512), dtype=np.uint8), PartKey(7, sequence), "top", "ng")
    until(lambda: store.status().waiting == 0)
    store.close()
    assert store.status().failed > 0
    assert not list((small_disk / "images").rglob("*.part"))
    with log.reader.connect() as connection:
        for sha256 in connection.execute(select(schema.image.c.sha256)).scalars():
            assert content_matches(store.path(sha256)), "a row without its file"
    for path in (small_disk / "images").rglob("*.png"):
        assert content_matches(path)
        path.unlink()  # room again, so that the log can close
    log.close()


@pytest.mark.parametrize("settings", ["sqlite", "postgresql"], indirect=True)
def test_killed_with_minus_9(settings: LogSettings, tmp_path: Path) -> None:
    acknowledged: set[int] = set()
    first = 1
    for kill_after in (40, 25):
        command = [
            sys.executable,
            str(Path(__file__).with_name("writing_process.py")),
            str(tmp_path),
            settings.url,
            str(first),
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(kill_after):
                acknowledged.add(int(process.stdout.readline()))
            time.sleep(0.1)  # pictures' rows have a commit of their own, 30 ms later
            os.kill(process.pid, signal.SIGKILL)
            rest = process.stdout.read().splitlines(keepends=True)
            acknowledged |= {int(line) for line in rest if line.endswith("\n")}
        log = open_again(settings, tmp_path)
        found = rows(log)
        assert acknowledged <= set(found), "a row that was acknowledged is gone"
        assert all(row[0] == "OK" for row in found.values())
        first = max(found) + 1
        with log.reader.connect() as connection:
            pictures = list(connection.execute(select(schema.image.c.sha256)).scalars())
        store = ImageStore(tmp_path, ImageSettings(), log)
        assert pictures
        assert all(content_matches(store.path(sha256)) for sha256 in pictures), "a row without its file"
        store.sweep(young_s=0)
        files = {path.stem for path in (tmp_path / "images").rglob("*.*")}
        assert files == set(pictures)
        known = log.known(7)
        assert sum(len(gap) for gap in log.missing(7, known.last)) == known.last - known.count
        log.close()


def open_again(settings: LogSettings, data: Path) -> PartLog:
    """The server may need a moment to see that the killed one is gone."""
    opened: list[PartLog] = []

    def try_it() -> bool:
        try:
            opened.append(PartLog.open(settings, data))
        except LogBusy:
            return False
        return True

    until(try_it)
    return opened[0]


@pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
def test_a_server_that_drops_the_connection(settings: LogSettings, log: PartLog) -> None:
    assert put(log, record(1)) is None
    admin = create_engine(settings.url, poolclass=NullPool)
    with admin.connect() as connection:
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        connection.execute(text(f"{others} AND pid <> pg_backend_pid()"))
    assert put(log, record(2)) is not None
    until(lambda: log.ok)
    assert put(log, record(3)) is None
    assert {key: row[0] for key, row in rows(log).items()} == {1: "OK", 2: "NOT_INSPECTED", 3: "OK"}


@pytest.mark.parametrize("settings", ["sqlite", "postgresql"], indirect=True)
def test_a_commit_that_succeeded_but_seemed_to_fail(log: PartLog, once_after_commit: Callable[[PartLog], None]) -> None:
    """The connection dies between the server's commit and its answer: the row is there, the line was told it is not."""
    assert put(log, record(1)) is None
    once_after_commit(log)
    assert put(log, record(2)) is not None
    until(lambda: log.status().backlog == 0)
    assert rows(log)[2][:3] == ("NOT_INSPECTED", "OK", "log_failed")
    assert put(log, record(3)) is None
    assert log.count() == 3
    assert "duplicate_part" not in kinds(log)


@pytest.fixture
def once_after_commit() -> Callable[[PartLog], None]:
    """Breaks the wire right after the next commit that carries a part."""

    def arm(log: PartLog) -> None:
        dialect = log.writer_engine.dialect
        commit = dialect.do_commit

        def commit_and_lose_the_answer(connection) -> None:
            commit(connection)
            dialect.do_commit = commit
            raise OperationalError("COMMIT", {}, ConnectionResetError("connection lost"))

        dialect.do_commit = commit_and_lose_the_answer

    return arm
