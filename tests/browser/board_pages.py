"""The hands of a person at the operator board, and where the pictures of it go."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from playwright.sync_api import Page

from .screens_process import PINS

ARTEFACTS = Path(__file__).resolve().parents[2] / "artefacts" / "screens"
CHROMIUM = "/usr/bin/chromium"


def sign_in(page: Page, name: str) -> None:
    """By the PIN pad, as a person does."""
    page.click('[data-do="user"]')
    enter_pin(page, name, PINS[name][1])
    page.wait_for_selector('[data-dialog="signin"]', state="detached")


def enter_pin(page: Page, name: str, pin: str) -> None:
    page.click(f'.lg-names button:has-text("{name}")')
    for digit in pin:
        page.click(f'[data-key="{digit}"]')
    page.click('[data-key="enter"]')


def scan(page: Page, code: str) -> None:
    """What a scanner types. On a machine too busy to type like one, again: what the page saw typed slowly is no scan."""
    page.evaluate("""() => { if (!window.keysAt) addEventListener('keydown', e => window.keysAt.push(e.timeStamp), true);
        window.keysAt = []; }""")
    for _ in range(5):
        page.keyboard.type(code, delay=2)
        page.keyboard.press("Enter")
        at = page.evaluate("window.keysAt.splice(0)")
        if (at[-1] - at[0]) / len(code) <= 60 and max(b - a for a, b in pairwise(at)) <= 250:  # as wedge.js has it
            return
    raise AssertionError(f"{code} was never typed as fast as a scanner does: {at}")


def hold(page: Page, selector: str, ms: int) -> None:
    box = page.locator(selector).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.wait_for_timeout(ms)
    page.mouse.up()


def shot(page: Page, name: str) -> None:
    """Keep a screenshot as an artefact."""
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTEFACTS / f"{name}.png")
