"""A shadow that is chosen and ended while the line runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from linegate.inspect.partlog.commands import CommandState

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
