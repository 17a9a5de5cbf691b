"""What the command line changes, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from linegate.cameras.errors import SettingsError
from linegate.cameras.settings import PylonSettings, ReplaySettings
from linegate.inspect.settings import (
    BUNDLES,
    PlcSettings,
    RecipeSettings,
    RuleSettings,
    StationSettings,
    VirtualSettings,
)
from linegate.inspect.virtual_overrides import Overrides
from linegate.models.bundle import BundleError
from linegate.models.store import BundleStore

from ..models.tiny import bundle as make_bundle

REAL = StationSettings(
    cameras=(ReplaySettings(driver="replay", folder=Path("photos")),),
    recipes=(RecipeSettings(id=1, name="one", rules=(RuleSettings(defect_class="dent", action="ignore"),)),),
)
VIRTUAL = REAL.model_copy(update={"virtual": VirtualSettings()})


def test_leaves_alone_what_was_not_asked_for() -> None:
    assert Overrides().apply(VIRTUAL) == VIRTUAL


def test_a_faster_belt_brings_a_shorter_pitch() -> None:
    changed = Overrides(rate=30.0, seed=5).apply(VIRTUAL)
    assert changed.virtual is not None and changed.virtual.seed == 5
    assert changed.timing.min_pitch_ms == pytest.approx(30.0)
    assert changed.virtual.camera_to_gate_ms == VIRTUAL.virtual.camera_to_gate_ms  # type: ignore[union-attr]


@pytest.mark.parametrize("rate", [0.0, -1.0, 1000.0])
def test_a_belt_that_can_not_be(rate: float) -> None:
    with pytest.raises(SettingsError, match="--rate"):
        Overrides(rate=rate).apply(VIRTUAL)


def test_a_real_line_has_no_virtual_parts() -> None:
    with pytest.raises(SettingsError, match="virtual"):
        Overrides(seed=1).apply(REAL)


@pytest.fixture
def colour(tmp_path: Path) -> Path:
    """A bundle that takes colour, in the store of the data folder ``tmp_path``; its name there."""
    spec = {"width_px": 64, "height_px": 48, "channels": 3, "stride_px": 4, "pixel_mm": 0.5}
    made = make_bundle(tmp_path / "station" / "blobs", input=spec)
    change = BundleStore(tmp_path / "data" / BUNDLES).add(made.folder, "Ada", "test")
    return Path(change.bundle)


def emulated(data: Path) -> StationSettings:
    """A virtual line of grey pictures of one size, with pylon's emulator."""
    camera = PylonSettings(driver="pylon", emulate=Path("stage"), pixel_format="Mono8")
    recipe = REAL.recipes[0].model_copy(update={"size_px": (1024, 1024), "pixel_mm": 0.1, "channels": 1})
    return VIRTUAL.model_copy(update={"data": data, "cameras": (camera,), "recipes": (recipe,)})


def test_another_bundle_comes_without_what_was_written_for_the_old_one(colour: Path, tmp_path: Path) -> None:
    """By the name it has in the store, by a folder beside station.toml, and by a path: the camera delivers what it takes."""
    for name in (str(colour), "blobs", str(tmp_path / "station" / "blobs")):
        changed = Overrides(bundle=name).apply(emulated(tmp_path / "data"), tmp_path / "station")
        (recipe,), (camera,) = changed.recipes, changed.cameras
        assert recipe.rules == (RuleSettings(),)
        assert (recipe.size_px, recipe.pixel_mm, recipe.channels) == (None, None, None)
        assert camera.pixel_format == "RGB8", name


def test_a_bundle_that_is_nowhere(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="other"):
        Overrides(bundle="other").apply(emulated(tmp_path))


def test_photos_have_sizes_of_their_own(tmp_path: Path) -> None:
    changed = Overrides(photos=tmp_path).apply(emulated(tmp_path))
    assert changed.recipes[0].size_px is None
    assert changed.recipes[0].rules == REAL.recipes[0].rules


def test_options_that_do_not_agree_with_the_file() -> None:
    slow = VIRTUAL.model_copy(update={"plc": PlcSettings(poll_ms=20.0)})
    with pytest.raises(SettingsError, match=r"options given.*poll_ms = 20.*min_pitch_ms = 30"):
        Overrides(rate=30.0).apply(slow)
