"""`linegate train --worker`: takes jobs from a station's log; brings back candidates, and the gate's word on them."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from linegate.cameras.errors import LinegateError
from linegate.inspect.partlog.errors import LogError
from linegate.models.bundle import BundleError, load_bundle
from linegate.training.checkpoint import FILE as CHECKPOINT
from linegate.training.checkpoint import OtherRun
from linegate.training.dataset import Dataset
from linegate.training.fit import FitSettings, Progress
from linegate.training.gate_job import GateSources, Hooks, run_gate
from linegate.training.jobs import FOLDER, HEARTBEAT_S, Heartbeat, Job, JobError, JobQueue
from linegate.training.partlog_source import read_labels
from linegate.training.pipeline import Trained, TrainOptions, train, work_folder
from linegate.training.place import Place
from linegate.training.sources import load_dataset, merge

T = TypeVar("T")
_POLL_S = 2.0
_END_TRIES = 30
_LEFT_FOR_PEOPLE = ("report.html", "card.md", "snapshot.json")


class Worker:
    """One worker on one station's log. The data folder must be reachable, because pictures and candidates lie there."""

    def __init__(
        self,
        station: Path,
        base: Sequence[Path],
        settings: FitSettings,
        console: Console,
        gate: GateSources | None = None,
    ) -> None:
        """``base``: labelled data that every job trains on besides the log's labels. ``gate``: what release jobs are judged
        on."""
        self._station = station
        self._place = Place.of(station)
        self._data = self._place.data
        self._base = base
        self._fit = settings
        self._gate = gate or GateSources()
        self._console = console
        self._store = self._place.store

    def run(
        self, *, once: bool = False, heartbeat_s: float = HEARTBEAT_S, stop: Callable[[], bool] = lambda: False
    ) -> int:
        """Take jobs until interrupted; ``once``: until none is waiting. Returns how many were ended.

        Raises:
            LogError: the log is not there.
        """
        owner = f"{socket.gethostname()}:{os.getpid()}:{time.time_ns()}"
        ended = 0
        with closing(JobQueue.open(self._place.settings.log, self._data, owner, lease_s=6 * heartbeat_s)) as queue:
            while not stop():
                try:
                    job = queue.take()
                except LogError as error:
                    if once:
                        raise
                    # A database that is locked, or away for a night, must not need somebody to start the worker again.
                    self._console.print(f"the log can't be read: {error}", highlight=False)
                    time.sleep(_POLL_S)
                    continue
                if job is not None:
                    self._do(queue, job, heartbeat_s)
                    ended += 1
                elif once:
                    break
                else:
                    time.sleep(_POLL_S)
        return ended

    def _do(self, queue: JobQueue, job: Job, heartbeat_s: float) -> None:
        self._console.print(f"job {job.id}, asked for by {job.by}", highlight=False)
        with Heartbeat(queue, job.id, heartbeat_s) as alive:
            try:
                result = self._train(job, alive) if job.kind == "train" else self._judge(job, alive)
            except KeyboardInterrupt:
                if not alive.lost:
                    raise  # the worker itself is stopped: its lease runs out and another one goes on from the checkpoint
                state, result = "cancelled", {"text": "cancelled"}
            except LinegateError as error:
                state, result = "failed", {"text": str(error)}
            except Exception as error:  # else each worker in turn would take the job, and die of it
                state, result = "failed", {"text": f"{type(error).__name__}: {error}"}
                self._console.print_exception()
            else:
                state = "done"
            state = _patiently(lambda: queue.end(job.id, state, result)) or "is another worker's by now"
        self._console.print(f"job {job.id} {state}: {result.get('text', '')}", highlight=False)

    def _judge(self, job: Job, alive: Heartbeat) -> dict[str, Any]:
        hooks = Hooks(lambda: alive.lost, alive.tell, lambda: _settle(alive))
        return run_gate(self._station, self._place, job, self._gate, hooks)

    def _train(self, job: Job, alive: Heartbeat) -> dict[str, Any]:
        folder = self._data / FOLDER / str(job.id)
        folder.mkdir(parents=True, exist_ok=True)
        out = folder / "candidate"
        name, version, pixel_mm = self._next(job)
        settings, words = self._asked(job)
        options = TrainOptions(
            name=name,
            version=version,
            pixel_mm=pixel_mm,
            command=f"linegate train --worker --station {self._station.name}, job {job.id}",
            words=words,
            skip_broken=True,
            begin=self._place.live(),
        )

        def tell(progress: Progress) -> None:
            minutes = progress.eta_s / 60
            alive.tell(progress.done, f"{progress.phase}, step {progress.step}, {minutes:.1f} min left")

        if out.exists():  # the worker before died between the bundle and its report
            shutil.rmtree(out)

        def fitted() -> Trained:
            return train(self._dataset(), out, settings, options, self._console, lambda: alive.lost, tell)

        try:
            trained = fitted()
        except OtherRun as error:
            # Since the worker before died, somebody has saved a label or made another bundle live.
            self._console.print(f"job {job.id} begins again: its checkpoint has {error.found}", highlight=False)
            (work_folder(out) / CHECKPOINT).unlink(missing_ok=True)
            trained = fitted()
        _settle(alive)
        for file in _LEFT_FOR_PEOPLE:
            shutil.copyfile(work_folder(out) / file, folder / file)
        change = self._store.add(out, job.by, f"job {job.id}: {job.spec.get('note', '')}")
        return _result(change.bundle, trained)

    def _dataset(self) -> Dataset:
        labels = read_labels(self._place)
        return merge([*(load_dataset(path) for path in self._base), labels], before=self._place.classes())

    def _asked(self, job: Job) -> tuple[FitSettings, str]:
        spec = job.spec
        if spec.get("source", "log") != "log":
            raise JobError(
                f"job {job.id}",
                expected="source log",
                found=repr(spec.get("source")),
                remedy="Ask for a job on the log.",
            )
        changes: dict[str, Any] = {"seed": int(spec.get("seed", 0))}
        if self._fit.steps is None:
            changes["minutes"] = spec.get("minutes", self._fit.minutes)
        note = f": {spec['note']}" if spec.get("note") else ""
        base = f" and {', '.join(path.name for path in self._base)}" if self._base else ""
        settings = FitSettings.model_validate({**self._fit.model_dump(), **changes})
        return settings, f"labels of the part log{base}, job {job.id}{note}"

    def _next(self, job: Job) -> tuple[str, str, float]:
        """Name, version and scale of the candidate: those of the live bundle, the job's number added to its version."""
        try:
            live = self._store.live().manifest
        except BundleError:
            return "model", f"1.{job.id}", 1.0
        return live.name, f"{live.version.split('.')[0]}.{job.id}", live.input.pixel_mm


def _settle(alive: Heartbeat) -> None:
    """From here on the job can't be cancelled. Raises KeyboardInterrupt where it was, or is another worker's by now."""
    if alive.lost or not _patiently(alive.settle):
        raise KeyboardInterrupt


def _patiently(work: Callable[[], T]) -> T:
    """Tried while the heartbeat still holds the lease, so that a log that is away for a moment costs nobody the result."""
    for _ in range(_END_TRIES - 1):
        with contextlib.suppress(LogError):
            return work()
        time.sleep(_POLL_S)
    return work()


def _result(name: str, trained: Trained) -> dict[str, Any]:
    evaluation = trained.evaluation
    return {
        "text": f"candidate {name}: escapes {evaluation.escape}, overkill {evaluation.overkill}",
        "bundle": name,
        "sha256": load_bundle(trained.bundle.folder).sha256,
        "average_precision": round(evaluation.ap, 4),
        "minutes": round(trained.minutes, 2),
    }
