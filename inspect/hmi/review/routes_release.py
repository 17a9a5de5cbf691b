"""Release: ``/api/review/bundles`` and what a person with the role does about them. The line makes a bundle live and sets the
shadow; here are only the wish, its reason and its row in the audit."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field

from linegate.inspect.hmi.auth import Session, require
from linegate.inspect.hmi.errors import ScreenError
from linegate.inspect.hmi.review.bundles import overview
from linegate.inspect.hmi.review.context import Review, act_of
from linegate.inspect.hmi.review.routes_jobs import Number, jobs_of, without_scripts
from linegate.inspect.hmi.review.routes_queues import Looking, Shared
from linegate.inspect.hmi.roles import Role
from linegate.inspect.partlog.audit import Act
from linegate.models.bundle import load_bundle
from linegate.models.certificate import Findings
from linegate.models.errors import BundleError
from linegate.models.store import BundleStore

router = APIRouter(prefix="/api/review")
Releasing = Annotated[Session, Depends(require(Role.QUALITY, Role.ADMIN))]
ANSWER_S = 4.0
GATE_REPORT = "release.html"
"""What a worker calls the gate's report in its job's folder."""


class Strict(BaseModel):
    """Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class WaiverIn(Strict):
    """What can't be tested, by the name that the gate gives it, and why it may pass all the same."""

    name: str = Field(min_length=1, max_length=200)
    why: str = Field(min_length=3, max_length=500)


class GateIn(Strict):
    """A candidate for the release gate."""

    bundle: str = Field(min_length=1, max_length=128)
    note: str = Field("", max_length=500)
    waivers: list[WaiverIn] = Field(default_factory=list, max_length=20)


class ReleaseIn(Strict):
    """Who releases says why."""

    bundle: str = Field("", max_length=128)
    why: str = Field(min_length=3, max_length=500)


class ApproveIn(Strict):
    """Who stands for a candidate says why."""

    why: str = Field(min_length=3, max_length=500)


@router.get("/bundles")
def get_bundles(review: Shared, _who: Looking) -> dict[str, Any]:
    """Live, shadow and candidate bundles with their certificates, what was released before, and the shadow's findings."""
    return overview(review.heat.store, review.bundles, review.screens.reader, review.screens.data)


@router.get("/bundles/{name}/report")
def get_report(name: str, review: Shared, _who: Looking) -> FileResponse:
    """The gate's report on a certified bundle, with its pictures."""
    store = review.heat.store
    if name not in store.names() or not store.report_of(name).is_file():
        raise ScreenError("review.error.no_report", 404)
    return without_scripts(store.report_of(name))


@router.post("/gate")
def start_gate(body: GateIn, review: Shared, who: Releasing) -> dict[str, int]:
    """Ask for the release gate: a worker takes the job."""
    _check_candidate(review.heat.store, body.bundle)
    waivers = [waiver.model_dump() for waiver in body.waivers]
    act = act_of(who, "gate", bundle=body.bundle, waivers=waivers)
    return {"id": jobs_of(review).start_release(act, bundle=body.bundle, note=body.note, waivers=waivers)}


@router.post("/jobs/{number}/approve")
def approve(number: Number, body: ApproveIn, review: Shared, who: Releasing) -> dict[str, Any]:
    """Certify the candidate that the gate lets pass, keep its report, and ask the line to make it live."""
    store, jobs = review.heat.store, jobs_of(review)
    result = jobs.released(number)
    findings, name = Findings.model_validate(result["findings"]), str(result["bundle"])
    _check_candidate(store, name)
    if not findings.held:
        raise ScreenError("review.error.gate_refused", 409, bundle=name)
    report = jobs.file(number, GATE_REPORT)
    if hashlib.sha256(report.read_bytes()).hexdigest() != findings.report_sha256:
        raise ScreenError("review.error.report_changed", 409)
    # The wish first: the audit may hold one that came to nothing, but nothing is certified that it doesn't hold.
    review.audit(act_of(who, "approve", name, job=number, why=body.why))
    try:
        live = store.live().sha256 if findings.live else ""
        if store.pointers().live != result["live_name"] or live != findings.live:
            raise ScreenError("review.error.live_changed", 409)
        change = store.certify(name, findings, who.name, body.why)
        store.keep_report(change.bundle, report)
    except BundleError as error:
        raise ScreenError("review.error.store", 409, detail=str(error)) from error
    review.audit(Act(who.name, str(who.role), change.action, change.bundle, change.model_dump(mode="json")))
    return {"bundle": change.bundle, **_send(review, "promote", {"bundle": change.bundle, "why": body.why}, who)}


@router.post("/promote")
def promote(body: ReleaseIn, review: Shared, who: Releasing) -> dict[str, Any]:
    """Ask the line to make a candidate live. Refused here already without a certificate of the release gate."""
    store = review.heat.store
    _check_candidate(store, body.bundle)
    if load_bundle(store.folder_of(body.bundle)).manifest.certificate is None:
        raise ScreenError("review.error.no_certificate", 409, bundle=body.bundle)
    return _send(review, "promote", {"bundle": body.bundle, "why": body.why}, who)


@router.post("/rollback")
def roll_back(body: ReleaseIn, review: Shared, who: Releasing) -> dict[str, Any]:
    """Ask the line to go back to what was live before."""
    if not review.heat.store.pointers().past:
        raise ScreenError("review.error.no_past", 409)
    return _send(review, "rollback", {"why": body.why}, who)


@router.post("/shadow")
def shadow(body: ReleaseIn, review: Shared, who: Releasing) -> dict[str, Any]:
    """Ask the line to let a candidate judge in shadow, without a say; "" ends it. It need not have passed the gate."""
    if body.bundle:
        _check_candidate(review.heat.store, body.bundle)
    return _send(review, "shadow", {"bundle": body.bundle, "why": body.why}, who)


def _check_candidate(store: BundleStore, name: str) -> None:
    pointers = store.pointers()
    if not name or name not in {*pointers.candidates, pointers.shadow}:
        raise ScreenError("review.error.no_candidate", 404, bundle=name)


def _send(review: Review, kind: str, args: dict[str, str], who: Session) -> dict[str, Any]:
    review.audit(act_of(who, kind, args.get("bundle", ""), why=args["why"]))
    number = review.commands.send(kind, args, by=who.name, role=str(who.role))
    answer = review.commands.wait(number, ANSWER_S)
    return {"id": number, "state": str(answer.state), "ok": answer.ok, "answer": answer.answer}
