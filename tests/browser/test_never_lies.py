"""Item 3: an old verdict never looks live, and the screen says which link is gone."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Callable

from playwright.sync_api import Page, expect

from .board_pages import hold, shot
from .feeder import Feeder, region
from .screens_process import Screens

Board = Callable[..., Page]
GONE_WITHIN_MS = 5000
"""What a busy test machine may take; the screen itself decides after 1000 ms without news (see the bench)."""


def gone(page: Page, word: str) -> None:
    expect(page.locator(".lg-verdict")).to_have_attribute("data-kind", "gone", timeout=GONE_WITHIN_MS)
    expect(page.locator(".lg-word")).to_have_text(word)
    colour = page.eval_on_selector(
        ".lg-verdict", "n => getComputedStyle(n).backgroundColor + getComputedStyle(n).backgroundImage"
    )
    assert "171, 13, 34" not in colour and "10, 100, 48" not in colour


def test_line_gone_and_back(board: Board, line: Feeder, shared_screens: Screens) -> None:
    page = board()
    line.part("OK")
    expect(page.locator(".lg-verdict")).to_have_attribute("data-kind", "OK")
    line.still()
    gone(page, "LINE GONE")
    expect(page.locator(".lg-part")).to_have_css("text-decoration-line", "line-through")
    expect(page.locator('[data-number="yield"] b')).to_have_css("text-decoration-line", "line-through")
    expect(page.locator(".lg-line span")).to_have_css("text-decoration-line", "line-through")
    again = Feeder(shared_screens.data)
    try:
        part = again.part("NG", region("dent", 300, 260))
        expect(page.locator(".lg-verdict")).to_have_attribute("data-kind", "NG")
        expect(page.locator(".lg-part")).to_contain_text(str(part["sequence"]))
    finally:
        again.close()


def test_the_screen_decides_after_one_second(board: Board, line: Feeder) -> None:
    """The rule itself, on the page's own state with a clock of its own."""
    page = board()
    kinds = page.evaluate(
        """async () => { const { State } = await import('/static/board/state.js'); let now = 0;
        const state = new State(() => now); const kind = () => state.panel().kind;
        state.status = { state: 'READY', cameras: [], plc: { up: true }, log: { ok: true } };
        state.takeBeat({ line_age_ms: 100, links: {} }); state.takePart({ key: 'a-1', decision: 'OK' });
        const seen = [kind()]; now = 890; seen.push(kind()); now = 1001; seen.push(kind());
        state.takeBeat({ line_age_ms: 999, links: {} }); seen.push(kind()); now += 2; seen.push(kind());
        state.takeBeat({ line_age_ms: 0, links: {} }); now = 5100; state.takeBeat({ line_age_ms: 0, links: {} });
        seen.push(kind()); return seen; }"""
    )
    assert kinds == ["OK", "OK", "gone", "OK", "gone", "waiting"]


def test_news_is_as_old_as_its_sender_says(board: Board, line: Feeder) -> None:
    """A proxy or a radio link that delivers steadily, but seconds late; and parts that are told again after a gap."""
    page = board()
    kinds = page.evaluate(
        """async () => { const { State } = await import('/static/board/state.js'); let now = 60000;
        const state = new State(() => now, (ns) => ns === undefined ? null : ns / 1e6); const kind = () => state.panel();
        state.status = { state: 'READY', cameras: [], plc: { up: true }, log: { ok: true } };
        const beat = (at) => state.takeBeat({ line_age_ms: 10, links: {}, server_ns: at * 1e6 });
        const part = (at) => state.takePart({ key: `a-${at}`, decision: 'OK', verdict_ns: at * 1e6 });
        beat(59900); part(59950); const seen = [kind().kind]; beat(58500); seen.push(kind().lost[0].link);
        beat(59990); seen.push(kind().kind); part(54000); seen.push(kind().kind);
        state.closed = true; seen.push(kind().lost[0].link); return seen; }"""
    )
    assert kinds == ["OK", "server", "OK", "waiting", "session"]


