"""Parts from the photo-eye's edge to the written verdict: who waits for what, until when, and what it becomes.

One part's way, and the only one to a PASS::

    triggered → frames in (and proven to be its own) → judged → row durable → slot written
         └────────────┴──────────────┴──────────┴───────────┴──→ at the deadline: NOT_INSPECTED, with the cause

The tracker starts nothing and waits for nothing. Its methods are called by the line's threads (PLC link, acquisition,
inference, log writer), each returns at once, and what has to happen is handed to the ports. One lock guards the table.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from linegate.cameras.errors import LinegateError
from linegate.cameras.frame import Frame, FrameLost, LossReason
from linegate.inspect.part import Cause, Decision, Judgement, PartKey, Trigger, WireVerdict
from linegate.inspect.partlog.records import Outcome, PartRecord, ViewRecord
from linegate.inspect.plc.registers import PlcBlock, Slot
from linegate.inspect.recipes import ActiveRecipe
from linegate.inspect.tracking_ports import Counts, FinishedPart, Ports, TrackerSettings
from linegate.inspect.under_way import PartUnderWay
from linegate.inspect.verdict import combine

CAUSE_OF_LOSS = {
    LossReason.GAP: Cause.FRAME_GAP,
    LossReason.FAILED_BUFFER: Cause.FRAME_BROKEN,
    LossReason.TIMEOUT: Cause.FRAME_TIMEOUT,
    LossReason.CAMERA_DOWN: Cause.CAMERA_DOWN,
}


class Tracker:
    """The table of parts under way. Thread-safe; see the module's docstring."""

    def __init__(self, settings: TrackerSettings, ports: Ports, active: ActiveRecipe) -> None:
        self._settings = settings
        self._ports = ports
        self._active = active
        self._lock = threading.RLock()
        self._parts: dict[PartKey, PartUnderWay] = {}
        self._epoch: int | None = None
        self._asked_ns = 0
        self._lot = self._serial = ""
        self._keep: Callable[[PartRecord], PartRecord] = lambda record: record
        self._challenge_left = 0
        self._missed: deque[PartKey] = deque(maxlen=1000)
        self._unbacked: set[PartKey] = set()
        self.counts = Counts()

    # --- what the station sets -------------------------------------------------------------------------------------

    def set_active(self, active: ActiveRecipe) -> None:
        """The recipe and bundle for parts triggered from now on; parts under way keep theirs."""
        with self._lock:
            self._active = active

    def set_lot(self, lot: str, serial: str = "") -> None:
        """The lot of parts triggered from now on; ``serial`` belongs to the next part alone."""
        with self._lock:
            self._lot, self._serial = lot, serial

    def set_keep(self, keep: Callable[[PartRecord], PartRecord]) -> None:
        """A function that adds to a record whether its pictures are kept."""
        self._keep = keep

    def abandon(self, cause: Cause, text: str) -> None:
        """Give up every part under way. Called when the PLC link has ended, and gives no answer any more."""
        with self._lock:
            for part in list(self._parts.values()):
                self._give_up(part, cause, text)
                if part.sent and not part.closed:
                    self._close(part, WireVerdict.EMPTY, False, self._ports.now_ns(), text)

    def purge(self) -> None:
        """The PLC empties the zone from camera to gate: what has not gone to it by now is given up."""
        with self._lock:
            for part in list(self._parts.values()):
                if not part.sent:
                    self._give_up(part, Cause.PURGED, "the PLC purged the zone while the part was under way")

    def arm_challenge(self, parts: int) -> None:
        """The next ``parts`` parts are challenge parts: known bad, and every one has to be rejected; 0: none is."""
        with self._lock:
            self._challenge_left = parts

    @property
    def active(self) -> ActiveRecipe:
        """The recipe and bundle new parts get."""
        return self._active

    @property
    def in_flight(self) -> int:
        """Parts triggered whose verdict is not yet written or given up."""
        with self._lock:
            return sum(not part.closed for part in self._parts.values())

    @property
    def unbacked(self) -> frozenset[PartKey]:
        """Parts that were released and whose row the log has not called durable; it may store it later."""
        with self._lock:
            return frozenset(self._unbacked)

    @property
    def undecided(self) -> int:
        """Parts not yet handed to the log."""
        with self._lock:
            return sum(part.record is None for part in self._parts.values())

    def uses(self, active: ActiveRecipe) -> bool:
        """Whether a part under way is still bound to ``active``."""
        with self._lock:
            return any(part.active is active for part in self._parts.values())

    # --- called by the PLC link's thread ---------------------------------------------------------------------------

    def on_epoch(self, epoch: int) -> None:
        """The PLC started anew: its ids mean other parts now, so everything under way is void."""
        with self._lock:
            self._epoch = epoch
            for part in list(self._parts.values()):
                self._give_up(part, Cause.PLC_LOST, "the PLC was restarted while the part was under way")

    def on_triggers(self, triggers: Sequence[Trigger], ready: bool, challenge_due: bool = False) -> None:
        """New parts, oldest first. Only the newest can still be in front of a camera that the line triggers itself. With a
        challenge due, no other part is judged."""
        with self._lock:
            for trigger in triggers:
                part = PartUnderWay(
                    trigger,
                    self._active,
                    self._lot,
                    self._serial,
                    self._challenge_left > 0,
                    set(self._settings.cameras),
                )
                self._serial = ""
                self._challenge_left = max(0, self._challenge_left - 1)
                self._parts[trigger.key] = part
                self.counts.triggers += 1
                if not trigger.answerable:
                    self._give_up(part, Cause.PLC_LOST, "the part came while the line and the PLC had lost each other")
                elif not ready:
                    self._give_up(part, Cause.NOT_READY, "the station was not ready when the part came")
                elif challenge_due and not part.challenge:
                    self._give_up(part, Cause.NOT_READY, "a challenge part was accepted, and none was caught since")
                elif self._settings.requests and trigger is not triggers[-1]:
                    self._give_up(part, Cause.OVERRUN, "the next part came before this one could be photographed")
                else:
                    for camera in self._settings.requests:
                        self._ports.request_frame(camera, trigger.key)

    def on_block(self, block: PlcBlock) -> None:
        """After every exchange: prove whose frames are in, and end what is past its deadline."""
        with self._lock:
            asked_ns, self._asked_ns = (
                self._asked_ns,
                block.read_ns,
            )  # this answer was asked for after the last one came
            for part in list(self._parts.values()):
                self._confirm(part, block.triggered, asked_ns)
            self.tick()

    def tick(self) -> None:
        """End what is past its deadline. Also called by the station's clock: a dead PLC link must not stop time."""
        with self._lock:
            now_ns = self._ports.now_ns()
            for part in list(self._parts.values()):
                if not part.sent and not part.closed and now_ns >= part.trigger.deadline_ns:
                    self._miss(part)

    def _confirm(self, part: PartUnderWay, triggered: int, asked_ns: int) -> None:
        if part.closed or not part.unconfirmed:
            return
        late = [
            c for c, received_ns in part.unconfirmed.items() if asked_ns >= received_ns + self._settings.frame_guard_ns
        ]
        if triggered != part.key.sequence & 0xFFFFFFFF:
            self._give_up(
                part, Cause.FRAME_MISMATCH, "the next part came before the picture was proven to show this one"
            )
            return
        for camera in late:
            del part.unconfirmed[camera]
        if late:
            self._advance(part)

    # --- called by acquisition threads -----------------------------------------------------------------------------

    def on_frame(self, frame: Frame, key: PartKey) -> None:
        """A frame of this part; of a wired camera, unless ``on_refused`` follows."""
        with self._lock:
            self.counts.frames += 1
            part = self._parts.get(key)
            if part is None or part.closed or frame.camera not in part.waiting:
                return
            age_ns = frame.received_ns - part.trigger.at_ns
            if frame.camera in self._settings.requests:
                if age_ns > self._settings.frame_window_ns:
                    text = f"the picture came {age_ns / 1e6:.1f} ms after the trigger and may show the next part"
                    self._give_up(part, Cause.FRAME_MISMATCH, text)
                    return
                part.unconfirmed[frame.camera] = frame.received_ns
            else:
                part.unproven.add(frame.camera)
            part.waiting.discard(frame.camera)
            part.frames[frame.camera] = frame
            part.marks_ns["frame"] = frame.received_ns
            if not self._ports.judge(part.key, part.trigger.deadline_ns, frame, part.active):
                self._give_up(part, Cause.OVERRUN, "inference could not keep up: its queue was full")

    def on_proven(self, camera: str, key: PartKey) -> None:
        """The wired camera's frame of this part is its own."""
        with self._lock:
            part = self._parts.get(key)
            if part is not None and camera in part.unproven:
                part.unproven.discard(camera)
                self._advance(part)

    def on_refused(self, camera: str, key: PartKey, text: str) -> None:
        """No frame of the wired camera is proven to show this part; one that was given is not kept as its picture."""
        with self._lock:
            part = self._parts.get(key)
            if part is not None:
                part.frames.pop(camera, None)
                part.views.pop(camera, None)
                self._give_up(part, Cause.FRAME_MISMATCH, text)

    def on_lost(self, lost: FrameLost, key: PartKey) -> None:
        """The frame of this part will not come."""
        with self._lock:
            part = self._parts.get(key)
            if part is not None and lost.camera in part.waiting:
                self._give_up(part, CAUSE_OF_LOSS[lost.reason], f"camera {lost.camera!r}: {lost.detail}")

    # --- called by the inference thread ----------------------------------------------------------------------------

    def on_view(self, key: PartKey, view: ViewRecord, judgement: Judgement, stages_ns: Mapping[str, int]) -> None:
        """One view is judged; ``stages_ns`` says where inference spent its time."""
        with self._lock:
            part = self._parts.get(key)
            if part is None or part.record is not None:
                self._late(key, judgement)
                return
            part.views[view.camera] = (view, judgement)
            part.marks_ns["judged"] = self._ports.now_ns()
            part.stages_ns = stages_ns
            self._advance(part)

    def on_failed(self, key: PartKey, cause: Cause, text: str) -> None:
        """One view can't be judged."""
        with self._lock:
            part = self._parts.get(key)
            if part is None or part.closed:
                return
            if cause is Cause.DEADLINE and part.record is None:  # not begun for want of time: a miss like any other
                self._count_miss(part)
            self._give_up(part, cause, text)

    def _advance(self, part: PartUnderWay) -> None:
        """All views judged and proven: decide, log, and send what may be sent before the row is durable."""
        if part.closed or part.record is not None or part.waiting or part.unconfirmed or part.unproven:
            return
        if len(part.views) < len(self._settings.cameras):
            return
        judgement = combine([(camera, judgement) for camera, (_, judgement) in part.views.items()])
        self._decide(part, judgement, Cause.JUDGED)

    def _decide(self, part: PartUnderWay, judgement: Judgement, cause: Cause) -> None:
        part.record = self._keep(part.recorded(judgement, cause))
        part.marks_ns["decided"] = self._ports.now_ns()
        waits = judgement.decision is Decision.OK and self._settings.pass_requires_log
        until_ns = part.trigger.deadline_ns - self._settings.log_reserve_ns if waits else 0
        self._ports.log(part.record, until_ns, lambda error: self._on_logged(part, error))
        if part.key.epoch != self._epoch:
            self._close(part, WireVerdict.EMPTY, False, self._ports.now_ns(), "the PLC that counted it is gone")
        elif not waits:
            self._send(part)

    # --- called by the log writer's and the link's thread ----------------------------------------------------------

    def _on_logged(self, part: PartUnderWay, error: LinegateError | None) -> None:
        with self._lock:
            part.logged = True
            if error is None:
                part.durable = True
                part.marks_ns["durable"] = self._ports.now_ns()
                self._unbacked.discard(part.key)
            else:
                self._ports.event("log_failed", "alarm", str(error), part.key)
                if (
                    not part.sent and not part.closed
                ):  # an OK that waited for its row: the log keeps it as not inspected
                    part.record = replace(
                        part.held(), decision=Decision.NOT_INSPECTED, cause=Cause.LOG_FAILED, reason=str(error)
                    )
            if not part.sent and not part.closed:
                self._send(part)
            self._forget_if_done(part)

    def _send(self, part: PartUnderWay) -> None:
        record, active = part.held(), part.active
        part.sent = True
        wire = WireVerdict.of(record.decision)
        now_ns = self._ports.now_ns()
        slot = Slot(
            epoch=part.key.epoch,
            trig_id=part.key.trig_id,
            verdict=int(wire),
            defect_class=active.class_number(record.defect_class),
            score=round(record.score * 1000),
            latency_ms=round((now_ns - part.trigger.at_ns) / 1e6),
        )
        deadline_ns = part.trigger.deadline_ns
        if wire is not WireVerdict.OK:  # past the deadline a reject still helps the PLC's counters
            deadline_ns = max(deadline_ns, now_ns) + self._settings.deadline_ns
        self._ports.submit(slot, deadline_ns, lambda written, at_ns: self._on_written(part, wire, written, at_ns))

    def _on_written(self, part: PartUnderWay, wire: WireVerdict, written: bool, at_ns: int) -> None:
        with self._lock:
            if part.closed:
                return
            note = "" if written else "not written: the PLC was lost or restarted, or the deadline passed"
            if wire is WireVerdict.OK and not written:
                self.counts.passes_unproven += 1
                if at_ns >= part.trigger.deadline_ns:
                    self._count_miss(part)
            self._close(part, wire if written else WireVerdict.EMPTY, written, at_ns, note)

    # --- ends ------------------------------------------------------------------------------------------------------

    def _miss(self, part: PartUnderWay) -> None:
        """The deadline has passed before anything could be sent."""
        self._count_miss(part)
        if part.record is None:
            unproven = part.unconfirmed or part.unproven
            waits = "its picture" if part.waiting else "proof of its picture" if unproven else "inference"
            self._give_up(part, Cause.DEADLINE, f"the deadline passed while the part waited for {waits}")
        else:
            self._give_up(part, Cause.DEADLINE, "the deadline passed before the row was durable")

    def _count_miss(self, part: PartUnderWay) -> None:
        self.counts.deadline_misses += 1
        self._missed.append(part.key)

    def _give_up(self, part: PartUnderWay, cause: Cause, text: str) -> None:
        """The part will not be passed: say so in its row and to the PLC, which rejects it whatever happens. What was sent is
        closed by the link's answer, unless the PLC that it was for is gone."""
        if part.closed or (part.sent and part.key.epoch == self._epoch):
            return
        if part.record is not None:  # judged already, not yet written: the row stands, the PASS does not
            self._close(part, WireVerdict.EMPTY, False, self._ports.now_ns(), text)
            return
        judgement = Judgement(Decision.NOT_INSPECTED, 1.0, "", text, ())
        self._decide(part, judgement, cause)

    def _close(self, part: PartUnderWay, wire: WireVerdict, written: bool, at_ns: int, note: str) -> None:
        record = part.held()
        part.closed = True
        judged = record.decision is not Decision.NOT_INSPECTED
        latency_ms = (at_ns - part.trigger.at_ns) / 1e6 if written and judged else None
        slack_ms = (part.trigger.deadline_ns - at_ns) / 1e6 if written and judged else None
        part.marks_ns["written"] = at_ns
        outcome = Outcome(part.key, wire, written, latency_ms, slack_ms, note)
        passed = wire is WireVerdict.OK and written
        self.counts.add(record.decision, passed=passed)
        if passed and not part.durable:
            self._unbacked.add(part.key)
        self._ports.log_outcome(outcome)
        frames = tuple(frame for camera, frame in part.frames.items() if camera not in part.unproven)
        finished = FinishedPart(record, outcome, part.trigger, frames, part.active, dict(part.marks_ns), part.stages_ns)
        self._ports.finished(finished)
        part.frames = {}
        self._forget_if_done(part)

    def _late(self, key: PartKey, judgement: Judgement) -> None:
        if key in self._missed:
            self.counts.late += 1
            text = f"a late result, logged only: {judgement.decision} ({judgement.reason})"
            self._ports.event("late_result", "warning", text, key)

    def _forget_if_done(self, part: PartUnderWay) -> None:
        if part.closed and part.logged:
            self._parts.pop(part.key, None)
