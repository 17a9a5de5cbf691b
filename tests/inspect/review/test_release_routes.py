"""Approval at the screen: refused as soon as anything differs from what the gate judged, and whole where it is given."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update
from starlette.testclient import TestClient

from linegate.inspect.hmi.review import routes_release
from linegate.inspect.hmi.review.context import Review
from linegate.inspect.hmi.server import create_app
from linegate.inspect.partlog.audit import entries, verify
from linegate.inspect.partlog.queries import Reading
from linegate.inspect.partlog.schema import job, label
from linegate.inspect.settings import ScreenSettings
from linegate.models.certificate import certificate_of
from linegate.models.manifest import MANIFEST_FILE, MODEL_FILE
from linegate.models.store import BundleStore

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "models"))
from tiny import bundle, certified, findings

WHY = {"why": "knows the new burrs"}
REPORT = b"<h1>tiny may be released</h1>"


class Desk:
    """A signed-in admin at the screens of a station with one candidate, which release job 1 has judged."""

    def __init__(self, screen: TestClient, review: Review, folder: Path) -> None:
        self.screen, self.review, self.folder = screen, review, folder
        self.store = BundleStore(folder / "models")
        self.draft = bundle(folder / "draft")
        self.name = self.store.add(self.draft.folder, "worker", "job 1").bundle
        self.report = folder / "jobs" / "1" / "release.html"
        self.report.parent.mkdir(parents=True)
        self.report.write_bytes(REPORT)
        result = self.result()
        row = {
            "kind": "release",
            "state": "done",
            "spec": json.dumps({"bundle": self.name}),
            "by": "Ada",
            "progress": 1.0,
        }
        at = {"created_utc_ns": 1, "started_utc_ns": time.time_ns(), "progress_text": "", "cancel": False}
        self.write(insert(job).values(**row, **at, result=json.dumps(result)))

    def result(self, **changes: Any) -> dict[str, Any]:
        found = findings(self.draft, report_sha256=hashlib.sha256(REPORT).hexdigest(), **changes)
        return {"bundle": self.name, "held": found.held, "live_name": "", "findings": found.model_dump(mode="json")}

    def write(self, statement: Any) -> None:
        with self.review.screens.writer.begin() as connection:
            connection.execute(statement)

    def approve(self) -> tuple[int, str]:
        answer = self.screen.post("/api/review/jobs/1/approve", json=WHY)
        return answer.status_code, answer.json().get("key", "")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(routes_release, "ANSWER_S", 0.05)
    app = create_app(ScreenSettings(), tmp_path)
    origin = "http://127.0.0.1"
    with TestClient(app, origin, headers={"Origin": origin}, client=("127.0.0.1", 50000)) as screen:
        person = {"name": "Ada", "pin": "730519"}
        screen.post("/api/setup", json={**person, "language": "en"}).raise_for_status()
        screen.post("/api/session/pin", json=person).raise_for_status()
        yield Desk(screen, app.state.review, tmp_path)


def refused(desk: Desk, key: str) -> None:
    assert desk.approve() == (409, f"review.error.{key}")
    assert desk.store.pointers().candidates[0] == desk.name
    assert [change.action for change in desk.store.pointers().history if change.action == "certify"] == []


def test_approval_certifies_keeps_the_report_and_waits_for_a_line_that_does_not_run(desk: Desk) -> None:
    answer = desk.screen.post("/api/review/jobs/1/approve", json=WHY).raise_for_status().json()
    assert answer["state"] == "expired", "no line runs here"
    assert desk.store.pointers().candidates == (answer["bundle"],)
    assert desk.store.pointers().live == ""
    assert certificate_of(desk.store.candidates()[0]).approved_by == "Ada"
    page = desk.screen.get(f"/api/review/bundles/{answer['bundle']}/report")
    assert page.content == REPORT
    assert page.headers["content-security-policy"].endswith("sandbox"), "it runs no script"
    assert "img-src 'self' data:" in page.headers["content-security-policy"], "its pictures lie in it"
    with Reading(desk.review.screens.reader) as connection:
        acts = [entry.action for entry in entries(connection, by="Ada")][::-1]
        assert verify(connection).problems == []
    assert acts[acts.index("approve") :] == ["approve", "certify", "promote"]
    assert desk.approve() == (404, "review.error.no_candidate"), "it is approved once"


def test_a_gate_that_refused_is_not_approved(desk: Desk) -> None:
    result = desk.result(failed="little overkill on the frozen set")
    desk.write(update(job).values(result=json.dumps(result)))
    refused(desk, "gate_refused")


def test_a_changed_report_is_not_approved(desk: Desk) -> None:
    desk.report.write_bytes(REPORT + b" ")
    refused(desk, "report_changed")


def test_another_live_bundle_needs_another_run(desk: Desk) -> None:
    other = certified(desk.folder / "other", bundle(desk.folder / "other-draft", version="0.9"))
    name = desk.store.add(other.folder, "Ada", "meanwhile").bundle
    desk.store.promote(name, "Ada", "meanwhile")
    refused(desk, "live_changed")


def test_a_case_that_came_since_needs_another_run(desk: Desk) -> None:
    row = {"epoch": 1, "sequence": 1, "camera": "", "version": 1, "classes": "[]", "decision": "NG", "kind": "escape"}
    desk.write(insert(label).values(**row, must_catch=True, by="Quinn", at_utc_ns=time.time_ns(), note=""))
    refused(desk, "new_cases")


def test_a_job_that_is_not_done_is_not_approved(desk: Desk) -> None:
    desk.write(update(job).values(state="running", result=None))
    refused(desk, "job_not_done")
    desk.write(update(job).values(kind="train"))
    assert desk.approve()[0] == 404


def test_the_gate_is_asked_for_once_and_knows_the_training(desk: Desk) -> None:
    trained = {"kind": "train", "state": "done", "spec": "{}", "by": "Ada", "created_utc_ns": 1, "progress": 1.0}
    result = json.dumps({"bundle": desk.name})
    desk.write(insert(job).values(**trained, progress_text="", cancel=False, result=result))
    body = {"bundle": desk.name, "waivers": [{"name": "no cases", "why": "the first weeks"}]}
    number = desk.screen.post("/api/review/gate", json=body).raise_for_status().json()["id"]
    again = desk.screen.post("/api/review/gate", json=body)
    assert (again.status_code, again.json()["key"]) == (409, "review.error.release_running")
    spec = desk.screen.get("/api/review/jobs").json()[0]["spec"]
    assert spec == {**body, "note": "", "train_job": number - 1}


class Opened:
    """Files that are opened while it listens, by the interpreter's own word."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.listens = False
        sys.addaudithook(self._hear)  # there is no way to take it back

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if self.listens and event == "open":
            self.paths.append(str(args[0]))

    def poll(self, desk: Desk) -> tuple[int, str]:
        """One poll of the release page: how many networks were read for it, and what is wrong with the candidate."""
        self.paths, self.listens = [], True
        (candidate,) = desk.screen.get("/api/review/bundles").raise_for_status().json()["candidates"]
        self.listens = False
        return sum(Path(path).name == MODEL_FILE for path in self.paths), candidate.get("broken", "")


