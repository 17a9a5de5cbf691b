"""What people do at the review screen and its row in the audit are one transaction, over the real app and database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, text

from linegate.inspect.hmi.errors import ScreenError
from linegate.inspect.hmi.review.context import Review
from linegate.inspect.hmi.review.jobs import Jobs
from linegate.inspect.hmi.server import create_app
from linegate.inspect.partlog.audit import Act, entries, verify
from linegate.inspect.partlog.errors import LogError
from linegate.inspect.partlog.queries import Reading
from linegate.inspect.partlog.schema import job
from linegate.inspect.settings import ScreenSettings

ACT = Act("Quinn Li", "quality", "class", "burr")
BROKEN = "CREATE TRIGGER broken BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no room'); END"


@pytest.fixture
def review(tmp_path: Path) -> Iterator[Review]:
    app = create_app(ScreenSettings(), tmp_path)
    made: Review = app.state.review
    yield made
    made.screens.reader.dispose()
    made.screens.writer.dispose()


def jobs_of(review: Review) -> Jobs:
    return Jobs(review.screens.writer, review.screens.reader, review.screens.data)


def test_each_act_has_its_row(review: Review) -> None:
    assert review.add_class("burr", ACT) == ["burr"]
    with pytest.raises(ScreenError, match="class_taken"):
        review.add_class("Burr", ACT)
    number = jobs_of(review).start(Act("Quinn Li", "quality", "train"), minutes=5, note="", seed=1)
    jobs_of(review).cancel(number, Act("Ada", "admin", "train-cancel", str(number)))
    with pytest.raises(ScreenError, match="job_over"):
        jobs_of(review).cancel(number, Act("Ada", "admin", "train-cancel", str(number)))
    with Reading(review.screens.reader) as connection:
        found = [(entry.by, entry.action, entry.subject) for entry in entries(connection)]
        assert verify(connection).problems == []
    assert found == [
        ("Ada", "train-cancel", str(number)),
        ("Quinn Li", "train", str(number)),
        ("Quinn Li", "class", "burr"),
    ]


def test_nothing_is_done_that_can_not_be_entered(review: Review) -> None:
    with review.screens.writer.begin() as connection:
        connection.execute(text(BROKEN))
    with pytest.raises(LogError):
        review.add_class("burr", ACT)
    with pytest.raises(LogError):
        jobs_of(review).start(ACT, minutes=5, note="", seed=1)
    assert review.classes() == []
    with Reading(review.screens.reader) as connection:
        assert connection.execute(select(job)).all() == []
