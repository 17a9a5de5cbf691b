"""The pylon driver on pylon's own camera emulator."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from linegate.cameras.camera import Camera, PulseOutput
from linegate.cameras.convert import WireFormat
from linegate.cameras.errors import CameraError, CameraLost, CameraNotFound
from linegate.cameras.frame import Frame, FrameLost, LossReason
from linegate.cameras.pylon import PylonCamera
from linegate.cameras.settings import PylonSettings, Roi

WAIT_S = 10.0


@pytest.fixture
def make(stage: Any) -> Iterator[Callable[..., PylonCamera]]:
    made: list[PylonCamera] = []

    def build(**settings: Any) -> PylonCamera:
        made.append(PylonCamera(PylonSettings(driver="pylon", **{"emulate": stage.folder, **settings})))
        return made[-1]

    yield build
    for camera in made:
        camera.close()


def shot(camera: PylonCamera) -> Frame | FrameLost:
    camera.trigger(WAIT_S)
    got = camera.fetch(WAIT_S)
    assert got is not None
    return got


def frame(camera: PylonCamera) -> Frame:
    got = shot(camera)
    assert isinstance(got, Frame), got
    return got


def test_each_trigger_shows_what_is_there_at_that_moment(make: Any, stage: Any, make_picture: Any) -> None:
    camera = make()
    assert isinstance(camera, Camera)
    info = camera.open()
    assert (info.driver, info.link, info.pixel_format) == ("pylon", "emulated", "Mono8")
    camera.arm()
    for number in range(40):
        image = make_picture(number, 50 + number, 40)
        stage.show(image)
        got = frame(camera)
        np.testing.assert_array_equal(got.image, image)
        assert got.counter == number
        assert got.timestamp_ns > 0
    assert not got.image.flags.writeable


def test_frames_stay_valid_and_memory_bounded_when_consumers_keep_them(
    make: Any, stage: Any, make_picture: Any
) -> None:
    camera = make(buffers=4)
    camera.open()
    camera.arm()
    kept = []
    for number in range(12):
        stage.show(make_picture(number))
        kept.append(frame(camera))
        assert len(camera._on_loan) <= 2
    assert len(camera._on_loan) == 2
    part = kept[0].image[3:9, 5:7]
    first = kept[0].image
    camera.close()
    for number, held in enumerate(kept):
        np.testing.assert_array_equal(held.image, make_picture(number))
    del kept, held, first
    gc.collect()
    assert len(camera._on_loan) == 1  # a view of a part of the picture still holds it
    np.testing.assert_array_equal(part, make_picture(0)[3:9, 5:7])
    del part
    gc.collect()
    assert len(camera._on_loan) == 0


def test_arming_again_drops_what_was_not_fetched_and_restarts_the_count(
    make: Any, stage: Any, make_picture: Any
) -> None:
    camera = make()
    camera.open()
    camera.arm()
    for _ in range(3):
        camera.trigger(WAIT_S)
    camera.arm()
    stage.show(make_picture(77))
    got = frame(camera)
    assert got.counter == 0
    np.testing.assert_array_equal(got.image, make_picture(77))


def test_a_failed_buffer_is_a_typed_loss_and_the_next_frame_counts_on(make: Any) -> None:
    camera = make(features={"ForceFailedBufferCount": 1})
    camera.open()
    camera.arm()
    assert frame(camera).counter == 0
    camera._features.nodes.execute("ForceFailedBuffer")
    lost = shot(camera)
    assert isinstance(lost, FrameLost)
    assert (lost.reason, lost.counter, lost.count) == (LossReason.FAILED_BUFFER, 1, 1)
    assert "incompletely grabbed" in lost.detail
    assert frame(camera).counter == 2


def test_a_jump_of_the_counter_is_told_before_the_frame(make: Any) -> None:
    camera = make()
    camera.open()
    camera.arm()
    assert frame(camera).counter == 0
    for _ in range(3):
        camera.trigger(WAIT_S)
    for _ in range(2):  # taken behind the driver's back: for it, exposed and never delivered
        camera._camera.RetrieveResult(10_000).Release()
    lost = camera.fetch(WAIT_S)
    assert isinstance(lost, FrameLost)
    assert (lost.reason, lost.counter, lost.count) == (LossReason.GAP, 1, 2)
    got = camera.fetch(WAIT_S)
    assert isinstance(got, Frame)
    assert got.counter == 3


def test_a_photo_that_is_no_photo_is_a_failed_buffer_naming_it(make: Any, stage: Any) -> None:
    camera = make()
    camera.open()
    camera.arm()
    for name in ("a.bmp", "b.bmp"):
        (stage.folder / name).unlink()
        (stage.folder / name).write_bytes(b"no photo")
    lost = shot(camera)
    assert isinstance(lost, FrameLost)
    assert lost.reason is LossReason.FAILED_BUFFER
    assert ".bmp" in lost.detail


def test_the_folder_taken_away_is_a_lost_camera_and_put_back_a_found_one(make: Any, stage: Any) -> None:
    camera = make()
    camera.open()
    camera.arm()
    frame(camera)
    stage.pull()
    with pytest.raises(CameraLost, match="no photo in"):
        camera.trigger(WAIT_S)
    with pytest.raises(CameraLost):
        camera.fetch(0.0)
    with pytest.raises(CameraNotFound):
        camera.open()
    stage.plug()
    camera.open()
    camera.arm()
    assert frame(camera).counter == 0


def test_a_removed_device_is_a_lost_camera(make: Any) -> None:
    camera = make()
    camera.open()
    camera.arm()
    frame(camera)
    camera._features.nodes.execute("FirePnPCallback")  # the emulator's unplug: pylon reports the device removed
    with pytest.raises(CameraLost, match="removed"):
        camera.fetch(0.0)
    camera.close()
    camera.close()
    camera.open()
    camera.arm()
    assert frame(camera).counter == 0


def test_a_device_closed_underneath_is_a_lost_camera(make: Any) -> None:
    camera = make()
    camera.open()
    camera.arm()
    camera._camera.DestroyDevice()
    with pytest.raises(CameraLost):
        camera.trigger(1.0)
    with pytest.raises(CameraLost):
        camera.fetch(0.1)


def test_more_triggers_than_buffers_are_refused_not_lost(make: Any) -> None:
    camera = make(buffers=3)
    camera.open()
    camera.arm()
    taken = 0
    with pytest.raises(CameraError, match="still busy"):
        for _ in range(10):
            camera.trigger(0.3)
            taken += 1
    counters = []
    while (got := camera.fetch(0.3)) is not None:
        assert isinstance(got, Frame)
        counters.append(got.counter)
    assert counters == list(range(taken))
    assert 3 <= taken < 10


def emulator_formats() -> list[str]:
    colours = ["BGRA8Packed", "BGR8Packed", "RGB8Packed", "RGB16Packed"]
    bayer = [f"Bayer{p}{b}" for p in ("GR", "RG", "GB", "BG") for b in (8, 10, 12, 16)]
    return ["Mono8", "Mono10", "Mono12", "Mono16", *colours, *bayer]


@pytest.mark.parametrize("layout", ["Mono", "BGR", "RGB", "BayerGR", "BayerRG", "BayerGB", "BayerBG"])
def test_every_format_the_emulator_offers(make: Any, stage: Any, layout: str) -> None:
    """A red, a green and a blue field above a white one, seen through each wire format."""
    photo = np.zeros((64, 96, 3), np.uint8)
    photo[:, :32], photo[:, 32:64], photo[:, 64:] = (240, 0, 0), (0, 240, 0), (0, 0, 240)  # RGB
    photo[48:] = 255
    stage.show(cv2.cvtColor(photo, cv2.COLOR_RGB2BGR))
    chosen = [name for name in emulator_formats() if name.startswith(layout)]
    assert chosen
    for pixel_format in chosen:
        camera = make(pixel_format=pixel_format)
        assert camera.open().pixel_format == pixel_format
        camera.arm()
        got = frame(camera)
        camera.close()
        wire = WireFormat.parse(pixel_format)
        assert got.pixel_format == pixel_format
        assert got.image.dtype == (np.uint8 if wire.bits == 8 else np.uint16), pixel_format
        assert not got.image.flags.writeable
        scale = 1 if wire.bits == 8 else 257
        assert got.image.max() >= 254 * scale, pixel_format
        fields = got.image[8:40, [16, 48, 80]].mean(axis=0) / scale
        if wire.layout == "Mono":
            assert got.image.shape == (64, 96)
            assert fields[1] > fields[0] > fields[2]  # as the eye weighs green, red, blue
        else:
            assert got.image.shape == (64, 96, 3)
            np.testing.assert_allclose(fields, np.eye(3) * 240, atol=3, err_msg=pixel_format)


def test_the_list_of_formats_is_the_emulators_own(make: Any) -> None:
    camera = make()
    camera.open()
    assert sorted(camera._features.nodes.symbols("PixelFormat")) == sorted(emulator_formats())


def test_a_format_may_be_written_as_sfnc_2_does(make: Any) -> None:
    assert make(pixel_format="RGB8").open().pixel_format == "RGB8Packed"


def test_exposure_gain_and_roi_reach_the_camera(make: Any, stage: Any, make_picture: Any) -> None:
    stage.show(make_picture(1, 200, 150))
    camera = make(exposure_us=2000, gain_db=6, roi=Roi(width_px=120, height_px=80))
    info = camera.open()
    assert (info.width_px, info.height_px) == (120, 80)
    assert camera._features.nodes.read("ExposureTimeAbs") == pytest.approx(2000)
    assert camera._features.nodes.read("Gain") == pytest.approx(6, abs=0.1)
    camera.arm()
    assert frame(camera).image.shape == (80, 120)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"exposure_us": 1e12}, ["ExposureTime", "1000000000000.0", "100 to 3000000"]),
        ({"gain_db": 500}, ["Gain", "500", "0 to 48"]),
        ({"pixel_format": "Mono13"}, ["PixelFormat", "Mono13", "one of Mono8, Mono10"]),
        ({"roi": Roi(width_px=9000, height_px=100)}, ["Width", "9000", "1 to 4096"]),
        ({"trigger": "hardware", "trigger_line": "Line9"}, ["TriggerSource", "Line9", "Line1"]),
        ({"features": {"NoSuchThing": 1}}, ["NoSuchThing", "no such feature"]),
        ({"features": {"BinningHorizontal": "two"}}, ["BinningHorizontal", "two"]),
    ],
)
def test_a_refused_feature_is_named_with_what_is_allowed(make: Any, settings: dict[str, Any], words: list[str]) -> None:
    camera = make(**settings)
    with pytest.raises(CameraError) as caught:
        camera.open()
    for word in words:
        assert word in str(caught.value)
    with pytest.raises(CameraError, match="closed"):
        camera.fetch(0.0)


def test_hardware_trigger_waits_for_its_line_and_refuses_software(make: Any) -> None:
    camera = make(trigger="hardware", trigger_line="Line2")
    camera.open()
    assert (camera._features.nodes.read("TriggerSource"), camera._features.nodes.read("TriggerMode")) == ("Line2", "On")
    camera.arm()
    assert camera.fetch(0.05) is None  # nobody breaks the light barrier
    with pytest.raises(CameraError, match="hardware"):
        camera.trigger(0.1)


def test_a_free_camera_runs_by_itself(make: Any) -> None:
    camera = make(trigger="free")
    camera.open()
    camera.arm()
    got = [camera.fetch(WAIT_S) for _ in range(3)]
    assert [g.counter for g in got if isinstance(g, Frame)] == [0, 1, 2]


def test_two_emulated_cameras_do_not_share_a_device(make: Any) -> None:
    first, second = make(name="top"), make(name="side")
    assert first.open().id != second.open().id
    for camera in (first, second):
        camera.arm()
        assert frame(camera).camera == camera.name


def test_a_missing_folder_and_a_missing_camera_are_not_found(make: Any, tmp_path: Path) -> None:
    with pytest.raises(CameraNotFound, match="no such folder"):
        make(emulate=tmp_path / "nowhere").open()
    (tmp_path / "empty").mkdir()
    with pytest.raises(CameraNotFound, match="no photo in it"):
        make(emulate=tmp_path / "empty").open()
    with pytest.raises(CameraNotFound, match="12345678"):
        make(emulate=None, serial="12345678").open()


def test_the_emulator_has_no_timer_to_pulse_and_says_so(make: Any) -> None:
    camera = make()
    assert isinstance(camera, PulseOutput)
    camera.open()
    with pytest.raises(CameraError, match="a timer that software can start"):
        camera.pulse("Line3", 5000)


def test_closed_cameras_say_so(make: Any) -> None:
    camera = make()
    with pytest.raises(CameraError, match="closed"):
        camera.trigger(0.1)
    with pytest.raises(CameraError, match="closed"):
        camera.fetch(0.1)
    with pytest.raises(CameraError, match="closed"):
        camera.pulse("Line1", 100)
