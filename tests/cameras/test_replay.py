from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from linegate.cameras.acquisition import Acquisition
from linegate.cameras.camera import Camera
from linegate.cameras.errors import CameraError, CameraLost, CameraNotFound
from linegate.cameras.frame import Frame, FrameLost, LossReason
from linegate.cameras.replay import ReplayCamera
from linegate.cameras.settings import ReplaySettings


@pytest.fixture
def photos(tmp_path: Path, make_picture: Any) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    colour = np.zeros((20, 30, 3), np.uint8)
    colour[:] = (10, 20, 200)  # BGR
    cv2.imwrite(str(folder / "10.png"), make_picture(1))
    cv2.imwrite(str(folder / "20.bmp"), colour)
    cv2.imwrite(str(folder / "30.png"), make_picture(2).astype(np.uint16) * 257)
    cv2.imwrite(str(folder / "40.jpg"), colour)
    (folder / "40.jpg").write_bytes((folder / "40.jpg").read_bytes()[:-40])  # OpenCV would fill the rest with grey
    cv2.imwrite(str(folder / "50.png"), np.dstack([colour, np.full((20, 30), 9, np.uint8)]))
    (folder / "60.png").write_bytes(b"")
    (folder / "notes.txt").write_text("not a photo")
    return folder


def open_(folder: Path, **settings: Any) -> ReplayCamera:
    camera = ReplayCamera(ReplaySettings(driver="replay", folder=folder, **settings))
    camera.open()
    camera.arm()
    return camera


def shot(camera: ReplayCamera) -> Frame | FrameLost:
    camera.trigger(0.1)
    got = camera.fetch(0.1)
    assert got is not None
    return got


def test_photos_come_in_name_order_as_they_are(photos: Path, make_picture: Any) -> None:
    camera = open_(photos)
    assert isinstance(camera, Camera)
    grey, colour, deep, broken, alpha, empty, again = (shot(camera) for _ in range(7))
    assert isinstance(grey, Frame)
    np.testing.assert_array_equal(grey.image, make_picture(1))
    assert isinstance(colour, Frame)
    assert (colour.image == (200, 20, 10)).all()
    assert isinstance(deep, Frame)
    assert (deep.image.dtype, deep.pixel_format) == (np.uint16, "Mono16")
    assert isinstance(broken, FrameLost)
    assert broken.reason is LossReason.FAILED_BUFFER
    assert "40.jpg" in broken.detail
    assert isinstance(alpha, Frame)
    assert alpha.image.shape == (20, 30, 3)
    assert isinstance(empty, FrameLost)
    assert "60.png" in empty.detail
    assert [n.counter for n in (grey, colour, deep, broken, alpha, empty, again)] == list(range(7))
    assert isinstance(again, Frame)
    np.testing.assert_array_equal(again.image, make_picture(1))
    assert not again.image.flags.writeable
    camera.close()


def test_a_list_is_shown_in_its_own_order(photos: Path, make_picture: Any) -> None:
    settings = ReplaySettings(driver="replay", folder=photos, loop=False)
    camera = ReplayCamera(settings, [photos / "30.png", photos / "10.png"])
    camera.open()
    camera.arm()
    first, second = shot(camera), shot(camera)
    assert isinstance(first, Frame)
    assert first.image.dtype == np.uint16
    assert isinstance(second, Frame)
    np.testing.assert_array_equal(second.image, make_picture(1))
    with pytest.raises(CameraError, match="all 2 were shown"):
        camera.trigger(0.1)


def test_a_stage_is_read_anew_at_each_trigger(stage: Any, make_picture: Any) -> None:
    camera = open_(stage.folder)
    for number in range(10):
        stage.show(make_picture(number))
        camera.trigger(0.1)
        stage.show(make_picture(1000))  # what comes after the trigger is not in the picture
        got = camera.fetch(0.1)
        assert isinstance(got, Frame)
        np.testing.assert_array_equal(got.image, make_picture(number))


def test_a_folder_taken_away_is_a_lost_camera(stage: Any) -> None:
    camera = open_(stage.folder)
    stage.pull()
    with pytest.raises(CameraLost):
        camera.trigger(0.1)
    with pytest.raises(CameraLost):
        camera.fetch(0.0)
    with pytest.raises(CameraNotFound):
        camera.open()
    stage.plug()
    camera.open()


def test_exposures_not_fetched_are_bounded_and_dropped_by_arming(photos: Path) -> None:
    camera = open_(photos)
    for _ in range(8):
        camera.trigger(0.1)
    with pytest.raises(CameraError, match="not fetched"):
        camera.trigger(0.1)
    camera.arm()
    assert camera.fetch(0.0) is None
    assert shot(camera).counter == 0


def test_free_delivers_every_photo_once(photos: Path) -> None:
    camera = open_(photos, trigger="free", loop=False)
    assert [camera.fetch(0.01) is not None for _ in range(7)] == [True] * 6 + [False]


def test_wrong_settings_are_said(tmp_path: Path, photos: Path) -> None:
    with pytest.raises(CameraNotFound, match="no such folder"):
        open_(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CameraNotFound, match="no photo in it"):
        open_(tmp_path / "empty")
    with pytest.raises(CameraError, match="virtual photo-eye"):
        open_(photos, trigger="hardware")
    with pytest.raises(CameraError, match="No such file"):
        open_(photos, trigger="hardware", wire=tmp_path / "none")


def test_a_replay_that_is_over_says_so_for_each_trigger(stage: Any, recorder: Any) -> None:
    settings = ReplaySettings(driver="replay", folder=stage.folder, loop=False)
    acquisition = Acquisition(ReplayCamera(settings), settings, recorder)
    acquisition.start()
    try:
        assert acquisition.wait_healthy(20.0)
        for tag in range(4):
            acquisition.trigger(tag)
        assert [type(recorder.of(tag)) for tag in range(4)] == [Frame, Frame, FrameLost, FrameLost]
        assert "all 2 were shown" in recorder.of(3).detail
    finally:
        acquisition.stop()
