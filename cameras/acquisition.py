"""The loop that turns one camera into events: every trigger gets its frame or a typed loss, never silence."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from linegate.cameras.camera import Camera
from linegate.cameras.errors import CameraError, CameraLost, CameraNotFound, LinegateError
from linegate.cameras.frame import CameraArmed, CameraDown, CameraEvent, CameraUp, Frame, FrameLost, LossReason
from linegate.cameras.settings import CameraSettings

IDLE_S = 0.1
"""How often a camera that nobody triggers is asked whether it is still there."""
SLICE_S = 0.25
"""Longest single fetch, so that ``stop`` is answered."""
STOP_S = 5.0
"""How long ``stop`` waits for a driver that hangs."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Request:
    tag: int
    at_ns: int


class Acquisition:
    """Owns one camera and the one thread that calls it.

    Opens and arms the camera, executes triggers in order, reports through ``on_event``, and gets a lost camera back every
    ``reopen_s``. For each ``trigger(tag)`` exactly one event carries that tag: the Frame, or a FrameLost whose reason says
    why there is none. CameraUp, CameraDown and, with trigger = "hardware" or "free", all frames come with tag None; so does
    CameraArmed, which with trigger = "hardware" says from when on the frames are numbered.

    A frame is given to a tag only when its counter is the one that the trigger must produce; after a timeout or a jump the
    camera is armed afresh, which drops what is under way, so that a late frame can never stand for the next part.

    Args:
        camera: closed; closed again by ``stop``.
        settings: that camera's: trigger mode, timeout_s, reopen_s.
        on_event: called on the acquisition thread and, for a trigger that is refused at once, on the thread that called
            ``trigger``; must hand over and return. What it raises is logged and does not stop the camera.
        pending: most triggers that wait; one more is refused as a FrameLost.
    """

    def __init__(
        self,
        camera: Camera,
        settings: CameraSettings,
        on_event: Callable[[CameraEvent, int | None], None],
        *,
        pending: int = 64,
    ) -> None:
        self._camera = camera
        self._by_software = settings.trigger in ("plc", "software")
        self._by_wire = settings.trigger == "hardware"
        self._timeout_ns = round(settings.timeout_s * 1e9)
        self._reopen_s = settings.reopen_s
        self._on_event = on_event
        self._requests: queue.Queue[_Request | None] = queue.Queue(pending)
        self._gate = threading.Lock()  # no request gets in after the last drain
        self._closed = True
        self._stopping = threading.Event()
        self._up = threading.Event()
        self._up_ns = 0
        self._down_detail: str | None = None
        self._open_tag: int | None = None
        self._expected = 0
        self._rearm_why = ""
        self._left_behind = False
        self._thread: threading.Thread | None = None
        self.discarded = 0
        """Frames that belonged to no trigger and were thrown away."""

    @property
    def name(self) -> str:
        """The camera's name."""
        return self._camera.name

    @property
    def healthy(self) -> bool:
        """True while the camera is open and armed."""
        return self._up.is_set()

    def wait_healthy(self, timeout_s: float) -> bool:
        """Wait until the camera is armed; False when it is not within ``timeout_s``."""
        return self._up.wait(timeout_s)

    def start(self) -> None:
        """Start the thread; returns at once. CameraUp or CameraDown says how opening went."""
        if self._thread is not None:
            raise RuntimeError("an acquisition is started once")
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"camera-{self.name}", daemon=True)
        self._thread.start()

    def trigger(self, tag: int) -> None:
        """Ask for one exposure; never blocks. Exactly one event will carry ``tag``. Raises CameraError when the camera
        is not triggered by software."""
        if not self._by_software:
            raise CameraError(
                f"camera {self.name!r}",
                expected='trigger = "plc" or "software"',
                found="a camera that is fired by a wire or runs freely",
                remedy="Change trigger in station.toml.",
            )
        request = _Request(tag, time.monotonic_ns())
        with self._gate:
            if not self._closed:
                try:
                    self._requests.put_nowait(request)
                    return
                except queue.Full:
                    reason, detail = LossReason.TIMEOUT, f"{self._requests.maxsize} triggers are waiting already"
            else:
                reason, detail = LossReason.CAMERA_DOWN, "the acquisition is stopped"
        self._emit(self._loss(reason, detail), tag)

    def rearm(self, why: str) -> None:
        """Have a camera that the photo-eye fires armed afresh between two fetches; never blocks. What is under way is
        dropped, and a CameraArmed says from when on the frames are numbered from 0 again."""
        self._rearm_why = why

    def stop(self, timeout_s: float = STOP_S) -> None:
        """Close the camera and end the thread; what was pending is reported as lost. May be called more than once.

        A thread that still hangs in the vendor's SDK after ``timeout_s`` is left behind: it ends with the process, and what
        it may yet say is not heard.
        """
        self._stopping.set()
        with contextlib.suppress(queue.Full):
            self._requests.put_nowait(None)  # wakes the thread; a full queue keeps it awake anyway
        if self._thread is None:
            return
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            _log.error("camera %s: its driver hangs and is left behind", self.name)
            self._left_behind = True
            self._up.clear()
            if self._open_tag is not None:
                self._settle(self._loss(LossReason.CAMERA_DOWN, "the driver hung when the acquisition was stopped"))
            self._refuse_waiting()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                info = self._camera.open()
                began_ns = self._arm()
                self._come_up(f"{info.vendor} {info.model} {info.id}, {info.pixel_format}, {info.link}")
                if self._by_software:
                    self._serve_triggers()
                else:
                    self._serve_frames(began_ns)
            except Exception as error:  # whatever an SDK throws, the thread lives and the line knows
                self._go_down(error)
            finally:
                self._up.clear()
                self._camera.close()
            self._wait_down()
        self._refuse_waiting()

    def _refuse_waiting(self) -> None:
        """No request gets in any more, and those that are in are lost."""
        with self._gate:
            self._closed = True
        while not self._requests.empty():
            request = self._take(0.0)
            if request is not None:
                self._emit(self._loss(LossReason.CAMERA_DOWN, "the acquisition is stopped"), request.tag)

    def _serve_triggers(self) -> None:
        while not self._stopping.is_set():
            if self._requests.empty():
                self._camera.prepare(IDLE_S)
            request = self._take(IDLE_S)
            if request is None:
                if not self._stopping.is_set() and self._camera.fetch(0.0) is not None:
                    self._resync("a frame came that nobody had triggered")
                continue
            self._open_tag = request.tag
            if request.at_ns < self._up_ns:
                self._settle(self._loss(LossReason.CAMERA_DOWN, "triggered before the camera was ready"))
            elif time.monotonic_ns() - request.at_ns >= self._timeout_ns:
                self._settle(self._loss(LossReason.TIMEOUT, "waited too long behind earlier triggers"))
            else:
                self._expose(request.at_ns + self._timeout_ns)

    def _expose(self, deadline_ns: int) -> None:
        """One trigger to its end: settled, and the camera ready for the next."""
        asked_ns = time.monotonic_ns()
        try:
            self._camera.trigger((deadline_ns - time.monotonic_ns()) / 1e9)
        except CameraLost:
            raise
        except CameraError as error:
            self._settle(self._loss(LossReason.TIMEOUT, str(error)))
            self._resync("a trigger was not taken")
            return
        got = self._await(deadline_ns)
        if got is None:
            self._settle(self._loss(LossReason.TIMEOUT, f"no frame within {self._timeout_ns / 1e6:.0f} ms"))
            self._resync("a frame did not come in time")
            return
        if got.counter == self._expected and (isinstance(got, Frame) or got.reason is LossReason.FAILED_BUFFER):
            self._expected += 1
            self._settle(replace(got, asked_ns=asked_ns) if isinstance(got, Frame) else got)
            return
        if isinstance(got, Frame):
            detail = f"frame {got.counter} came where {self._expected} was due"
            got = replace(self._loss(LossReason.GAP, detail), counter=self._expected)
        self._settle(replace(got, count=1))  # one exposure was asked for, whatever else the camera has skipped
        self._resync("the camera's count left the triggers'")

    def _await(self, deadline_ns: int) -> Frame | FrameLost | None:
        """The news of the trigger just fired; None when there is none in time. Older frames are thrown away."""
        while True:
            left_s = (deadline_ns - time.monotonic_ns()) / 1e9
            got = self._camera.fetch(min(max(left_s, 0.0), SLICE_S))
            if got is None:
                if left_s <= 0 or self._stopping.is_set():
                    return None
            elif got.counter is not None and got.counter < self._expected:
                self.discarded += 1
            else:
                return got

    def _serve_frames(self, armed_ns: int) -> None:
        self._tell_armed(armed_ns)
        while not self._stopping.is_set():
            got = self._camera.fetch(IDLE_S)
            if got is not None:
                self._emit(got, None)
            if self._rearm_why:
                self._tell_armed(self._resync(self._rearm_why))

    def _resync(self, why: str) -> int:
        """Arm afresh: what is under way is dropped and the count starts at 0 again. Returns when that began."""
        _log.warning("camera %s: armed afresh, because %s", self.name, why)
        self._camera.disarm()
        return self._arm()

    def _arm(self) -> int:
        """Returns when it began (time.monotonic_ns)."""
        self._rearm_why = ""
        began_ns = time.monotonic_ns()
        self._camera.arm()
        self._expected = 0
        return began_ns

    def _tell_armed(self, began_ns: int) -> None:
        if self._by_wire:
            self._emit(CameraArmed(self.name, began_ns, time.monotonic_ns()), None)

    def _come_up(self, detail: str) -> None:
        self._up_ns = time.monotonic_ns()
        self._down_detail = None
        self._up.set()
        self._emit(CameraUp(self.name, self._up_ns, detail), None)

    def _go_down(self, error: Exception) -> None:
        """Say it once for each cause, and settle the trigger that was under way."""
        self._up.clear()
        detail = str(error) if isinstance(error, LinegateError) else f"{type(error).__name__}: {error}"
        if not isinstance(error, LinegateError):
            _log.error("camera %s: unexpected failure", self.name, exc_info=error)
        if detail != self._down_detail:
            self._down_detail = detail
            absent = isinstance(error, CameraNotFound)
            self._emit(CameraDown(self.name, time.monotonic_ns(), detail, absent), None)
        if self._open_tag is not None:
            self._settle(self._loss(LossReason.CAMERA_DOWN, detail))

    def _wait_down(self) -> None:
        """Until the next attempt to open; triggers that come meanwhile are lost at once."""
        until = time.monotonic() + self._reopen_s
        while not self._stopping.is_set() and (left := until - time.monotonic()) > 0:
            request = self._take(left)
            if request is not None:
                self._emit(self._loss(LossReason.CAMERA_DOWN, self._down_detail or "the camera is away"), request.tag)

    def _take(self, timeout_s: float) -> _Request | None:
        """The next request; None after ``timeout_s``, or when ``stop`` wakes the thread."""
        try:
            return self._requests.get(timeout=timeout_s) if timeout_s > 0 else self._requests.get_nowait()
        except queue.Empty:
            return None

    def _settle(self, event: Frame | FrameLost) -> None:
        tag, self._open_tag = self._open_tag, None
        self._emit(event, tag)

    def _loss(self, reason: LossReason, detail: str) -> FrameLost:
        return FrameLost(self.name, reason, 1, None, time.monotonic_ns(), detail)

    def _emit(self, event: CameraEvent, tag: int | None) -> None:
        if self._left_behind and threading.current_thread() is self._thread:
            return
        try:
            self._on_event(event, tag)
        except Exception:
            _log.exception("camera %s: the receiver of its events failed on %s", self.name, type(event).__name__)
