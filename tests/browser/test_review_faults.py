"""The review screen against what is hostile or broken: full disk, locked log, names that are scripts, sessions that end."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from linegate.inspect.part import Decision

from .board_pages import ARTEFACTS
from .review_feed import Past, defect, make_bundle
from .review_pages import drag, keeps, loaded, mask_of, newest, sign_in, stored_mask, type_pin
from .screens_process import Screens

HOSTILE = "<img src=x onerror=hit()>"


@contextlib.contextmanager
def station(folder: Path) -> Iterator[Screens]:
    """Screens of the test's own, with their people."""
    screens = Screens(folder).start()
    try:
        screens.people()
        yield screens
    finally:
        screens.stop()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"this user can't mount a small disk: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_said_and_the_drawing_stays(small_disk: Path, open_page: Callable[..., Page]) -> None:
    with station(small_disk) as screens:
        past = Past(screens.data)
        past.model(make_bundle(small_disk / "bundle"))
        key = past.part(Decision.REVIEW, defect("dent", 400, 200), score=0.6)
        past.close()
        page = open_page(f"{screens.url}/static/core/icon.svg")
        sign_in(page, screens)
        page.goto(f"{screens.url}/review#/queue/review")
        loaded(page, key)
        drag(page, (300, 300), (340, 340))
        drawn = mask_of(page)
        keeps(page, key)
        filler = small_disk / "filler"

        def fill() -> None:
            with contextlib.closing(sqlite3.connect(screens.data / "linegate.db", timeout=10)) as log:
                log.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # else the log's old pages take the row
            with filler.open("ab", buffering=0) as file, pytest.raises(OSError, match="No space"):
                while True:
                    file.write(bytes(4096))

        fill()
        page.keyboard.press("Enter")
        page.wait_for_selector('.rv-notice[data-notice="review.error.disk"]:has-text("No space left")')
        page.screenshot(path=ARTEFACTS / "review-disk-full.png")
        filler.unlink()
        with contextlib.closing(sqlite3.connect(screens.data / "linegate.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # now the mask is stored, its label is not
            page.click("text=Save again")
            page.wait_for_selector('.rv-notice[data-notice="operator.error.log_busy"]')
            other.execute("ROLLBACK")
        fill()
        page.click("text=Save again")
        page.wait_for_selector('.rv-notice[data-notice="operator.error.log_full"]')
        assert np.array_equal(mask_of(page), drawn)
        assert label_count(screens) == 0
        keeps(page, key)
        filler.unlink()
        page.click("text=Save again")
        page.wait_for_selector(".rv-toast.good")
        assert np.array_equal(stored_mask(screens, newest(screens, key)["mask_sha256"]), drawn)
        keeps(page)
        with contextlib.closing(sqlite3.connect(screens.data / "linegate.db", timeout=10)) as log:
            acts = log.execute("SELECT count(*) FROM audit WHERE action = 'label'").fetchone()
            versions = log.execute("SELECT count(*) FROM label").fetchone()
        assert acts == versions == (1,)


def label_count(screens: Screens) -> int:
    with contextlib.closing(sqlite3.connect(screens.data / "linegate.db", timeout=10)) as log:
        return int(log.execute("SELECT count(*) FROM label").fetchone()[0])


def test_names_that_are_scripts_are_only_names(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    with station(tmp_path) as screens:
        past = Past(screens.data)
        past.model(make_bundle(tmp_path / "bundle"))
        past.log.start_lot(HOSTILE, HOSTILE)
        mask, region = defect("dent", 400, 200)
        hostile = type(region)(HOSTILE, *[getattr(region, name) for name in list(region.__dataclass_fields__)[1:]])
        key = past.part(Decision.REVIEW, (mask, hostile), score=0.6, lot=HOSTILE, serial=HOSTILE)
        past.log.record_event("note", "info", HOSTILE, key)
        past.close()
        with screens.signed_in("Ada Admin") as client:
            person = {"name": HOSTILE, "role": "quality", "pin": "6184"}
            client.post("/api/people", json=person).raise_for_status()
            client.post("/api/review/classes", json={"name": HOSTILE}).raise_for_status()
            client.post("/api/review/jobs", json={"minutes": 5, "note": HOSTILE}).raise_for_status()
        page = open_page(f"{screens.url}/static/core/icon.svg")
        page.add_init_script(
            "window.hit = () => { throw new Error('a name was run') }"
        )  # open_page fails on page errors
        answer = page.context.request.post(
            f"{screens.url}/api/session/pin", data={"name": HOSTILE, "pin": "6184"}, headers={"Origin": screens.url}
        )
        assert answer.ok

        def shows(where: str, *selectors: str) -> None:
            page.goto(f"{screens.url}/{where}")
            for selector in selectors:
                expect(page.locator(selector).first).to_contain_text(HOSTILE)
            assert page.locator("img[src='x']").count() == 0

        shows("review#/queue/all", ".rv-item b", ".rv-item small", ".rv-info b", ".rv-reason", ".rv-who", ".rv-classes")
        loaded(page, key)
        expect(page.locator("[data-filter=lot]")).to_contain_text(HOSTILE)
        expect(page.locator("[data-filter=class]")).to_contain_text(HOSTILE)
        page.keyboard.press("Enter")
        page.wait_for_selector(".rv-toast.good")
        loaded(page, key)
        expect(page.locator(".rv-history")).to_contain_text(HOSTILE)
        shows(f"review#/trace/{key}", ".rv-facts", ".rv-cols h2", ".rv-table")
        shows("review#/charts", "[data-chart=pareto]")
        shows("review#/release", "[data-job]")
        shows("api/review/report.html?todo=false&language=en", "body")
        page.goto(f"{screens.url}/review#/exchange")
        file = tmp_path / f"{HOSTILE}.json"
        image = {"id": 1, "file_name": f"{key}_top.png", "width": 1024, "height": 800}
        runs = [0, 40, 800 * 1024 - 40]
        shape = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": {"size": [800, 1024], "counts": runs}}
        other = {"id": 2, "file_name": HOSTILE, "width": 10, "height": 10}
        names = [{"id": 1, "name": f"{HOSTILE}!"}]
        file.write_text(json.dumps({"images": [image, other], "categories": names, "annotations": [shape]}))
        page.set_input_files("input[type=file]", file)
        for selector in ("[data-list=import] p", "[data-list=import] label", "[data-list=import] table"):
            expect(page.locator(selector).first).to_contain_text(HOSTILE)
        file.write_text("{")
        page.set_input_files("input[type=file]", file)
        expect(page.locator(".rv-error")).to_contain_text(HOSTILE)
        assert page.locator("img[src='x']").count() == 0


def test_a_session_that_ends_asks_once(engineer: Callable[..., Page], review_screens: Screens) -> None:
    page = engineer("charts")
    page.wait_for_selector("[data-chart=cameras]")
    page.context.clear_cookies()
    with page.expect_response("**/api/review/charts?**") as first:
        page.select_option("[aria-label='Group by']", "lot")
    assert first.value.status == 401
    page.wait_for_selector("[data-dialog=signin]")
    for _ in range(2):
        with page.expect_response("**/api/review/charts?**"):
            page.evaluate("document.querySelector('[data-filter=time]').dispatchEvent(new Event('change'))")
    assert page.locator("[data-dialog=signin]").count() == 1
    page.keyboard.press("Escape")
    page.wait_for_selector("[data-dialog=signin]", state="detached")
    with page.expect_response("**/api/review/charts?**"):  # what runs by itself does not ask a second time
        page.evaluate("document.querySelector('[data-filter=time]').dispatchEvent(new Event('change'))")
    page.wait_for_function("() => document.querySelector('.rv-who').textContent === 'Sign in'")
    assert page.locator("[data-dialog=signin]").count() == 0
    page.click(".rv-who")
    type_pin(page, "Quinn Li")
    with page.expect_response("**/api/review/charts?**") as last:
        page.select_option("[aria-label='Group by']", "time")
    assert last.value.status == 200


def test_a_part_that_can_not_be_read_now_is_offered_again(engineer: Callable[..., Page]) -> None:
    page = engineer("queue/ng")
    loaded(page)
    page.route("**/api/review/pictures/*.png", lambda route: route.abort())
    page.keyboard.press("d")
    page.wait_for_selector('.rv-notice[data-notice="operator.error.no_server"]')
    assert page.is_disabled("[data-act=confirm]")
    page.screenshot(path=ARTEFACTS / "review-not-opened.png")
    page.unroute("**/api/review/pictures/*.png")
    page.click("text=Try again")
    loaded(page)
    assert page.is_enabled("[data-act=confirm]")
