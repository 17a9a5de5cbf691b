"""A job that was cancelled leaves nothing behind and ends as cancelled; what is too late to cancel says so."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console
from starlette.testclient import TestClient

from linegate.inspect.hmi.errors import ScreenError
from linegate.inspect.hmi.review.jobs import Jobs
from linegate.inspect.hmi.server import create_app
from linegate.inspect.partlog.audit import Act
from linegate.inspect.partlog.writer import PartLog
from linegate.inspect.settings import LogSettings, ScreenSettings
from linegate.models.store import BundleStore
from linegate.training.fit import FitSettings
from linegate.training.gate_job import REPORT, GateSources
from linegate.training.jobs import JobQueue
from linegate.training.worker import Worker

from ..models.tiny import bundle as make_bundle
from .conftest import MakeFolder
from .test_jobs import ask, label_folder, look

SELDOM_S = 60.0
"""No heartbeat after the first one: what is cancelled under way is not noticed before the job is about to end."""
Cancel = Callable[[int], tuple[int, str]]


@pytest.fixture
def cancel(log: PartLog, tmp_path: Path) -> Iterator[Cancel]:
    """A signed-in admin's button at the review screen: the status and the refusal's key."""
    app = create_app(ScreenSettings(), tmp_path / "data")
    origin = "http://127.0.0.1"
    with TestClient(app, origin, headers={"Origin": origin}, client=("127.0.0.1", 50000)) as screen:
        screen.post("/api/setup", json={"name": "Ada", "pin": "730519", "language": "en"}).raise_for_status()

        def press(number: int) -> tuple[int, str]:
            answer = screen.post(f"/api/review/jobs/{number}/cancel")
            return answer.status_code, answer.json().get("key", "")

        yield press


def cancelled_under_way(log: PartLog, worker: Worker, number: int, cancel: Cancel) -> None:
    """Run the worker, and cancel its job after its one heartbeat."""
    thread = threading.Thread(target=lambda: worker.run(once=True, heartbeat_s=SELDOM_S))
    thread.start()
    try:
        deadline = time.monotonic() + 60
        while not look(log, number)["progress_text"]:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        assert cancel(number) == (200, "")
    finally:
        thread.join()


def test_a_gate_cancelled_at_its_end_is_cancelled(
    log: PartLog, station: Path, make_folder: MakeFolder, tmp_path: Path, cancel: Cancel
) -> None:
    data, frozen = tmp_path / "data", make_folder(name="frozen", good=12, spot=6, line=6)
    name = BundleStore(data / "models").add(make_bundle(tmp_path / "draft").folder, "quinn", "job 1").bundle
    number = ask(log, kind="release", spec=json.dumps({"bundle": name}))
    worker = Worker(station, (), FitSettings(threads=1), Console(quiet=True), GateSources(frozen=(frozen,)))
    cancelled_under_way(log, worker, number, cancel)
    row = look(log, number)
    assert (row["state"], row["result"]) == ("cancelled", '{"text": "cancelled"}')
    assert not (data / "jobs" / str(number) / REPORT).exists()
    after = ask(log, kind="release", spec=json.dumps({"bundle": name}))
    worker.run(once=True, heartbeat_s=SELDOM_S)
    assert look(log, after)["state"] == "done", "left alone it comes to its end"
    assert cancel(after) == (409, "review.error.job_over")
    assert look(log, after)["state"] == "done"


def test_a_training_cancelled_at_its_end_leaves_no_candidate(
    log: PartLog, station: Path, make_folder: MakeFolder, tmp_path: Path, cancel: Cancel
) -> None:
    label_folder(log, tmp_path / "data", make_folder(name="plates", good=12, spot=6, line=6))
    number = ask(log)
    worker = Worker(station, (), FitSettings(steps=3, threads=1), Console(quiet=True))
    cancelled_under_way(log, worker, number, cancel)
    assert look(log, number)["state"] == "cancelled"
    assert BundleStore(tmp_path / "data" / "models").names() == ()


@pytest.mark.parametrize("end", ["done", "failed"])
def test_what_is_cancelled_in_time_ends_as_cancelled(log: PartLog, tmp_path: Path, cancel: Cancel, end: str) -> None:
    number = ask(log)
    queue = JobQueue.open(LogSettings(), tmp_path / "data", "one")
    try:
        assert queue.take() is not None
        assert cancel(number) == (200, "")
        assert not queue.settle(number)
        assert queue.end(number, end, {"text": "x"}) == "cancelled"
    finally:
        queue.close()
    assert look(log, number)["state"] == "cancelled"


def test_a_job_that_leaves_its_result_is_past_cancelling_until_another_worker_begins_anew(
    log: PartLog, tmp_path: Path, cancel: Cancel
) -> None:
    number = ask(log)
    one = JobQueue.open(LogSettings(), tmp_path / "data", "one", lease_s=0.0)
    two = JobQueue.open(LogSettings(), tmp_path / "data", "two")
    try:
        assert one.take() is not None
        assert one.settle(number)
        assert cancel(number) == (409, "review.error.job_over")
        assert two.take() is not None  # the first one died
        assert not one.settle(number)
        assert cancel(number) == (200, "")
        assert one.end(number, "done", {}) == ""
        assert two.end(number, "done", {}) == "cancelled"
    finally:
        one.close()
        two.close()


def test_whoever_comes_first_there_is_no_third_outcome(log: PartLog, tmp_path: Path) -> None:
    queue = JobQueue.open(LogSettings(), tmp_path / "data", "one")
    jobs, act = Jobs(log.writer_engine, log.reader, tmp_path / "data"), Act("Ada", "admin", "job-cancel")
    try:
        for _ in range(20):
            number = ask(log)
            assert queue.take() is not None
            both, settled = threading.Barrier(2), []

            def work(number: int = number, both: threading.Barrier = both, settled: list[bool] = settled) -> None:
                both.wait()
                settled.append(queue.settle(number))
                queue.end(number, "done", {})

            thread = threading.Thread(target=work)
            thread.start()
            both.wait()
            try:
                jobs.cancel(number, act)
                told = "cancelled"
            except ScreenError as error:
                assert error.key == "review.error.job_over"
                told = "done"
            thread.join()
            assert look(log, number)["state"] == told
            assert settled == [told == "done"]
    finally:
        queue.close()
