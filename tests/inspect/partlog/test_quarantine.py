"""What a failed challenge puts in doubt, from the log alone: on both databases, over restarts, late rows and set clocks."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from partlog_samples import put, record, until

from linegate.inspect.cli import main
from linegate.inspect.part import Decision, GateResult, PartKey
from linegate.inspect.partlog.database import open_reader
from linegate.inspect.partlog.quarantine import (
    CHALLENGE,
    FAILED,
    Quarantine,
    challenge_data,
    last_challenge,
    quarantined_parts,
    quarantines,
)
from linegate.inspect.partlog.queries import Reading, events_page
from linegate.inspect.partlog.writer import PartLog
from linegate.inspect.settings import LogSettings

HOUR_NS = 3600 * 10**9


def part(log: PartLog, sequence: int, decision: Decision = Decision.OK, epoch: int = 7, **changes: object) -> PartKey:
    made = replace(record(sequence, epoch=epoch, decision=decision), **changes)
    assert put(log, made) is None
    return made.key


def tell(log: PartLog, key: PartKey, judged: Decision, last_good: PartKey | None) -> None:
    kind = FAILED if judged is Decision.OK else CHALLENGE
    log.record_event(kind, "info", "a challenge part", key, challenge_data(last_good, judged))


def settle(log: PartLog, events: int) -> None:
    def stored() -> bool:
        with Reading(log.reader) as connection:
            return len(events_page(connection, limit=100)) >= events

    until(stored)


def test_the_past_of_a_new_log_and_of_one_with_challenges(log: PartLog) -> None:
    def past() -> tuple[PartKey | None, PartKey | None]:
        with Reading(log.reader) as connection:
            return last_challenge(connection)

    assert past() == (None, None)
    good, failed, caught = PartKey(7, 3), PartKey(7, 9), PartKey(8, 2)
    tell(log, good, Decision.NG, good)
    tell(log, PartKey(7, 5), Decision.NOT_INSPECTED, good)
    settle(log, 2)
    assert past() == (good, None)
    tell(log, failed, Decision.OK, good)
    tell(log, PartKey(8, 1), Decision.NOT_INSPECTED, good)
    settle(log, 4)
    assert past() == (good, failed), "a part that could not be inspected proves nothing"
    tell(log, caught, Decision.REVIEW, good)  # the first of a round: caught, and the round is not over
    settle(log, 5)
    assert past() == (good, None)
    tell(log, PartKey(8, 3), Decision.NG, PartKey(8, 3))
    settle(log, 6)
    assert past() == (PartKey(8, 3), None)


def test_all_that_may_have_left_since_the_last_good_challenge_and_nothing_else(log: PartLog) -> None:
    part(log, 1)
    good = part(log, 2, Decision.NG, challenge=True)
    at_ns = record(3).triggered_utc_ns
    passed = part(log, 3)
    unknown = part(log, 4)
    kept_back = part(log, 5)
    bad_that_passed = part(log, 6, Decision.NG)
    part(log, 7, Decision.NG)
    after_a_restart = part(log, 1, epoch=8)
    clock_set_back = part(log, 2, epoch=8, triggered_utc_ns=at_ns - HOUR_NS)
    failed = part(log, 3, epoch=8, challenge=True)
    logged_late = part(log, 8, triggered_utc_ns=at_ns)
    part(log, 4, epoch=8)
    for key, gate in (
        (passed, GateResult.PASSED),
        (unknown, GateResult.UNKNOWN),
        (kept_back, GateResult.REJECTED),
        (bad_that_passed, GateResult.PASSED),
    ):
        log.put_gate_result(key, gate)
    tell(log, failed, Decision.OK, good)
    settle(log, 1)
    with Reading(log.reader) as connection:
        (doubt,) = quarantines(connection)
        found = [PartKey(row["epoch"], row["sequence"]) for row in quarantined_parts(connection, doubt)]
        since_ever = quarantined_parts(connection, replace(doubt, last_good=None))
        unlogged = quarantined_parts(connection, replace(doubt, failed=PartKey(9, 9)))
    assert (doubt.failed, doubt.last_good) == (failed, good)
    assert found == [passed, unknown, bad_that_passed, after_a_restart, clock_set_back, failed, logged_late]
    assert len(since_ever) == len(found) + 1
    assert {row["id"] for row in unlogged} >= {row["id"] for row in since_ever[1:]}, (
        "its row is gone: until it was told"
    )


def test_the_command_lists_the_last_one_or_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = LogSettings(min_free_mb=0)

    def call(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["linegate", "log", "quarantine", "--data", str(tmp_path), *words])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        return capsys.readouterr().out

    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    log = PartLog.open(settings, tmp_path)
    log.start()
    assert "nothing is in quarantine" in call()
    part(log, 1, serial="S-1")
    tell(log, part(log, 2, challenge=True), Decision.OK, None)
    part(log, 3, Decision.NG, challenge=True)
    part(log, 4, serial="S-4")
    tell(log, part(log, 5, challenge=True), Decision.OK, PartKey(7, 3))
    log.close()
    shown = call()
    assert "0007-4" in shown and "S-4" in shown and "S-1" not in shown
    assert "2 parts since the last good challenge, 0007-3, until challenge part 0007-5 was accepted" in shown
    assert "2 parts since the log began, until challenge part 0007-2 was accepted" in call("--all")
    rows = [json.loads(line) for line in call("--all", "--json").splitlines()]
    assert [(row["sequence"], row["quarantined_by"]) for row in rows] == [
        (4, "0007-5"),
        (5, "0007-5"),
        (1, "0007-2"),
        (2, "0007-2"),
    ]


def test_an_event_of_an_older_version_doubts_all_since_the_log_began(tmp_path: Path) -> None:
    log = PartLog.open(LogSettings(min_free_mb=0), tmp_path)
    log.start()
    key = part(log, 1)
    log.record_event(FAILED, "alarm", "accepted", key, {"since": "never", "until": str(key)})
    log.close()
    engine = open_reader(LogSettings(), tmp_path)
    with Reading(engine) as connection:
        (doubt,) = quarantines(connection)
        assert last_challenge(connection) == (None, key)
    engine.dispose()
    assert isinstance(doubt, Quarantine) and doubt.last_good is None
