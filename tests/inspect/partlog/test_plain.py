"""The plain way to SQLite and SQLAlchemy's store the same: compared by the bytes of every column, over any record."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from linegate.inspect.part import Cause, Decision, GateResult, PartKey, WireVerdict
from linegate.inspect.partlog.batch import Extras, Pending
from linegate.inspect.partlog.committer import Committer
from linegate.inspect.partlog.database import log_url, make_engine, migrate
from linegate.inspect.partlog.records import Outcome, PartRecord
from linegate.inspect.settings import LogSettings

from .partlog_samples import record, region

words = st.text(max_size=12)
numbers = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True))
records = st.builds(
    lambda text, serial, score, chance, challenge, regions, decision, views: replace(
        record(1, reason=text, serial=serial, decision=decision),
        keep_probability=chance,
        score=score or 0.0,
        challenge=challenge,
        cause=Cause.JUDGED,
        views=tuple(
            replace(record(1).views[0], regions=(region("dent"),) * regions, score=score) for _ in range(views)
        ),
    ),
    words,
    words,
    numbers,
    numbers,
    st.booleans(),
    st.integers(0, 3),
    st.sampled_from(list(Decision)),
    st.integers(0, 3),
)
outcomes = st.one_of(
    st.none(),
    st.builds(
        lambda written, note: Outcome(PartKey(7, 1), WireVerdict.OK, written, 1.5, None, note), st.booleans(), words
    ),
)


@pytest.fixture(scope="module")
def committers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[Committer, Path]]]:
    """Two logs: in one the common case goes the plain way, in the other nothing does."""
    found, engines = [], []
    for name in ("plain", "alchemy"):
        folder = tmp_path_factory.mktemp(name)
        engine = make_engine(log_url(LogSettings(), folder), access="write")
        migrate(engine)
        engines.append(engine)
        committer = Committer(engine, downgrade_late=True, busy_timeout_ms=100.0)
        found.append((committer, folder / "linegate.db"))
    found[1][0]._knows = lambda _rows: False  # type: ignore[method-assign]
    yield found
    for (committer, _), engine in zip(found, engines, strict=True):
        committer.drop()
        engine.dispose()


def stored(path: Path, key: PartKey) -> list[list[tuple[object, ...]]]:
    """All columns with their storage classes, but for the row's number and the clock's."""
    with closing(sqlite3.connect(path)) as connection:
        tables = []
        for table, where in (
            ("part", "id = (SELECT id FROM part WHERE epoch=? AND sequence=?)"),
            ("view", "part_id = (SELECT id FROM part WHERE epoch=? AND sequence=?)"),
            ("region", "part_id = (SELECT id FROM part WHERE epoch=? AND sequence=?)"),
        ):
            names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            kept = [name for name in names if name not in {"id", "part_id", "logged_utc_ns"}]
            columns = ", ".join(f'"{name}", typeof("{name}")' for name in kept)
            tables.append(
                connection.execute(f"SELECT {columns} FROM {table} WHERE {where}", (key.epoch, key.sequence)).fetchall()
            )
        return tables


count = iter(range(1, 10**6))


@given(records, outcomes, st.sampled_from([None, *GateResult]), st.booleans())
def test_both_ways_store_the_same(
    committers: list[tuple[Committer, Path]],
    item: PartRecord,
    outcome: Outcome | None,
    gate: GateResult | None,
    answered: bool,
) -> None:
    item = replace(item, key=PartKey(7, next(count)))
    for committer, _ in committers:
        pending = Pending(item, lambda _error: None, token=5, since_ns=0, outcome=outcome, gate=gate, answered=answered)
        committer.commit([pending], Extras())
        assert committer.fsync_ns > 0
    plain, alchemy = (stored(path, item.key) for _, path in committers)
    assert plain == alchemy
    assert len(plain[0]) == 1 and len(plain[1]) == len(item.views)


def test_what_the_plain_way_could_not_store_leaves_nothing_and_no_lock(
    committers: list[tuple[Committer, Path]],
) -> None:
    committer, path = committers[0]
    key = PartKey(8, 1)
    once = Pending(replace(record(1), key=key), lambda _error: None, 5, 0)
    committer.commit([once], Extras())
    with pytest.raises(IntegrityError) as raised:
        committer.commit([Pending(replace(record(1), key=PartKey(8, 2)), lambda _error: None, 6, 0), once], Extras())
    assert "UNIQUE" in str(raised.value)
    with closing(sqlite3.connect(path, timeout=0.1)) as other:  # nobody holds the write lock, and the group left no row
        assert other.execute("SELECT count(*) FROM part WHERE epoch = 8").fetchone() == (1,)
        other.execute("BEGIN IMMEDIATE")
        other.rollback()
