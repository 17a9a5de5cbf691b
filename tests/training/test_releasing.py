from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from linegate.cameras.errors import SettingsError
from linegate.inspect.partlog.commands import Command, CommandBox
from linegate.inspect.partlog.writer import PartLog
from linegate.models.bundle import load_bundle
from linegate.models.certificate import certificate_of
from linegate.training import releasing
from linegate.training.place import Place
from linegate.training.release import ReleaseRefused, Verdict
from linegate.training.releasing import Approval, promote, release, roll_back

from ..models.tiny import bundle as make
from ..models.tiny import certified, findings

Linegate = Callable[..., tuple[int, str]]
LOOSE = ("--margin", 0.05, "--most-escapes", 0.2, "--most-overkill", 0.3)


@pytest.fixture
def place(station: Path) -> Place:
    """A station without a log and without a live bundle."""
    return Place.of(station)


def verdict_on(draft: Path, place: Place, failed: str = "") -> Verdict:
    """What a gate that was content, or not, would have said just now."""
    bundle, live = load_bundle(draft), place.live()
    found = findings(bundle, live=live.sha256 if live is not None else "", failed=failed)
    return Verdict(bundle, live, found, {})


def report_in(folder: Path) -> Path:
    page = folder / "release.html"
    page.write_text("<h1>may be released</h1>")
    return page


def test_a_candidate_becomes_the_live_bundle_with_its_report(place: Place, tmp_path: Path) -> None:
    draft, page = make(tmp_path / "draft"), report_in(tmp_path)
    name = place.store.add(draft.folder, "worker", "job 1").bundle
    assert place.live() is None
    with pytest.raises(ReleaseRefused, match="few escapes"):
        release(place, verdict_on(draft.folder, place, "few escapes on the frozen set"), page, Approval("Ada", "x"))
    first = verdict_on(place.store.folder_of(name), place)
    done = release(place, first, page, Approval("Ada", "the first"))
    assert "live from the next start" in done.words
    assert certificate_of(done.bundle).why == "the first"
    assert done.report.read_bytes() == page.read_bytes()
    live = place.live()
    assert live is not None
    assert live.sha256 == done.bundle.sha256
    assert place.store.pointers().candidates == ()  # the one without a certificate was replaced
    again = release(place, verdict_on(done.bundle.folder, place), page, Approval("Bo", "once more"))
    assert certificate_of(again.bundle).approved_by == "Bo"
    assert place.store.pointers().candidates == ()
    # It was judged when nothing was live: that proves nothing about what it would replace now.
    with pytest.raises(ReleaseRefused, match="Run the gate again"):
        release(place, first, page, Approval("Ada", "late"))
    assert [change.action for change in place.store.pointers().history] == [
        "add", "certify", "promote", "certify", "promote",
    ]  # fmt: skip


def test_a_bundle_that_a_recipe_cannot_take_never_becomes_the_live_one(
    place: Place, station: Path, tmp_path: Path
) -> None:
    station.write_text(station.read_text() + '[[recipes.rules]]\ndefect_class = "rust"\n')
    strict, page = Place.of(station), report_in(tmp_path)
    draft = make(tmp_path / "draft")
    with pytest.raises(SettingsError, match="rule for 'rust'"):
        release(strict, verdict_on(draft.folder, strict), page, Approval("Ada", "x"))
    assert strict.store.names() == ()
    done = release(place, verdict_on(draft.folder, place), page, Approval("Ada", "x"))  # before the rule was written
    with pytest.raises(SettingsError):
        promote(strict, done.bundle.folder.name, "Ada", "x")


class Line:
    """The order desk of a line: takes one command and does with it what it is told to."""

    def __init__(self, place: Place, act: Callable[[CommandBox, Command], None]) -> None:
        self._place = place
        self._act = act
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with closing(CommandBox.open(self._place.settings.log, self._place.data)) as box:
            deadline = time.monotonic() + 20
            while (command := box.take()) is None:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            self._act(box, command)

    def __enter__(self) -> Line:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._thread.join()


