"""The wiring of the running line: what one room reports becomes what the next one does.

Nothing here waits. Each method is called by the room that has news, on that room's thread, and hands on at once.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from linegate.cameras.acquisition import Acquisition
from linegate.cameras.errors import LinegateError
from linegate.cameras.frame import CameraArmed, CameraDown, CameraEvent, CameraUp, Frame, FrameLost
from linegate.inspect.gate import GateWatch
from linegate.inspect.matching import FrameMatcher, Missing, Proven, Refused, Shown
from linegate.inspect.news import NewsDesk
from linegate.inspect.part import Decision, GateResult, PartKey, Trigger
from linegate.inspect.partlog.records import Outcome, PartRecord
from linegate.inspect.partlog.writer import PartLog
from linegate.inspect.pipeline import Pipeline
from linegate.inspect.plc.link import PlcLink, VisionState
from linegate.inspect.plc.registers import PLC_NOTHING, Control, PlcBlock, Slot
from linegate.inspect.plc.wishes import PlcWishes
from linegate.inspect.pulse import PulseGate
from linegate.inspect.recipes import ActiveRecipe
from linegate.inspect.reconcile import PlcTotals
from linegate.inspect.shadow import Shadow
from linegate.inspect.tracking import Tracker
from linegate.inspect.tracking_ports import FinishedPart

LATENCIES_KEPT = 200_000
RECENT_S = 10.0


class Watch(Protocol):
    """Who judges the line's state: the health room, behind the station's clock."""

    def vision(self, block: PlcBlock) -> VisionState:
        """What the PLC is told now; must be quick."""
        ...

    def ready(self) -> bool:
        """Whether a part that comes now can be inspected."""
        ...

    def challenge_due(self) -> bool:
        """Whether a challenge part was accepted and none was caught since."""
        ...

    def on_finished(self, part: FinishedPart) -> None:
        """A part is through."""
        ...

    def on_camera(self, event: CameraUp | CameraDown) -> None:
        """A camera came or went."""
        ...

    def on_link(self, up: bool, detail: str) -> None:
        """The PLC came or went."""
        ...

    def on_epoch(self, epoch: int, block: PlcBlock) -> None:
        """A PLC was met, or met again after its restart; parts 1..block.triggered of this epoch were not watched."""
        ...

    def on_gate(self, key: PartKey, result: GateResult) -> None:
        """What the PLC's counters prove of a part at the gate; in the parts' order."""
        ...

    def on_wish(self, risen: Control, command: int | None) -> None:
        """Control bits of the PLC that rose, and its command register where it changed."""
        ...


class Line:
    """Implements the tracker's ports and the PLC link's client. The station connects its rooms, then starts them.

    ``wired``: the cameras that the photo-eye fires, each with the longest time a picture of it may take (ns).
    """

    def __init__(self, wired: Mapping[str, int]) -> None:
        self.tracker: Tracker
        self.pipeline: Pipeline
        self.part_log: PartLog
        self.link: PlcLink
        self.gate: GateWatch
        self.news: NewsDesk
        self.watch: Watch
        self.cameras: dict[str, Acquisition] = {}
        self.pulse: PulseGate | None = None
        self.shadow: Shadow | None = None
        self.accepted: Callable[[PartKey], None] = lambda _key: None
        """Told of each challenge part that passed; returns at once."""
        self.totals = PlcTotals()
        self._wishes = PlcWishes()
        self.block = PLC_NOTHING
        self.frames = 0
        self.frames_lost = 0
        self.views_due = 0
        self._first_ns = self._last_ns = self._done = 0
        self._recent_ns: deque[int] = deque(maxlen=int(200 * RECENT_S))
        self.latencies_ms: deque[float] = deque(maxlen=LATENCIES_KEPT)
        self._match = {name: FrameMatcher(name, longest_ns) for name, longest_ns in wired.items()}
        self._match_lock = threading.Lock()
        self._frame_lock = threading.Lock()

    # --- the PLC link's client, on the link thread -------------------------------------------------------------------

    def on_epoch(self, epoch: int, block: PlcBlock) -> None:
        """See LinkClient."""
        self.gate.on_epoch(block, first=self.totals.epochs == 0)
        self.totals.on_epoch(block)
        self.tracker.on_epoch(epoch)
        with self._match_lock:
            for matcher in self._match.values():
                matcher.on_epoch(block.triggered)
        self.watch.on_epoch(epoch, block)

    def on_triggers(self, triggers: Sequence[Trigger], block: PlcBlock) -> None:
        """See LinkClient."""
        self._hear(block)  # a challenge that is armed in the scan that counts the part is meant for it
        self.views_due += len(triggers) * len(self._match)
        self.tracker.on_triggers(triggers, self.watch.ready(), self.watch.challenge_due())
        with self._match_lock:
            for matcher in self._match.values():
                matcher.on_triggers(triggers)

    def on_block(self, block: PlcBlock) -> None:
        """See LinkClient."""
        self._hear(block)
        self.totals.on_block(block)
        with self._match_lock:
            for camera, matcher in self._match.items():
                matcher.on_block(block.triggered, block.read_ns)
                self._conclude(camera)
        self.tracker.on_block(block)
        for key, result in self.gate.on_block(block, self.link.doubt_ns):
            self.watch.on_gate(key, result)

    def _hear(self, block: PlcBlock) -> None:
        """What the PLC wants, at once where a part may depend on it."""
        self.block = block
        risen, command = self._wishes.see(block)
        if Control.CHALLENGE_ARM in risen:
            self.tracker.arm_challenge(1)
        if Control.PURGE in risen:
            self.tracker.purge()
        if risen or command is not None:
            self.watch.on_wish(risen, command)

    def on_link(self, up: bool, detail: str) -> None:
        """See LinkClient."""
        self.watch.on_link(up, detail)

    def vision(self) -> VisionState:
        """See LinkClient."""
        return self.watch.vision(self.block)

    # --- acquisition, on each camera's thread ------------------------------------------------------------------------

    def on_camera(self, camera: str, event: CameraEvent, tag: int | None) -> None:
        """A frame or its loss, for the part whose tag it carries or, from a wired camera, the part it is proven to show."""
        if isinstance(event, CameraUp | CameraDown | CameraArmed) or tag is None:
            self._tell_matcher(camera, event)
            if isinstance(event, CameraUp | CameraDown):
                self.watch.on_camera(event)
            return
        key = part_of(tag)
        if isinstance(event, Frame):
            self._count_frames(came=1)
            self.tracker.on_frame(event, key)
        else:
            self._count_frames(lost=event.count)
            self.tracker.on_lost(event, key)

    def _tell_matcher(self, camera: str, event: CameraEvent) -> None:
        if camera not in self._match:
            return
        with self._match_lock:
            matcher = self._match[camera]
            if isinstance(event, Frame):
                matcher.on_frame(event)
            elif isinstance(event, CameraArmed):
                matcher.on_armed(event.began_ns, event.done_ns)
            elif isinstance(event, CameraDown):
                matcher.on_down(event.detail)
            elif isinstance(event, FrameLost):
                matcher.on_lost(event)
            self._conclude(camera)

    def _conclude(self, camera: str) -> None:
        """Hand on what the facts of a wired camera say, in their order: with the lock held."""
        for news in self._match[camera].news(time.monotonic_ns()):
            if isinstance(news, Shown):
                self.tracker.on_frame(news.frame, news.key)
            elif isinstance(news, Proven):
                self._count_frames(came=1)
                self.tracker.on_proven(camera, news.key)
            elif isinstance(news, Refused):
                self._count_frames(came=int(news.came), lost=int(not news.came))
                self.tracker.on_refused(camera, news.key, news.text)
            elif isinstance(news, Missing):
                self._count_frames(lost=1)
                self.tracker.on_lost(news.lost, news.key)
            else:
                self.cameras[camera].rearm(news.why or "its count has to begin")
                if news.why:
                    self.part_log.record_event("sync_lost", "warning", news.why)

    def _count_frames(self, came: int = 0, lost: int = 0) -> None:
        with self._frame_lock:
            self.frames += came
            self.frames_lost += lost

    def tick(self) -> None:
        """Called by the station's clock: a dead PLC link must not stop time."""
        with self._match_lock:
            for camera in self._match:
                self._conclude(camera)
        self.tracker.tick()

    # --- the tracker's ports -----------------------------------------------------------------------------------------

    def now_ns(self) -> int:
        """See Ports."""
        return time.monotonic_ns()

    def request_frame(self, camera: str, key: PartKey) -> None:
        """See Ports."""
        self.views_due += 1
        self.cameras[camera].trigger(tag_of(key))

    def judge(self, key: PartKey, deadline_ns: int, frame: Frame, active: ActiveRecipe) -> bool:
        """See Ports."""
        return self.pipeline.submit(key, deadline_ns, frame, active)

    def log(self, record: PartRecord, until_ns: int, done: Callable[[LinegateError | None], None]) -> None:
        """See Ports."""
        self.part_log.put(record, done, until_ns)

    def log_outcome(self, outcome: Outcome) -> None:
        """See Ports."""
        self.part_log.put_outcome(outcome)

    def submit(self, slot: Slot, deadline_ns: int, done: Callable[[bool, int], None]) -> None:
        """See Ports."""
        self.link.submit(slot, deadline_ns, done)

    def event(self, kind: str, severity: str, text: str, key: PartKey | None) -> None:
        """See Ports."""
        self.part_log.record_event(kind, severity, text, key)

    def finished(self, part: FinishedPart) -> None:
        """See Ports."""
        if part.outcome.latency_ms is not None:
            self.latencies_ms.append(part.outcome.latency_ms)
        if part.record.decision is Decision.OK:
            self.gate.released(part.record.key, part.outcome.written)
        if part.outcome.written and part.record.decision is Decision.OK and self.pulse is not None:
            self.pulse.allow(part.record.key, part.trigger.deadline_ns)
        self._first_ns = self._first_ns or part.trigger.at_ns
        self._last_ns = max(self._last_ns, part.trigger.at_ns)
        self._done += 1
        self._recent_ns.append(part.trigger.at_ns)
        self.watch.on_finished(part)
        self.news.tell(part)
        if part.record.challenge and part.record.decision is Decision.OK:
            self.accepted(part.record.key)
        shadow = self.shadow  # once: an order may take it away at any moment
        if shadow is not None:
            shadow.offer(part)

    def unproven(self) -> list[str]:
        """Wired cameras whose count does not yet say which part a picture shows."""
        return [name for name, matcher in self._match.items() if not matcher.tied]

    def recent_rate_parts_per_s(self) -> float:
        """Parts per second over the last RECENT_S."""
        horizon_ns = time.monotonic_ns() - int(RECENT_S * 1e9)
        return sum(at_ns >= horizon_ns for at_ns in list(self._recent_ns)) / RECENT_S

    def rate_parts_per_s(self) -> float:
        """Parts per second between the first and the last trigger."""
        return (self._done - 1) * 1e9 / (self._last_ns - self._first_ns) if self._last_ns > self._first_ns else 0.0


def tag_of(key: PartKey) -> int:
    """A part's key as the one number that a camera request carries."""
    return key.epoch << 32 | key.sequence


def part_of(tag: int) -> PartKey:
    """The inverse of tag_of."""
    return PartKey(tag >> 32, tag & 0xFFFFFFFF)
