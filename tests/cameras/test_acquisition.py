"""The acquisition loop: every tag ends in exactly one event, and no frame ever stands for another part."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from linegate.cameras.acquisition import Acquisition
from linegate.cameras.camera import Camera, CameraInfo
from linegate.cameras.errors import CameraError, CameraLost
from linegate.cameras.frame import CameraDown, CameraUp, Frame, FrameLost, LossReason
from linegate.cameras.pylon import PylonCamera
from linegate.cameras.settings import CameraSettings, PylonSettings

UP_S = 20.0


class Cable:
    """The wire between an acquisition and a real driver. Faults happen here; everything else is the driver's."""

    def __init__(self, camera: Camera) -> None:
        self._camera = camera
        self.unplugged = threading.Event()
        self.surprise: Exception | None = None
        self.hold_frames = 0
        """So many frames take so long that the fetch after the next one finds them, unless the camera is disarmed before."""
        self._held: list[Frame] = []
        self.repeat: Frame | None = None
        """A frame that arrives, late, before the next one."""
        self.opened = 0

    @property
    def name(self) -> str:
        return self._camera.name

    def _pass(self) -> None:
        if self.unplugged.is_set():
            self._camera.close()  # the device underneath is really gone
            raise CameraLost("camera", expected="a cable", found="none", remedy="Plug it in.")
        if self.surprise is not None:
            surprise, self.surprise = self.surprise, None
            raise surprise

    def open(self) -> CameraInfo:
        self._pass()
        self.opened += 1
        return self._camera.open()

    def arm(self) -> None:
        self._pass()
        self._camera.arm()

    def prepare(self, timeout_s: float) -> None:
        self._pass()
        self._camera.prepare(timeout_s)

    def trigger(self, timeout_s: float) -> None:
        self._pass()
        self._camera.trigger(timeout_s)

    def fetch(self, timeout_s: float) -> Frame | FrameLost | None:
        self._pass()
        if self.repeat is not None:
            late, self.repeat = self.repeat, None
            return late
        if self._held and self.hold_frames == 0:
            return self._held.pop(0)
        got = self._camera.fetch(timeout_s)
        if isinstance(got, Frame) and self.hold_frames > 0:
            self._held.append(got)
            return None
        return got

    def disarm(self) -> None:
        self._pass()
        self._held.clear()
        self._camera.disarm()

    def close(self) -> None:
        self._camera.close()


@pytest.fixture
def run(stage: Any, recorder: Any) -> Iterator[Callable[..., tuple[Acquisition, Cable]]]:
    made: list[Acquisition] = []

    def build(pending: int = 64, **settings: Any) -> tuple[Acquisition, Cable]:
        chosen: CameraSettings = PylonSettings(
            driver="pylon", **{"emulate": stage.folder, "timeout_s": 5.0, "reopen_s": 0.05, **settings}
        )
        cable = Cable(PylonCamera(chosen))
        made.append(Acquisition(cable, chosen, recorder, pending=pending))
        made[-1].start()
        return made[-1], cable

    yield build
    for acquisition in made:
        acquisition.stop()


def test_each_tag_gets_the_frame_of_its_own_moment(run: Any, stage: Any, recorder: Any, make_picture: Any) -> None:
    acquisition, _ = run()
    assert acquisition.wait_healthy(UP_S)
    for tag in range(30):
        stage.show(make_picture(tag))
        acquisition.trigger(tag)
        got = recorder.of(tag)
        assert isinstance(got, Frame)
        np.testing.assert_array_equal(got.image, make_picture(tag))
    assert isinstance(recorder.events[0][0], CameraUp)
    assert recorder.count(FrameLost) == recorder.count(CameraDown) == 0


