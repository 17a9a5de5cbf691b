"""A guesser at one address waits; signing in as oneself between the guesses doesn't help, and time does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from linegate.inspect.hmi.errors import ScreenError
from linegate.inspect.hmi.lockout import FORGET_S, FREE_TRIES, ClientLockout
from linegate.inspect.hmi.server import create_app
from linegate.inspect.settings import ScreenSettings

ORIGIN = "http://127.0.0.1"
BADGE = "BADGE-00417"


@pytest.fixture
def screen(tmp_path: Path) -> Iterator[TestClient]:
    app = create_app(ScreenSettings(), tmp_path)
    with TestClient(app, ORIGIN, headers={"Origin": ORIGIN}, client=("127.0.0.1", 50000)) as client:
        client.post("/api/setup", json={"name": "Ada", "pin": "730519", "language": "en"}).raise_for_status()
        client.post("/api/people", json={"name": "Otto", "role": "operator", "pin": "2915"}).raise_for_status()
        client.patch("/api/people/Otto", json={"badge": BADGE}).raise_for_status()
        yield client


def by_pin(screen: TestClient, name: str, pin: str) -> int:
    return screen.post("/api/session/pin", json={"name": name, "pin": pin}).status_code


def by_badge(screen: TestClient, badge: str) -> int:
    return screen.post("/api/session/badge", json={"badge": badge}).status_code


def test_a_pin_of_ones_own_buys_no_guesses_at_others(screen: TestClient) -> None:
    for n in range(FREE_TRIES):
        assert (by_pin(screen, "Otto", "2915"), by_pin(screen, f"Other {n}", "1470")) == (200, 401)
    assert by_pin(screen, "Other 99", "1470") == 429
    assert by_pin(screen, "Otto", "2915") == 429


def test_a_badge_of_ones_own_buys_no_guesses_either(screen: TestClient) -> None:
    for n in range(FREE_TRIES):
        assert (by_badge(screen, BADGE), by_badge(screen, f"BADGE-9000{n}")) == (200, 401)
    assert by_badge(screen, BADGE) == 429


def test_who_mistypes_their_own_pin_costs_the_panel_nothing(screen: TestClient) -> None:
    for _ in range(FREE_TRIES):
        assert [by_pin(screen, "Otto", pin) for pin in ("0000", "0000", "2915")] == [401, 401, 200]


def test_time_forgives_one_try_after_the_other() -> None:
    now = 0.0
    lockout = ClientLockout(lambda: now)

    def guess(client: str = "10.0.0.5") -> bool:
        lockout.enter(client)
        return lockout.leave(client, f"Other {now}", ok=False)

    assert [guess() for _ in range(FREE_TRIES)] == [False] * (FREE_TRIES - 1) + [True]
    with pytest.raises(ScreenError):
        lockout.enter("10.0.0.5")
    assert guess("10.0.0.6") is False, "another client does not wait"
    now += 2 * FORGET_S / FREE_TRIES
    assert [guess(), guess()] == [False, True]
    now += FORGET_S
    assert guess() is False
