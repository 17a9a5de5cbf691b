"""Pictures to parts by count and clock: whatever goes wrong, no picture is ever proven to show a part that it does not show."""

from __future__ import annotations

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from linegate.cameras.frame import LossReason
from linegate.inspect.matching import HELD, MISSES, Missing, Refused

from .belt import MS, Belt, feed, ready


def test_the_first_part_after_arming_is_proven_without_any_part_to_learn_from() -> None:
    belt = ready()
    feed(belt, 3)
    assert belt.proven() == [1, 2, 3] and not belt.rearms


@pytest.mark.parametrize("poll_ms", [1, 10, 50])
def test_a_picture_that_is_here_before_its_part_is_counted_waits_for_it(poll_ms: float) -> None:
    belt = ready(poll_ms=poll_ms, latency_ms=1)
    fed = feed(belt, 5, pitch_ms=150, lag_ms=9)
    assert belt.proven() == fed and not belt.rearms


def test_of_two_parts_in_one_poll_both_get_their_picture() -> None:
    belt = ready(poll_ms=50, longest_ms=40)
    belt.before_poll(45)
    fed = feed(belt, 2, pitch_ms=35)
    belt.run(200)
    ats = {key.sequence: edge.at_ns for key, edge in ((e.key, e) for e in belt.matcher._edges.values())}
    assert len(set(ats.values())) == 1, "both were told at once"
    assert belt.proven() == fed


def test_pictures_later_than_a_pitch_are_never_the_next_parts() -> None:
    """Pitch 60 ms, picture after 62 ms, and timeout_s promises 40 ms: each comes when the next part could be meant."""
    belt = ready(latency_ms=62)
    feed(belt, 20)
    assert belt.proven() == []
    assert all(isinstance(end, Missing | Refused) for end in belt.ends.values())
    assert any("no picture within 40 ms" in why for why in belt.rearms)


def test_where_pictures_take_longer_than_a_pitch_only_a_gap_proves_them() -> None:
    belt = ready(latency_ms=62, longest_ms=80)
    fed = feed(belt, 20)
    assert belt.proven() == []
    assert "could not be proven in time" in belt.end_of(fed[4]).text
    belt.run(300)
    assert fed[-1] in belt.proven() and fed[4] not in belt.proven()
    belt.check()


def test_one_late_picture_costs_its_part_and_no_arming() -> None:
    belt = ready()
    fed = [*feed(belt, 2), *feed(belt, 1, late_ms=28), *feed(belt, 3)]
    belt.run(100)
    assert belt.proven() == [n for n in fed if n != fed[2]]
    assert belt.end_of(fed[2]).lost.reason is LossReason.TIMEOUT
    assert belt.end_of(fed[2]).key not in belt.shown
    assert not belt.rearms


def test_a_picture_that_comes_just_too_late_is_not_shown_first() -> None:
    belt = ready(poll_ms=50)
    belt.before_poll(1)
    (late,) = feed(belt, 1, late_ms=43)  # before anybody has looked whether the time is over
    belt.run(100)
    end = belt.end_of(late)
    assert end.lost.reason is LossReason.TIMEOUT and end.key not in belt.shown


def test_a_lost_picture_costs_its_part_alone() -> None:
    belt = ready()
    fed = [*feed(belt, 2), *feed(belt, 1, lost=True), *feed(belt, 1), *feed(belt, 1, broken=True), *feed(belt, 2)]
    belt.run(100)
    assert belt.proven() == [n for n in fed if n not in (fed[2], fed[4])]
    assert belt.end_of(fed[2]).lost.reason is LossReason.TIMEOUT
    assert belt.end_of(fed[4]).lost.reason is LossReason.FAILED_BUFFER
    assert not belt.rearms


def test_a_gap_that_shows_in_time_says_so() -> None:
    belt = ready(longest_ms=200)
    lost = belt.edge(lost=True)
    belt.run(5)
    belt.noise()  # numbered after it, so that the gap is noticed
    belt.run(30)
    assert belt.end_of(lost).lost.reason is LossReason.GAP


