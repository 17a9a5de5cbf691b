"""Cameras: pulled and plugged, frames broken, dropped and of the wrong size, two of them on one part."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from linegate.cameras.settings import PylonSettings
from linegate.inspect.plc.registers import Status
from linegate.inspect.settings import RecipeSettings, TimingSettings

from .rig import Rig


def test_a_camera_pulled_and_plugged_comes_back_by_itself(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(timing=TimingSettings(deadline_ms=800.0, min_pitch_ms=140.0, stop_after_uninspected=3))
    rig.start_station()
    rig.run()
    assert Status.CAMERA_OK in rig.status()
    rig.plant.pull_camera("top")
    rig.until(lambda: Status.CAMERA_OK not in rig.status(), "CameraOK = 0")
    rig.until(lambda: Status.STOP_REQUEST in rig.status(), "a stop is asked for after three parts")
    rig.until(lambda: rig.causes()["camera_down"] >= 3, "rows of the parts that nobody saw")
    rig.plant.plug_camera("top")
    rig.until(lambda: Status.CAMERA_OK in rig.status(), "the camera is back by itself")
    assert Status.STOP_REQUEST in rig.status(), "the alarm stays until a person has seen it"
    rig.acknowledge()
    rig.passes()
    rig.check("camera_down")
    assert [e["kind"] for e in rig.events("camera_up")] == ["camera_up"] * 2


def test_broken_frames_cost_their_own_parts_only(make_rig: Callable[..., Rig]) -> None:
    camera = PylonSettings(
        driver="pylon", name="top", emulate=Path("stage"), reopen_s=0.2, features={"ForceFailedBufferCount": 2}
    )
    rig = make_rig(cameras=(camera,))
    rig.start_station()
    rig.run()
    device = rig.now.line.cameras["top"]._camera
    device._features.nodes.execute("ForceFailedBuffer")  # type: ignore[attr-defined]  # the emulator's own fault switch
    rig.until(lambda: rig.causes()["frame_broken"] == 2, "two parts with broken frames")
    rig.passes()
    rig.check("frame_broken")
    assert rig.causes()["frame_broken"] == 2


def test_a_dropped_frame_costs_its_own_part_only(make_rig: Callable[..., Rig]) -> None:
    """The camera exposes twice and one frame never arrives: the numbers jump, so that the other proves nothing."""
    rig = make_rig()
    rig.start_station()
    rig.run()
    device: Any = rig.now.line.cameras["top"]._camera
    real: Callable[[float], None] = device.trigger

    def twice(timeout_s: float) -> None:
        device.trigger = real
        real(timeout_s)
        device._camera.RetrieveResult(10_000).Release()  # never reaches the driver
        real(timeout_s)

    device.trigger = twice
    rig.until(lambda: rig.causes()["frame_gap"], "the part of the dropped frame")
    rig.passes()
    rig.check("frame_gap")
    assert rig.causes()["frame_gap"] == 1


def test_pictures_of_the_wrong_size_are_said_and_pass_nothing(make_rig: Callable[..., Rig], blobs: Path) -> None:
    recipe = RecipeSettings(id=1, name="plates", bundle=str(blobs), size_px=(640, 480))
    rig = make_rig(
        recipes=(recipe,), timing=TimingSettings(deadline_ms=800, min_pitch_ms=140, stop_after_uninspected=3)
    )
    rig.start_station()
    rig.plant.run_belt()
    rig.until(lambda: Status.STOP_REQUEST in rig.status(), "a stop is asked for after three parts")
    reasons = " ".join(rig.now.supervisor.view.reasons)
    assert "640 x 480" in reasons and "256 x 256" in reasons, reasons
    rig.drain()
    rows = [row for row in rig.rows() if row["cause"] == "inference_failed"]
    assert len(rows) >= 3
    assert all("640 x 480" in row["reason"] and "256 x 256" in row["reason"] for row in rows)
    report = rig.plant.report()
    assert report.passed == report.physically_passed == 0
    assert rig.now.summary().contradictions == ()


def test_a_verdict_waits_for_both_views(make_rig: Callable[..., Rig], tmp_path: Path) -> None:
    timing = TimingSettings(deadline_ms=800, min_pitch_ms=240, stop_after_uninspected=1000)
    cameras = tuple(
        PylonSettings(driver="pylon", name=name, emulate=Path("stage"), reopen_s=0.2) for name in ("top", "side")
    )
    rig = make_rig(cameras=cameras, rate=4.0, timing=timing)
    rig.start_station()
    rig.run()
    rig.plant.pull_camera("side")
    rig.until(lambda: rig.causes()["camera_down"] >= 2, "one camera down is no verdict")
    rig.plant.plug_camera("side")
    rig.until(lambda: Status.CAMERA_OK in rig.status(), "both cameras are back")
    rig.passes()
    rig.check("camera_down")
