"""Training and release jobs of the part log: taken one at a time under a lease, kept alive by a heartbeat, taken over when it
stops."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Engine, and_, or_, select, update

from linegate.cameras.errors import LinegateError
from linegate.inspect.partlog.database import explain, log_url, make_engine
from linegate.inspect.partlog.schema import job
from linegate.inspect.settings import LogSettings

T = TypeVar("T")
LEASE_S = 30.0
HEARTBEAT_S = 5.0
KINDS = ("train", "release")
SETTLED = "{}"
"""The result of a running job that is past cancelling."""
FOLDER = "jobs"
"""``<data>/jobs/<id>/`` holds what a worker leaves for people, and its checkpoint."""


class JobError(LinegateError):
    """A training job can't be done as it is asked for."""


@dataclass(frozen=True, slots=True)
class Job:
    """One job as its worker sees it. ``spec`` is what was asked: source, minutes, seed and note of a training; bundle,
    train_job (0: none), waivers and note of a release."""

    id: int
    kind: str
    by: str
    spec: dict[str, Any]


class JobQueue:
    """The job table of one station, seen from a worker. Thread-safe; blocks on the database; all raise LogError."""

    def __init__(self, engine: Engine, owner: str, lease_s: float = LEASE_S) -> None:
        self._engine = engine
        self._owner = owner
        self._lease_ns = round(lease_s * 1e9)

    @staticmethod
    def open(log: LogSettings, data: Path, owner: str, lease_s: float = LEASE_S) -> JobQueue:
        """On a log whose schema is there; ``owner`` names this worker and no other. Raises LogError."""
        return JobQueue(make_engine(log_url(log, data), access="write", busy_timeout_ms=5000.0), owner, lease_s)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def take(self) -> Job | None:
        """The oldest job that waits or whose worker fell silent, now this worker's; None while another one is at work."""
        now = time.time_ns()
        ours = and_(job.c.kind.in_(KINDS), job.c.cancel.is_(False))
        free = or_(job.c.state == "waiting", and_(job.c.state == "running", job.c.lease_until_utc_ns < now))

        def work(connection: Connection) -> Job | None:
            # A job that was cancelled while its worker was dead has nobody left to end it.
            dead = and_(job.c.kind.in_(KINDS), job.c.state == "running", job.c.lease_until_utc_ns < now, job.c.cancel)
            connection.execute(update(job).where(dead).values(state="cancelled", ended_utc_ns=now))
            busy = and_(ours, job.c.state == "running", job.c.lease_until_utc_ns >= now)
            if connection.execute(select(job.c.id).where(busy)).first() is not None:
                return None
            row = connection.execute(select(job).where(ours, free).order_by(job.c.id).limit(1)).mappings().first()
            if row is None:
                return None
            values = {"state": "running", "lease_owner": self._owner, "result": None, **self._lease()}
            values |= {} if row["started_utc_ns"] else {"started_utc_ns": now}
            if not connection.execute(update(job).where(job.c.id == row["id"], ours, free).values(values)).rowcount:
                return None  # cancelled, or another worker's, since it was read
            return Job(int(row["id"]), str(row["kind"]), str(row["by"]), dict(json.loads(row["spec"])))

        return self._do(work)

    def beat(self, job_id: int, progress: float, words: str) -> bool:
        """Prolong the lease and tell the progress. False when the job is cancelled or another worker has it: stop then."""
        mine = self._mine(job_id)

        def work(connection: Connection) -> bool:
            row = connection.execute(select(job.c.cancel).where(mine)).first()
            if row is None or row.cancel:
                return False
            values = {**self._lease(), "progress": progress, "progress_text": words}
            connection.execute(update(job).where(mine).values(values))
            return True

        return self._do(work)

    def settle(self, job_id: int) -> bool:
        """Before a job leaves anything behind: from here on it is too late to cancel it. False as of ``beat``."""
        still = and_(self._mine(job_id), job.c.cancel.is_(False))
        done = self._do(lambda connection: connection.execute(update(job).where(still).values(result=SETTLED)))
        return bool(done.rowcount)

    def end(self, job_id: int, state: str, result: dict[str, Any]) -> str:
        """``state``: done, failed or cancelled. Returns what it came to: whatever was cancelled in time ends as cancelled, and
        a job that another worker took over meanwhile is left to it ("")."""
        values: dict[str, Any] = {"state": state, "ended_utc_ns": time.time_ns(), "result": json.dumps(result)}
        if state == "done":
            values["progress"] = 1.0
        ended = {
            "state": "cancelled",
            "ended_utc_ns": values["ended_utc_ns"],
            "result": json.dumps({"text": "cancelled"}),
        }

        def work(connection: Connection) -> str:
            mine = self._mine(job_id)
            if connection.execute(update(job).where(mine, job.c.cancel.is_(False)).values(values)).rowcount:
                return state
            return "cancelled" if connection.execute(update(job).where(mine).values(ended)).rowcount else ""

        return self._do(work)

    def _mine(self, job_id: int) -> ColumnElement[bool]:
        return and_(job.c.id == job_id, job.c.lease_owner == self._owner, job.c.state == "running")

    def _lease(self) -> dict[str, int]:
        now = time.time_ns()
        return {"lease_until_utc_ns": now + self._lease_ns, "heartbeat_utc_ns": now}

    def _do(self, work: Callable[[Connection], T]) -> T:
        try:
            with self._engine.begin() as connection:
                return work(connection)
        except Exception as error:
            raise explain(error, self._engine) from error


class Heartbeat:
    """``with Heartbeat(queue, job) as alive``: beats in a thread; ``alive.lost`` tells that the job is no longer ours."""

    def __init__(self, queue: JobQueue, job_id: int, every_s: float = HEARTBEAT_S) -> None:
        self._queue = queue
        self._job_id = job_id
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"job-{job_id}", daemon=True)
        self._progress = (0.0, "starting")
        self.lost = False

    def tell(self, progress: float, words: str) -> None:
        """What the next beat says."""
        self._progress = (progress, words)

    def settle(self) -> bool:
        """``JobQueue.settle``. Raises LogError."""
        self.lost = self.lost or not self._queue.settle(self._job_id)
        return not self.lost

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self.lost:
            with contextlib.suppress(LinegateError):  # a busy database: the lease outlasts several missed beats
                self.lost = not self._queue.beat(self._job_id, *self._progress)
            if self._stop.wait(self._every_s):
                return
