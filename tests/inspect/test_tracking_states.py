"""The tracker under every order of events: no trigger without exactly one row, no PASS without all it needs."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from linegate.cameras.errors import LinegateError
from linegate.cameras.frame import FrameLost, LossReason
from linegate.inspect.part import Cause, Decision, PartKey, WireVerdict
from linegate.inspect.plc.registers import PLC_NOTHING

from .tracker_world import (
    DEADLINE_NS,
    GUARD_NS,
    MS,
    frame,
    make,
    trigger,
    view,
)

CAMERAS = ("top", "side")


class Line(RuleBasedStateMachine):
    """Two cameras, of which the photo-eye fires one, a belt, a log and a PLC that do what they like, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.tracker, self.world = make(CAMERAS, wired=("side",))
        self.epoch, self.sequence = 7, 0
        self.triggered: list[PartKey] = []
        self.bad_views: set[PartKey] = set()
        self.judged_ok: dict[PartKey, set[str]] = {}
        self.passed: dict[PartKey, int] = {}
        self.asked = 0
        self.proof: dict[tuple[PartKey, str], int] = {}
        self.proven: set[tuple[PartKey, str]] = set()

    @rule(ms=st.sampled_from([0, 1, 3, 25, 120]))
    def wait(self, ms: int) -> None:
        self.world.now += ms * MS

    @rule(count=st.sampled_from([1, 1, 1, 2]), ready=st.sampled_from([True, True, False]))
    def trigger(self, count: int, ready: bool) -> None:
        new = []
        for _ in range(count):
            self.sequence += 1
            new.append(trigger(self.world, self.sequence, self.epoch))
            self.triggered.append(new[-1].key)
        self.tracker.on_triggers(new, ready)

    @rule(camera=st.sampled_from(CAMERAS), back=st.integers(0, 2), loss=st.sampled_from([None, None, *LossReason]))
    def camera(self, camera: str, back: int, loss: LossReason | None) -> None:
        sequence = self.sequence - back
        key = PartKey(self.epoch, sequence)
        if loss is None:
            self.proof[key, camera] = self.world.now
            self.tracker.on_frame(frame(self.world, camera), key)
        else:
            self.tracker.on_lost(FrameLost(camera, loss, 1, None, self.world.now, "test"), key)

    @rule(back=st.integers(0, 2), proven=st.sampled_from([True, True, False]))
    def wire(self, back: int, proven: bool) -> None:
        """What the matcher says of the wired camera's picture."""
        key = PartKey(self.epoch, self.sequence - back)
        if not proven:
            self.tracker.on_refused("side", key, "test")
        elif (key, "side") in self.proof:
            self.tracker.on_proven("side", key)
            self.proven.add((key, "side"))

    @rule()
    def exchange(self) -> None:
        for (key, camera), at in self.proof.items():
            if camera == "top" and key == PartKey(self.epoch, self.sequence) and self.asked >= at + GUARD_NS:
                self.proven.add((key, camera))
        self.asked = self.world.now
        self.tracker.on_block(replace(PLC_NOTHING, epoch=self.epoch, triggered=self.sequence, read_ns=self.world.now))

    @precondition(lambda self: self.world.to_judge)
    @rule(data=st.data(), decision=st.sampled_from([*Decision]))
    def infer(self, data: st.DataObject, decision: Decision) -> None:
        at = data.draw(st.integers(0, len(self.world.to_judge) - 1))
        key, _, taken = self.world.to_judge.pop(at)
        if decision is Decision.NOT_INSPECTED:
            self.tracker.on_failed(key, Cause.INFERENCE_FAILED, "test")
            return
        if decision is Decision.OK:
            self.judged_ok.setdefault(key, set()).add(taken.camera)
        else:
            self.bad_views.add(key)
        self.tracker.on_view(key, *view(taken.camera, decision), {})

    @precondition(lambda self: self.world.to_log)
    @rule(fails=st.sampled_from([False, False, True]))
    def commit(self, fails: bool) -> None:
        record, done = self.world.to_log.pop(0)
        if not fails:
            self.world.durable.add(record.key)
        done(LinegateError("log", expected="a", found="b", remedy="c") if fails else None)

    @precondition(lambda self: self.world.to_send)
    @rule(lost=st.sampled_from([False, False, True]))
    def link(self, lost: bool) -> None:
        slot, deadline_ns, done = self.world.to_send.pop(0)
        written = not lost and slot.epoch == self.epoch and self.world.now < deadline_ns
        if written and slot.verdict == WireVerdict.OK:
            key = next(k for k in reversed(self.triggered) if k.epoch == slot.epoch and k.trig_id == slot.trig_id)
            self.passed[key] = self.passed.get(key, 0) + 1
        done(written, self.world.now)

    @rule()
    def purge(self) -> None:
        self.tracker.purge()

    @rule()
    def plc_restart(self) -> None:
        self.epoch, self.sequence = self.epoch + 1, 0
        self.tracker.on_epoch(self.epoch)

    @invariant()
    def a_pass_has_all_it_needs(self) -> None:
        for key, times in self.passed.items():
            assert times == 1
            assert self.judged_ok.get(key) == set(CAMERAS) and key not in self.bad_views
            assert key in self.world.durable
            assert all((key, camera) in self.proven for camera in CAMERAS)

    @invariant()
    def no_trigger_has_two_rows(self) -> None:
        assert all(len(rows) == 1 for rows in self.world.rows.values())
        assert all(len(outcomes) == 1 for outcomes in self.world.outcomes.values())

    def teardown(self) -> None:
        """Time passes, the log and the link answer: then every trigger has its row and its outcome."""
        self.world.now += 10 * DEADLINE_NS
        self.tracker.tick()
        for _ in range(3):
            while self.world.to_log:
                self.world.to_log.pop(0)[1](None)
            while self.world.to_send:
                self.world.to_send.pop(0)[2](False, self.world.now)
        assert set(self.world.rows) == set(self.triggered)
        assert set(self.world.outcomes) == set(self.triggered)
        assert self.tracker.in_flight == 0
        counts = self.tracker.counts
        assert counts.triggers == counts.inspected + counts.not_inspected
        assert counts.passes_written == len(self.passed)
        assert counts.passes_written + counts.kept_back == counts.triggers
        assert not self.tracker.unbacked, "the log waited for, a PASS had its row"
        assert not self.tracker._parts, "parts were kept for ever"


TestLine = Line.TestCase
TestLine.settings = hypothesis_settings(max_examples=150, stateful_step_count=40, deadline=None)
