"""From the gate's verdict to the live bundle: a person's approval, the store, the line; and back.

    verdict = write_release_report(report, gate(candidate, place.live(), data, runtime=place.settings.runtime))
    released = release(place, verdict, report, Approval("Ada Lovelace", "knows weld spatter"))

Nothing here talks to a terminal: the command line and a worker call the same functions.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from linegate.inspect.partlog.audit import AuditTrail
from linegate.inspect.partlog.commands import CommandAnswer, CommandBox, CommandState
from linegate.inspect.partlog.database import log_url, make_engine
from linegate.inspect.shadow_totals import ShadowTotals, totals_path
from linegate.models.bundle import Bundle, load_bundle
from linegate.models.certificate import certify
from linegate.models.store import BundleStore, Change
from linegate.training.builds import NETWORK_FILE
from linegate.training.place import Place
from linegate.training.release import CompareNetwork, ReleaseRefused, Verdict

_ANSWER_S = 5.0
"""A line that runs takes an order within a poll; one that did not by then does not run."""
_PATIENCE_S = 900.0
"""How long a line may take to load a bundle: TensorRT builds its engine for minutes."""
_ROLE = "quality"


@dataclass(frozen=True, slots=True)
class Approval:
    """Who lets the candidate judge parts, and why."""

    by: str
    why: str


@dataclass(frozen=True, slots=True, eq=False)
class Released:
    """What became of a candidate that the gate lets pass. ``bundle``: it with its certificate, in the store. ``report``: as
    the store keeps it. ``words``: what was done."""

    verdict: Verdict
    report: Path
    bundle: Bundle
    words: str


def refusal(verdict: Verdict, report: Path) -> ReleaseRefused:
    """The error for a verdict that doesn't hold: each failed condition with its finding."""
    failed = [c for c in verdict.findings.conditions if not c.held]
    stays = f"{verdict.live.label} stays live." if verdict.live is not None else "Nothing goes live."
    return ReleaseRefused(
        f"release of {verdict.candidate.label}",
        expected="all conditions to hold",
        found="; ".join(f"condition {c.number} ({c.name}) fails: {c.finding}" for c in failed),
        remedy=f"The parts are shown in {report}. {stays}",
    )


def check_named(candidate: Bundle, approval: Approval) -> None:
    """Raises ReleaseRefused unless a name and a reason stand under the candidate."""
    if not approval.by.strip() or not approval.why.strip():
        raise ReleaseRefused(
            f"release of {candidate.label}",
            expected="the name of the person who approves, and the reason",
            found=f"approved by {approval.by.strip() or 'nobody'}, reason {approval.why.strip() or 'none'}",
            remedy="Give --approve NAME and --why REASON.",
        )


def release(place: Place, verdict: Verdict, report: Path, approval: Approval) -> Released:
    """Certify the candidate of a verdict that holds, put it into the station's store with its report, and make it live.

    Raises:
        ReleaseRefused: a condition fails, nobody's name or reason stands under it, or the line says no. Then what was live
            stays live; a candidate that was certified already waits in the store.
        SettingsError: a recipe of the station can't take it. BundleError, LogError: the disk or the log.
    """
    _check_approval(verdict, report, approval)
    live = place.live()
    if verdict.findings.live != (live.sha256 if live is not None else ""):
        raise ReleaseRefused(
            f"release of {verdict.candidate.label}",
            expected=f"{verdict.live.label if verdict.live is not None else 'nothing'} to be live, as when it was judged",
            found=live.label if live is not None else "nothing",
            remedy="Run the gate again: it must be compared with what it replaces.",
        )
    place.check_fits(verdict.candidate)
    name = _in_store(place.store, verdict.candidate, approval)
    change = place.store.certify(name, verdict.findings, approval.by, approval.why)
    kept = place.store.keep_report(change.bundle, report)
    _audit(place, change, approval.by)
    words = promote(place, change.bundle, approval.by, approval.why)
    return Released(verdict, kept, load_bundle(place.store.folder_of(change.bundle)), words)


def certified(verdict: Verdict, report: Path, approval: Approval, folder: Path) -> Bundle:
    """The candidate with its certificate, written to ``folder``, which must not exist: for a bundle that no station has yet.

    Raises:
        ReleaseRefused: as ``release``. BundleError: the disk.
    """
    _check_approval(verdict, report, approval)
    return certify(verdict.candidate, verdict.findings, approval.by, approval.why, folder)


