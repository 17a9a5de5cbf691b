"""Emulated cameras that a virtual photo-eye fires."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from linegate.cameras.acquisition import Acquisition
from linegate.cameras.camera import Camera
from linegate.cameras.errors import CameraError
from linegate.cameras.frame import CameraArmed, CameraUp, Frame
from linegate.cameras.pylon import PylonCamera
from linegate.cameras.replay import ReplayCamera
from linegate.cameras.settings import CameraSettings, PylonSettings, ReplaySettings
from linegate.cameras.wire import Wire


@pytest.fixture(params=["pylon", "replay"])
def wired(request: Any, stage: Any, tmp_path: Any, recorder: Any) -> Iterator[tuple[Acquisition, Wire]]:
    """A camera that a virtual photo-eye fires, and the photo-eye."""
    path = tmp_path / "wire"
    Wire.create(path)
    about: dict[str, Any] = {"trigger": "hardware", "wire": path, "reopen_s": 0.05}
    settings: CameraSettings
    camera: Camera
    if request.param == "pylon":
        settings = PylonSettings(driver="pylon", emulate=stage.folder, **about)
        camera = PylonCamera(settings)
    else:
        settings = ReplaySettings(driver="replay", folder=stage.folder, **about)
        camera = ReplayCamera(settings)
    acquisition, eye = Acquisition(camera, settings, recorder), Wire(path)
    acquisition.start()
    recorder.wait(lambda events: any(isinstance(e, CameraArmed) for e, _ in events))
    yield acquisition, eye
    acquisition.stop()
    eye.close()


def taken(recorder: Any, count: int) -> list[Frame]:
    """The next ``count`` frames since the recorder was emptied."""
    recorder.wait(lambda events: sum(isinstance(e, Frame) for e, _ in events) >= count)
    found = [event for event, _ in recorder.events if isinstance(event, Frame)]
    recorder.events.clear()
    return found


def test_the_photo_eye_fires_and_arming_begins_the_count(
    wired: tuple[Acquisition, Wire], stage: Any, recorder: Any, make_picture: Any
) -> None:
    acquisition, eye = wired
    assert [type(event) for event, _ in recorder.events] == [CameraUp, CameraArmed]
    recorder.events.clear()
    for number in range(5):
        stage.show(make_picture(number))
        eye.pulse()
        (frame,) = taken(recorder, 1)
        assert frame.counter == number
        np.testing.assert_array_equal(frame.image, make_picture(number))
    asked_ns = time.monotonic_ns()
    acquisition.rearm("a test")
    recorder.wait(lambda events: any(isinstance(e, CameraArmed) for e, _ in events))
    (armed,) = [event for event, _ in recorder.events]
    assert asked_ns < armed.began_ns < armed.done_ns
    eye.pulse()
    assert [frame.counter for frame in taken(recorder, 1)] == [0]
    with pytest.raises(CameraError, match="trigger"):
        acquisition.trigger(1)


def test_a_wire_carries_what_only_the_camera_sees_and_what_it_overlooks(
    wired: tuple[Acquisition, Wire], recorder: Any
) -> None:
    _, eye = wired
    recorder.events.clear()
    eye.disturb(2)
    assert [frame.counter for frame in taken(recorder, 2)] == [0, 1]
    eye.miss()
    eye.pulse()
    eye.pulse()
    assert [frame.counter for frame in taken(recorder, 1)] == [2]
