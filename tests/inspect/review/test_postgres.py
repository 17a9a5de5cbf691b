"""The review screen's statements on the other database."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from review_feed import Past, defect, make_bundle
from sqlalchemy import NullPool, create_engine, make_url, text

from linegate.inspect.hmi.review import figures, queues, tracing
from linegate.inspect.hmi.review.jobs import Jobs
from linegate.inspect.hmi.review.queues import QUEUES, Filters
from linegate.inspect.part import Cause, Decision
from linegate.inspect.partlog.audit import Act
from linegate.inspect.partlog.database import make_engine
from linegate.inspect.partlog.labels import LabelConflict, LabelStore, NewLabel
from linegate.inspect.partlog.queries import Reading

SERVER = os.environ.get("LINEGATE_TEST_POSTGRES", "postgresql+pg8000://root@127.0.0.1:5432/test")


@pytest.fixture
def postgres_url() -> Iterator[str]:
    pytest.importorskip("pg8000")
    admin = create_engine(SERVER, isolation_level="AUTOCOMMIT", connect_args={"timeout": 3}, poolclass=NullPool)
    name = f"linegate_review_{secrets.token_hex(6)}"
    try:
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
    except Exception as error:
        pytest.skip(f"no PostgreSQL at {SERVER}, set LINEGATE_TEST_POSTGRES (README, Run the tests): {error}")
    yield admin.url.set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def test_every_question_works_on_postgresql(postgres_url: str, tmp_path: Path) -> None:
    past = Past(tmp_path, url=postgres_url)
    writer = make_engine(make_url(postgres_url), access="write")
    reader = make_engine(make_url(postgres_url), access="read")
    try:
        past.model(make_bundle(tmp_path / "bundle"))
        bad = past.part(Decision.NG, defect("dent", 400, 200), score=0.9, lot="A")
        probe = past.part(embedding=np.eye(8, dtype=np.float32)[0], keep=0.5, lot="A")
        twin = past.part(embedding=np.eye(8, dtype=np.float32)[0], keep=0.5, lot="B", score=0.4)
        past.part(Decision.NOT_INSPECTED, cause=Cause.FRAME_GAP, lot="B")
        past.settle()
        labels = LabelStore(writer, reader, tmp_path)
        labels.save(
            NewLabel(probe, "top", Decision.NG, "Quinn", kind="escape", must_catch=True, source="sample"), parent=0
        )
        with pytest.raises(LabelConflict):
            labels.save(NewLabel(probe, "top", Decision.OK, "Ada"), parent=0)
        assert [case.key for case in labels.all_newest(must_catch=True)] == [probe]
        everything = Filters(todo=False, defect_class="", from_utc_ns=1)
        with Reading(reader) as connection:
            found = {queue: len(queues.queue_ids(connection, queue, everything)) for queue in QUEUES}
            assert found == {queue: queues.queue_count(connection, queue, everything) for queue in QUEUES}
            assert {name for name, n in found.items() if n} == {"escape", "near", "sample", "ng", "must_catch", "all"}
            assert queues.sample_estimate(connection, everything) == (1, 1)
            assert queues.choices(connection)["lots"] == ["B", "A"]
            (alike, *_) = tracing.look_alikes(reader, probe)
            assert queues.rows(connection, [alike.part_id])[0]["key"] == str(twin)
            found_part = tracing.details(connection, bad)
            assert found_part is not None
            assert found_part["regions"][0]["defect_class"] == "dent"
            span = figures.span_of(connection, everything)
            assert span is not None
            assert sum(group.parts for group in figures.by_time(connection, everything, span)) == 4
            assert [group.name for group in figures.by_lot(connection, everything)] == ["A", "B"]
            assert figures.defects(connection, everything) == {"dent": 1, "frame_gap": 1}
            health, _ = figures.camera_health(connection, everything, span)
            assert sum(lost for _, lost in health[0].slices) == 1
            points, size, sha256 = figures.places(connection, everything, "top")
            assert (len(points), size, bool(sha256)) == (1, (1024, 800), True)
            assert len(figures.times(connection, everything)[0]) == 4
        jobs = Jobs(writer, reader, tmp_path)
        act = Act("Quinn", "quality", "train")
        number = jobs.start(act, minutes=5, note="n", seed=1)
        jobs.cancel(number, act)
        assert [(job["id"], job["state"]) for job in jobs.recent()] == [(number, "cancelled")]
    finally:
        writer.dispose()
        reader.dispose()
        past.close()