def promote(place: Place, name: str, by: str, why: str) -> str:
    """Make a certified bundle of the store live: by the running line, between two parts, else by hand for its next start.

    Returns what was done, in words. Raises NotCertified, BundleError, LogError, SettingsError (a recipe can't take it),
    ReleaseRefused (the line says no; nothing changed).
    """
    place.check_fits(place.store.certified(name))
    done = _ask(place, "promote", {"bundle": name, "why": why}, by)
    return done or _by_hand(place, place.store.promote(name, by, why), by)


def shadow(place: Place, candidate: Bundle | None, by: str, why: str) -> str:
    """Let ``candidate`` judge beside the live bundle, on spare time and without a say; None ends it. It need not have passed
    the gate: that is what it is tried for. Returns what was done, in words. Raises as ``promote``."""
    name = ""
    if candidate is not None:
        place.check_fits(candidate)
        name = _in_store(place.store, candidate, Approval(by, why))
    done = _ask(place, "shadow", {"bundle": name, "why": why}, by)
    if done:
        return done
    _audit(place, place.store.set_shadow(name, by, why), by)
    return f"bundle {name} judges in shadow from the next start of the line" if name else "the shadow is over"


def shadow_figures(place: Place, candidate: Bundle) -> dict[str, float] | None:
    """What the candidate's shadow on this station's line has come to; None where it has judged no part."""
    found = ShadowTotals.load(totals_path(place.data, candidate.manifest))
    return found.figures() if found.judged else None


def roll_back(place: Place, by: str, why: str) -> str:
    """Make live what was live before. Returns what was done, in words. Raises as ``promote``."""
    name = place.store.before()
    place.check_fits(place.store.released(name))
    done = _ask(place, "rollback", {"why": why}, by)
    return done or _by_hand(place, place.store.rollback(by, why, name), by)


def network_of(work: Path) -> CompareNetwork | None:
    """The network as it was trained, from training's work folder; None where that or torch isn't there. Raises DatasetError."""
    file = work / NETWORK_FILE
    if not file.is_file() or find_spec("torch") is None:
        return None
    from linegate.training.weights import comparing

    return comparing(file)


def _check_approval(verdict: Verdict, report: Path, approval: Approval) -> None:
    if not verdict.held:
        raise refusal(verdict, report)
    check_named(verdict.candidate, approval)


def _in_store(store: BundleStore, candidate: Bundle, approval: Approval) -> str:
    """The candidate's name in the store, added where it isn't there."""
    name = candidate.folder.name
    if store.folder_of(name).is_dir() and candidate.folder.resolve() == store.folder_of(name).resolve():
        return name
    return store.add(candidate.folder, approval.by, approval.why).bundle


def _ask(place: Place, kind: str, args: dict[str, str], by: str) -> str:
    """What the running line answered; "" where none runs. The command expires, so it can't be done later by surprise."""
    if not place.has_log:
        return ""
    known = len(place.store.pointers().history)
    with closing(CommandBox.open(place.settings.log, place.data)) as box:
        number = box.send(kind, args, by=by, role=_ROLE)
        answer = box.wait(number, _ANSWER_S)
        if answer.state is CommandState.TAKEN:  # it loads the network; it may yet do it, so nothing else is true
            answer = box.wait(number, _PATIENCE_S)
    return _told(place, kind, by, answer, known)


def _told(place: Place, kind: str, by: str, answer: CommandAnswer, known: int) -> str:
    if answer.state is CommandState.TAKEN:
        return (
            f"the line has taken the order ({kind}) and is still at it; `linegate release status` says when it is done"
        )
    if answer.state is CommandState.EXPIRED:
        # A line that was stopped or killed under way may have done it before it could say so.
        kinds = {kind, f"un{kind}"}
        done = [c for c in place.store.pointers().history[known:] if c.action in kinds and c.who == by]
        return (
            f"{done[-1].action} of bundle {done[-1].bundle or 'of the installation'} (done before the line stopped)"
            if done
            else ""
        )
    if not answer.ok:
        raise ReleaseRefused(
            f"command {kind}", expected="the line to do it", found=answer.answer, remedy="The bundle before stays live."
        )
    return f"{answer.answer} (done by the running line)"


def _by_hand(place: Place, change: Change, by: str) -> str:
    _audit(place, change, by)
    return f"bundle {change.bundle or 'of the installation'} is live from the next start of the line"


def _audit(place: Place, change: Change, by: str) -> None:
    if not place.has_log:
        return
    engine = make_engine(log_url(place.settings.log, place.data), access="write")
    try:
        detail = change.model_dump(mode="json")
        AuditTrail(engine).append(by=by, role=_ROLE, action=change.action, subject=change.bundle, detail=detail)
    finally:
        engine.dispose()