@pytest.mark.parametrize(
    ("before_ms", "times"),
    [
        (3, {}),  # both pictures come in the part's time
        (20, {"latency_ms": 35}),  # and are there before the PLC could say that it counted no second part
        (40, {}),  # the first picture comes when no part can be meant
        (40, {"poll_ms": 50, "latency_ms": 1}),  # and the PLC shows the next part before it can say so
    ],
)
def test_an_exposure_nobody_counted_is_noticed_and_counting_begins_again(
    before_ms: float, times: dict[str, float]
) -> None:
    belt = ready(**times)
    feed(belt, 3, pitch_ms=150)
    assert belt.proven() == [1, 2, 3]
    belt.before_poll(25)
    belt.noise()
    belt.run(before_ms)
    (hit,) = feed(belt, 1, pitch_ms=500)
    assert hit not in belt.proven()
    assert belt.end_of(hit).key not in belt.shown or before_ms < 40, "it came before its part could be meant"
    assert belt.rearms[0] and not any(belt.rearms[1:])
    assert feed(belt, 2, pitch_ms=150) == belt.proven()[3:]


def test_edges_that_the_camera_misses_are_noticed_and_counting_begins_again() -> None:
    belt = ready()
    fed = feed(belt, 2)
    belt.overlook = 1
    feed(belt, MISSES)
    assert belt.proven() == fed
    belt.run(150)
    assert belt.rearms == [f"camera 'top', {MISSES} parts in a row: no picture within 40 ms"]
    assert feed(belt, 3) == belt.proven()[-3:]


def test_a_picture_of_the_part_close_behind_one_that_the_camera_missed() -> None:
    """By the count it shows the first; by the clock it can be either, once the PLC has shown the second."""
    belt = ready(poll_ms=50, longest_ms=20, latency_ms=5)
    belt.overlook = 1
    belt.before_poll(2)  # which then falls between the two
    first = belt.edge()
    belt.run(4)
    second = belt.edge()
    belt.run(500)
    assert {first, second} == set(belt.key_of.values()) and not belt.proven()


def test_a_camera_that_counted_before_the_plc_was_met_begins_anew() -> None:
    belt = Belt(longest_ms=40, latency_ms=15, poll_ms=2)
    belt.cut()
    belt.arm()
    feed(belt, 1)
    belt.linked = True
    belt.run(1200)  # until the count that it is met with is believed
    assert belt.rearms == [""]
    assert feed(belt, 2) == belt.proven()


def test_counting_begins_on_a_running_belt_between_two_parts() -> None:
    belt = Belt(longest_ms=40, latency_ms=15, poll_ms=2)
    feed(belt, 3)
    belt.arm()
    feed(belt, 12)
    assert belt.matcher.tied
    assert belt.proven()[-5:] == [11, 12, 13, 14, 15]


def test_parts_without_a_camera_are_told_at_once() -> None:
    belt = ready()
    belt.unplug()
    number = belt.edge()
    belt.run(5)
    assert belt.end_of(number).lost.reason is LossReason.CAMERA_DOWN


def test_of_pictures_that_wait_for_the_plc_only_a_few_are_held() -> None:
    belt = ready()
    belt.cut()
    for _ in range(3 * HELD):
        belt.edge()
        belt.run(60)
    held = [x for x in belt.matcher._exposures.values() if x.frame is not None]
    assert len(held) == HELD


def test_after_an_outage_what_the_plc_has_yet_to_tell_is_no_contradiction() -> None:
    """More parts than are told after one exchange: the camera's pictures of the last ones are not uncounted."""
    belt = ready()
    belt.cut()
    feed(belt, 600, pitch_ms=20)
    belt.linked = True
    belt.run(200)
    assert not belt.rearms and not belt.proven()
    assert feed(belt, 3) == belt.proven()


PITCHES_MS = (25.0, 40.0, 60.0, 100.0, 250.0)


