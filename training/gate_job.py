"""A release job: the gate run by a worker, on what whoever started the worker named; people then approve at the screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from linegate.models.bundle import Bundle, load_bundle
from linegate.models.certificate import Waiver
from linegate.training.conditions import GateSettings
from linegate.training.jobs import FOLDER, Job, JobError
from linegate.training.pipeline import work_folder
from linegate.training.place import Place
from linegate.training.release import GateData, Tell, gate
from linegate.training.release_report import write_release_report
from linegate.training.releasing import network_of, shadow_figures
from linegate.training.sources import load_frozen, load_must_catch

REPORT = "release.html"


@dataclass(frozen=True, slots=True)
class GateSources:
    """What release jobs are judged on, and how strictly: named at the worker, so that nobody who asks for a release at a
    screen can loosen it. The station's own must-catch cases come on top."""

    frozen: tuple[Path, ...] = ()
    must_catch: tuple[Path, ...] = ()
    settings: GateSettings = field(default_factory=GateSettings)


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a release job asks of its worker.

    Attributes:
        lost: whether the job is cancelled, or another worker's; asked all the time.
        tell: hears how far it is.
        settle: called once, before anything is left behind; from then on it can't be cancelled. Raises KeyboardInterrupt
            where it is lost by then.
    """

    lost: Callable[[], bool]
    tell: Tell
    settle: Callable[[], None]


def run_gate(station: Path, place: Place, job: Job, sources: GateSources, hooks: Hooks) -> dict[str, Any]:
    """The result of ``job``: held or not, the findings for the certificate, and what was live. Leaves release.html.

    Raises:
        JobError: it can't be judged as it is asked for. DatasetError, BundleError, SettingsError, ReleaseRefused.
        KeyboardInterrupt: the job is cancelled, or another worker's.
    """
    candidate = _candidate(place, job)
    if not sources.frozen:
        raise JobError(
            f"job {job.id}",
            expected="a worker that knows a frozen set",
            found="none",
            remedy="Start the worker with --frozen and labelled parts that no candidate is trained on.",
        )
    place.check_fits(candidate)
    live_name, live = place.store.pointers().live, place.live()
    cases = load_must_catch(sources.must_catch, station)
    data = GateData.of(candidate, live, load_frozen(sources.frozen), cases)

    def hear(done: float, words: str) -> None:
        if hooks.lost():
            raise KeyboardInterrupt
        hooks.tell(done, words)

    trained_by = int(job.spec.get("train_job") or 0)
    verdict = gate(
        candidate,
        live,
        data,
        sources.settings,
        runtime=place.settings.runtime,
        waivers=[Waiver.model_validate(waiver) for waiver in job.spec.get("waivers", ())],
        compare_network=network_of(work_folder(place.data / FOLDER / str(trained_by) / "candidate")),
        shadow=shadow_figures(place, candidate),
        tell=hear,
    )
    hooks.settle()
    folder = place.data / FOLDER / str(job.id)
    folder.mkdir(parents=True, exist_ok=True)
    verdict = write_release_report(folder / REPORT, verdict)
    failed = [condition for condition in verdict.findings.conditions if not condition.held]
    words = "; ".join(f"{condition.name}: {condition.finding}" for condition in failed)
    return {
        "text": f"{candidate.label}: refused. {words}" if failed else f"{candidate.label}: all conditions hold",
        "bundle": candidate.folder.name,
        "held": verdict.held,
        "live_name": live_name,
        "findings": verdict.findings.model_dump(mode="json"),
    }


def _candidate(place: Place, job: Job) -> Bundle:
    """Raises JobError where it is no candidate any more, BundleError where it is damaged."""
    name, pointers = str(job.spec.get("bundle", "")), place.store.pointers()
    known = {*pointers.candidates, pointers.shadow} - {""}
    if name not in known:
        raise JobError(
            f"job {job.id}",
            expected=f"one of {', '.join(sorted(known)) or 'none: there is no candidate'}",
            found=repr(name),
            remedy="Ask for the gate on a bundle that is a candidate.",
        )
    return load_bundle(place.store.folder_of(name))
