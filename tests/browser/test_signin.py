"""Item 5: who may what. PIN, badge, lockout, automatic sign-out, the first start; all decided by the server."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from linegate.inspect.hmi.accounts import wait_s
from linegate.inspect.hmi.lockout import ClientLockout, ScreenError

from .board_pages import enter_pin, scan, shot, sign_in
from .feeder import Feeder
from .screens_process import PINS, Screens

Board = Callable[..., Page]


def test_pin_badge_and_sign_out(board: Board, line: Feeder) -> None:
    page = board()
    page.click('[data-do="user"]')
    page.wait_for_selector(".lg-names button")
    key = page.locator('[data-key="5"]').bounding_box()
    assert key is not None and key["width"] >= 112 and key["height"] >= 92
    enter_pin(page, "Otto Frei", "9999")
    expect(page.locator(".lg-say")).to_have_text("Name and PIN do not match.")
    enter_pin(page, "Otto Frei", PINS["Otto Frei"][1])
    expect(page.locator('[data-do="user"]')).to_have_text("Otto Frei · Operator")
    page.click('[data-do="user"]')
    page.click('[data-dialog="user"] button.act')
    expect(page.locator('[data-do="user"]')).to_have_text("Sign in")
    page.click('[data-do="user"]')
    page.wait_for_selector(".lg-names button")
    scan(page, "BADGE-00000")
    expect(page.locator(".lg-say")).to_have_text("Nobody has this badge.")
    scan(page, "BADGE-00533")
    expect(page.locator('[data-do="user"]')).to_have_text("Lena Braun · Shift lead")
    cookie = next(c for c in page.context.cookies() if c["name"] == "linegate_session")
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict"


def test_an_answer_from_before_somebody_signed_in_signs_nobody_out(board: Board, line: Feeder) -> None:
    page = board()
    page.evaluate("""async () => {
        const session = await import('/static/core/session.js');
        const asked = fetch, waits = new Promise((go) => { window.letGo = go; });
        const slow = new Promise((seen) => {
            window.fetch = async (...what) => {
                const answer = await asked(...what);
                if (!String(what[0]).endsWith('/api/session')) return answer;
                window.fetch = asked;
                seen();
                await waits;
                return answer;
            };
        });
        window.early = session.refresh();
        await slow;
    }""")
    sign_in(page, "Otto Frei")
    page.evaluate("async () => { window.letGo(); await window.early; }")
    assert page.evaluate("import('/static/core/session.js').then((m) => m.session.name)") == "Otto Frei"
    assert page.inner_text('[data-do="user"]').replace("\n", " ").startswith("Otto Frei")


def test_sessions_survive_a_restart_and_end_by_themselves(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    screens = Screens(tmp_path).start()
    line = None
    try:
        screens.people()
        line = Feeder(screens.data)
        page = open_page(screens.url)
        page.wait_for_selector("#board[data-ready]")
        sign_in(page, "Otto Frei")
        screens.kill()
        screens.start(sign_out_s=4)
        assert page.evaluate("fetch('/api/session').then(a => a.json()).then(s => s.name)") == "Otto Frei"
        page.evaluate("import('/static/core/session.js').then(m => m.follow())")  # as it does by itself every 5 s
        expect(page.locator('[data-do="user"]')).to_contain_text("signing out in")
        expect(page.locator('[data-do="user"]')).to_have_text("Sign in", timeout=15000)
        assert page.evaluate("fetch('/api/session').then(a => a.json()).then(s => s.name)") == ""
    finally:
        if line is not None:
            line.close()
        screens.stop()


def test_tabs_show_who_is_signed_in_and_nothing_is_done_in_another_name(
    board: Board, line: Feeder, shared_screens: Screens
) -> None:
    line.answer_commands()
    page = board()
    sign_in(page, "Otto Frei")
    other = page.context.new_page()
    other.goto(shared_screens.url)
    expect(other.locator('[data-do="user"]')).to_have_text("Otto Frei · Operator")
    other.click('[data-do="user"]')
    other.click('[data-dialog="user"] button.act')
    expect(page.locator('[data-do="user"]')).to_have_text("Sign in")
    sign_in(other, "Lena Braun")
    expect(page.locator('[data-do="user"]')).to_have_text("Lena Braun · Shift lead")
    wish = {"kind": "lot", "args": {"lot": "L-1"}, "shown": "Otto Frei"}
    with shared_screens.signed_in("Lena Braun") as client:
        assert client.post("/api/command", json=wish).json()["key"] == "operator.error.someone_else"
    assert line.commands == []


def test_expired_session_is_told_and_nothing_is_sent(board: Board, line: Feeder, shared_screens: Screens) -> None:
    line.answer_commands()
    page = board()
    sign_in(page, "Otto Frei")
    page.click('[data-do="lot"]')
    with shared_screens.signed_in("Ada Admin") as admin:  # the admin changes Otto's badge: he is out everywhere
        admin.patch("/api/people/Otto Frei", json={"badge": "BADGE-00417"}).raise_for_status()
    page.click('[data-dialog="batch"] button.act')
    answer = page.locator(".lg-answer").last
    expect(answer).to_have_attribute("data-state", "refused")
    expect(answer).to_contain_text("Sign in first.")
    assert line.commands == []


def test_wrong_pins_have_to_wait_longer_and_longer(own_screens: Screens) -> None:
    assert [wait_s(n) for n in (1, 2, 3, 4, 5, 30)] == [0, 0, 5, 10, 20, 900]
    with own_screens.client() as client:

        def attempt(name: str, pin: str) -> httpx.Response:
            return client.post("/api/session/pin", json={"name": name, "pin": pin})

        assert [attempt("Otto Frei", "0000").status_code for _ in range(3)] == [401, 401, 401]
        refused = attempt("Otto Frei", PINS["Otto Frei"][1])  # even the right one waits
        assert refused.status_code == 429
        assert 1 <= refused.json()["args"]["seconds"] <= 6
        assert refused.headers["retry-after"] == str(refused.json()["args"]["seconds"])
        assert attempt("Lena Braun", PINS["Lena Braun"][1]).status_code == 200  # others are not shut out
        assert attempt("No Body", "1234").json()["key"] == "operator.error.pin_wrong"  # names are not given away
        own_screens.kill()
        own_screens.start()
        after = attempt("Otto Frei", "0000")  # a restart forgives nothing: still waiting, or twice as long from now
        assert after.status_code == 429 or after.json()["args"]["seconds"] > 6


def test_pin_storm_leaves_the_screens_answering(own_screens: Screens) -> None:
    answers: list[int] = []

    def storm() -> None:
        with own_screens.client() as client:
            for n in range(15):
                body = {"name": f"Guess {n}", "pin": f"{n:04}"}
                answers.append(client.post("/api/session/pin", json=body).status_code)

    threads = [threading.Thread(target=storm) for _ in range(6)]
    for thread in threads:
        thread.start()
    with own_screens.client() as client:
        while any(thread.is_alive() for thread in threads):
            assert client.get("/api/live/snapshot").status_code == 200
    for thread in threads:
        thread.join()
    assert set(answers) <= {401, 429, 503}
    assert 429 in answers
    assert answers.count(401) <= 8 + 6  # the free tries, and those under way when the door closed


def test_one_client_waits_another_does_not() -> None:
    lockout = ClientLockout()
    for n in range(8):
        lockout.enter("10.0.0.5")
        lockout.leave("10.0.0.5", f"Guess {n}", ok=False)
    with pytest.raises(ScreenError, match="locked_out"):
        lockout.enter("10.0.0.5")
    lockout.enter("10.0.0.6")
    assert lockout.leave("10.0.0.6", "Otto Frei", ok=True) is False


def test_first_start_makes_the_admin_choose(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    screens = Screens(tmp_path).start()
    try:
        with screens.client() as client:
            assert client.get("/api/live/snapshot").json()["key"] == "operator.error.setup_first"
            assert client.get("/", follow_redirects=False).headers["location"] == "/setup"
            elsewhere = client.get("/setup", headers={"X-Forwarded-For": "10.0.0.9"})  # a proxy: not this machine
            assert elsewhere.status_code == 403
        page = open_page(screens.url)
        page.wait_for_selector("#page[data-ready]")
        assert page.url.endswith("/setup")

        def enter(pin: str) -> None:
            for digit in pin:
                page.click(f'[data-key="{digit}"]')
            page.click('[data-key="enter"]')

        enter("123456")
        expect(page.locator("p")).to_have_text("Enter the same PIN once more.")
        enter("123456")
        expect(page.locator(".lg-say")).to_have_text("This PIN is too easy to guess.")
        enter("7305")
        enter("7305")
        expect(page.locator(".lg-say")).to_have_text("A PIN has 6 to 8 digits.")
        enter("730519")
        enter("730518")
        expect(page.locator(".lg-say")).to_have_text("The two PINs differ. Choose again.")
        shot(page, "first-start")
        enter("730519")
        enter("730519")
        page.wait_for_selector("#board[data-ready]")
        expect(page.locator('[data-do="user"]')).to_have_text("Admin · Admin")
        with screens.client() as client:
            again = client.post("/api/setup", json={"name": "Eve", "pin": "918273"})
            assert again.json()["key"] == "operator.error.setup_done"
        stored = b"".join(path.read_bytes() for path in screens.data.glob("linegate.db*"))
        assert b"$argon2id$" in stored and b"730519" not in stored
    finally:
        screens.stop()


def test_people_are_kept_by_the_admin(own_screens: Screens, open_page: Callable[..., Page]) -> None:
    """On a server of its own: the shared one keeps its people as every other test expects them."""
    page = open_page(f"{own_screens.url}/people")
    page.wait_for_selector(".lg-names button")
    enter_pin(page, "Ada Admin", PINS["Ada Admin"][1])
    page.wait_for_selector('[data-person="Otto Frei"]')
    page.fill(".lg-new input", "Mia Wang")
    page.click(".lg-new button")
    for digit in "5309":
        page.click(f'[data-key="{digit}"]')
    page.click('[data-key="enter"]')
    page.wait_for_selector('[data-person="Mia Wang"]')
    page.click('[data-person="Mia Wang"] button:has-text("Badge")')
    scan(page, "BADGE-00900")
    expect(page.locator('[data-person="Mia Wang"] small')).to_have_text("Badge")
    with own_screens.client() as client:
        assert client.post("/api/session/badge", json={"badge": "BADGE-00900"}).json()["name"] == "Mia Wang"
    page.click('[data-person="Mia Wang"] button:has-text("Block")')
    expect(page.locator('[data-person="Mia Wang"] small')).to_have_text("Badge · blocked")
    with own_screens.client() as client:
        assert client.post("/api/session/badge", json={"badge": "BADGE-00900"}).status_code == 401
    page.select_option('[data-person="Ada Admin"] select', "lead")
    expect(page.locator(".lg-say")).to_have_text("The last admin stays admin.")
    shot(page, "people")


@pytest.mark.parametrize(
    "path",
    [
        "/api/live",
        "/api/live/snapshot",
        "/api/live/preview/part-1.jpg",
        "/api/part/by-serial/x",
        "/api/live/recent/a/b",
    ],
)
def test_streams_and_pictures_need_a_sign_in_from_elsewhere(shared_screens: Screens, path: str) -> None:
    elsewhere = {"X-Forwarded-For": "10.0.0.9"}
    with shared_screens.client() as client:
        assert client.get(path, headers=elsewhere).status_code == 401
    with shared_screens.signed_in("Otto Frei") as client, client.stream("GET", path, headers=elsewhere) as answer:
        assert answer.status_code in {200, 404}
