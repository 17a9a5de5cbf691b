"""One chromium for the session, one context a test, a real `linegate screens` process; any surprise fails the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Route, sync_playwright

from .board_pages import CHROMIUM
from .feeder import Feeder
from .review_pages import engineer, review_screens  # noqa: F401 - fixtures of the review screen
from .screens_process import Screens

HERE = Path(__file__).resolve().parent


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "browser: needs chromium; it is shared by the session")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip(f"{CHROMIUM} is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def shared_screens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screens]:
    screens = Screens(tmp_path_factory.mktemp("station")).start()
    screens.people()
    yield screens
    screens.stop()


@pytest.fixture
def own_screens(tmp_path: Path) -> Iterator[Screens]:
    """A server of the test's own, with its people, to be killed or starved."""
    screens = Screens(tmp_path).start()
    screens.people()
    yield screens
    screens.stop()


@pytest.fixture
def line(shared_screens: Screens) -> Iterator[Feeder]:
    """A line that feeds the shared screens."""
    feeder = Feeder(shared_screens.data)
    yield feeder
    feeder.close()


@pytest.fixture
def board(shared_screens: Screens, line: Feeder, open_page: Callable[..., Page]) -> Callable[..., Page]:
    """Opens the operator board on the shared screens and waits until it stands."""

    def make(**how: Any) -> Page:
        page = open_page(shared_screens.url, **how)
        page.wait_for_selector("#board[data-ready]")
        return page

    return make


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Opens pages in contexts of their own; fails on page errors, console errors and requests beyond this machine."""
    contexts: list[BrowserContext] = []
    surprises: list[str] = []

    def guard(route: Route) -> None:
        if urlsplit(route.request.url).hostname in {"127.0.0.1", "localhost"}:
            route.continue_()
        else:
            surprises.append(f"asked {route.request.url}")
            route.abort()

    def on_console(message: ConsoleMessage) -> None:
        refused = "Failed to load resource" in message.text and "/api/" in message.location.get("url", "")
        if message.type == "error" and not (refused and "status of 500" not in message.text):
            surprises.append(f"console: {message.text} ({message.location.get('url')})")

    def make(url: str, width: int = 1280, height: int = 800, language: str = "") -> Page:
        context = chromium.new_context(viewport={"width": width, "height": height}, has_touch=True)
        contexts.append(context)
        if language:
            kept = "localStorage.getItem('linegate-language')"
            context.add_init_script(f"{kept} || localStorage.setItem('linegate-language', '{language}')")
        context.route("**/*", guard)
        page = context.new_page()
        page.set_default_timeout(8000)
        page.on("pageerror", lambda error: surprises.append(f"page: {error}"))
        page.on("console", on_console)
        page.goto(url)
        return page

    yield make
    for context in contexts:
        context.close()
    assert not surprises, surprises
