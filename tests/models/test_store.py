from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from linegate.models import store as module
from linegate.models.bundle import Bundle
from linegate.models.certificate import NotCertified
from linegate.models.errors import BundleError
from linegate.models.store import BundleStore, resolve_bundle

from .tiny import bundle as make
from .tiny import certified, findings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation whose packaged releases are a folder of this test."""
    (tmp_path / "package" / "releases").mkdir(parents=True)
    monkeypatch.setattr(module, "files", lambda _: tmp_path / "package")
    return tmp_path / "package" / "releases"


def two(tmp_path: Path) -> tuple[BundleStore, str, str]:
    """A store with two certified candidates."""
    store = BundleStore(tmp_path / "store")
    one = certified(tmp_path / "one", make(tmp_path / "draft-one"))
    two = certified(tmp_path / "two", make(tmp_path / "draft-two", version="2.0"))
    return store, store.add(one.folder, "anna", "first").bundle, store.add(two.folder, "anna", "second").bundle


def test_promote_and_roll_back(tmp_path: Path, releases: Path) -> None:
    packaged = make(releases / "tiny-0.9", version="0.9")
    store, first, second = two(tmp_path)
    assert store.live().sha256 == packaged.sha256
    assert [b.manifest.version for b in store.candidates()] == ["1.0", "2.0"]
    change = store.promote(first, "bert", "gate passed")
    assert (change.action, change.bundle, change.previous, change.who) == ("promote", first, "", "bert")
    assert change.sha256 == store.live().sha256
    store.promote(second, "bert", "better")
    assert store.live().manifest.version == "2.0"
    assert store.candidates() == ()
    assert store.rollback("cleo", "false alarms").bundle == first
    assert store.live().manifest.version == "1.0"
    assert store.rollback("cleo", "still").bundle == ""
    assert store.live().sha256 == packaged.sha256
    with pytest.raises(BundleError, match="live before"):
        store.rollback("cleo", "again")
    actions = [c.action for c in store.pointers().history]
    assert actions == ["add", "add", "promote", "promote", "rollback", "rollback"]


def test_shadow(tmp_path: Path) -> None:
    store, first, second = two(tmp_path)
    assert store.shadow() is None
    store.set_shadow(second, "anna", "watch it")
    shadow = store.shadow()
    assert shadow is not None
    assert shadow.manifest.version == "2.0"
    assert store.set_shadow("", "anna", "enough").action == "unshadow"
    assert store.shadow() is None
    store.set_shadow(first, "anna", "x")
    store.promote(first, "anna", "good")
    assert store.shadow() is None
    store.discard(second, "anna", "worse")
    assert store.candidates() == ()
    assert second in store.names()


def test_adding_twice_is_one_bundle(tmp_path: Path) -> None:
    store, first, _ = two(tmp_path)
    store.add(tmp_path / "one", "anna", "again")
    assert len(store.names()) == 2
    assert store.pointers().candidates.count(first) == 1


def test_unknown_and_damaged_are_errors(tmp_path: Path) -> None:
    store, first, _ = two(tmp_path)
    with pytest.raises(BundleError, match="no such bundle"):
        store.promote("nothing", "anna", "x")
    model = store.folder_of(first) / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1])
    with pytest.raises(BundleError, match="sha256"):
        store.promote(first, "anna", "x")
    assert store.pointers().live == ""
    (store.root / "pointers.json").write_text("{")
    with pytest.raises(BundleError, match=r"pointers\.json"):
        store.live()


def test_nothing_uncertified_goes_live_by_any_way(tmp_path: Path, releases: Path) -> None:
    store, first, second = two(tmp_path)
    draft = store.add(make(tmp_path / "three", version="3.0").folder, "anna", "third").bundle
    with pytest.raises(NotCertified, match="no certificate"):
        store.promote(draft, "anna", "x")
    store.promote(first, "anna", "x")
    pointers = store.root / "pointers.json"
    pointers.write_text(pointers.read_text().replace(f'"live": "{first}"', f'"live": "{draft}"'))
    with pytest.raises(NotCertified):
        store.live()
    store.promote(second, "anna", "y")
    with pytest.raises(NotCertified):  # the pointer that was set by hand has become what was live before
        store.rollback("anna", "z")
    assert store.live().manifest.version == "2.0"


def test_a_candidate_is_replaced_by_itself_with_its_certificate(tmp_path: Path) -> None:
    store = BundleStore(tmp_path / "store")
    draft = make(tmp_path / "draft")
    name = store.add(draft.folder, "worker", "job 1").bundle
    store.set_shadow(name, "anna", "watch it")
    change = store.certify(name, findings(draft), "anna", "good")
    assert store.pointers().candidates == (change.bundle,)
    assert store.pointers().shadow == change.bundle
    again = store.certify(change.bundle, findings(draft), "bert", "better words")
    assert store.pointers().candidates == (again.bundle,)
    assert store.promote(again.bundle, "bert", "good").sha256 == store.live().sha256
    assert store.live().manifest.certificate is not None
    assert store.live().manifest.certificate["approved_by"] == "bert"
    assert not [path for path in (store.root / "bundles").iterdir() if path.name.startswith(".")]


def test_a_rollback_that_somebody_else_did_already_is_not_done_twice(tmp_path: Path, releases: Path) -> None:
    make(releases / "tiny-0.9", version="0.9")
    store, first, second = two(tmp_path)
    store.promote(first, "anna", "x")
    store.promote(second, "anna", "y")
    expected = store.before()
    assert expected == first
    store.rollback("bert", "worse")
    with pytest.raises(BundleError, match="somebody else"):
        store.rollback("anna", "worse", expected)
    assert store.pointers().live == first


def test_failed_write_leaves_the_pointers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, first, second = two(tmp_path)
    store.promote(first, "anna", "x")
    before = (store.root / "pointers.json").read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BundleError, match="No space left"):
        store.promote(second, "anna", "y")
    assert (store.root / "pointers.json").read_bytes() == before
    assert not [p for p in store.root.iterdir() if p.name.startswith(".pointers")]


def test_two_processes_lose_no_change(tmp_path: Path) -> None:
    store, first, second = two(tmp_path)
    code = (
        "import sys; from pathlib import Path; from linegate.models.store import BundleStore\n"
        "for i in range(20): BundleStore(Path(sys.argv[1])).promote(sys.argv[2], 'worker', str(i))"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT / ".src")}
    workers = [
        subprocess.Popen([sys.executable, "-c", code, str(store.root), name], env=env) for name in (first, second)
    ]
    while any(worker.poll() is None for worker in workers):
        json.loads((store.root / "pointers.json").read_bytes())  # never half a file
    for worker in workers:
        assert worker.wait() == 0
    assert sum(change.action == "promote" for change in store.pointers().history) == 40


def test_names_folders_and_nothing(tmp_path: Path, releases: Path) -> None:
    with pytest.raises(BundleError, match="linegate train"):
        resolve_bundle("")
    old: Bundle = make(releases / "panels-1.2", name="panels", version="1.2")
    new: Bundle = make(releases / "panels-1.10", name="panels", version="1.10")
    assert resolve_bundle("").sha256 == new.sha256
    assert resolve_bundle("panels").sha256 == new.sha256
    assert resolve_bundle("panels-1.2").sha256 == old.sha256
    assert resolve_bundle(str(old.folder)).sha256 == old.sha256
    store, first, _ = two(tmp_path)
    assert resolve_bundle(first, store).manifest.version == "1.0"
    assert resolve_bundle("", store).sha256 == new.sha256
    with pytest.raises(BundleError, match=r"'panel'.*panels-1\.2, panels-1\.10, tiny-1\.0"):
        resolve_bundle("panel", store)
