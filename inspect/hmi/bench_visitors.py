"""The people of `linegate bench --screen --line`: both screens open in a browser and used without a pause, in a process of its
own, so that driving them costs the measured line no turn of its interpreter.

Talks in lines of JSON: ``{"url", "name", "pin"}`` opens both screens, ``null`` leaves them; each is answered by one line.
"""

from __future__ import annotations

import contextlib
import json
import queue
import sys
import threading
from typing import TYPE_CHECKING, Any

from linegate.inspect.hmi.bench_memory import browser_pids
from linegate.inspect.hmi.bench_page import open_browser
from linegate.inspect.priority import stand_back
from linegate.inspect.screens_child import step_back

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

BROWSER_NICENESS = 19
"""As docs/operators.md says for a panel that is the station's own machine."""
PACE_MS = 400
"""Between two deeds at each screen: faster than any hand, for hours."""
REVIEW = ("queue/all", "charts", "trace", "queue/all", "release")
"""Pages of the review screen, in turn."""
BOARD = ('[data-do="last_ng"]', '[data-do="marks"]', '[data-do="live"]', ".lg-strip .lg-tile", '[data-do="marks"]')


def main() -> None:
    """Until stdin ends."""
    stand_back(BROWSER_NICENESS)
    orders: queue.Queue[str] = queue.Queue()

    def listen() -> None:
        for line in sys.stdin:
            orders.put(line)
        orders.put("")

    threading.Thread(target=listen, name="orders", daemon=True).start()
    with open_browser() as browser:
        for pid in browser_pids():  # the browser has a session of its own
            step_back(pid, BROWSER_NICENESS)
        while line := orders.get():
            wanted = json.loads(line)
            if wanted is not None:
                line = _visit(browser, wanted, orders)
                if not line:
                    return
            _say({"open": False})


def _say(word: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(word) + "\n")
    sys.stdout.flush()


def _visit(browser: Browser, wanted: dict[str, str], orders: queue.Queue[str]) -> str:
    """Open both screens and use them until the next order, which is returned."""
    context = _signed_in(browser, wanted)
    try:
        board, review = context.new_page(), context.new_page()
        board.goto(wanted["url"])
        board.wait_for_selector("#board[data-ready]", timeout=60_000)
        review.goto(f"{wanted['url']}/review#/{REVIEW[0]}")
        review.wait_for_selector("[data-screen]", timeout=60_000)
        _say({"open": True})
        deeds = 0
        while orders.empty():
            board.wait_for_timeout(PACE_MS)
            review.evaluate("hash => { location.hash = hash; }", f"#/{REVIEW[deeds % len(REVIEW)]}")
            _tap(board, BOARD[deeds % len(BOARD)])
            deeds += 1
        return orders.get()
    finally:
        context.close()


def _tap(page: Any, selector: str) -> None:
    with contextlib.suppress(Exception):  # no reject yet, or the board is grey: the next deed comes anyway
        page.evaluate("selector => document.querySelector(selector)?.click()", selector)


def _signed_in(browser: Browser, wanted: dict[str, str]) -> BrowserContext:
    size: Any = {"width": 1280, "height": 800}
    context = browser.new_context(viewport=size)
    person = {"name": wanted["name"], "pin": wanted["pin"]}
    context.request.post(f"{wanted['url']}/api/session/pin", data=person, headers={"Origin": wanted["url"]})
    return context


if __name__ == "__main__":
    main()