def test_links_of_the_line_are_named(board: Board, line: Feeder) -> None:
    page = board()
    line.part("OK")
    line.set(cameras=[{"name": "top", "up": False, "detail": "unplugged"}])
    gone(page, "CAMERA GONE: top")
    shot(page, "gone-camera")
    line.set(cameras=[{"name": "top", "up": True, "detail": ""}], log={"ok": False, "detail": "disk full"})
    gone(page, "LOG GONE")
    line.set(log={"ok": True, "detail": ""}, plc={"up": False, "detail": "timeout"})
    gone(page, "PLC GONE")
    line.set(plc={"up": True, "detail": ""})
    line.part("OK")
    expect(page.locator(".lg-verdict")).to_have_attribute("data-kind", "OK")


def test_old_part_waits_instead_of_looking_live(board: Board, line: Feeder, shared_screens: Screens) -> None:
    line.part("OK", verdict_ns=time.monotonic_ns() - 20_000_000_000)
    page = board()
    expect(page.locator(".lg-verdict")).to_have_attribute("data-kind", "waiting")
    expect(page.locator(".lg-part")).to_contain_text("Last: OK")


def test_server_killed_and_restarted(own_screens: Screens, open_page: Callable[..., Page]) -> None:
    line = Feeder(own_screens.data)
    try:
        page = open_page(own_screens.url)
        page.wait_for_selector("#board[data-ready]")
        line.part("OK")
        expect(page.locator(".lg-verdict")).to_have_attribute("data-kind", "OK")
        own_screens.kill()
        gone(page, "NO CONNECTION")
        expect(page.locator('[data-do="recipe"]')).to_be_disabled()
        shot(page, "gone-server")
        bad = line.part("NG", region("crack", 300, 260))  # the line does not notice
        own_screens.start()
        expect(page.locator(f'.lg-tile[data-key="{bad["key"]}"]')).to_be_visible(timeout=15000)
        line.part("OK")
        expect(page.locator(".lg-verdict")).to_have_attribute("data-kind", "OK", timeout=8000)
        expect(page.locator('[data-do="recipe"]')).to_be_enabled()
    finally:
        line.close()


def test_hanging_server_is_noticed(own_screens: Screens, open_page: Callable[..., Page]) -> None:
    line = Feeder(own_screens.data)
    assert own_screens.process is not None
    try:
        page = open_page(own_screens.url)
        page.wait_for_selector("#board[data-ready]")
        line.part("OK")
        expect(page.locator(".lg-verdict")).to_have_attribute("data-kind", "OK")
        own_screens.process.send_signal(signal.SIGSTOP)
        gone(page, "NO CONNECTION")
        own_screens.process.send_signal(signal.SIGCONT)
        line.part("OK")
        expect(page.locator(".lg-verdict")).to_have_attribute("data-kind", "OK", timeout=10000)
    finally:
        own_screens.process.send_signal(signal.SIGCONT)
        line.close()


def test_locked_log_refuses_in_words_and_nothing_is_sent(board: Board, line: Feeder, shared_screens: Screens) -> None:
    page = board()
    line.answer_commands()
    blocker = sqlite3.connect(shared_screens.data / "linegate.db", isolation_level=None)
    try:
        blocker.execute("BEGIN IMMEDIATE")
        hold(page, '[data-do="stop"]', 1500)
        answer = page.locator(".lg-answer")
        expect(answer).to_have_attribute("data-state", "refused")
        expect(answer).to_contain_text("The log is locked by another program. Nothing was lost or done")
        line.part("OK")
        expect(page.locator(".lg-verdict")).to_have_attribute("data-kind", "OK")  # the verdict goes on meanwhile
    finally:
        blocker.execute("ROLLBACK")
        blocker.close()
    hold(page, '[data-do="stop"]', 1500)
    assert line.command("stop").kind == "stop"
    assert line.commands == []
