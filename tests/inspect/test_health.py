"""Health, alarms and the watchdog: pure logic, checked by cases and by properties."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate.inspect.alarms import AlarmBook
from linegate.inspect.health import LOG_LASTS_MS, Component, Health
from linegate.inspect.plc.recipe_change import RecipeView
from linegate.inspect.plc.registers import PLC_NOTHING, Control, ErrorCode, Fault, State, Status
from linegate.inspect.watchdog import Watchdog

S = 1_000_000_000
LASTING_NS = int(LOG_LASTS_MS * 1e6)
GOOD = RecipeView(1, True, ErrorCode.NONE)
RUNNING = replace(PLC_NOTHING, epoch=7, control=Control.RUN | Control.TRIGGER_ENABLE)
ALL = [(c, "") for c in Component if c is not Component.CAMERA] + [
    (Component.CAMERA, "top"),
    (Component.CAMERA, "side"),
]


def health(heard=None, ok=True, limit_ms=1e6):
    watchdog = Watchdog({"link": limit_ms, "inference": 2 * limit_ms}, 0)
    made = Health(["top", "side"], 3, 2000.0, watchdog, on_alarm=heard.append if heard is not None else None)
    if ok:
        for component, name in ALL:
            made.report(component, True, "fine", 0, name)
        made.block(RUNNING, 0)
    return made


def test_not_ready_before_every_component_has_reported():
    made = health(ok=False)
    for component, name in ALL:
        view = made.view(GOOD, 0)
        assert view.state is State.PREOPERATIONAL
        assert not view.ready
        assert Status.TRIGGER_READY not in view.status
        made.report(component, True, "fine", 0, name)
    assert made.view(GOOD, 0).state is State.READY
    made.block(RUNNING, 0)
    view = made.view(GOOD, 0)
    assert (view.state, view.ready, view.error, view.reasons) == (State.CONTINUOUS_EXECUTION, True, ErrorCode.NONE, ())


@pytest.mark.parametrize(
    ("component", "name", "bit", "code", "stops"),
    [
        (Component.CAMERA, "side", Status.CAMERA_OK, ErrorCode.CAMERA, False),
        (Component.LOG, "", Status.LOG_OK, ErrorCode.LOG, True),
        (Component.DISK, "", Status.LOG_OK, ErrorCode.LOG, True),
        (Component.SYNC, "", Status.SYNC_OK, ErrorCode.SYNC, False),
        (Component.PLC, "", Status.SYNC_OK, ErrorCode.SYNC, False),
        (Component.RUNTIME, "", None, ErrorCode.RUNTIME, False),
    ],
)
def test_each_failure_has_its_bit_code_words_and_alarm(component, name, bit, code, stops):
    made = health()
    made.report(component, False, "is broken", S - LASTING_NS, name)
    made.report(component, False, "is broken", S, name)
    view = made.view(GOOD, S)
    assert bit is None or bit not in view.status
    assert (view.error, view.state, view.ready, view.stop) == (code, State.ERROR, False, stops)
    assert (Status.STOP_REQUEST in view.status) is stops
    assert any("is broken" in reason for reason in view.reasons)
    (alarm,) = view.alarms
    assert alarm.remedy
    made.report(component, True, "back", 2 * S, name)
    view = made.view(GOOD, 2 * S)
    assert view.error is (ErrorCode.LOG if stops else ErrorCode.NONE)
    assert view.stop is stops, "a stop stays until a person has acknowledged"
    assert made.acknowledge(alarm.id, "Ana", 3 * S).acknowledged_by == "Ana"
    view = made.view(GOOD, 3 * S)
    assert (view.alarms, view.stop, view.ready) == ((), False, True)


def test_parts_in_a_row_that_were_not_inspected_stop_the_line():
    made = health()
    for inspected in (False, False, True, False, False):
        made.part(inspected, S)
        assert not made.view(GOOD, S).stop
    made.part(False, S)
    view = made.view(GOOD, S)
    assert (view.stop, view.error, view.state) == (True, ErrorCode.UNINSPECTED, State.HALTED)
    assert "3 parts in a row" in view.reasons[0]
    made.acknowledge(view.alarms[0].id, "Ana", 2 * S)
    assert not made.view(GOOD, 2 * S).stop
    made.part(False, 3 * S)
    assert not made.view(GOOD, 3 * S).stop, "the count begins again"


def test_a_log_that_fails_for_a_moment_is_told_to_the_plc_and_stops_nothing():
    made = health()
    made.report(Component.LOG, False, "locked", S)
    view = made.view(GOOD, S)
    assert Status.LOG_OK not in view.status
    assert (view.error, view.ready, view.stop, view.alarms) == (ErrorCode.LOG, False, False, ())
    made.report(Component.LOG, False, "locked", S + LASTING_NS - 1)
    made.report(Component.LOG, True, "", S + LASTING_NS)
    assert made.view(GOOD, S + LASTING_NS).ready
    made.report(Component.LOG, False, "locked", S + LASTING_NS + 1)
    assert not made.view(GOOD, S + LASTING_NS + 1).stop, "the time before counts no more"


def counts(made, rejected, confirmed, at_ns):
    made.block(replace(RUNNING, rejected=rejected, confirmed=confirmed, read_ns=at_ns), at_ns)
    return made.view(GOOD, at_ns)


def test_one_rejected_part_that_the_sensor_never_saw_is_an_alarm():
    made = health()
    counts(made, 10, 10, S)
    assert not counts(made, 11, 10, 60 * S).stop, "it may be on its way"
    assert not counts(made, 11, 10, 61 * S).stop
    view = counts(made, 11, 10, 62 * S)
    assert (view.stop, view.error) == (True, ErrorCode.CONFIRM)
    assert "11 rejected parts, the confirm sensor 10" in view.reasons[0]
    counts(made, 12, 10, 63 * S)  # the next one is on its way when somebody acknowledges
    made.acknowledge(view.alarms[0].id, "Ana", 64 * S)
    assert not counts(made, 12, 11, 64 * S).stop
    assert counts(made, 13, 11, 65 * S).alarms == ()
    assert counts(made, 13, 11, 67 * S).stop, "the acknowledged part is the new zero, not a licence"


def test_rejects_that_follow_each_other_closely_are_no_alarm():
    """There is always one between gate and sensor; that one of them is missing shows as soon as there is a pause."""
    made = health()
    for n in range(100):
        assert not counts(made, n + 1, n, S + n * S // 10).stop
    assert not counts(made, 101, 99, 11 * S).stop, "one was not seen"
    assert not counts(made, 101, 100, 12 * S).stop
    assert counts(made, 101, 100, 13 * S).stop


def test_more_confirmed_than_rejected_is_as_bad_and_wraps_are_none():
    made = health()
    counts(made, 1, 1, S)
    wrapped = health()
    counts(wrapped, 2**32 - 1, 2**32 - 1, S)
    assert not counts(wrapped, 1, 1, 9 * S).stop
    assert not counts(wrapped, 1, 1, 90 * S).stop
    assert not counts(made, 1, 2, 10 * S).stop
    view = counts(made, 1, 2, 13 * S)
    assert view.stop
    made.acknowledge(view.alarms[0].id, "Ana", 14 * S)
    assert not counts(made, 2, 3, 15 * S).stop


def test_a_missing_part_that_came_after_all_excuses_no_other():
    made = health()
    counts(made, 5, 5, S)
    counts(made, 6, 5, 2 * S)
    view = counts(made, 6, 5, 5 * S)
    made.acknowledge(view.alarms[0].id, "Ana", 6 * S)
    assert not counts(made, 6, 6, 7 * S).stop, "somebody dropped it into the bin"
    assert not counts(made, 6, 6, 10 * S).stop
    counts(made, 7, 6, 11 * S)
    assert counts(made, 7, 6, 13 * S).stop


def test_a_silent_plc_makes_no_part_late_and_a_restarted_one_counts_anew():
    made = health()
    counts(made, 10, 9, S)
    old = replace(RUNNING, rejected=10, confirmed=9, read_ns=S)
    made.block(old, 60 * S)
    assert not made.view(GOOD, 60 * S).stop
    assert not counts(made, 40, 40, 61 * S).stop
    new = replace(RUNNING, epoch=8, rejected=1, confirmed=0, read_ns=62 * S)
    made.block(new, 62 * S)
    assert not made.view(GOOD, 62 * S).stop
    made.block(replace(new, read_ns=64 * S), 64 * S)
    assert made.view(GOOD, 64 * S).stop


@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=40),
    st.lists(st.integers(0, 1900), min_size=40, max_size=40),
    st.sets(st.integers(0, 39)),
)
def test_an_alarm_exactly_when_a_reject_stays_unseen(pitches_ms, ways_ms, lost):
    """Rejects at any distance, each with its own way to the sensor, some of which never arrive."""
    rejects_ms = [sum(pitches_ms[: n + 1]) + 5000 for n in range(len(pitches_ms))]
    seen_ms = sorted(at + way for n, (at, way) in enumerate(zip(rejects_ms, ways_ms, strict=False)) if n not in lost)
    missing = len(rejects_ms) - len(seen_ms)
    made = health()
    for at_ms in range(1000, rejects_ms[-1] + 4500, 20):
        view = counts(made, sum(t <= at_ms for t in rejects_ms), sum(t <= at_ms for t in seen_ms), at_ms * 10**6)
        assert not (view.stop and not missing), at_ms
    assert view.stop is bool(missing)


@pytest.mark.parametrize(
    ("fault", "word"), [(Fault.BIN_FULL, "full"), (Fault.BIN_OPEN, "open"), (Fault.AIR_LOW, "air")]
)
def test_a_reject_path_that_cannot_be_trusted_stops_the_line(fault, word):
    made = health()
    made.block(replace(RUNNING, faults=fault), S)
    view = made.view(GOOD, S)
    assert (view.stop, view.ready, view.error, view.state) == (True, False, ErrorCode.MACHINE, State.HALTED)
    (alarm,) = view.alarms
    assert word in alarm.text
    assert alarm.remedy
    made.block(RUNNING, 2 * S)
    assert made.view(GOOD, 2 * S).stop, "somebody has to look"
    made.acknowledge(alarm.id, "Ana", 3 * S)
    assert made.view(GOOD, 3 * S).ready


def test_the_plc_enables_the_trigger_and_stops_the_line():
    made = health()
    made.block(replace(RUNNING, control=Control.RUN), S)
    view = made.view(GOOD, S)
    assert (view.ready, view.state, view.stop) == (False, State.READY, False)
    assert Status.TRIGGER_READY not in view.status
    assert any("TriggerEnable" in reason for reason in view.reasons)
    made.block(replace(RUNNING, faults=Fault.LINE_STOPPED), 2 * S)
    view = made.view(GOOD, 2 * S)
    assert (view.ready, view.state, view.alarms) == (True, State.READY, ())
    assert any("stopped the line" in reason for reason in view.reasons)
    made.block(RUNNING, 3 * S)
    assert made.view(GOOD, 3 * S).state is State.CONTINUOUS_EXECUTION


def test_confirm_fault_bit_stops_at_once():
    made = health()
    made.block(replace(RUNNING, faults=Fault.CONFIRM_FAULT), S)
    assert made.view(GOOD, S).error is ErrorCode.CONFIRM
    made.block(RUNNING, 2 * S)
    assert made.view(GOOD, 2 * S).stop, "latched"


def test_failed_challenge_needs_a_good_one_and_a_person():
    made = health()
    made.challenge(False, "part 7 passed", S)
    (alarm,) = made.view(GOOD, S).alarms
    assert made.view(GOOD, S).stop
    assert made.challenge_due
    made.acknowledge(alarm.id, "Ana", 2 * S)
    view = made.view(GOOD, 2 * S)
    assert (view.error, view.stop, view.ready) == (ErrorCode.CHALLENGE, False, False), (
        "the next challenge part may come"
    )
    assert made.challenge_due
    made.challenge(True, "", 3 * S)
    assert not made.view(GOOD, 3 * S).stop
    assert not made.challenge_due
    made.challenge(False, "part 9 passed", 4 * S)
    made.challenge(True, "", 5 * S)
    assert made.view(GOOD, 5 * S).stop, "caught since, and nobody has seen it yet"


def test_a_stalled_thread_stops_the_heartbeat_and_is_named():
    made = health(limit_ms=500.0)
    made.watchdog.beat("link", S)
    view = made.view(GOOD, S + 1)
    assert not view.alive
    assert not view.ready
    assert "inference" in view.reasons[0]
    made.watchdog.beat("inference", S + 2)
    assert made.view(GOOD, S + 3).alive
    with pytest.raises(KeyError):
        made.watchdog.beat("no such thread", 0)


def test_recipe_and_overrun_reach_the_view():
    made = health()
    view = made.view(RecipeView(1, False, ErrorCode.RECIPE), 0)
    assert (view.ready, view.state, view.error) == (False, State.HALTED, ErrorCode.RECIPE)
    made.overrun(S)
    assert Status.OVERRUN in made.view(GOOD, S + 5).status
    assert Status.OVERRUN not in made.view(GOOD, 3 * S).status


def test_every_change_of_an_alarm_is_heard():
    heard = []
    made = health(heard)
    made.report(Component.DISK, False, "full", S)
    made.report(Component.DISK, False, "full", S)
    made.acknowledge(heard[0].id, "Ana", 2 * S)
    made.report(Component.DISK, True, "fine", 3 * S)
    assert [(a.raised_ns, a.acknowledged_ns, a.cleared_ns) for a in heard] == [
        (S, None, None),
        (S, 2 * S, None),
        (S, 2 * S, 3 * S),
    ]
    assert made.acknowledge(99, "Ana", S) is None
    with pytest.raises(ValueError, match="name"):
        made.acknowledge(1, " ", S)


STEPS = st.lists(
    st.tuples(st.sampled_from(["raise", "clear", "ack"]), st.sampled_from(["a", "b"]), st.booleans()), max_size=30
)


@given(STEPS)
def test_an_alarm_is_open_until_cleared_and_acknowledged_since_it_was_last_raised(steps):
    book = AlarmBook()
    there = {"a": False, "b": False}
    seen = {"a": True, "b": True}
    for now, (what, key, stop) in enumerate(steps):
        ids = {alarm.key: alarm.id for alarm in book.open()}
        if what == "raise":
            if not there[key]:
                seen[key] = False
            there[key] = True
            book.raise_(key, ErrorCode.LOG, "t", "r", now, stop=stop)
        elif what == "clear":
            there[key] = False
            book.clear(key, now)
        elif key in ids:
            seen[key] = True
            book.acknowledge(ids[key], "Ana", now)
        assert {alarm.key for alarm in book.open()} == {k for k in there if there[k] or not seen[k]}
        assert all(book.active(k) is there[k] for k in there)


REPORTS = st.lists(st.tuples(st.sampled_from(ALL), st.booleans()), max_size=40)


@given(REPORTS, st.booleans(), st.integers(0, 2000))
def test_ready_only_if_everything_holds(reports, recipe_ok, later_ms):
    made = health(limit_ms=500.0)
    state = dict.fromkeys(ALL, True)
    for key, ok in reports:
        state[key] = ok
        made.report(key[0], ok, "x", 0, key[1])
    now = later_ms * 1_000_000
    view = made.view(RecipeView(1, recipe_ok, ErrorCode.NONE if recipe_ok else ErrorCode.RECIPE), now)
    assert view.alive is (later_ms <= 500)
    if view.ready:
        assert all(state.values())
        assert recipe_ok
        assert view.alive
        assert not view.stop
        assert view.error is ErrorCode.NONE
    else:
        assert view.reasons
        assert Status.TRIGGER_READY not in view.status
    assert (Status.LOG_OK in view.status) is (state[Component.LOG, ""] and state[Component.DISK, ""])
