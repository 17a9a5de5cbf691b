"""Any vendor's camera through its GenTL producer, with harvesters."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import numpy as np

from linegate.cameras import gentl_producer
from linegate.cameras.camera import CameraInfo
from linegate.cameras.chunks import TIMESTAMP, Chunks
from linegate.cameras.convert import WireFormat, to_image
from linegate.cameras.counter import FrameCounter
from linegate.cameras.errors import CameraError, CameraLost, CameraNotFound
from linegate.cameras.features import Features, configure, configure_trigger
from linegate.cameras.frame import Frame, FrameLost, LossReason
from linegate.cameras.settings import GentlSettings

ALIVE = "Width"
"""A feature that every camera has (SFNC: mandatory), to see whether it answers."""
POLL_S = 0.0005
"""Pause between two looks for a frame. The genicam package holds Python's lock while it waits inside a producer, which would
stop every other thread of the line; so the producer is only asked, and the waiting is done here."""
ONE_LOOK_S = 1e-6
"""harvesters takes a timeout of 0 as "for ever"; this one lets it ask once."""
FRAME_IDS = 65535
"""Period of the frame number. GigE Vision's 16-bit ids run from 1 to 65535; 64-bit ids that go on to 65536, 65537 … are
the same numbers modulo 65535, so one period serves both."""


class GentlCamera:
    """A ``Camera``; see there for the life and for who calls what.

    The picture is copied out of the producer's buffer at once and the buffer queued again: a GenTL buffer is memory that
    the producer may overwrite or free when acquisition stops, so a view of it can't outlive the next ``disarm``.
    """

    def __init__(self, settings: GentlSettings) -> None:
        self._settings = settings
        self._harvester: Any = None
        self._acquirer: Any = None
        self._device: gentl_producer.GentlDevice | None = None
        self._nodes: gentl_producer.GenapiNodes | None = None
        self._features: Features | None = None
        self._chunks = Chunks(settings.name)
        self._counter: FrameCounter | None = None
        self._numbered = True
        self._unnumbered = 0
        self._incomplete = 0
        self._format = ""
        self._after_gap: Frame | FrameLost | None = None

    @property
    def name(self) -> str:
        """The name in station.toml."""
        return self._settings.name

    def open(self) -> CameraInfo:
        """Connect and configure."""
        self.close()
        settings = self._settings
        try:
            with gentl_producer.LOCK:
                self._harvester = gentl_producer.load(settings.producer)
                self._device = device = self._find()
                self._acquirer = self._connect(device)
            self._acquirer.num_buffers = settings.buffers
            self._acquirer.timeout_period_on_update_event_data_call = 0
            self._listen_for_incomplete()
            self._nodes = nodes = gentl_producer.GenapiNodes(self._acquirer.remote_device.node_map)
            self._features = Features(self.name, nodes)
            configure(self._features, settings)
            configure_trigger(self._features, self.name, settings.trigger, settings.trigger_line)
            for feature, value in settings.features.items():
                self._features.put(feature, value)
            if "ChunkModeActive" not in settings.features:
                self._chunks.switch_on(self._features)
            self._format = str(nodes.read("PixelFormat"))
            WireFormat.parse(self._format)
            return CameraInfo(
                driver="gentl",
                id=device.id,
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

    def arm(self) -> None:
        """Start acquisition into the announced buffers, in order."""
        acquirer = self._opened()
        self.disarm()
        self._counter, self._numbered, self._unnumbered, self._incomplete = None, True, 0, 0
        self._chunks.restart()
        try:
            acquirer.start()
        except Exception as error:
            raise self._lost(error) from error

    def prepare(self, timeout_s: float) -> None:
        """GenTL knows no common way to ask; ``trigger`` finds out."""

    def trigger(self, timeout_s: float) -> None:
        """Fire one exposure by software."""
        self._opened()
        assert self._features is not None
        if self._settings.trigger not in ("plc", "software"):
            raise CameraError(
                self._thing,
                expected='trigger = "plc" or "software"',
                found=f'trigger = "{self._settings.trigger}"',
                remedy="Change it in station.toml.",
            )
        try:
            self._features.nodes.execute("TriggerSoftware")
        except Exception as error:
            raise self._lost(error) from error

    def fetch(self, timeout_s: float) -> Frame | FrameLost | None:
        """The next frame, in order."""
        if self._after_gap is not None:
            held, self._after_gap = self._after_gap, None
            return held
        acquirer = self._opened()
        until = time.monotonic() + timeout_s
        try:
            while True:
                buffer = acquirer.try_fetch(timeout=ONE_LOOK_S, is_raw=True)
                if buffer is not None or self._incomplete or time.monotonic() >= until:
                    break
                time.sleep(POLL_S)
        except Exception as error:
            raise self._lost(error) from error
        received_ns = time.monotonic_ns()
        if self._incomplete:
            # harvesters has queued the buffer again; its number shows as skipped in the next frame's, so that the loss is
            # told by that gap too unless it is taken out of it.
            count, self._incomplete = self._incomplete, 0
            if buffer is not None:
                self._after_gap = self._read(buffer, received_ns, known_missing=count)
            elif self._counter is not None:
                self._counter.skip(count)
            return FrameLost(
                self.name, LossReason.FAILED_BUFFER, count, None, received_ns, "the producer delivered it incomplete"
            )
        if buffer is None:
            self._ask()
            return None
        return self._read(buffer, received_ns, known_missing=0)

    def disarm(self) -> None:
        """Stop acquisition; frames not fetched are dropped."""
        self._after_gap = None
        if self._acquirer is not None:
            try:
                self._acquirer.stop()
            except Exception as error:
                raise self._lost(error) from error

    def close(self) -> None:
        """Let go of the device, and of the producer with the last camera."""
        acquirer, self._acquirer = self._acquirer, None
        harvester, self._harvester = self._harvester, None
        self._nodes = self._features = self._device = self._after_gap = None
        with gentl_producer.LOCK:
            if acquirer is not None:
                with contextlib.suppress(Exception):  # the device may be gone; there is nothing left to let go of
                    acquirer.destroy()
            if harvester is not None:
                with contextlib.suppress(Exception):
                    gentl_producer.let_go(self._settings.producer)

    @property
    def _thing(self) -> str:
        return f"camera {self.name!r}"

    def _find(self) -> gentl_producer.GentlDevice:
        wanted = self._settings.serial
        every = gentl_producer.devices(self._harvester)
        fitting = [d for d in every if not wanted or wanted in (d.id, d.serial)]
        if len(fitting) == 1:
            return fitting[0]
        raise CameraNotFound(
            self._thing,
            expected=f"one device {wanted!r}" if wanted else f"exactly one device of {self._settings.producer.name}",
            found=", ".join(f"{d.id} (serial {d.serial})" for d in every) or "none",
            remedy="Set serial in station.toml to one of those found." if every else "Check power, cable and driver.",
        )

    def _connect(self, device: gentl_producer.GentlDevice) -> Any:
        try:
            return self._harvester.create(device.info)
        except Exception as error:
            raise CameraError(
                self._thing,
                expected=f"device {device.id} to open",
                found=_first_line(error),
                remedy="Close the program that uses it, or check its link.",
            ) from error

    def _listen_for_incomplete(self) -> None:
        from harvesters.core import Callback

        outer = self

        class Count(Callback):  # type: ignore[misc]
            def emit(self, context: object | None = None) -> None:
                outer._incomplete += 1

        self._acquirer.add_callback(self._acquirer.Events.INCOMPLETE_BUFFER, Count())

    def _read(self, buffer: Any, received_ns: int, known_missing: int) -> Frame | FrameLost:
        """The news in ``buffer``, which goes back to the producer."""
        try:
            counter, missing = self._count(buffer)
            news: Frame | FrameLost
            try:
                image = self._image(buffer)
                news = Frame(image, self.name, counter, self._timestamp(buffer, received_ns), received_ns, self._format)
            except CameraError as error:
                news = FrameLost(self.name, LossReason.FAILED_BUFFER, 1, counter, received_ns, str(error))
        except CameraLost:
            raise
        except Exception as error:
            raise self._lost(error) from error
        finally:
            with contextlib.suppress(Exception):  # a device that is gone takes no buffer back; fetch will say so
                buffer.parent.queue_buffer(buffer)
        missing -= known_missing
        if missing <= 0:
            return news
        self._after_gap = news
        detail = f"the camera numbered {missing} frames that never arrived"
        return FrameLost(self.name, LossReason.GAP, missing, counter - missing, received_ns, detail)

    def _ask(self) -> None:
        """Raises CameraLost when the device does not answer: many producers wait for the frames of a camera that is gone as
        for those of one that nobody triggers."""
        assert self._nodes is not None
        try:
            self._nodes.ask(ALIVE)
        except Exception as error:
            raise self._lost(error) from error

    def _count(self, buffer: Any) -> tuple[int, int]:
        raw = self._frame_id(buffer)
        if raw is None:
            self._unnumbered += 1
            counter, missing = self._unnumbered - 1, 0
        else:
            if self._counter is None:
                link = self._device.link if self._device is not None else ""
                first = {"U3V": 0, "GEV": 1}.get(link, min(raw, 1))
                self._counter = FrameCounter(self.name, first=first, period=FRAME_IDS)
            counter, missing = self._counter.advance(raw)
        node = self._chunks.counter_node
        if node is None or self._features is None or not self._features.nodes.has(node):
            return counter, missing
        return self._chunks.advance(int(self._features.nodes.read(node)), counter, missing)

    def _frame_id(self, buffer: Any) -> int | None:
        """None from then on when the producer does not number its frames: gaps then only show as timeouts."""
        if self._numbered:
            try:
                return int(buffer.frame_id)
            except Exception:
                self._numbered = False
        return None

    def _timestamp(self, buffer: Any, received_ns: int) -> int:
        if self._chunks.has_timestamp and self._features is not None and self._features.nodes.has(TIMESTAMP):
            return int(self._features.nodes.read(TIMESTAMP))
        try:
            return int(buffer.timestamp_ns) or received_ns
        except Exception:  # "not supported by the device"
            return received_ns

    def _image(self, buffer: Any) -> Any:
        data = np.frombuffer(buffer.raw_buffer, np.uint8)
        with contextlib.suppress(Exception):
            data = data[int(buffer.image_offset) :]
        try:
            padding = int(buffer.padding_x)
        except Exception:  # optional in GenTL: absent means none
            padding = 0
        image = to_image(data, self._format, int(buffer.width), int(buffer.height), padding)
        if np.may_share_memory(image, data):
            image = image.copy()
            image.flags.writeable = False
        return image

    def _opened(self) -> Any:
        if self._acquirer is None:
            raise CameraError(
                self._thing,
                expected="an open camera",
                found="a closed one",
                remedy="Open it first; this is a programming error.",
            )
        return self._acquirer

    def _lost(self, error: Exception) -> CameraLost:
        return CameraLost(
            self._thing,
            expected=f"device {self._device.id if self._device is not None else '?'} to answer",
            found=_first_line(error),
            remedy="Check power and cable; it is opened again by itself as soon as it is back.",
        )


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