def test_a_burst_is_served_in_order(run: Any, recorder: Any) -> None:
    acquisition, _ = run()
    assert acquisition.wait_healthy(UP_S)
    for tag in range(50):
        acquisition.trigger(tag)
    recorder.wait(lambda events: sum(tag is not None for _, tag in events) == 50)
    served = [(tag, event.counter) for event, tag in recorder.events if isinstance(event, Frame)]
    assert served == [(tag, tag) for tag in range(50)]


def test_the_pulled_cable_is_told_and_the_camera_comes_back_by_itself(run: Any, stage: Any, recorder: Any) -> None:
    acquisition, _ = run()
    assert acquisition.wait_healthy(UP_S)
    stage.pull()
    recorder.wait(lambda events: any(isinstance(e, CameraDown) for e, _ in events))  # noticed without any trigger
    assert not acquisition.healthy
    for tag in (1, 2, 3):
        acquisition.trigger(tag)
        lost = recorder.of(tag)
        assert isinstance(lost, FrameLost)
        assert lost.reason is LossReason.CAMERA_DOWN
    stage.plug()
    assert acquisition.wait_healthy(UP_S)
    acquisition.trigger(4)
    assert isinstance(recorder.of(4), Frame)
    assert recorder.count(CameraUp) == 2


def test_unplugged_with_triggers_pending_each_is_lost_and_none_is_kept(run: Any, recorder: Any) -> None:
    acquisition, cable = run()
    assert acquisition.wait_healthy(UP_S)
    for tag in range(20):
        acquisition.trigger(tag)
    cable.unplugged.set()
    for tag in range(20, 40):
        acquisition.trigger(tag)
    recorder.wait(lambda events: sum(tag is not None for _, tag in events) == 40)
    kinds = [type(recorder.of(tag)) for tag in range(40)]
    first_lost = kinds.index(FrameLost)
    assert first_lost <= 20
    assert set(kinds[first_lost:]) == {FrameLost}
    cable.unplugged.clear()
    assert acquisition.wait_healthy(UP_S)
    acquisition.trigger(40)
    assert isinstance(recorder.of(40), Frame)


@pytest.mark.parametrize("surprise", [ValueError("the SDK says no"), RuntimeError("0xE1000014"), KeyError("node")])
def test_an_unexpected_exception_is_a_camera_down_with_its_words(run: Any, recorder: Any, surprise: Exception) -> None:
    acquisition, cable = run()
    assert acquisition.wait_healthy(UP_S)
    cable.surprise = surprise
    recorder.wait(lambda events: sum(isinstance(e, CameraUp) for e, _ in events) == 2)
    (down,) = [event for event, _ in recorder.events if isinstance(event, CameraDown)]
    assert str(surprise) in down.detail
    acquisition.trigger(1)
    assert isinstance(recorder.of(1), Frame)


def test_a_camera_that_can_not_be_opened_is_told_once_and_tried_again(run: Any, stage: Any, recorder: Any) -> None:
    stage.pull()
    acquisition, cable = run(reopen_s=0.01)
    recorder.wait(lambda events: any(isinstance(e, CameraDown) for e, _ in events))
    until = time.monotonic() + UP_S
    while cable.opened < 5 and time.monotonic() < until:
        time.sleep(0.01)
    assert cable.opened >= 5
    assert recorder.count(CameraDown) == 1
    stage.plug()
    assert acquisition.wait_healthy(UP_S)


def test_a_frame_later_than_its_trigger_never_stands_for_the_next_part(
    run: Any, stage: Any, recorder: Any, make_picture: Any
) -> None:
    """The exposure takes longer than timeout_s: part 1's frame would come while part 2 is being photographed."""
    acquisition, cable = run(timeout_s=0.15, exposure_us=400_000)
    assert acquisition.wait_healthy(UP_S)
    for tag in (1, 2, 3):
        stage.show(make_picture(tag))
        acquisition.trigger(tag)
        lost = recorder.of(tag)
        assert isinstance(lost, FrameLost)
        assert lost.reason is LossReason.TIMEOUT
    cable._camera._features.put("ExposureTimeAbs", 100.0)
    for tag in (4, 5):
        stage.show(make_picture(tag))
        acquisition.trigger(tag)
        got = recorder.of(tag)
        if isinstance(got, Frame):  # the slow exposure may still be in the way of the first
            np.testing.assert_array_equal(got.image, make_picture(tag))
    assert isinstance(recorder.of(5), Frame)


