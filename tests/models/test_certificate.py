from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from linegate.models.bundle import Bundle, load_bundle
from linegate.models.certificate import (
    BUILDS,
    CONDITIONS,
    FLIPS,
    NotCertified,
    certificate_of,
    certify,
    why_uncertified,
)
from linegate.models.store import packaged_releases

from .tiny import bundle as make
from .tiny import certified, findings


def edited(bundle: Bundle, folder: Path, change: Any) -> Bundle:
    """A copy whose manifest was changed by hand."""
    shutil.copytree(bundle.folder, folder)
    content = json.loads((folder / "manifest.json").read_text())
    change(content)
    (folder / "manifest.json").write_text(json.dumps(content))
    return load_bundle(folder)


def test_a_certificate_names_what_was_judged_and_who_approved(tmp_path: Path) -> None:
    draft = make(tmp_path / "draft")
    assert why_uncertified(draft) == "no certificate"
    bundle = certify(draft, findings(draft, live="4" * 64), "Ada", "knows rust", tmp_path / "released")
    found = certificate_of(bundle)
    assert (found.candidate, found.approved_by, found.why) == (draft.sha256, "Ada", "knows rust")
    assert found.held
    assert bundle.model_bytes() == draft.model_bytes()
    assert why_uncertified(bundle) == ""


def test_no_change_of_the_bundle_survives_its_certificate(tmp_path: Path) -> None:
    bundle = certified(tmp_path / "released", make(tmp_path / "draft"))
    other = make(tmp_path / "other", version="2.0")
    changes = {
        "threshold": lambda m: m["thresholds"].update(part_review=0.49),
        "class": lambda m: m["classes"].reverse(),
        "version": lambda m: m.update(version="1.1"),
        "transplant": lambda m: m.update(json.loads((other.folder / "manifest.json").read_text())
                                         | {"certificate": m["certificate"]}),
    }  # fmt: skip
    for name, change in changes.items():
        assert "another bundle" in why_uncertified(edited(bundle, tmp_path / name, change)), name


def test_a_certificate_must_hold_what_the_gate_asks(tmp_path: Path) -> None:
    draft = make(tmp_path / "draft")
    bundle = certified(tmp_path / "released", draft)
    forged = edited(draft, tmp_path / "forged", lambda m: m.update(certificate={"conditions": [{"held": True}]}))
    assert "can't be read" in why_uncertified(forged)
    for name in CONDITIONS:
        if name != FLIPS:
            held = findings(draft, failed=name)
            if not held.held:
                with pytest.raises(NotCertified, match="refused it"):
                    certify(draft, held, "Ada", "why", tmp_path / "refused")
    fewer = edited(bundle, tmp_path / "fewer", lambda m: m["certificate"]["conditions"].pop())
    assert f"did not look at: {BUILDS}" in why_uncertified(fewer)
    # With a live bundle to compare with, the conditions that compare are asked for.
    compared = edited(bundle, tmp_path / "compared", lambda m: m["certificate"].update(live="5" * 64))
    assert FLIPS in why_uncertified(compared)
    for by, why in (("", "why"), ("Ada", " ")):
        with pytest.raises(NotCertified, match="approved by"):
            certify(draft, findings(draft), by, why, tmp_path / "nobody")
    with pytest.raises(NotCertified, match="another bundle"):
        certify(draft, findings(make(tmp_path / "b", version="3")), "Ada", "why", tmp_path / "wrong")
    assert not (tmp_path / "refused").exists()


def test_an_export_that_judges_differently_can_not_be_certified(tmp_path: Path) -> None:
    parity = {"build": "torch fp32", "reference": "openvino accuracy", "pictures": 40, "flips": ["a"], "within": False}
    draft = make(tmp_path / "draft", parity=[parity])
    with pytest.raises(NotCertified, match="1 verdict flips of 40 pictures"):
        certify(draft, findings(draft), "Ada", "why", tmp_path / "released")


def test_a_bundle_of_an_earlier_version_of_linegate_can_be_certified(tmp_path: Path) -> None:
    """Its manifest lacks fields that came later; they must not slip into what is hashed."""
    draft = make(tmp_path / "draft")
    manifest = draft.folder / "manifest.json"
    content = json.loads(manifest.read_text())
    del content["parity"]
    manifest.write_text(json.dumps(content, indent=2) + "\n")
    old = load_bundle(draft.folder)
    assert certificate_of(certified(tmp_path / "released", old)).candidate == old.sha256
    for release in packaged_releases():
        bundle = load_bundle(release)
        assert certify(bundle, findings(bundle), "Ada", "test", tmp_path / bundle.folder.name).manifest.certificate


def test_the_training_snapshot_stays_with_the_bundle(tmp_path: Path) -> None:
    from hashlib import sha256

    from linegate.models.errors import BundleError

    draft = make(tmp_path / "draft", provenance={"data_sha256": sha256(b"{}").hexdigest()})
    assert draft.snapshot_bytes() is None
    (draft.folder / "snapshot.json").write_bytes(b"{}")
    assert certified(tmp_path / "released", draft).snapshot_bytes() == b"{}"
    (draft.folder / "snapshot.json").write_bytes(b"{ }")
    with pytest.raises(BundleError, match=r"snapshot\.json"):
        draft.snapshot_bytes()
