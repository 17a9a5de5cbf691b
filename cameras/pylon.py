"""Basler cameras over USB3 and GigE, and pylon's own camera emulator, through pypylon."""

from __future__ import annotations

import contextlib
import time
import weakref
from typing import Any

import numpy as np

from linegate.cameras import pylon_nodes
from linegate.cameras.camera import CameraInfo
from linegate.cameras.chunks import TIMESTAMP, Chunks
from linegate.cameras.convert import WireFormat, to_image
from linegate.cameras.counter import FrameCounter
from linegate.cameras.errors import CameraError, CameraLost
from linegate.cameras.features import EXPOSURE, Features, configure, configure_trigger
from linegate.cameras.frame import Frame, FrameLost, Image, LossReason
from linegate.cameras.pylon_find import EMULATED_IN_USE, find, has_photo
from linegate.cameras.pylon_pulse import TimerPulse
from linegate.cameras.settings import PylonSettings
from linegate.cameras.wire import Wire, connect

EMULATED_EXPOSURE_US = 100.0
WIRE_LOOK_MS = 1
"""Longest time between two looks at an emulated camera's photo-eye."""
GIGE_BLOCK_IDS = 65535
"""GigE Vision's 16-bit block id runs from 1 to 65535 and skips 0."""


class PylonCamera:
    """A ``Camera``; see there for the life and for who calls what. With ``emulate`` set it is pylon's emulator
    photographing a folder, and the folder going away is the cable being pulled."""

    def __init__(self, settings: PylonSettings) -> None:
        self._settings = settings
        self._camera: Any = None
        self._serial = ""
        self._features: Features | None = None
        self._pulse: TimerPulse | None = None
        self._counter: FrameCounter | None = None
        self._chunks = Chunks(settings.name)
        self._ticks_per_s = 1_000_000_000
        self._format = ""
        self._after_gap: Frame | FrameLost | None = None
        self._ready = False
        self._wire: Wire | None = None
        self._on_loan: set[int] = set()  # buffers that frames still use; set.add and .discard are atomic

    @property
    def name(self) -> str:
        """The name in station.toml."""
        return self._settings.name

    def open(self) -> CameraInfo:
        """Connect and configure."""
        self.close()
        settings = self._settings
        with pylon_nodes.ENUMERATION:
            device = find(self._settings)
            try:
                self._camera = pylon_nodes.sdk().InstantCamera(
                    pylon_nodes.sdk().TlFactory.GetInstance().CreateDevice(device.info)
                )
                self._camera.Open()
            except Exception as error:
                self._camera = None
                raise CameraError(
                    self._thing,
                    expected=f"camera {device.serial} to open",
                    found=str(error).strip().splitlines()[0],
                    remedy="Close the program that uses it (pylon Viewer?), or check its link and IP address.",
                ) from error
            self._serial = device.serial
            if device.emulated:
                EMULATED_IN_USE.add(device.serial)
        try:
            self._features = Features(self.name, pylon_nodes.PylonNodes(self._camera.GetNodeMap()))
            if device.emulated:
                self._prepare_emulator(self._features)
            configure(self._features, settings)
            if settings.wire is not None and settings.trigger == "hardware":
                self._wire = connect(self.name, settings.wire)
            mode = "software" if self._wire is not None else settings.trigger  # the emulator's own inputs lead nowhere
            configure_trigger(self._features, self.name, mode, settings.trigger_line)
            for feature, value in settings.features.items():
                self._features.put(feature, value)
            if "ChunkModeActive" not in settings.features:
                self._chunks.switch_on(self._features)
            self._read_clock(self._features)
            self._camera.MaxNumBuffer.SetValue(settings.buffers)
            nodes = self._features.nodes
            self._format = str(nodes.read("PixelFormat"))
            WireFormat.parse(self._format)  # refuse now what no frame could be converted from
            info = CameraInfo(
                driver="pylon",
                id=device.serial,
                vendor=device.vendor,
                model=device.model,
                width_px=int(nodes.read("Width")),
                height_px=int(nodes.read("Height")),
                pixel_format=self._format,
                link=device.link,
            )
        except BaseException:
            self.close()
            raise
        self._pulse = TimerPulse(self.name, self._features)
        return info

    def arm(self) -> None:
        """Start acquisition; buffers are filled in order and never overwritten (OneByOne)."""
        camera = self._opened()
        self.disarm()
        first, period = self._block_ids()
        self._counter = FrameCounter(self.name, first=first, period=period)
        self._chunks.restart()
        try:
            camera.StartGrabbing(pylon_nodes.sdk().GrabStrategy_OneByOne)
        except Exception as error:
            raise self._failure(error, "acquisition to start") from error
        if self._wire is not None:
            self._wire.edges()  # from before

    def prepare(self, timeout_s: float) -> None:
        """Wait until the camera can take a trigger. Once it can, it can until it is triggered, so asking once is enough."""
        camera = self._opened()
        wait_ms = max(1, round(timeout_s * 1000))
        try:
            self._ready = bool(camera.WaitForFrameTriggerReady(wait_ms, pylon_nodes.sdk().TimeoutHandling_Return))
        except Exception as error:
            raise self._failure(error, "the camera to say whether it is ready") from error
        if not self._ready:
            self._look_at_cable()

    def trigger(self, timeout_s: float) -> None:
        """Fire one exposure by software."""
        camera = self._opened()
        if self._settings.trigger not in ("plc", "software"):
            raise CameraError(
                self._thing,
                expected='trigger = "plc" or "software"',
                found=f'trigger = "{self._settings.trigger}"',
                remedy="Change it in station.toml; a wired photo-eye fires this camera by itself.",
            )
        self._fire(camera, timeout_s)

    def _fire(self, camera: Any, timeout_s: float) -> None:
        self._look_at_folder()
        if not self._ready:
            self.prepare(timeout_s)
        if self._ready:
            self._ready = False
            try:
                camera.ExecuteSoftwareTrigger()
            except Exception as error:
                raise self._failure(error, "a software trigger to be taken") from error
            return
        raise CameraError(
            self._thing,
            expected=f"ready for a trigger within {timeout_s * 1000:.0f} ms",
            found="still busy with earlier frames",
            remedy="Lower the part rate, the exposure or the ROI, or raise buffers.",
        )

    def fetch(self, timeout_s: float) -> Frame | FrameLost | None:
        """The next frame, in order."""
        if self._after_gap is not None:
            held, self._after_gap = self._after_gap, None
            return held
        camera = self._opened()
        try:
            result = self._retrieve(camera, timeout_s)
            received_ns = time.monotonic_ns()
        except CameraError:
            raise
        except Exception as error:
            raise self._failure(error, "a frame to be fetched") from error
        if not result.IsValid():
            self._look_at_cable()
            return None
        counter, missing = self._count(result)
        news = self._read(result, counter, received_ns)
        if not missing:
            return news
        self._after_gap = news
        return FrameLost(
            self.name,
            LossReason.GAP,
            missing,
            counter - missing,
            received_ns,
            f"the camera numbered {missing} frames that never arrived",
        )

    def _retrieve(self, camera: Any, timeout_s: float) -> Any:
        """The SDK's next grab result, an invalid one after ``timeout_s``; meanwhile a virtual photo-eye fires the emulator."""
        returns = pylon_nodes.sdk().TimeoutHandling_Return
        if self._wire is None:
            return camera.RetrieveResult(max(0, round(timeout_s * 1000)), returns)
        until = time.monotonic() + timeout_s
        while True:
            for _ in range(self._wire.edges()):
                self._fire(camera, timeout_s)
            result = camera.RetrieveResult(WIRE_LOOK_MS, returns)
            if result.IsValid() or time.monotonic() >= until:
                return result

    def pulse(self, line: str, duration_us: int) -> None:
        """``PulseOutput``: raise ``line`` for ``duration_us`` by the camera's own timer."""
        pulse = self._pulse  # the acquisition thread may close the camera at any moment
        if pulse is None:
            raise self._not_open()
        pulse.pulse(line, duration_us)

    def disarm(self) -> None:
        """Stop acquisition; frames not fetched are dropped."""
        self._after_gap, self._ready = None, False
        if self._camera is not None:
            try:
                self._camera.StopGrabbing()
            except Exception as error:
                raise self._failure(error, "acquisition to stop") from error

    def close(self) -> None:
        """Let go of the device. Frames that are still in use keep their memory."""
        camera, self._camera = self._camera, None
        self._features = self._pulse = self._counter = self._after_gap = None
        if camera is not None:
            for step in (camera.StopGrabbing, camera.Close, camera.DestroyDevice):
                with contextlib.suppress(Exception):  # the device may be gone; there is nothing left to let go of
                    step()
        EMULATED_IN_USE.discard(self._serial)
        self._serial = ""
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    @property
    def _thing(self) -> str:
        return f"camera {self.name!r}"

    def _prepare_emulator(self, features: Features) -> None:
        folder = self._settings.emulate
        if folder is None:
            return  # asked for by its serial: it shows its own test picture
        features.put("TestImageSelector", "Off")
        features.put("ImageFilename", f"{folder.resolve()}/")  # the closing slash makes it a folder
        features.put("ImageFileMode", "On")
        if self._settings.roi is None:
            # Photos come at their own size up to Width x Height and are cropped beyond it.
            for side in ("Width", "Height"):
                limits = features.nodes.limits(side)
                assert limits is not None
                features.put(side, int(limits[1]))
        if self._settings.exposure_us is None:
            features.put_first(EXPOSURE, EMULATED_EXPOSURE_US, "")

    def _read_clock(self, features: Features) -> None:
        """USB3 cameras and SFNC 2 count nanoseconds; older GigE cameras tell the tick frequency."""
        self._ticks_per_s = 1_000_000_000
        if features.nodes.has("GevTimestampTickFrequency"):
            self._ticks_per_s = int(features.nodes.read("GevTimestampTickFrequency")) or 1_000_000_000

    def _block_ids(self) -> tuple[int, int]:
        """The first block id after arming, and how many there are before it repeats."""
        if self._camera.GetDeviceInfo().GetDeviceClass() != "BaslerGigE":
            return 0, 1 << 64
        assert self._features is not None
        for name in ("GevGVSPExtendedIDMode", "BslGevGVSPExtendedIDMode"):
            if self._features.nodes.has(name) and self._features.nodes.read(name) == "On":
                return 1, 1 << 64
        return 1, GIGE_BLOCK_IDS

    def _count(self, result: Any) -> tuple[int, int]:
        assert self._counter is not None
        counter, missing = self._counter.advance(int(result.GetBlockID()))
        node = self._chunks.counter_node
        if node is None or not result.GrabSucceeded() or not result.IsChunkDataAvailable():
            return counter, missing
        return self._chunks.advance(int(result.GetChunkDataNodeMap().GetNode(node).GetValue()), counter, missing)

    def _read(self, result: Any, counter: int, received_ns: int) -> Frame | FrameLost:
        if not result.GrabSucceeded():
            self._look_at_cable()
            detail = str(result.GetErrorDescription()).strip() or f"error 0x{result.GetErrorCode():x}"
            result.Release()
            return FrameLost(self.name, LossReason.FAILED_BUFFER, 1, counter, received_ns, detail)
        ticks = self._ticks(result)
        try:
            image = self._image(result)  # releases the result, or ties it to the picture
        except CameraError as error:
            result.Release()
            return FrameLost(self.name, LossReason.FAILED_BUFFER, 1, counter, received_ns, str(error))
        timestamp_ns = ticks * 1_000_000_000 // self._ticks_per_s if ticks else received_ns
        return Frame(image, self.name, counter, timestamp_ns, received_ns, self._format)

    def _ticks(self, result: Any) -> int:
        if self._chunks.has_timestamp and result.IsChunkDataAvailable():
            return int(result.GetChunkDataNodeMap().GetNode(TIMESTAMP).GetValue())
        return int(result.GetTimeStamp())

    def _image(self, result: Any) -> Image:
        """The picture, without a copy where the format allows and enough buffers are left for the camera.

        The SDK's memory stays valid as long as its grab result lives, even after the camera is closed; a finaliser on the
        bytes' array holds the result until the last view of the picture is gone.
        """
        data = np.frombuffer(result.GetImageMemoryView(), np.uint8)
        width, height = int(result.GetWidth()), int(result.GetHeight())
        image = to_image(data, self._format, width, height, int(result.GetPaddingX()))
        if not np.may_share_memory(image, data):
            result.Release()
            return image
        if len(self._on_loan) >= self._settings.buffers // 2:
            # Consumers hold many frames; a camera without buffers would lose the next ones.
            image = image.copy()
            image.flags.writeable = False
            result.Release()
            return image
        key = id(result)
        self._on_loan.add(key)
        weakref.finalize(data, _give_back, self._on_loan, key, result).atexit = False
        return image

    def _opened(self) -> Any:
        if self._camera is None:
            raise self._not_open()
        return self._camera

    def _not_open(self) -> CameraError:
        return CameraError(
            self._thing,
            expected="an open camera",
            found="a closed one",
            remedy="Open it first; this is a programming error.",
        )

    def _look_at_cable(self) -> None:
        """Raises CameraLost when the device is gone. Takes 1 ms on the emulator: only called when nothing came."""
        if self._camera is not None and (not self._camera.IsOpen() or self._camera.IsCameraDeviceRemoved()):
            raise self._lost("the device was removed")
        self._look_at_folder()

    def _look_at_folder(self) -> None:
        """Raises CameraLost when the folder that the emulator photographs is gone or empty; 0.01 ms."""
        folder = self._settings.emulate
        if folder is not None and not has_photo(folder):
            raise self._lost(f"no photo in {folder}")

    def _failure(self, error: Exception, expected: str) -> CameraError:
        detail = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if self._camera is None or self._camera.IsCameraDeviceRemoved() or not self._camera.IsGrabbing():
            return self._lost(detail)
        return CameraError(
            self._thing,
            expected=expected,
            found=detail,
            remedy="Check link and supply; the camera is opened again by itself.",
        )

    def _lost(self, found: str) -> CameraLost:
        return CameraLost(
            self._thing,
            expected=f"camera {self._serial} connected",
            found=found,
            remedy="Check power and cable; it is opened again by itself as soon as it is back.",
        )


def _give_back(on_loan: set[int], key: int, result: Any) -> None:
    result.Release()
    on_loan.discard(key)