def test_a_frame_of_an_earlier_count_is_thrown_away(run: Any, stage: Any, recorder: Any, make_picture: Any) -> None:
    """A driver that hands over an old frame late: its counter gives it away."""
    acquisition, cable = run()
    assert acquisition.wait_healthy(UP_S)
    acquisition.trigger(0)
    old = recorder.of(0)
    stage.show(make_picture(1))
    acquisition.trigger(1)
    recorder.of(1)
    stage.show(make_picture(2))
    with_late: Callable[[float], None] = cable._camera.trigger

    def late(timeout_s: float) -> None:
        with_late(timeout_s)
        cable.repeat = old

    cable._camera.trigger = late
    acquisition.trigger(2)
    got = recorder.of(2)
    assert isinstance(got, Frame)
    assert got.counter == 2
    np.testing.assert_array_equal(got.image, make_picture(2))
    assert acquisition.discarded == 1


def test_a_frame_held_up_on_the_way_costs_its_own_part_only(
    run: Any, stage: Any, recorder: Any, make_picture: Any
) -> None:
    acquisition, cable = run(timeout_s=0.3)
    assert acquisition.wait_healthy(UP_S)
    acquisition.trigger(0)
    assert isinstance(recorder.of(0), Frame)
    cable.hold_frames = 1
    acquisition.trigger(1)
    lost = recorder.of(1)
    cable.hold_frames = 0
    assert isinstance(lost, FrameLost)
    assert lost.reason is LossReason.TIMEOUT
    stage.show(make_picture(2))
    acquisition.trigger(2)
    got = recorder.of(2)
    assert isinstance(got, Frame)
    np.testing.assert_array_equal(got.image, make_picture(2))


def test_a_gap_closes_its_tag_and_the_count_is_proven_again(
    run: Any, stage: Any, recorder: Any, make_picture: Any
) -> None:
    acquisition, cable = run()
    assert acquisition.wait_healthy(UP_S)
    acquisition.trigger(0)
    recorder.of(0)
    real: Callable[[float], None] = cable._camera.trigger

    def twice(timeout_s: float) -> None:
        cable._camera.trigger = real
        real(timeout_s)
        cable._camera._camera.RetrieveResult(10_000).Release()  # that one never reaches the driver
        real(timeout_s)

    cable._camera.trigger = twice
    acquisition.trigger(1)
    lost = recorder.of(1)
    assert isinstance(lost, FrameLost)
    assert (lost.reason, lost.counter) == (LossReason.GAP, 1)
    stage.show(make_picture(2))
    acquisition.trigger(2)
    got = recorder.of(2)
    assert isinstance(got, Frame)
    assert got.counter == 0
    np.testing.assert_array_equal(got.image, make_picture(2))


def test_however_many_frames_the_camera_skips_one_trigger_is_one_loss(run: Any, recorder: Any) -> None:
    acquisition, cable = run()
    assert acquisition.wait_healthy(UP_S)
    real: Callable[[float], None] = cable._camera.trigger

    def thrice(timeout_s: float) -> None:
        cable._camera.trigger = real
        for _ in range(2):
            real(timeout_s)
            cable._camera._camera.RetrieveResult(10_000).Release()  # these never reach the driver
        real(timeout_s)

    cable._camera.trigger = thrice
    acquisition.trigger(0)
    lost = recorder.of(0)
    assert isinstance(lost, FrameLost)
    assert (lost.reason, lost.count) == (LossReason.GAP, 1)


