"""The GenTL driver on the producer that the genicam package carries."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from linegate.cameras import gentl_producer
from linegate.cameras.acquisition import Acquisition
from linegate.cameras.camera import Camera
from linegate.cameras.errors import CameraError, CameraLost, CameraNotFound
from linegate.cameras.frame import CameraDown, CameraUp, Frame, FrameLost, LossReason
from linegate.cameras.gentl import GentlCamera
from linegate.cameras.gentl_producer import GenapiNodes
from linegate.cameras.settings import GentlSettings, Roi

WAIT_S = 10.0


@pytest.fixture
def make(viky: Path) -> Iterator[Callable[..., GentlCamera]]:
    made: list[GentlCamera] = []

    def build(**settings: Any) -> GentlCamera:
        values = {"producer": viky, "trigger": "free", "serial": "0", **settings}
        made.append(GentlCamera(GentlSettings(driver="gentl", **values)))
        return made[-1]

    yield build
    for camera in made:
        camera.close()


def frames(camera: GentlCamera, count: int) -> list[Frame]:
    got = [camera.fetch(WAIT_S) for _ in range(count)]
    assert all(isinstance(g, Frame) for g in got), got
    return [g for g in got if isinstance(g, Frame)]


def test_colour_frames_in_order(make: Any) -> None:
    camera = make()
    assert isinstance(camera, Camera)
    info = camera.open()
    assert (info.id, info.model, info.pixel_format) == ("VikyTL_DEV_red", "Viky", "RGBa8")
    camera.arm()
    got = frames(camera, 4)
    assert [g.counter for g in got] == [0, 1, 2, 3]
    assert got[0].image.shape == (info.height_px, info.width_px, 3)
    assert not got[0].image.flags.writeable
    assert got[0].timestamp_ns == got[0].received_ns  # this producer has no clock
    camera.arm()
    assert frames(camera, 1)[0].counter == 0


def test_roi_and_format(make: Any) -> None:
    camera = make(serial="VikyTL_DEV_blue", pixel_format="Mono8", roi=Roi(width_px=200, height_px=120))
    camera.open()
    camera.arm()
    assert frames(camera, 1)[0].image.shape == (120, 200)


def test_frames_outlive_the_camera(make: Any) -> None:
    camera = make(pixel_format="Mono8")
    camera.open()
    camera.arm()
    (kept,) = frames(camera, 1)
    before = kept.image.copy()
    frames(camera, 3)
    camera.close()
    assert (kept.image == before).all()


def test_a_consumer_that_is_away_finds_a_gap(make: Any) -> None:
    camera = make(pixel_format="Mono8", buffers=2, roi=Roi(width_px=100, height_px=100))
    camera.open()
    camera.arm()
    last = frames(camera, 1)[0].counter
    acquirer = camera._acquirer
    taken = []
    while len(taken) < 3:  # frames that reach the host and not the driver
        buffer = acquirer.try_fetch(timeout=WAIT_S, is_raw=True)
        taken.append(buffer)
        buffer.parent.queue_buffer(buffer)
    lost = camera.fetch(WAIT_S)
    assert isinstance(lost, FrameLost)
    assert (lost.reason, lost.counter) == (LossReason.GAP, last + 1)
    assert lost.count >= 3
    (after,) = frames(camera, 1)
    assert after.counter == last + 1 + lost.count


def test_an_incomplete_buffer_is_a_failed_buffer_and_not_a_gap_as_well(make: Any) -> None:
    camera = make(pixel_format="Mono8", roi=Roi(width_px=100, height_px=100))
    camera.open()
    camera.arm()
    last = frames(camera, 1)[0].counter
    acquirer = camera._acquirer
    buffer = acquirer.try_fetch(timeout=WAIT_S, is_raw=True)
    buffer.parent.queue_buffer(buffer)
    acquirer._emit_callbacks(acquirer.Events.INCOMPLETE_BUFFER)  # as harvesters does for such a buffer
    lost = camera.fetch(WAIT_S)
    assert isinstance(lost, FrameLost)
    assert (lost.reason, lost.count) == (LossReason.FAILED_BUFFER, 1)
    assert frames(camera, 1)[0].counter == last + 2


def test_a_device_closed_underneath_is_lost_and_comes_back(make: Any) -> None:
    camera = make()
    camera.open()
    camera.arm()
    camera._acquirer.device.module.close()
    with pytest.raises(CameraLost):
        for _ in range(20):
            camera.fetch(0.2)
    camera.close()
    camera.open()
    camera.arm()
    frames(camera, 1)


def test_a_pulled_cable_shows_while_nobody_triggers(make: Any) -> None:
    """The producer goes on waiting, as many do; the device itself does not answer."""
    camera = make()
    camera.open()
    camera.arm()
    camera._acquirer.try_fetch = lambda **_: None
    assert camera.fetch(0.0) is None
    camera._acquirer.device.module.close()
    with pytest.raises(CameraLost):
        camera.fetch(0.0)


class Triggered(GenapiNodes):
    """The producer's real camera with a software trigger in front, which it lacks: it sends nothing until it is fired."""

    symbols_of: ClassVar[dict[str, tuple[str, ...]]] = {
        "TriggerSelector": ("FrameStart",),
        "TriggerMode": ("On", "Off"),
        "TriggerSource": ("Software", "Line1"),
    }

    def __init__(self, node_map: Any) -> None:
        super().__init__(node_map)
        self.set: dict[str, Any] = {}
        self.fired = 0

    def has(self, name: str) -> bool:
        return name in self.symbols_of or super().has(name)

    def symbols(self, name: str) -> tuple[str, ...]:
        return self.symbols_of.get(name) or super().symbols(name)

    def write(self, name: str, value: Any) -> None:
        if name in self.symbols_of:
            self.set[name] = value
        else:
            super().write(name, value)

    def execute(self, name: str) -> None:
        assert name == "TriggerSoftware"
        assert self.set == {"TriggerSelector": "FrameStart", "TriggerMode": "On", "TriggerSource": "Software"}
        self.fired += 1


