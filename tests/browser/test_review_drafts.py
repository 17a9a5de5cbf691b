"""What is drawn and not saved yet: whose it is, that it survives, and that one wish becomes one label."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from playwright.sync_api import Browser, Error, Page

from .board_pages import ARTEFACTS, CHROMIUM
from .review_pages import (
    Held,
    drag,
    keeps,
    labels_of,
    loaded,
    mask_of,
    newest,
    sign_in,
    stored_mask,
    type_pin,
    unsaved,
)
from .screens_process import Screens

PAST_TWICE_MS = 500
"""Later than two presses of one wish."""


def test_a_killed_browser_loses_no_stroke(review_screens: Screens, tmp_path: Path, chromium: Browser) -> None:
    profile = tmp_path / "profile"

    def start() -> Any:
        return chromium.browser_type.launch_persistent_context(
            str(profile), executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )

    def open_part(context: Any) -> Page:
        page = context.new_page()
        sign_in(page, review_screens)
        page.goto(f"{review_screens.url}/review#/queue/review")
        loaded(page)
        return page

    context = start()
    page = open_part(context)
    key = loaded(page).split("|")[0]
    drag(page, (300, 500), (460, 560))
    drawn = mask_of(page)
    keeps(page, key)
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # a child of another test that ends just now
            if f"--user-data-dir={profile}" in process.cmdline():
                process.send_signal(signal.SIGKILL)
    with contextlib.suppress(Error):  # it is gone already
        context.close()
    again = start()
    try:
        page = open_part(again)
        loaded(page, key)
        page.wait_for_selector('.rv-notice[data-notice="review.draft_restored"]')
        assert np.array_equal(mask_of(page), drawn)
        page.click("text=Drop my drawing")
        page.wait_for_function("() => document.querySelector('.rv-canvas').dataset.origin !== 'draft'")
        assert not np.array_equal(mask_of(page), drawn)
    finally:
        again.close()


def test_an_expired_session_costs_a_sign_in_and_nothing_else(
    engineer: Callable[..., Page], review_screens: Screens
) -> None:
    page = engineer("queue/ng")
    key = loaded(page).split("|")[0]
    before = len(labels_of(review_screens, key))
    drag(page, (250, 250), (300, 280))
    drawn = mask_of(page)
    page.context.clear_cookies()
    page.keyboard.press("Enter")
    type_pin(page, "Quinn Li")
    page.wait_for_selector(".rv-toast.good")
    labels = labels_of(review_screens, key)
    assert len(labels) == before + 1
    assert np.array_equal(stored_mask(review_screens, labels[-1]["mask_sha256"]), drawn)


def test_a_drawing_belongs_to_the_person_who_made_it(engineer: Callable[..., Page], review_screens: Screens) -> None:
    key = str(review_screens.named["review"])
    page = engineer(f"queue/all/{key}")
    loaded(page, key)
    before = labels_of(review_screens, key)
    untouched = mask_of(page)
    drag(page, (250, 600), (330, 640))
    drawn = mask_of(page)
    page.context.clear_cookies()
    page.keyboard.press("Enter")
    type_pin(page, "Otto Frei")  # an operator: the engineer's part is not theirs to see
    page.wait_for_selector("text=This page needs the role lead or quality.")
    assert page.locator(".rv-canvas").count() == 0
    page.click(".rv-who")
    page.wait_for_selector("text=Sign in to review parts.")
    page.click(".rv-empty button")
    type_pin(page, "Ada Admin")
    loaded(page, key)
    assert np.array_equal(mask_of(page), untouched)
    assert unsaved(page, "Ada Admin") == []
    page.click(".rv-who")
    page.wait_for_selector("text=Sign in to review parts.")
    page.click(".rv-empty button")
    type_pin(page, "Quinn Li")
    loaded(page, key)
    page.wait_for_selector('.rv-notice[data-notice="review.draft_restored"]')
    assert np.array_equal(mask_of(page), drawn)
    assert labels_of(review_screens, key) == before  # nobody saved anything for anybody


def test_unsaved_drawings_are_listed_and_lead_back(engineer: Callable[..., Page], review_screens: Screens) -> None:
    page = engineer("queue/all")
    first = loaded(page).split("|")[0]
    drag(page, (300, 560), (380, 600))
    drawn = mask_of(page)
    page.keyboard.press("d")  # at once: what was drawn is the first part's, whatever is loaded meanwhile
    second = loaded(page).split("|")[0]
    assert second != first
    page.wait_for_selector(f'.rv-unsaved-one[data-key="{first}"]')
    keeps(page, first)
    page.screenshot(path=ARTEFACTS / "review-unsaved.png")
    page.click(f'.rv-unsaved-one[data-key="{first}"] button')
    loaded(page, first)
    assert np.array_equal(mask_of(page), drawn)
    page.wait_for_selector(".rv-unsaved", state="hidden")
    page.keyboard.press("d")
    loaded(page, second)
    page.click(f'.rv-unsaved-one[data-key="{first}"] button[aria-label="Drop this drawing"]')
    page.wait_for_selector(".rv-unsaved", state="hidden")
    assert unsaved(page) == []
    drag(page, (300, 560), (380, 600))
    keeps(page, second)
    page.keyboard.press("Control+z")
    keeps(page)


def test_an_older_version_does_not_cost_the_unsaved_drawing(
    engineer: Callable[..., Page], review_screens: Screens
) -> None:
    key = str(review_screens.named["old class"])
    page = engineer(f"queue/all/{key}")
    loaded(page, key)
    first = mask_of(page)
    drag(page, (500, 560), (620, 600))
    drawn = mask_of(page)
    keeps(page, key)
    page.select_option(".rv-history", "1")
    page.wait_for_selector('.rv-notice[data-notice="review.draft_hidden"]')
    loaded(page, key)
    assert np.array_equal(mask_of(page), first)
    drag(page, (200, 200), (300, 300))
    page.keyboard.press("Enter")
    page.keyboard.press("Control+z")
    assert np.array_equal(mask_of(page), first)
    page.click("text=Back to my drawing")
    page.wait_for_selector('.rv-notice[data-notice="review.draft_restored"]')
    assert np.array_equal(mask_of(page), drawn)
    assert len(labels_of(review_screens, key)) == 1
    page.click("text=Drop my drawing")
    page.wait_for_function("() => document.querySelector('.rv-canvas').dataset.origin === 'label'")


def test_a_browser_that_can_not_keep_a_drawing_says_so(engineer: Callable[..., Page], review_screens: Screens) -> None:
    page = engineer("queue/near")
    loaded(page)
    chrome = page.context.new_cdp_session(page)
    chrome.send("Storage.overrideQuotaForOrigin", {"origin": review_screens.url, "quotaSize": 1})
    drag(page, (300, 560), (380, 600))
    page.wait_for_selector('.rv-notice[data-notice="review.unsaved_failed"]:has-text("QuotaExceededError")')
    page.screenshot(path=ARTEFACTS / "review-quota.png")
    chrome.send("Storage.overrideQuotaForOrigin", {"origin": review_screens.url})
    drag(page, (380, 560), (400, 600))
    page.wait_for_selector('.rv-notice[data-notice="review.unsaved_failed"]', state="detached")
    assert len(unsaved(page)) == 1


def test_one_wish_is_one_label(engineer: Callable[..., Page], review_screens: Screens) -> None:
    """Enter twice, Enter held down, Enter while the next part is on its way: one part, one version, nothing unseen."""
    page = engineer("queue/ng")
    keys = []
    for _ in range(3):
        keys.append(loaded(page).split("|")[0])
        page.keyboard.press("d")
        loaded(page)
    page.click(f'.rv-item[data-key="{keys[0]}"]')
    loaded(page, keys[0])
    before = [len(labels_of(review_screens, key)) for key in keys]
    next_part = Held(page, "**/api/review/parts/*")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    page.wait_for_selector(".rv-toast.good")
    next_part.wait()
    page.wait_for_timeout(PAST_TWICE_MS)
    page.keyboard.press("Enter")
    assert page.is_disabled("[data-act=confirm]")
    next_part.release()
    loaded(page, keys[1])
    assert [len(labels_of(review_screens, key)) for key in keys] == [before[0] + 1, before[1], before[2]]
    page.keyboard.down("Enter")
    loaded(page, keys[2])
    page.keyboard.down("Enter")  # the key repeats
    page.keyboard.up("Enter")
    page.keyboard.press("a")
    loaded(page, keys[1])
    assert [len(labels_of(review_screens, key)) for key in keys] == [before[0] + 1, before[1] + 1, before[2]]


def test_strokes_during_a_save_are_not_lost_but_not_taken(
    engineer: Callable[..., Page], review_screens: Screens
) -> None:
    page = engineer("queue/near")
    key = loaded(page).split("|")[0]
    drag(page, (300, 300), (340, 340))
    drawn = mask_of(page)
    answer = Held(page, "**/api/review/labels")
    page.keyboard.press("Enter")
    answer.wait()
    drag(page, (500, 620), (560, 640))
    page.keyboard.press("d")
    assert np.array_equal(mask_of(page), drawn)
    assert loaded(page).split("|")[0] == key
    answer.release()
    page.wait_for_selector(".rv-toast.good")
    assert np.array_equal(stored_mask(review_screens, newest(review_screens, key)["mask_sha256"]), drawn)