class Line(RuleBasedStateMachine):
    """A belt on which everything happens: parts close and far, pictures early, late, lost, broken and too many, edges missed,
    a camera that goes and comes, a PLC that restarts, a cable that breaks."""

    @initialize(
        longest_ms=st.sampled_from([10.0, 20.0, 40.0, 80.0, 300.0]),
        latency_ms=st.sampled_from([0.5, 5.0, 15.0, 35.0, 62.0, 120.0]),
        poll_ms=st.sampled_from([1.0, 2.0, 10.0, 25.0, 50.0]),
        arm_ms=st.sampled_from([1.0, 5.0, 40.0]),
        pitch_ms=st.sampled_from(PITCHES_MS),
    )
    def start(self, longest_ms: float, latency_ms: float, poll_ms: float, arm_ms: float, pitch_ms: float) -> None:
        self.belt = Belt(longest_ms, latency_ms, poll_ms, arm_ms)
        self.pitch_ms = pitch_ms
        self.belt.arm()

    @rule(
        count=st.integers(1, 6),
        gap_ms=st.sampled_from([0.0, 0.0, 0.0, 1.0, 7.0, 30.0]),
        lag_ms=st.sampled_from([0.0, 2.0, 10.0]),
        late_ms=st.sampled_from([0.0, 0.0, 0.0, 5.0, 30.0, 60.0, 200.0]),
        loss=st.sampled_from(["", "", "", "lost", "broken"]),
    )
    def parts(self, count: int, gap_ms: float, lag_ms: float, late_ms: float, loss: str) -> None:
        for _ in range(count):
            self.belt.edge(lag_ms, late_ms=late_ms, lost=loss == "lost", broken=loss == "broken")
            self.belt.run(self.pitch_ms + gap_ms)

    @rule(ms=st.sampled_from([0.3, 1.0, 4.0, 11.0, 50.0, 400.0]))
    def wait(self, ms: float) -> None:
        self.belt.run(ms)

    @rule(pitch_ms=st.sampled_from(PITCHES_MS))
    def other_pitch(self, pitch_ms: float) -> None:
        self.pitch_ms = pitch_ms

    @rule()
    def noise(self) -> None:
        self.belt.noise()

    @precondition(lambda self: not self.belt.uncounted)
    @rule()
    def overlook(self) -> None:
        self.belt.overlook = 1

    @rule(late_ms=st.sampled_from([0.5, 10.0, 30.0, 100.0]))
    def other_latency(self, late_ms: float) -> None:
        self.belt.latency_ns = round(late_ms * MS)

    @rule(away_ms=st.sampled_from([0.0, 20.0, 300.0]))
    def camera_goes_and_comes(self, away_ms: float) -> None:
        self.belt.unplug()
        self.belt.run(away_ms)
        self.belt.arm()

    @rule(counted=st.sampled_from([0, 0, 5]))
    def plc_restarts(self, counted: int) -> None:
        self.belt.restart_plc(counted)

    @rule(cut=st.booleans())
    def cable(self, cut: bool) -> None:
        if cut:
            self.belt.cut()
        else:
            self.belt.linked = True

    @invariant()
    def no_picture_is_anothers(self) -> None:
        if hasattr(self, "belt"):
            self.belt.check()

    def teardown(self) -> None:
        """Every part that was told ends once, and after a while of quiet a healthy line proves its parts again."""
        if not hasattr(self, "belt"):
            return
        belt = self.belt
        belt.linked, belt.overlook = True, 0
        belt.latency_ns, belt.longest_ns = min(belt.latency_ns, belt.matcher._longest_ns), belt.matcher._longest_ns
        belt.run(1500)
        assert set(belt.ends) == belt.told
        if not belt.armed:
            belt.arm()
        belt.run(500)
        fed = feed(belt, MISSES + 3, pitch_ms=400)  # the camera may have missed an edge that nobody has noticed yet
        assert belt.proven()[-3:] == fed[-3:], (belt.ends, belt.rearms)
        self.no_picture_is_anothers()


TestLine = Line.TestCase
TestLine.settings = hypothesis_settings(max_examples=60, stateful_step_count=30, deadline=None)