def test_a_failed_buffer_is_its_tags_loss_and_the_next_tag_is_served(run: Any, recorder: Any) -> None:
    acquisition, cable = run(features={"ForceFailedBufferCount": 1})
    assert acquisition.wait_healthy(UP_S)
    acquisition.trigger(0)
    recorder.of(0)
    cable._camera._features.nodes.execute("ForceFailedBuffer")
    acquisition.trigger(1)
    lost = recorder.of(1)
    assert isinstance(lost, FrameLost)
    assert (lost.reason, lost.counter) == (LossReason.FAILED_BUFFER, 1)
    acquisition.trigger(2)
    assert recorder.of(2).counter == 2


def test_too_many_waiting_triggers_are_refused_at_once(run: Any, recorder: Any) -> None:
    acquisition, _ = run(pending=2, exposure_us=300_000)
    assert acquisition.wait_healthy(UP_S)
    for tag in range(6):
        acquisition.trigger(tag)
    recorder.wait(lambda events: sum(tag is not None for _, tag in events) == 6)
    refused = [recorder.of(tag) for tag in range(6) if isinstance(recorder.of(tag), FrameLost)]
    assert 3 <= len(refused) <= 4
    assert all("2 triggers are waiting" in lost.detail for lost in refused)


def test_stopping_settles_what_waits_and_refuses_what_comes(run: Any, recorder: Any) -> None:
    acquisition, _ = run(exposure_us=200_000)
    assert acquisition.wait_healthy(UP_S)
    for tag in range(8):
        acquisition.trigger(tag)
    acquisition.stop()
    acquisition.stop()
    acquisition.trigger(8)
    assert not acquisition.healthy
    events = [recorder.of(tag) for tag in range(9)]
    assert isinstance(events[-1], FrameLost)
    assert events[-1].reason is LossReason.CAMERA_DOWN


def test_a_receiver_that_fails_does_not_stop_the_camera(stage: Any) -> None:
    seen = []

    def receive(event: object, tag: int | None) -> None:
        seen.append(tag)
        raise ZeroDivisionError

    settings = PylonSettings(driver="pylon", emulate=stage.folder, timeout_s=5.0)
    acquisition = Acquisition(PylonCamera(settings), settings, receive)
    acquisition.start()
    try:
        assert acquisition.wait_healthy(UP_S)
        acquisition.trigger(1)
        acquisition.trigger(2)
        until = time.monotonic() + UP_S
        while len(seen) < 3 and time.monotonic() < until:
            time.sleep(0.01)
        assert seen == [None, 1, 2]
        assert acquisition.healthy
    finally:
        acquisition.stop()


def test_a_camera_fired_by_a_wire_just_delivers(run: Any, recorder: Any) -> None:
    acquisition, _ = run(trigger="free")
    recorder.wait(lambda events: sum(isinstance(e, Frame) for e, _ in events) >= 5)
    frames = [event for event, tag in recorder.events if isinstance(event, Frame) and tag is None]
    assert [frame.counter for frame in frames[:5]] == [0, 1, 2, 3, 4]
    with pytest.raises(CameraError, match="trigger"):
        acquisition.trigger(1)


def test_a_driver_that_hangs_does_not_hold_up_the_stop(run: Any, recorder: Any) -> None:
    acquisition, cable = run()
    assert acquisition.wait_healthy(UP_S)
    hangs, goes_on = threading.Event(), threading.Event()

    def hang(timeout_s: float) -> None:
        hangs.set()
        assert goes_on.wait(UP_S)

    cable._camera.fetch = hang
    for tag in range(3):
        acquisition.trigger(tag)
    assert hangs.wait(UP_S)
    acquisition.stop(timeout_s=0.1)
    assert not acquisition.healthy
    acquisition.trigger(3)
    assert [recorder.of(tag).reason for tag in range(4)] == [LossReason.CAMERA_DOWN] * 4
    heard = len(recorder.events)
    goes_on.set()
    acquisition.stop()
    assert len(recorder.events) == heard, "what was left behind is not heard any more"
