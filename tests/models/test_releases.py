"""The released bundles as they are shipped: whole, named as they call themselves, and fit for the shipped station."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from linegate.inspect.judge import Judge
from linegate.inspect.part import Decision
from linegate.inspect.runtime.engines import open_session
from linegate.inspect.settings_file import load_station
from linegate.models.bundle import load_bundle
from linegate.models.certificate import certificate_of
from linegate.models.store import packaged_releases, resolve_bundle

RELEASES = Path(__file__).resolve().parents[2] / "models" / "releases"


def test_there_is_one_and_the_newest_is_the_default() -> None:
    folders = sorted(path.parent for path in RELEASES.glob("*/manifest.json"))
    assert folders == sorted(path.resolve() for path in packaged_releases())
    assert folders
    assert resolve_bundle("").folder.resolve() == packaged_releases()[-1].resolve()


@pytest.mark.parametrize("folder", sorted(path.name for path in RELEASES.iterdir() if path.is_dir()))
def test_a_release_is_whole_and_judges_under_the_shipped_recipe(folder: str) -> None:
    bundle = load_bundle(RELEASES / folder)
    manifest = bundle.manifest
    assert folder == f"{manifest.name}-{manifest.version}"
    assert bundle.sha256 == hashlib.sha256((RELEASES / folder / "manifest.json").read_bytes()).hexdigest()
    assert hashlib.sha256(bundle.model_bytes()).hexdigest() == manifest.model_sha256
    assert bundle.label == f"{manifest.name} {manifest.version} ({bundle.sha256[:8]})"
    assert resolve_bundle(folder).sha256 == bundle.sha256
    assert certificate_of(bundle).approved_by
    assert (
        len(manifest.provenance.code_sha256) == 64
    )  # its commit may be gone, the code that made it can be told all the same
    assert manifest.provenance.licence and manifest.provenance.command and manifest.thresholds.guarantee
    station = load_station(RELEASES.parents[1] / "station.toml")
    (recipe,) = station.recipes
    judge = Judge(bundle, open_session(bundle, station.runtime), recipe)
    try:
        flat = np.full((manifest.input.height_px, manifest.input.width_px), 128, np.uint8)
        assert judge.judge(flat).judgement.decision in set(Decision) - {Decision.NOT_INSPECTED}
    finally:
        judge.close()
