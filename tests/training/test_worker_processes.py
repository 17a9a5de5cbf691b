"""Workers as processes of their own: one is killed in the middle of a job, one is stopped from the screen."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from linegate.inspect.hmi.server import create_app
from linegate.inspect.partlog.writer import PartLog
from linegate.inspect.settings import ScreenSettings
from linegate.models.store import BundleStore

from .conftest import MakeFolder
from .test_jobs import ask, label_folder, look

BEAT_S = 1.0
"""Six missed beats and a job is free: long enough for a busy machine, short enough for a test."""
PATIENCE_S = 120.0
WORKER = """
import sys
from pathlib import Path
from rich.console import Console
from linegate.training.fit import FitSettings
from linegate.training.worker import Worker
settings = FitSettings(steps=int(sys.argv[2]), threads=1, checkpoint_s=0)
Worker(Path(sys.argv[1]), (), settings, Console(width=200)).run(heartbeat_s=float(sys.argv[3]))
"""


@contextlib.contextmanager
def worker(station: Path, steps: int) -> Iterator[subprocess.Popen[str]]:
    """A worker that takes jobs until it is killed. What it said is read at the end of the block only."""
    words = [sys.executable, "-u", "-c", WORKER, str(station), str(steps), str(BEAT_S)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    process.kill()
    assert process.stdout is not None
    return process.stdout.read()


def wait_for(log: PartLog, number: int, process: subprocess.Popen[str], **wanted: str) -> None:
    """Until each named field of the job begins so."""
    deadline = time.monotonic() + PATIENCE_S
    while not all(str(look(log, number)[name]).startswith(text) for name, text in wanted.items()):
        assert process.poll() is None, said(process)
        assert time.monotonic() < deadline, look(log, number)
        time.sleep(0.02)


def step_of(row: dict[str, Any]) -> int:
    """The step of a fit that a job's progress tells."""
    return int(str(row["progress_text"]).split("step ")[1].split(",")[0])


def test_a_killed_workers_job_is_taken_over_once_and_finished(
    log: PartLog, station: Path, make_folder: MakeFolder, tmp_path: Path
) -> None:
    label_folder(log, tmp_path / "data", make_folder(name="plates", good=12, spot=6, line=6))
    number = ask(log)
    with worker(station, steps=60) as first:
        wait_for(log, number, first, progress_text="crops")
        while step_of(look(log, number)) < 8:
            assert first.poll() is None
            time.sleep(0.02)
        first.kill()
        first.wait()
    left = look(log, number)
    assert left["state"] == "running", "nobody was there to end it"
    with worker(station, steps=60) as second, worker(station, steps=60) as third:
        while (row := look(log, number))["lease_owner"] == left["lease_owner"]:
            assert second.poll() is None
            assert third.poll() is None
            time.sleep(0.01)
        assert row["heartbeat_utc_ns"] >= left["lease_until_utc_ns"], "the lease was still held"
        heir = row["lease_owner"]
        while (row := look(log, number))["state"] == "running":
            assert row["lease_owner"] == heir, "it was taken over again"
            time.sleep(0.05)
        words = [said(second), said(third)]
    assert row["state"] == "done", row["result"]
    assert sorted(text.count(f"job {number}, asked for") for text in words) == [0, 1]
    began_at = [int(step) for step in re.findall(r"goes on from step (\d+)", "".join(words))]
    assert len(began_at) == 1, words
    assert step_of(left) <= began_at[0] < 60, "where the dead worker's checkpoint was"
    assert len(BundleStore(tmp_path / "data" / "models").pointers().candidates) == 1


def test_cancel_at_the_screen_stops_a_running_worker(
    log: PartLog, station: Path, make_folder: MakeFolder, tmp_path: Path
) -> None:
    label_folder(log, tmp_path / "data", make_folder(name="plates", good=12, spot=6, line=6))
    app = create_app(ScreenSettings(), tmp_path / "data")
    origin = "http://127.0.0.1"
    with TestClient(app, origin, headers={"Origin": origin}, client=("127.0.0.1", 50000)) as screen:
        screen.post("/api/setup", json={"name": "Ada", "pin": "730519", "language": "en"}).raise_for_status()
        screen.post("/api/session/pin", json={"name": "Ada", "pin": "730519"}).raise_for_status()
        number = screen.post("/api/review/jobs", json={"minutes": 5}).raise_for_status().json()["id"]
        with worker(station, steps=100_000) as process:
            wait_for(log, number, process, progress_text="crops")
            screen.post(f"/api/review/jobs/{number}/cancel").raise_for_status()
            began = time.monotonic()
            wait_for(log, number, process, state="cancelled")
            assert time.monotonic() - began < 20 * BEAT_S
            following = ask(log)
            wait_for(log, following, process, progress_text="crops")  # the same worker is free for the next one
    assert BundleStore(tmp_path / "data" / "models").pointers().candidates == ()
