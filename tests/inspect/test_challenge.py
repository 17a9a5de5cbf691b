"""A challenge round: every part caught, or the round says which was missed."""

from __future__ import annotations

import time

import pytest

from linegate.inspect.challenge import ChallengeRound
from linegate.inspect.part import Cause, Decision, PartKey

from .tracker_world import MS, make, photograph


def test_a_round_in_which_all_are_caught() -> None:
    expected: list[int] = []
    challenge = ChallengeRound(expected.append)
    assert "dent" in challenge.start(("dent", "crack"))
    challenge.arm()
    assert challenge.as_dict()["armed"]
    assert "next is crack" in challenge.on_part(PartKey(1, 5), time.monotonic_ns(), Decision.NG, "dent")
    challenge.arm()
    assert "again" in challenge.on_part(PartKey(1, 6), time.monotonic_ns(), Decision.NOT_INSPECTED, "")
    challenge.arm()
    assert "all caught" in challenge.on_part(PartKey(1, 7), time.monotonic_ns(), Decision.REVIEW, "crack")
    assert not challenge.active and challenge.last_good == PartKey(1, 7)
    assert expected == [0, 1, 1, 1]


def test_a_missed_part_is_named_and_the_last_good_round_stands() -> None:
    challenge = ChallengeRound(lambda _parts: None, PartKey(1, 0))
    assert challenge.as_dict()["last_good"] == "0001-0"
    challenge.on_part(PartKey(1, 1), time.monotonic_ns(), Decision.NG, "dent")  # armed by the PLC, outside a round
    challenge.start(("dent",))
    challenge.arm()
    assert "missed dent" in challenge.on_part(PartKey(1, 9), time.monotonic_ns(), Decision.OK, "")
    assert challenge.last_good == PartKey(1, 1)


def test_nothing_to_arm() -> None:
    challenge = ChallengeRound(lambda _parts: None)
    assert challenge.as_dict()["last_good"] == "never"
    with pytest.raises(ValueError, match="no challenge round"):
        challenge.arm()
    challenge.start(("dent",))
    challenge.abort()
    assert not challenge.active and challenge.as_dict()["result"] == "aborted"


def test_a_round_that_was_ended_expects_no_part_any_more() -> None:
    """Neither does one that is begun anew: the part armed for the old one may be a good part."""
    for end in (ChallengeRound.abort, lambda challenge: challenge.start(("crack",))):
        expected: list[int] = []
        challenge = ChallengeRound(expected.append)
        challenge.start(("dent",))
        challenge.arm()
        assert expected[-1] == 1
        end(challenge)
        assert expected[-1] == 0 and not challenge.as_dict()["armed"]


def test_only_the_step_that_was_read_is_armed_and_only_once() -> None:
    """Two screens, or one hand twice: armed again, the good part after the challenge part would count as it."""
    expected: list[int] = []
    challenge = ChallengeRound(expected.append)
    challenge.start(("dent", "crack"))
    challenge.arm(0)
    with pytest.raises(ValueError, match="expected already"):
        challenge.arm(0)
    challenge.on_part(PartKey(1, 5), time.monotonic_ns(), Decision.NG, "dent")
    with pytest.raises(ValueError, match="at part 2 by now, crack"):
        challenge.arm(0)
    assert expected == [0, 1]
    challenge.arm(1)
    assert expected[-1] == 1


def test_a_part_under_way_when_the_round_is_begun_anew_does_not_count_for_it() -> None:
    """Its truth belongs to the round that was ended; the new round's first part has yet to be presented."""
    tracker, world = make()
    challenge = ChallengeRound(tracker.arm_challenge, now_ns=world.now_ns)

    def finish() -> str:
        tracker.abandon(Cause.PLC_LOST, "whatever it is: it is through")
        world.to_log[-1][1](None)
        part = world.done[-1]
        assert part.record.challenge
        return challenge.on_part(part.record.key, part.trigger.at_ns, Decision.NG, "dent")

    challenge.start(("dent", "crack"))
    challenge.arm()
    photograph(tracker, world, 1)
    challenge.abort()
    challenge.start(("dent", "crack"))
    world.now += 3 * MS
    challenge.arm(0)
    assert "does not count" in finish()
    now = challenge.as_dict()
    assert (now["step"], now["armed"], [step["result"] for step in now["steps"]]) == (0, True, ["", ""])
    assert challenge.last_good == PartKey(7, 1), "it was caught all the same"
    photograph(tracker, world, 2)
    assert "next is crack" in finish()
    assert challenge.as_dict()["step"] == 1
