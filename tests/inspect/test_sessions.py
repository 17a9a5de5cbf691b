"""Sessions end, and what has ended is let go of."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from linegate.inspect.hmi.accounts import Accounts
from linegate.inspect.hmi.auth import Person, Sessions
from linegate.inspect.hmi.roles import Role
from linegate.inspect.partlog.database import log_url, make_engine, migrate
from linegate.inspect.settings import LogSettings

IDLE_S = 0.2


@pytest.fixture
def accounts(tmp_path: Path) -> Iterator[Accounts]:
    url = log_url(LogSettings(), tmp_path)
    writer, reader = make_engine(url, access="write"), make_engine(url, access="read")
    migrate(writer)
    made = Accounts(writer, reader)
    made.add("Ada Admin", Role.ADMIN, "730519", "en")
    made.add("Quinn Li", Role.QUALITY, "6184", "en")
    yield made
    writer.dispose()
    reader.dispose()


def test_sessions_that_ran_out_take_no_memory_and_stay_over(accounts: Accounts) -> None:
    sessions = Sessions(IDLE_S, accounts)
    person = Person("Quinn Li", Role.QUALITY, "en")
    tokens = [sessions.start(person) for _ in range(4)]
    early = set(sessions._open) | set(sessions._over)
    assert len(early) == 4
    deadline = time.monotonic() + 20
    while not early <= set(sessions._over):
        assert time.monotonic() < deadline
        sessions.start(person)
    assert not early & set(sessions._open)
    assert [sessions.restore(token) for token in tokens] == [None] * 4
    while early & set(sessions._over):
        assert time.monotonic() < deadline
        sessions.start(person)
    assert [sessions.restore(token) for token in tokens] == [None] * 4


def test_a_new_pin_ends_the_sessions_of_an_earlier_start_too(accounts: Accounts) -> None:
    """The process that changes the PIN need not be the one at which the person signed in."""
    person = Person("Quinn Li", Role.QUALITY, "en")
    earlier = Sessions(60.0, accounts).start(person)
    sessions = Sessions(60.0, accounts)
    here, mine = sessions.start(person), sessions.start(person)
    kept = sessions.find(mine)
    assert kept is not None
    accounts.change("Quinn Li", language="de")
    assert Sessions(60.0, accounts).restore(earlier) is not None  # a language is no reason
    accounts.change("Quinn Li", pin="7193", keep_session=kept.token_sha256)
    sessions.end_all_of("Quinn Li", kept.token_sha256)
    assert sessions.restore(earlier) is None
    assert sessions.find(here) is None and sessions.restore(here) is None
    assert sessions.find(mine) is kept
    assert Sessions(60.0, accounts).restore(mine) is not None
