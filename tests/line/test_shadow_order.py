"""A shadow that is chosen and ended while the line runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from linegate.cameras.errors import SettingsError
from linegate.inspect.hmi.review import routes_release
from linegate.inspect.hmi.server import create_app
from linegate.inspect.partlog.commands import CommandState
from linegate.inspect.settings import RecipeSettings, RuleSettings, ScreenSettings
from linegate.training.place import Place
from linegate.training.releasing import shadow

from .plates import save_blob_bundle
from .rig import Rig


def test_a_shadow_comes_and_goes_while_the_line_runs(make_rig: Callable[..., Rig], tmp_path: Path) -> None:
    rig = make_rig()
    station = rig.start_station()
    name = station.store.add(save_blob_bundle(tmp_path / "two", version="2.0").folder, "ada", "x").bundle

    def order(bundle: str) -> tuple[CommandState, bool, str]:
        answer = station.box.wait(station.box.send("shadow", {"bundle": bundle}, by="ada", role="quality"), 20.0)
        return answer.state, answer.ok, answer.answer

    assert not order("")[1], "there is none to be ended"
    rig.run()
    done = order(name)
    assert done[1], done
    rig.until(lambda: (s := station.line.shadow) is not None and s.report().judged >= 3, "the shadow judges")
    assert station.tracker.active.bundle.manifest.version == "1.0"
    assert order("")[1]
    assert station.line.shadow is None and station.store.pointers().shadow == ""


def test_a_shadow_from_the_screen_has_to_fit_the_recipes_as_one_from_the_command(
    make_rig: Callable[..., Rig], blobs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes_release, "ANSWER_S", 20.0)  # as patient as a busy machine needs
    pinned = RecipeSettings(id=1, name="plates", bundle=str(blobs))
    rig = make_rig(recipes=(pinned, RecipeSettings(id=2, name="rusty", rules=(RuleSettings(defect_class="rust"),))))
    station = rig.start_station(ready=False)
    bundle = save_blob_bundle(tmp_path / "two", version="2.0", released=False)
    name = station.store.add(bundle.folder, "ada", "x").bundle
    origin = "http://127.0.0.1"
    app = create_app(ScreenSettings(), rig.data)
    with TestClient(app, origin, headers={"Origin": origin}, client=("127.0.0.1", 50000)) as screen:
        screen.post("/api/setup", json={"name": "Ada", "pin": "730519", "language": "en"}).raise_for_status()
        said = screen.post("/api/review/shadow", json={"bundle": name, "why": "a try"}).raise_for_status().json()
    with pytest.raises(SettingsError, match="rule for 'rust'") as refused:
        shadow(Place(station.settings, rig.data), bundle, "ada", "a try")
    assert (said["ok"], said["answer"]) == (False, str(refused.value))
    assert station.store.pointers().shadow == ""
    assert station.line.shadow is None