def test_bundles_are_hashed_once_and_again_when_a_byte_changes(desk: Desk) -> None:
    model = desk.store.folder_of(desk.name) / MODEL_FILE
    poll = Opened().poll
    sound, long_ago = model.read_bytes(), time.time() - 3600
    assert poll(desk)[0] >= 1
    assert poll(desk)[0] == 1, "it was written just now: one more change could bear the same time"
    for path in (model, model.with_name(MANIFEST_FILE)):
        os.utime(path, (long_ago, long_ago))
    assert [poll(desk) for _ in range(3)] == [(1, ""), (0, ""), (0, "")]
    changed = bytearray(sound)
    changed[len(changed) // 2] ^= 1
    model.write_bytes(changed)
    os.utime(model, (long_ago + 1, long_ago + 1))
    reads, broken = poll(desk)
    assert (reads, "sha256" in broken) == (1, True)
    assert poll(desk) == (0, broken)
    model.write_bytes(sound)
    assert poll(desk) == (1, "")


def test_what_the_list_remembers_makes_nothing_live(desk: Desk) -> None:
    """Size and times as before: only hashing finds it, and whoever promotes or approves does."""
    draft = certified(desk.folder / "certified", desk.draft)
    name = desk.store.add(draft.folder, "Ada", "test").bundle
    model = desk.store.folder_of(name) / MODEL_FILE
    at, changed = model.stat(), bytearray(model.read_bytes())
    desk.screen.get("/api/review/bundles").raise_for_status()
    changed[len(changed) // 2] ^= 1
    model.write_bytes(changed)
    os.utime(model, ns=(at.st_atime_ns, at.st_mtime_ns))
    answer = desk.screen.post("/api/review/promote", json={"bundle": name, **WHY})
    assert (answer.status_code, "sha256" in answer.json()["args"]["detail"]) == (500, True)
