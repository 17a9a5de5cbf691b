from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from linegate.models.bundle import BundleError, load_bundle, save_bundle
from linegate.models.manifest import Manifest

from .tiny import bundle, manifest, network


def test_saved_is_loaded_and_named_by_its_manifest(tmp_path: Path) -> None:
    saved = bundle(tmp_path / "deep" / "b")
    again = load_bundle(saved.folder)
    assert again == saved
    assert again.sha256 == hashlib.sha256((saved.folder / "manifest.json").read_bytes()).hexdigest()
    assert again.model_bytes() == network()
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["b"]
    copy = save_bundle(tmp_path / "c", saved.manifest, saved.model_bytes())
    assert copy.sha256 == saved.sha256


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json"])
def test_one_changed_byte_is_refused_or_another_identity(tmp_path: Path, name: str) -> None:
    saved = bundle(tmp_path / "b")
    path = saved.folder / name
    data = bytearray(path.read_bytes())
    if name == "manifest.json":
        at = data.index(saved.manifest.model_sha256.encode())
        data[at] = ord("0") if data[at] != ord("0") else ord("1")
    else:
        data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match="sha256"):
        load_bundle(saved.folder)


def test_network_changed_after_loading_is_refused(tmp_path: Path) -> None:
    saved = bundle(tmp_path / "b")
    (saved.folder / "model.onnx").write_bytes(b"other")
    with pytest.raises(BundleError, match="changed or damaged"):
        saved.model_bytes()


@pytest.mark.parametrize("missing", ["model.onnx", "manifest.json"])
def test_missing_file_is_named(tmp_path: Path, missing: str) -> None:
    saved = bundle(tmp_path / "b")
    (saved.folder / missing).unlink()
    with pytest.raises(BundleError, match=f"found no {missing}"):
        load_bundle(saved.folder)
    with pytest.raises(BundleError, match="found nothing"):
        load_bundle(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"colour": 1}, "key colour"),
        ({"input": {"width_px": 63, "stride_px": 2}}, "key input"),
        ({"thresholds": {"part_review": 0.9}}, "part_review = 0.9 lies above"),
        ({"classes": ("dark", "scratch")}, "thresholds.classes has"),
        ({"version": "one"}, "key version"),
    ],
)
def test_invalid_manifest_names_its_key(tmp_path: Path, change: dict[str, object], key: str) -> None:
    with pytest.raises(BundleError, match=key):
        save_bundle(tmp_path / "b", manifest(**change), network())
    assert not list(tmp_path.iterdir())
    saved = bundle(tmp_path / "b")
    fields = {**json.loads((saved.folder / "manifest.json").read_text()), **json.loads(json.dumps(manifest(**change)))}
    (saved.folder / "manifest.json").write_text(json.dumps(fields))
    with pytest.raises(BundleError, match=key):
        load_bundle(saved.folder)


def test_broken_json_is_no_traceback(tmp_path: Path) -> None:
    saved = bundle(tmp_path / "b")
    (saved.folder / "manifest.json").write_bytes(b"\x80\x04pickle")
    with pytest.raises(BundleError, match="the whole file"):
        load_bundle(saved.folder)


def test_a_release_is_never_overwritten(tmp_path: Path) -> None:
    saved = bundle(tmp_path / "b")
    with pytest.raises(BundleError, match="not overwritten"):
        save_bundle(tmp_path / "b", manifest(version="2.0"), network())
    assert load_bundle(tmp_path / "b") == saved


def test_failed_save_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BundleError, match="No space left"):
        bundle(tmp_path / "b")
    assert not list(tmp_path.iterdir())


def test_old_manifests_without_score_still_load() -> None:
    fields = manifest()
    assert Manifest.model_validate({**fields, "model_sha256": "0" * 64}).score.head_weight == 0.5
