"""trigger = "hardware": the photo-eye fires camera and PLC alike, and every picture goes to its own part or to none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from linegate.cameras.settings import PylonSettings, ReplaySettings
from linegate.cameras.wire import Wire
from linegate.inspect.plc.registers import Status
from linegate.inspect.settings import PlcSettings, TimingSettings
from linegate.inspect.virtual.stage import Stage

from .rig import Rig

WIRED: dict[str, Any] = {"name": "top", "trigger": "hardware", "timeout_s": 0.2, "reopen_s": 0.2}
PYLON = PylonSettings(driver="pylon", emulate=Path("stage"), **WIRED)
REPLAY = ReplaySettings(driver="replay", folder=Path("stage"), **WIRED)


@pytest.fixture
def make_wired(make_rig: Callable[..., Rig]) -> Callable[..., Rig]:
    """A running line; the station is ready before the first part comes, as a PLC that feeds on TriggerReady needs it."""

    def make(camera: PylonSettings | ReplaySettings, **changes: Any) -> Rig:
        timing = TimingSettings(deadline_ms=800, min_pitch_ms=240, stop_after_uninspected=1000)
        rig = make_rig(cameras=(camera,), rate=4.0, timing=timing, **changes)
        rig.start_station()
        assert Status.TRIGGER_READY in rig.status() and rig.plant.fed == 0
        rig.run()
        return rig

    return make


def test_what_the_camera_sees_and_the_plc_does_not_count_passes_nothing_wrong(make_wired: Callable[..., Rig]) -> None:
    """Once with a PLC that feeds on TriggerReady, once with one that does not care."""
    rig = make_wired(PYLON)
    eye = Wire(Stage(rig.plant.stage("top")).wire)
    eye.disturb()
    rig.until(lambda: rig.events("sync_lost"), "the contradiction is told")
    rig.plant.pause()
    rig.until(lambda: Status.TRIGGER_READY in rig.status(), "the count has begun again without any part")
    rig.plant.run_belt()
    rig.passes()
    told = len(rig.events("sync_lost"))
    eye.miss()
    rig.until(lambda: len(rig.events("sync_lost")) > told, "the contradiction is told")
    rig.passes()
    eye.close()
    rig.check()


def test_a_picture_lost_on_the_way_costs_its_own_part(make_wired: Callable[..., Rig]) -> None:
    rig = make_wired(PYLON)
    camera: Any = rig.now.line.cameras["top"]._camera
    real, stolen = camera._retrieve, []

    def steal(device: Any, timeout_s: float) -> Any:
        result = real(device, timeout_s)
        if result.IsValid() and not stolen:
            stolen.append(result.GetBlockID())
            result.Release()  # this one never reaches the driver
            return real(device, 0.0)
        return result

    camera._retrieve = steal
    rig.until(lambda: stolen, "a picture is lost")
    rig.passes()
    rig.check("frame_timeout")


def test_camera_and_plc_go_and_come(make_wired: Callable[..., Rig]) -> None:
    rig = make_wired(REPLAY)
    rig.plant.pull_camera("top")
    rig.until(lambda: rig.causes()["camera_down"] >= 2, "parts that nobody saw")
    rig.plant.plug_camera("top")
    rig.passes()
    rig.plant.restart_plc()
    rig.passes()
    rig.check("camera_down", maybe=("plc_lost",))


def test_a_plc_that_is_asked_seldom_shows_the_part_after_its_picture(make_wired: Callable[..., Rig]) -> None:
    rig = make_wired(REPLAY.model_copy(update={"timeout_s": 0.15}), plc=PlcSettings(port=0, timeout_ms=300, poll_ms=50))
    rig.more_parts(10)
    rig.check()