@pytest.fixture
def two(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Names of the live bundle and of another certified one; a short patience for lines that don't take orders."""
    monkeypatch.setattr(releasing, "_ANSWER_S", 0.3)
    names = []
    for version in ("1.0", "2.0"):
        bundle = certified(tmp_path / version, make(tmp_path / f"draft-{version}", version=version))
        names.append(place.store.add(bundle.folder, "Ada", "test").bundle)
    place.store.promote(names[0], "Ada", "first")
    return names[0], names[1]


def test_a_line_that_takes_its_time_is_waited_for(place: Place, log: PartLog, two: tuple[str, str]) -> None:
    def slowly(box: CommandBox, command: Command) -> None:
        time.sleep(3 * releasing._ANSWER_S)  # building an engine
        place.store.promote(str(command.args["bundle"]), command.by, "x")
        box.ack(command.id, True, "bundle is live")

    with Line(place, slowly):
        assert promote(place, two[1], "Ada", "x") == "bundle is live (done by the running line)"
    assert place.store.pointers().live == two[1]


def test_a_line_that_says_no_changes_nothing(place: Place, log: PartLog, two: tuple[str, str]) -> None:
    with (
        Line(place, lambda box, command: box.ack(command.id, False, "no engine takes it")),
        pytest.raises(ReleaseRefused, match="no engine takes it"),
    ):
        promote(place, two[1], "Ada", "x")
    assert place.store.pointers().live == two[0]


def test_a_line_that_is_still_at_it_is_not_said_to_have_refused(
    place: Place, log: PartLog, two: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(releasing, "_PATIENCE_S", 0.1)
    with Line(place, lambda _box, _command: None):
        assert "still at it" in promote(place, two[1], "Ada", "x")


@pytest.mark.parametrize("done", [True, False])
def test_a_rollback_of_a_line_that_died_under_way_is_done_once(
    place: Place, log: PartLog, two: tuple[str, str], done: bool
) -> None:
    place.store.promote(two[1], "Ada", "second")
    place.store.promote(two[0], "Ada", "third")

    def die(box: CommandBox, command: Command) -> None:
        if done:
            place.store.rollback(command.by, "x")
        box.expire_old()  # its next start

    with Line(place, die):
        words = roll_back(place, "Bo", "worse")
    assert ("before the line stopped" in words) is done
    assert place.store.pointers().live == two[1]
    assert place.store.before() == two[0]


def test_the_commands_release_twice_and_take_it_back(
    linegate: Linegate, trained: tuple[Path, Path], frozen: Path, station: Path, tmp_path: Path
) -> None:
    place = Place.of(station)
    gate = ("release", trained[1], "--frozen", frozen, "--station", station, "--report", tmp_path / "r.html", *LOOSE)
    gate = (*gate, "--waive", "no cases=it starts today")
    code, words = linegate(*gate)
    assert code == 0, words
    assert "A first release" in words
    assert "Nothing is changed" in words
    assert place.live() is None
    approved = (*gate, "--approve", "Ada", "--why", "as good")
    code, words = linegate(*approved)
    assert code == 0, words
    first = place.live()
    assert first is not None
    certificate = certificate_of(first)
    assert (certificate.live, certificate.approved_by, certificate.why) == ("", "Ada", "as good")
    kept = place.store.report_of(place.store.pointers().live)
    assert hashlib.sha256(kept.read_bytes()).hexdigest() == certificate.report_sha256
    code, words = linegate(*approved)
    assert code == 0, words
    second = place.live()
    assert second is not None
    assert certificate_of(second).live == first.sha256
    code, words = linegate("release", "rollback", "--station", station, "--by", "Bo", "--why", "try")
    assert code == 0, words
    live = place.live()
    assert live is not None
    assert live.sha256 == first.sha256
    code, words = linegate("release", "status", "--station", station)
    assert "certified" in words
    assert "rollback" in words
    assert "by Bo" in words
    again = ("release", "promote", f"model-1-{second.sha256[:8]}", "--station", station, "--by", "Bo", "--why", "x")
    code, words = linegate(*again)
    assert code == 0, words
    assert place.store.live().sha256 == second.sha256
    history = json.loads((place.store.root / "pointers.json").read_text())["history"]
    once = ["add", "certify", "promote"]
    assert [change["action"] for change in history] == [*once, *once, "rollback", "promote"]


def test_what_refuses_in_any_case_is_said_before_the_minutes_of_judging(
    linegate: Linegate, trained: tuple[Path, Path], frozen: Path, station: Path, tmp_path: Path
) -> None:
    page = tmp_path / "r.html"
    gate = ("release", trained[1], "--frozen", frozen, "--station", station, "--report", page, *LOOSE)
    code, words = linegate(*gate, "--approve", "Ada")
    assert (code, page.exists()) == (2, False)
    assert "reason none" in words
    station.write_text(station.read_text() + '[[recipes.rules]]\ndefect_class = "rust"\n')
    code, words = linegate(*gate)
    assert (code, page.exists()) == (2, False)
    assert "rule for 'rust'" in words


def test_a_first_bundle_is_certified_without_a_station(
    linegate: Linegate, trained: tuple[Path, Path], frozen: Path, tmp_path: Path
) -> None:
    gate = ("release", trained[1], "--frozen", frozen, "--report", tmp_path / "r.html", *LOOSE)
    code, words = linegate(*gate)
    assert code == 2
    assert "--first where none does" in words
    code, words = linegate(*gate, "--first")
    assert code == 2
    assert "not tested and not waived: no cases" in words
    gate = (*gate, "--first", "--waive", "no cases=drawn")
    for wrong, said in ((("--margin", 0.5), "could pass"), (("--waive", "no cases"), "NAME=REASON")):
        code, words = linegate(*gate, *wrong)
        assert code == 2
        assert said in words
    out = tmp_path / "released"
    code, words = linegate(*gate, "--approve", "Ada", "--why", "the first", "--out", out)
    assert code == 0, words
    assert certificate_of(load_bundle(out)).approved_by == "Ada"
    code, words = linegate(*gate, "--approve", "Ada", "--why", "the first", "--out", out)
    assert code == 2
    assert "not overwritten" in words


def test_the_gate_needs_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import linegate.training.releasing, linegate.training.release_report, linegate.training.sources\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