def test_a_software_trigger_brings_the_frame_of_its_own_tag(
    viky: Path, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gentl_producer, "GenapiNodes", Triggered)
    settings = GentlSettings(driver="gentl", producer=viky, serial="1", trigger="plc", timeout_s=5.0)
    camera = GentlCamera(settings)
    acquisition = Acquisition(camera, settings, recorder)
    acquisition.start()
    try:
        assert acquisition.wait_healthy(WAIT_S)
        acquirer, nodes = camera._acquirer, camera._nodes
        real, shown = acquirer.try_fetch, 0

        def when_fired(**how: Any) -> Any:
            nonlocal shown
            if shown == nodes.fired:
                return None
            buffer = real(**how)
            shown += buffer is not None
            return buffer

        acquirer.try_fetch = when_fired
        for tag in range(4):
            acquisition.trigger(tag)
        counters = [event.counter for event in map(recorder.of, range(4)) if isinstance(event, Frame)]
        assert nodes.fired == 4
        assert counters == [0, 1, 2, 3]
    finally:
        acquisition.stop()


def test_the_acquisition_brings_it_back(viky: Path, recorder: Any) -> None:
    settings = GentlSettings(driver="gentl", producer=viky, serial="1", trigger="free", reopen_s=0.05)
    camera = GentlCamera(settings)
    acquisition = Acquisition(camera, settings, recorder)
    acquisition.start()
    try:
        recorder.wait(lambda events: sum(isinstance(e, Frame) for e, _ in events) >= 2)
        camera._acquirer.device.module.close()
        recorder.wait(lambda events: sum(isinstance(e, CameraUp) for e, _ in events) == 2)
        assert recorder.count(CameraDown) >= 1
        seen = recorder.count(Frame)
        recorder.wait(lambda events: sum(isinstance(e, Frame) for e, _ in events) > seen)
    finally:
        acquisition.stop()


def test_two_cameras_share_one_producer(make: Any) -> None:
    red, green = make(serial="0"), make(serial="1")
    for camera in (red, green):
        camera.open()
        camera.arm()
    red.close()
    frames(green, 2)
    with pytest.raises(CameraError, match="in use"):
        make(serial="1").open()
    frames(green, 2)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"serial": "9"}, ["'9'", "VikyTL_DEV_green (serial 1)"]),
        ({"serial": ""}, ["exactly one device", "VikyTL_DEV_red"]),
        ({"trigger": "software"}, ["TriggerMode", "only runs freely"]),
        ({"pixel_format": "Mono12"}, ["PixelFormat", "Mono12", "one of RGBa8, Mono8"]),
        ({"roi": Roi(width_px=5000, height_px=100)}, ["Width", "5000", "100 to 800"]),
        ({"exposure_us": 10.0}, ["ExposureTime", "none of them"]),
        ({"features": {"Nothing": True}}, ["Nothing", "no such feature"]),
    ],
)
def test_what_it_can_not_do_is_said(make: Any, settings: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(CameraError) as caught:
        make(**settings).open()
    for word in words:
        assert word in str(caught.value)
    make().open()  # and the producer is free again


def test_wrong_producers(make: Any, tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="no such file"):
        make(producer=tmp_path / "none.cti").open()
    text = tmp_path / "text.cti"
    text.write_text("no library")
    with pytest.raises(CameraError, match="does not load"):
        make(producer=text).open()
    import _ctypes

    library = tmp_path / "library.cti"
    shutil.copy(_ctypes.__file__ or sys.executable, library)
    with pytest.raises(CameraError, match="no GenTL producer"):
        make(producer=library).open()


def test_not_found_is_its_own_error(make: Any) -> None:
    with pytest.raises(CameraNotFound):
        make(serial="9").open()
