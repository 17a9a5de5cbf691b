"""The part log: locked by another process, on a full disk; nothing passes unlogged and nothing logged is lost."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from linegate.inspect.plc.registers import Status
from linegate.inspect.settings import LogSettings

from .rig import Rig

HOLD = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
held.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.readline()
held.execute("ROLLBACK")
"""


@contextlib.contextmanager
def locked(database: Path) -> Iterator[None]:
    """Another process holds the database for itself."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        yield
        holder.stdin.write("\n")


def passed(rig: Rig) -> int:
    return rig.plant.report().passed


def test_a_locked_database_passes_nothing_and_loses_nothing(rig: Rig) -> None:
    with locked(rig.data / "linegate.db"):
        rig.until(lambda: Status.LOG_OK not in rig.status(), "LogOK = 0")
        rig.until(lambda: Status.STOP_REQUEST in rig.status(), "a stop is asked for")
        rig.until(lambda: rig.plant.fed == len(rig.ledger()), "the belt has stopped and run empty")
        before, status = passed(rig), rig.now.log.status()
        assert status.backlog > 0
        assert "locked" in status.last_error
    rig.until(lambda: Status.LOG_OK in rig.status(), "LogOK = 1")
    assert Status.STOP_REQUEST in rig.status(), "the alarm waits for a person"
    assert passed(rig) == before
    rig.acknowledge()
    rig.passes()
    rig.check(maybe=("log_failed",))  # the first row that failed may have been a reject's
    assert rig.events("log_recovered")


def test_a_short_lock_stops_nothing(rig: Rig) -> None:
    """Another program saves something: LogOK falls, and the line goes on by itself, with every part that had time."""
    with locked(rig.data / "linegate.db"):
        rig.until(lambda: Status.LOG_OK not in rig.status(), "LogOK = 0")
    rig.until(lambda: Status.LOG_OK in rig.status(), "LogOK = 1")
    rig.passes()
    assert Status.STOP_REQUEST not in rig.status()
    assert rig.now.supervisor.view.alarms == ()
    rig.check(maybe=("log_failed",))
    assert not rig.events("alarm")


def test_a_database_locked_while_the_line_runs_on(make_rig: Callable[..., Rig]) -> None:
    """The belt does not heed the stop request (a real one needs seconds): parts keep coming, every one is rejected."""
    rig = make_rig(stop_delay_ms=60_000.0)
    rig.start_station()
    rig.run()
    with locked(rig.data / "linegate.db"):
        rig.until(lambda: Status.LOG_OK not in rig.status(), "LogOK = 0")
        rig.more_parts(3)
        before = passed(rig)
        rig.more_parts(15)
        assert passed(rig) == before
    rig.until(lambda: Status.LOG_OK in rig.status(), "LogOK = 1")
    rig.acknowledge()
    rig.passes()
    rig.check("log_failed")
    late = [row for row in rig.rows() if row["cause"] == "log_failed"]
    assert {row["decision"] for row in late} == {"NOT_INSPECTED"}
    assert {row["wire_verdict"] for row in late} <= {0, 3}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "linegate-test", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount a small file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_passes_nothing_and_loses_nothing(make_rig: Callable[..., Rig], small_disk: Path) -> None:
    rig = make_rig(data=small_disk / "data", log=LogSettings(min_free_mb=0.0), stop_delay_ms=60_000.0)
    rig.start_station()
    rig.run()
    rows = len(rig.rows())
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    rig.until(lambda: Status.LOG_OK not in rig.status(), "LogOK = 0")
    rig.until(lambda: Status.STOP_REQUEST in rig.status(), "a stop is asked for")
    rig.more_parts(3)
    before = passed(rig)
    rig.more_parts(10)
    assert "full" in rig.now.log.status().last_error
    assert len(rig.rows()) >= rows, "what was logged can still be read"
    assert passed(rig) == before
    ballast.unlink()
    rig.until(lambda: Status.LOG_OK in rig.status(), "LogOK = 1")
    rig.acknowledge()
    rig.passes()
    rig.check("log_failed")


def test_a_disk_that_fills_up_stops_the_line_before_it_is_full(make_rig: Callable[..., Rig], small_disk: Path) -> None:
    rig = make_rig(data=small_disk / "data", log=LogSettings(min_free_mb=8.0))
    rig.start_station()
    rig.run()
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(12_000_000))
    rig.until(lambda: Status.LOG_OK not in rig.status(), "LogOK = 0")
    rig.until(lambda: Status.STOP_REQUEST in rig.status(), "a stop is asked for")
    assert any("MB free" in reason for reason in rig.now.supervisor.view.reasons)
    ballast.unlink()
    rig.until(lambda: Status.LOG_OK in rig.status(), "LogOK = 1")
    rig.acknowledge()
    rig.passes()
    rig.check(maybe=("log_failed",))


def test_a_station_that_ends_while_the_log_is_locked_leaves_nothing_behind(rig: Rig) -> None:
    """It says what it could not save, lets go of everything, and the next start adds the rows."""
    from linegate.inspect.partlog.errors import LogError

    with locked(rig.data / "linegate.db"):
        rig.until(lambda: rig.now.log.status().backlog > 0, "rows wait")
        rig.plant.pause()
        with pytest.raises(LogError, match="rows that could not be"):
            rig.now.stop()
    rig.start_station()
    rig.plant.run_belt()
    rig.passes()
    rig.check("crash", maybe=("log_failed", "not_ready"))
