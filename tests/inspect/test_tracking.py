"""The tracker, step by step: what becomes of a part, and of what goes wrong on its way."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from linegate.cameras.errors import LinegateError
from linegate.cameras.frame import FrameLost, LossReason
from linegate.inspect.part import Cause, Decision, PartKey, WireVerdict

from .tracker_world import (
    ACTIVE,
    DEADLINE_NS,
    MS,
    RESERVE_NS,
    WINDOW_NS,
    block,
    frame,
    make,
    photograph,
    prove,
    trigger,
    view,
)


def test_a_good_part_passes_only_after_its_row_is_durable() -> None:
    tracker, world = make()
    photograph(tracker, world, 1)
    prove(tracker, world, 1)
    tracker.on_view(PartKey(7, 1), *view("top", Decision.OK), {})
    assert not world.to_send, "an OK left before its row was durable"
    world.to_log[0][1](None)
    slot, _, done = world.to_send[0]
    assert (slot.verdict, slot.trig_id, slot.epoch) == (1, 1, 7)
    done(True, world.now)
    assert tracker.counts.ok == tracker.counts.passes_written == 1
    assert not tracker.unbacked
    assert world.log_until[PartKey(7, 1)] == 1_000 * MS + DEADLINE_NS - RESERVE_NS
    assert world.outcomes[PartKey(7, 1)][0].latency_ms == 9.0
    assert tracker.in_flight == 0 and not tracker.uses(ACTIVE)


def test_a_bad_part_is_rejected_without_waiting_for_the_log() -> None:
    tracker, world = make()
    photograph(tracker, world, 1)
    prove(tracker, world, 1)
    tracker.on_view(PartKey(7, 1), *view("top", Decision.REVIEW), {})
    assert world.to_send[0][0].verdict == WireVerdict.NG


def test_a_verdict_waits_for_the_proof_of_its_picture() -> None:
    tracker, world = make()
    photograph(tracker, world, 1)
    tracker.on_view(PartKey(7, 1), *view("top", Decision.OK), {})
    assert not world.to_log
    tracker.on_block(block(1, world.now))  # asked for before the frame was in: proves nothing
    assert not world.to_log
    prove(tracker, world, 1)
    assert len(world.to_log) == 1


def test_a_picture_that_may_show_the_next_part_is_not_judged() -> None:
    tracker, world = make()
    photograph(tracker, world, 1)
    tracker.on_view(PartKey(7, 1), *view("top", Decision.OK), {})
    world.now += 1 * MS
    tracker.on_triggers([trigger(world, 2)], True)
    tracker.on_block(block(2, world.now))
    assert world.rows[PartKey(7, 1)][0].cause is Cause.FRAME_MISMATCH
    assert world.to_send[0][0].verdict == WireVerdict.NOT_INSPECTED


def test_a_late_picture_is_not_judged() -> None:
    tracker, world = make()
    tracker.on_triggers([trigger(world, 1)], True)
    world.now += WINDOW_NS + 1
    tracker.on_frame(frame(world), PartKey(7, 1))
    assert world.rows[PartKey(7, 1)][0].cause is Cause.FRAME_MISMATCH


def test_a_failed_log_turns_an_ok_into_not_inspected() -> None:
    tracker, world = make()
    photograph(tracker, world, 1)
    prove(tracker, world, 1)
    tracker.on_view(PartKey(7, 1), *view("top", Decision.OK), {})
    world.to_log[0][1](LinegateError("log", expected="room", found="none", remedy="make some"))
    assert [slot.verdict for slot, _, _ in world.to_send] == [WireVerdict.NOT_INSPECTED]


@pytest.mark.parametrize("error", [None, LinegateError("log", expected="room", found="none", remedy="make some")])
@pytest.mark.parametrize("logged_first", [False, True])
def test_a_released_part_is_backed_when_its_row_is_durable(logged_first: bool, error: LinegateError | None) -> None:
    """Where no PASS waits for the log, the slot may be written first."""
    tracker, world = make(requires_log=False)
    photograph(tracker, world, 1)
    prove(tracker, world, 1)
    tracker.on_view(PartKey(7, 1), *view("top", Decision.OK), {})
    if logged_first:
        world.to_log[0][1](error)
    world.to_send[0][2](True, world.now)
    if not logged_first:
        assert tracker.unbacked == {PartKey(7, 1)}
        world.to_log[0][1](error)
    assert tracker.counts.passes_written == 1
    assert tracker.unbacked == (set() if error is None else {PartKey(7, 1)})
    assert ("durable" in world.done[0].marks_ns) is (logged_first and error is None)


def test_a_purge_gives_up_what_has_not_gone_to_the_plc() -> None:
    tracker, world = make()
    for sequence in (1, 2, 3):
        photograph(tracker, world, sequence)
        prove(tracker, world, sequence)
    tracker.on_view(PartKey(7, 1), *view("top", Decision.OK), {})
    world.to_log[0][1](None)
    tracker.on_view(PartKey(7, 2), *view("top", Decision.OK), {})  # waits for its row
    tracker.purge()
    assert world.rows[PartKey(7, 3)][0].cause is Cause.PURGED
    assert [slot.trig_id for slot, _, _ in world.to_send if slot.verdict == WireVerdict.OK] == [1]
    world.to_log[1][1](None)
    assert [slot.trig_id for slot, _, _ in world.to_send if slot.verdict == WireVerdict.OK] == [1]
    for _, _, done in world.to_send:
        done(True, world.now)
    assert tracker.in_flight == 0
    assert world.outcomes[PartKey(7, 1)][0].written
    assert not world.outcomes[PartKey(7, 2)][0].written
    assert (tracker.counts.passes_written, tracker.counts.kept_back) == (1, 2)


def test_several_triggers_at_once_leave_only_the_last_a_chance() -> None:
    tracker, world = make()
    tracker.on_triggers([trigger(world, 1), trigger(world, 2), trigger(world, 3)], True)
    assert world.requests == [("top", PartKey(7, 3))]
    assert [world.rows[PartKey(7, s)][0].cause for s in (1, 2)] == [Cause.OVERRUN] * 2


def test_of_several_triggers_at_once_each_has_its_chance_where_the_photo_eye_fires() -> None:
    tracker, world = make(wired=("top",))
    tracker.on_triggers([trigger(world, 1), trigger(world, 2)], True)
    assert not world.requests and not world.rows
    for sequence in (1, 2):
        tracker.on_frame(frame(world), PartKey(7, sequence))
    assert [key.sequence for key, _, _ in world.to_judge] == [1, 2]


def test_a_wired_cameras_picture_counts_once_it_is_proven() -> None:
    tracker, world = make(wired=("top",))
    photograph(tracker, world, 1)
    tracker.on_view(PartKey(7, 1), *view("top", Decision.OK), {})
    prove(tracker, world, 1)
    tracker.on_triggers([trigger(world, 2)], True)
    tracker.on_block(block(2, world.now))
    assert not world.to_log, "no exchange proves a picture that the line has not asked for"
    tracker.on_proven("top", PartKey(7, 1))
    assert world.rows[PartKey(7, 1)][0].decision is Decision.OK


def test_a_refused_picture_is_not_kept_as_the_parts_own() -> None:
    tracker, world = make(wired=("top",))
    for sequence, judged in ((1, True), (2, False)):
        photograph(tracker, world, sequence)
        if judged:
            tracker.on_view(PartKey(7, sequence), *view("top", Decision.OK), {})
        tracker.on_refused("top", PartKey(7, sequence), "two pictures came for it")
    photograph(tracker, world, 3)
    tracker.on_view(PartKey(7, 3), *view("top", Decision.OK), {})
    world.now += DEADLINE_NS
    tracker.tick()
    causes = [world.rows[PartKey(7, s)][0].cause for s in (1, 2, 3)]
    assert causes == [Cause.FRAME_MISMATCH, Cause.FRAME_MISMATCH, Cause.DEADLINE]
    assert all(slot.verdict == WireVerdict.NOT_INSPECTED for slot, _, _ in world.to_send)
    for _, _, done in list(world.to_send):
        done(True, world.now)
    assert len(world.done) == 3
    assert all(part.frames == () and part.record.views == () for part in world.done)


def test_a_second_camera_that_fails_does_not_take_back_what_was_sent() -> None:
    tracker, world = make(("top", "side"))
    tracker.on_triggers([trigger(world, 1)], True)
    for camera in ("top", "side"):
        lost = FrameLost(camera, LossReason.CAMERA_DOWN, 1, None, world.now, "unplugged")
        tracker.on_lost(lost, PartKey(7, 1))
    ((slot, _, done),) = world.to_send
    assert slot.verdict == WireVerdict.NOT_INSPECTED
    assert not world.outcomes
    done(True, world.now)
    (outcome,) = world.outcomes[PartKey(7, 1)]
    assert (outcome.wire_verdict, outcome.written) == (WireVerdict.NOT_INSPECTED, True)
    assert tracker.in_flight == 0


def test_what_was_sent_is_closed_with_its_plc_and_with_the_station() -> None:
    for end in ("restart", "stop"):
        tracker, world = make()
        tracker.on_triggers([trigger(world, 1)], False)
        assert len(world.to_send) == 1
        if end == "restart":
            tracker.on_epoch(8)
        else:
            tracker.abandon(Cause.NOT_READY, "the station was stopped")
        (outcome,) = world.outcomes[PartKey(7, 1)]
        assert (outcome.wire_verdict, outcome.written) == (WireVerdict.EMPTY, False)
        world.to_send[0][2](True, world.now)
        assert len(world.outcomes[PartKey(7, 1)]) == 1


def test_a_late_result_is_logged_only() -> None:
    tracker, world = make()
    photograph(tracker, world, 1)
    world.now += DEADLINE_NS
    tracker.tick()
    assert world.rows[PartKey(7, 1)][0].cause is Cause.DEADLINE
    assert tracker.counts.deadline_misses == 1
    tracker.on_view(PartKey(7, 1), *view("top", Decision.OK), {})
    assert world.events == ["late_result"]
    assert all(slot.verdict != WireVerdict.OK for slot, _, _ in world.to_send)


def test_recipe_change_leaves_parts_under_way_alone() -> None:
    tracker, world = make()
    photograph(tracker, world, 1)
    other: Any = SimpleNamespace(**{**vars(ACTIVE), "bundle": SimpleNamespace(sha256="1" * 64)})
    tracker.set_active(other)
    prove(tracker, world, 1)
    tracker.on_view(PartKey(7, 1), *view("top", Decision.OK), {})
    photograph(tracker, world, 2)
    prove(tracker, world, 2)
    tracker.on_view(PartKey(7, 2), *view("top", Decision.OK), {})
    assert [world.rows[PartKey(7, s)][0].bundle_sha256[0] for s in (1, 2)] == ["0", "1"]
