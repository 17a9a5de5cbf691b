"""The board inside Gradio, for engineers only; Gradio is built at the first visit and calls nobody."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from .board_pages import shot
from .feeder import Feeder, region
from .screens_process import PINS, Screens


def test_board_inside_gradio(shared_screens: Screens, line: Feeder, open_page: Callable[..., Page]) -> None:
    with shared_screens.signed_in("Otto Frei") as operator:
        assert operator.get("/engineer/config").status_code == 403
        assert operator.get("/engineer/", follow_redirects=False).headers["location"] == "/"
    with shared_screens.client() as nobody:
        assert nobody.get("/engineer/config").status_code == 401
    page = open_page(f"{shared_screens.url}/static/core/icon.svg", 1920, 1080)
    person = {"name": "Quinn Li", "pin": PINS["Quinn Li"][1]}
    page.request.post(f"{shared_screens.url}/api/session/pin", data=person, headers={"Origin": shared_screens.url})
    page.goto(f"{shared_screens.url}/engineer/")
    page.wait_for_selector(".linegate-board[data-ready]", timeout=90_000)
    part = line.part("NG", region("stain", 600, 300, 80, 60))
    expect(page.locator(".lg-verdict")).to_have_attribute("data-kind", "NG")
    expect(page.locator(f'.lg-canvas[data-part="{part["key"]}"][data-drawn="yes"]')).to_be_visible()
    shot(page, "board-in-gradio")
    line.still()  # stock Gradio leaves a green OK standing; the board does not
    expect(page.locator(".lg-word")).to_have_text("LINE GONE", timeout=6000)
    page.click('button[role="tab"]:has-text("Audit")')
    page.click('button:has-text("Read and verify the audit")')
    expect(page.locator("text=is whole")).to_be_visible(timeout=15_000)
