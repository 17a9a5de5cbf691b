"""Training and release jobs as rows: a person asks here, ``linegate train --worker`` takes them, progress and result come
back."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, insert, select, update

from linegate.inspect.hmi.errors import ScreenError
from linegate.inspect.partlog.audit import Act, acting
from linegate.inspect.partlog.database import DATABASE_TROUBLE, explain
from linegate.inspect.partlog.queries import Reading
from linegate.inspect.partlog.schema import job, label

LIVE = ("waiting", "running")
RUNNING = {"train": "review.error.job_running", "release": "review.error.release_running"}
FOLDER = "jobs"
"""``<data>/jobs/<id>/`` holds what a worker leaves for people: report.html or release.html, pictures within."""


class Jobs:
    """The job table, seen from the screen. Thread-safe; blocks on the database."""

    def __init__(self, writer: Engine, reader: Engine, data: Path) -> None:
        self._writer = writer
        self._reader = reader
        self._folder = data / FOLDER

    def start(self, act: Act, *, minutes: float, note: str, seed: int) -> int:
        """A new training job on this station's labels; returns its number. Raises ScreenError 409 while one is under way."""
        return self._ask("train", act, {"source": "log", "minutes": minutes, "seed": seed, "note": note})

    def start_release(self, act: Act, *, bundle: str, note: str, waivers: Sequence[Mapping[str, str]] = ()) -> int:
        """A new job that puts candidate ``bundle`` through the release gate; returns its number. Raises ScreenError 409 while
        one is under way."""
        spec = {"bundle": bundle, "train_job": self._trained_by(bundle), "note": note, "waivers": list(waivers)}
        return self._ask("release", act, spec)

    def released(self, number: int) -> dict[str, Any]:
        """What the gate found in a release job that is done: ``bundle``, ``live_name``, ``findings``. Raises ScreenError 404,
        or 409 where it isn't done, or must-catch cases came that it could not see."""
        with Reading(self._reader) as connection:
            row = connection.execute(select(job).where(job.c.id == number, job.c.kind == "release")).mappings().first()
            later = label.c.at_utc_ns >= (row["started_utc_ns"] or 0 if row is not None else 0)
            newer = connection.execute(select(label.c.id).where(label.c.must_catch, later).limit(1)).first()
        if row is None:
            raise ScreenError("review.error.no_job", 404, number=number)
        result = _json(row["result"])
        if row["state"] != "done" or "findings" not in (result or {}):
            raise ScreenError("review.error.job_not_done", 409, number=number)
        if newer is not None:
            raise ScreenError("review.error.new_cases", 409)
        return dict(result)

    def _ask(self, kind: str, act: Act, spec: Mapping[str, Any]) -> int:
        try:
            with self._writer.begin() as connection:
                if connection.execute(select(job.c.id).where(job.c.kind == kind, job.c.state.in_(LIVE))).first():
                    raise ScreenError(RUNNING[kind], 409)
                result = connection.execute(
                    insert(job).values(
                        kind=kind,
                        state="waiting",
                        spec=json.dumps(spec, ensure_ascii=False, sort_keys=True),
                        by=act.by,
                        created_utc_ns=time.time_ns(),
                        progress=0.0,
                        progress_text="",
                        cancel=False,
                    )
                )
                assert result.inserted_primary_key is not None
                number = int(result.inserted_primary_key[0])
                act.enter(connection, subject=str(number))
                return number
        except DATABASE_TROUBLE as error:
            raise explain(error, self._writer) from error

    def _trained_by(self, bundle: str) -> int:
        """Number of the training job that made the candidate, whose folder keeps the network as it was trained; 0: none did."""
        with Reading(self._reader) as connection:
            wanted = select(job.c.id, job.c.result).where(job.c.kind == "train", job.c.state == "done")
            for number, result in connection.execute(wanted.order_by(job.c.id.desc())):
                if (_json(result) or {}).get("bundle") == bundle:
                    return int(number)
        return 0

    def cancel(self, number: int, act: Act) -> None:
        """A waiting job ends at once, a running one when its worker next looks. Raises ScreenError 404, or 409 where it is too
        late."""
        mine, now = job.c.id == number, time.time_ns()
        at_once = update(job).where(mine, job.c.state == "waiting")
        # A running job with a result is leaving it behind by now: to say that it was cancelled would not be true.
        soon = update(job).where(mine, job.c.state == "running", job.c.result.is_(None))
        with acting(self._writer, act) as connection:
            ended = {"cancel": True, "state": "cancelled", "ended_utc_ns": now}
            if (
                connection.execute(at_once.values(ended)).rowcount
                or connection.execute(soon.values(cancel=True)).rowcount
            ):
                return
            known = connection.execute(select(job.c.id).where(mine)).first() is not None
            raise ScreenError(
                "review.error.job_over" if known else "review.error.no_job", 409 if known else 404, number=number
            )

    def recent(self, limit: int = 20) -> list[dict[str, Any]]:
        """The last jobs, newest first, each with the files its worker left."""
        with Reading(self._reader) as connection:
            rows = connection.execute(select(job).order_by(job.c.id.desc()).limit(limit)).mappings().all()
        return [
            {
                **dict(row),
                "spec": json.loads(row["spec"]),
                "result": _shown(_json(row["result"])),
                "files": self.files(int(row["id"])),
                "worker_silent": _silent(row["state"], row["lease_until_utc_ns"]),
            }
            for row in rows
        ]

    def files(self, number: int) -> list[str]:
        """Names of the files of a job. A link is none: it could lead out of the folder."""
        folder = self._folder / str(number)
        found = folder.iterdir() if folder.is_dir() else ()
        return sorted(path.name for path in found if path.is_file() and not path.is_symlink())

    def file(self, number: int, name: str) -> Path:
        """One of them. Raises ScreenError 404."""
        if name not in self.files(number):
            raise ScreenError("review.error.no_job", 404, number=number)
        return self._folder / str(number) / name


def _json(text: str | None) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return {"text": text}


def _shown(result: Any) -> Any:
    """What the screen shows of a result; of the gate's findings its conditions: a list is asked for every second."""
    if not isinstance(result, dict) or "findings" not in result:
        return result
    conditions = [{name: one[name] for name in ("name", "held", "finding")} for one in result["findings"]["conditions"]]
    return {**{name: value for name, value in result.items() if name != "findings"}, "conditions": conditions}


def _silent(state: str, lease_until_utc_ns: int | None) -> bool:
    return state == "running" and lease_until_utc_ns is not None and lease_until_utc_ns < time.time_ns()
