"""Whatever the order of puts, outcomes, locks and repeats: exactly one row per part, and its row never contradicts what
the line was told."""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from partlog_samples import Answer, record, until
from sqlalchemy import select

from linegate.inspect.part import Decision, PartKey, WireVerdict
from linegate.inspect.partlog import schema
from linegate.inspect.partlog.errors import DuplicatePart
from linegate.inspect.partlog.records import Outcome
from linegate.inspect.partlog.writer import PartLog
from linegate.inspect.settings import LogSettings

sequences = st.integers(1, 6)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), sequences, st.sampled_from([Decision.OK, Decision.NG])),
        st.tuples(st.just("outcome"), sequences),
        st.tuples(st.just("lock")),
        st.tuples(st.just("unlock")),
        st.tuples(st.just("settle")),
    ),
    max_size=25,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_one_row_per_part_and_it_agrees_with_the_answer(todo: list[tuple]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _run(todo, Path(folder))


def _run(todo: list[tuple], folder: Path) -> None:
    log = PartLog.open(LogSettings(min_free_mb=0, busy_timeout_ms=10), folder)
    log.start()
    locker = sqlite3.connect(folder / "linegate.db", isolation_level=None, timeout=20)
    puts: list[tuple[int, Decision, Answer]] = []
    outcomes: set[int] = set()
    try:
        for step in todo:
            if step[0] == "put":
                answer = Answer()
                puts.append((step[1], step[2], answer))
                log.put(record(step[1], decision=step[2]), answer)
            elif step[0] == "outcome":
                outcomes.add(step[1])
                log.put_outcome(Outcome(PartKey(7, step[1]), WireVerdict.NG, True, 1.0, 2.0))
            elif step[0] == "lock" and not locker.in_transaction:
                locker.execute("BEGIN IMMEDIATE")
            elif step[0] == "unlock" and locker.in_transaction:
                locker.execute("ROLLBACK")
            elif step[0] == "settle":
                for _, _, answer in puts:
                    answer.wait()
        if locker.in_transaction:
            locker.execute("ROLLBACK")
        for _, _, answer in puts:
            answer.wait()
        until(lambda: log.status().backlog == 0)
        with log.reader.connect() as connection:
            found = connection.execute(select(schema.part)).all()
    finally:
        locker.close()
        log.close()
    assert sorted(row.sequence for row in found) == sorted({sequence for sequence, _, _ in puts})
    for row in found:
        mine = [(judged, answer) for sequence, judged, answer in puts if sequence == row.sequence]
        assert all(len(answer.calls) == 1 for _, answer in mine)
        stored = [(judged, a) for judged, a in mine if a.calls[0] is None]
        assert len(stored) <= 1, "only one record of a part is ever answered as stored"
        kept = [(judged, a) for judged, a in mine if not isinstance(a.calls[0], DuplicatePart)]
        if not stored:  # a repeat of a stored part may meet a locked log first, and is found to be a duplicate later
            assert len(kept) == 1, "one record of each part is kept, all others are duplicates"
        judged, _ = (stored or kept)[0]
        assert row.judged == judged
        assert row.decision == (judged if stored or judged is Decision.NG else Decision.NOT_INSPECTED)
        if row.wire_verdict is not None:
            assert row.sequence in outcomes
