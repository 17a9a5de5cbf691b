"""The review screen's pages for the tests: a seeded station, signed-in people, and a hand that draws."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from playwright.sync_api import Page, Route

from .review_feed import seed
from .screens_process import PINS, Screens

LABELS = """() => { const l = document.querySelector('.rv-canvas').editor.labels; let s = '';
  for (let i = 0; i < l.data.length; i += 8192) s += String.fromCharCode(...l.data.subarray(i, i + 8192));
  return [l.width, l.height, btoa(s)]; }"""


@pytest.fixture(scope="session")
def review_screens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    screens = Screens(tmp_path_factory.mktemp("review")).start()
    screens.people()
    screens.named = seed(screens.data)
    yield screens
    screens.stop()


def sign_in(page: Page, screens: Any, name: str = "Quinn Li", language: str = "en") -> None:
    request = page.context.request
    headers = {"Origin": screens.url}
    body = {"name": name, "pin": PINS[name][1]}
    assert request.post(f"{screens.url}/api/session/pin", data=body, headers=headers).ok
    assert request.put(f"{screens.url}/api/session/language", data={"language": language}, headers=headers).ok


@pytest.fixture
def engineer(open_page: Callable[..., Page], review_screens: Any) -> Callable[..., Page]:
    """A signed-in person on a page of the review screen."""

    def make(where: str = "queue/review", name: str = "Quinn Li", language: str = "en", **size: int) -> Page:
        page = open_page(f"{review_screens.url}/static/core/icon.svg", **size)
        sign_in(page, review_screens, name, language)
        page.goto(f"{review_screens.url}/review#/{where}")
        return page

    return make


def loaded(page: Page, key: object = "") -> str:
    """Wait until a picture (of this part, or part|camera) is in the editor; returns part|camera. While the next one is on
    its way there is none."""
    expected = str(key) if "|" in str(key) else f"{key}|"
    page.wait_for_function(
        """want => { const host = document.querySelector('.rv-canvas');
        return host?.dataset.loaded?.includes(want) && host.editor.view.scheduled === 0; }""",
        arg=expected,
    )
    return str(page.evaluate("document.querySelector('.rv-canvas').dataset.loaded"))


def open_queue(page: Page, queue: str, *, todo: bool | None = None) -> None:
    """Choose a queue, and wait until it is the one that is listed."""
    page.select_option(".rv-queue", queue)
    page.wait_for_selector(f'.rv-list[data-name="{queue}"]')
    page.wait_for_selector(f'.rv-why[data-queue="{queue}"]')
    if todo is not None and page.is_checked("[data-filter=todo]") != todo:
        with page.expect_response(f"**/api/review/queues/{queue}?**"):
            page.set_checked("[data-filter=todo]", todo)
    page.wait_for_selector(".rv-item[data-key], .rv-canvas.empty")


class Held:
    """Requests that were made and get no answer until ``release``."""

    def __init__(self, page: Page, pattern: str) -> None:
        self._page, self._pattern = page, pattern
        self.routes: list[Route] = []
        page.route(pattern, self._hold)

    def _hold(self, route: Route) -> None:
        self.routes.append(route)

    def wait(self, count: int = 1) -> None:
        """Until so many are held."""
        deadline = time.monotonic() + 8
        while len(self.routes) < count:
            assert time.monotonic() < deadline, f"{len(self.routes)} of {count} requests to {self._pattern}"
            self._page.wait_for_timeout(5)  # hands over what the browser reported

    def release(self) -> None:
        """Let them go, and all that follow."""
        for route in self.routes:
            route.continue_()
        self._page.unroute(self._pattern)


def unsaved(page: Page, name: str = "Quinn Li") -> list[str]:
    """Part keys of this person's drawings that the browser keeps."""
    code = "name => import('/static/review/drafts.js').then(m => m.unsavedOf(name)).then(all => all.map(d => d.key))"
    return list(page.evaluate(code, name))


def keeps(page: Page, *keys: object, name: str = "Quinn Li") -> None:
    """Wait until the browser's database holds drawings of these parts and of no others."""
    deadline = time.monotonic() + 8
    while sorted(unsaved(page, name)) != sorted(map(str, keys)):
        assert time.monotonic() < deadline, f"{unsaved(page, name)} are kept, not {keys}"
        page.wait_for_timeout(10)


def type_pin(page: Page, name: str) -> None:
    """Sign in at the dialog that is open."""
    page.click(f'[data-dialog=signin] button:has-text("{name}")')
    for digit in PINS[name][1]:
        page.click(f'[data-dialog=signin] [data-key="{digit}"]')
    page.click('[data-dialog=signin] [data-key="enter"]')
    page.wait_for_selector("[data-dialog=signin]", state="detached")


def labels_of(screens: Any, key: object) -> list[dict[str, Any]]:
    """All versions of a part's labels."""
    with screens.signed_in("Quinn Li") as client:
        return list(client.get(f"/api/review/parts/{key}").raise_for_status().json()["labels"])


def mask_of(page: Page) -> np.ndarray:
    width, height, text = page.evaluate(LABELS)
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width)


def at(page: Page, x: float, y: float) -> tuple[float, float]:
    """Window position of a picture pixel."""
    found = page.evaluate(
        """([x, y]) => { const h = document.querySelector('.rv-canvas'), v = h.editor.view, b = h.getBoundingClientRect();
        const [wx, wy] = v.toWindow(x, y); return [b.left + wx / v.ratio, b.top + wy / v.ratio]; }""",
        [x, y],
    )
    return found[0], found[1]


def picture_point(page: Page, x: float, y: float) -> tuple[float, float]:
    """The picture point under a window position."""
    found = page.evaluate(
        """([x, y]) => { const h = document.querySelector('.rv-canvas'), b = h.getBoundingClientRect();
        return h.editor.view.toPicture(x - b.left, y - b.top); }""",
        [x, y],
    )
    return found[0], found[1]


def drag(page: Page, *points: tuple[float, float]) -> None:
    """Draw over picture pixels."""
    page.mouse.move(*at(page, *points[0]))
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*at(page, *point), steps=4)
    page.mouse.up()


def newest(screens: Any, key: object) -> dict[str, Any]:
    labels = labels_of(screens, key)
    return labels[-1] if labels else {}


def stored_mask(screens: Any, sha256: str) -> np.ndarray:
    with screens.signed_in("Quinn Li") as client:
        png = client.get(f"/api/review/masks/{sha256}.png").raise_for_status().content
    mask = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    assert mask is not None
    return np.asarray(mask)
