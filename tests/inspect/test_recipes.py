from __future__ import annotations

from pathlib import Path

import pytest

from linegate.cameras.errors import SettingsError
from linegate.inspect import recipes as module
from linegate.inspect.recipes import RecipeBook
from linegate.inspect.settings import RecipeSettings, RuleSettings, RuntimeSettings
from linegate.models.bundle import Bundle

from ..models.tiny import bundle as make

PLATES = RecipeSettings(id=1, name="plates")
STRICT = RecipeSettings(id=2, name="strict", rules=(RuleSettings(defect_class="dark"),))
ELSE = {"review": 0.6, "reject": 0.8}


def never(name: str) -> Bundle:
    raise AssertionError(f"{name!r} was resolved: what is asked for is the bundle that isn't live yet")


def book(*recipes: RecipeSettings) -> RecipeBook:
    return RecipeBook(recipes, RuntimeSettings(warmup=1), never)


def test_a_bundle_is_made_ready_before_it_is_the_live_one(tmp_path: Path) -> None:
    bundle = make(tmp_path / "new", version="2.0")
    for active, wanted in ((2, 2), (3, 1)):  # recipe 3 has a bundle of its own
        pinned = RecipeSettings(id=3, name="pinned", bundle="other")
        ready = book(PLATES, STRICT, pinned).ready(bundle, active)
        assert ready is not None
        assert (ready.recipe.id, ready.bundle.sha256) == (wanted, bundle.sha256)
        ready.close()
    assert book(RecipeSettings(id=3, name="pinned", bundle="other")).ready(bundle, 3) is None


def test_a_bundle_that_another_recipe_could_not_use_is_refused_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its recipe change would fail in mid-shift, and its network must not be opened and forgotten."""
    opened: list[object] = []
    monkeypatch.setattr(module, "open_proven", lambda *given: opened.append(given))
    renamed = make(
        tmp_path / "renamed",
        classes=("gloom", "bright"),
        thresholds={"part_review": 0.5, "part_reject": 0.8, "classes": {"gloom": ELSE, "bright": ELSE}},
    )
    with pytest.raises(SettingsError, match=r"recipe 2 \(strict\), rule for 'dark'"):
        book(PLATES, STRICT).ready(renamed, 1)
    with pytest.raises(SettingsError):
        book(PLATES, STRICT).load(2, renamed)
    assert opened == []
