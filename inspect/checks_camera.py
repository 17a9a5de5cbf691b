"""Try a camera: open it, and take a picture where a program may fire it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from linegate.cameras.calibration import Calibration
from linegate.cameras.camera import CameraInfo, PulseOutput
from linegate.cameras.errors import CameraError
from linegate.cameras.factory import open_camera
from linegate.cameras.frame import Frame, FrameLost
from linegate.cameras.settings import CameraSettings, PylonSettings, ReplaySettings
from linegate.cameras.wire import Wire
from linegate.inspect.findings import Finding, attempt
from linegate.inspect.settings import StationSettings

PICTURE_WAIT_S = 5.0
TEST_SIZE_PX = 512


def check_camera(
    settings: CameraSettings, *, virtual: bool, seen: Callable[[CameraInfo], None] = lambda _info: None
) -> Finding:
    """Open and, unless the photo-eye fires it, photograph. With the virtual line the camera sees a test card. ``seen`` is told
    what opened."""
    about = f"camera {settings.name}"

    def trial() -> Finding:
        with tempfile.TemporaryDirectory() as folder:
            stage = Path(folder)
            card = np.linspace(0, 255, TEST_SIZE_PX, dtype=np.uint8)
            for name in ("a.bmp", "b.bmp"):  # the emulator re-reads a folder of two files at every frame
                cv2.imwrite(str(stage / name), np.tile(card, (TEST_SIZE_PX, 1)))
            if virtual and isinstance(settings, PylonSettings):
                return _try(about, settings.model_copy(update={"emulate": stage}), seen)
            if virtual and isinstance(settings, ReplaySettings):
                wire = stage / "wire"
                Wire.create(wire)
                return _try(about, settings.model_copy(update={"folder": stage, "wire": wire}), seen)
            return _try(about, settings, seen)

    return attempt(about, trial, "Check its cable and power.")


def check_pulse(station: StationSettings) -> Finding:
    """The second reject path. Its output is not tried: a pulse lets a part pass."""
    assert station.pulse is not None
    pulse = station.pulse
    about = f"pulse {pulse.line}"
    settings = next(camera for camera in station.cameras if camera.name == pulse.camera)

    def trial() -> Finding:
        if not isinstance(open_camera(settings), PulseOutput):
            remedy = 'Use driver = "pylon" for it, or remove [pulse] from station.toml.'
            return Finding(
                about, False, f"driver {settings.driver} of camera {pulse.camera} has no timer output", remedy
            )
        if isinstance(settings, PylonSettings) and settings.emulate is not None:
            remedy = "Remove [pulse] from station.toml; it is for a real camera."
            return Finding(about, False, f"the emulated camera {pulse.camera} has no timer output", remedy)
        pitch_ms = station.timing.min_pitch_ms
        if pulse.pulse_ms >= pitch_ms:
            found = f"a pulse of {pulse.pulse_ms:g} ms still lasts when the next part may come, after {pitch_ms:g} ms"
            return Finding(
                about, False, found, "Shorten pulse_ms under [pulse]; the gate must be at rest again by then."
            )
        found = f"{pulse.pulse_ms:g} ms at {pulse.line} of camera {pulse.camera} for PASS; not tried, it would open the gate"
        return Finding(about, True, found, "")

    return attempt(about, trial, "")


def _calibration(settings: CameraSettings, info: CameraInfo) -> str:
    """What the camera's calibration says, "" without one. Raises CameraError when it is not one of this picture."""
    if settings.calibration is None:
        return ""
    calibration = Calibration.load(settings.calibration)
    if getattr(settings, "emulate", None) is None:
        calibration.check_size(info.width_px, info.height_px)
    return f", {calibration.pixel_mm:.4f} mm a pixel by {settings.calibration.name}"


def _try(about: str, settings: CameraSettings, seen: Callable[[CameraInfo], None]) -> Finding:
    camera = open_camera(settings)
    try:
        info = camera.open()
        seen(info)
        who = f"{info.vendor} {info.model} {info.id} ({info.link})".strip() + _calibration(settings, info)
        if settings.trigger in ("hardware", "free"):
            return Finding(about, True, f"{who} opens; no picture taken, trigger = {settings.trigger}", "")
        camera.arm()
        begin = time.perf_counter()
        camera.trigger(PICTURE_WAIT_S)
        event = camera.fetch(PICTURE_WAIT_S)
        took_ms = (time.perf_counter() - begin) * 1000
    finally:
        camera.close()
    if not isinstance(event, Frame):
        raise CameraError(
            about,
            expected="a picture",
            found=f"a lost one ({event.reason.value})" if isinstance(event, FrameLost) else "none in 5 s",
            remedy="Check the link's bandwidth and cable; for GigE jumbo frames and the firewall.",
        )
    height, width = event.image.shape[:2]
    return Finding(about, True, f"{who}: picture {width} × {height}, {info.pixel_format}, {took_ms:.1f} ms", "")
