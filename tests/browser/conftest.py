"""One chromium for the session, one context a test, a real `linegate screens` process; any surprise fails the test."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Route, sync_playwright

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # feeder.py lies beside the tests
from feeder import Feeder  # noqa: E402
from review_pages import engineer, review_screens  # noqa: E402, F401 - fixtures of the review screen

ARTEFACTS = HERE.parent.parent / "artefacts" / "screens"
CHROMIUM = "/usr/bin/chromium"
PINS = {
    "Ada Admin": ("admin", "730519"),
    "Lena Braun": ("lead", "4826"),
    "Otto Frei": ("operator", "2915"),
    "Quinn Li": ("quality", "6184"),
}
STATION = """
[[cameras]]
driver = "replay"
name = "top"
folder = "photos"

[[recipes]]
id = 1
name = "Panel A"

[screens]
sign_out_s = {sign_out_s}
"""
BADGES = {"Otto Frei": "BADGE-00417", "Lena Braun": "BADGE-00533"}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "browser: needs chromium; it is shared by the session")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.browser)


@dataclass
class Screens:
    """A running `linegate screens` with its data folder."""

    folder: Path
    port: int = 0
    process: subprocess.Popen[str] | None = field(default=None, repr=False)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, sign_out_s: float = 300.0) -> Screens:
        station = self.folder / "station.toml"
        station.write_text(STATION.format(sign_out_s=sign_out_s))
        command = [
            sys.executable,
            "-m",
            "linegate.inspect.cli",
            "screens",
            "--station",
            str(station),
            "--port",
            str(self.port),
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("screens: http://"), line
        self.port = int(urlsplit(line.split()[1]).port or 0)
        deadline = time.monotonic() + 30
        while True:
            try:
                httpx.get(f"{self.url}/static/core/icon.svg", timeout=2)
                return self
            except httpx.HTTPError:
                assert time.monotonic() < deadline, "the screens never answered"
                time.sleep(0.02)

    def client(self) -> httpx.Client:
        """An HTTP client that sends what a browser sends."""
        return httpx.Client(base_url=self.url, headers={"Origin": self.url}, timeout=10)

    @contextlib.contextmanager
    def signed_in(self, name: str) -> Iterator[httpx.Client]:
        with self.client() as client:
            client.post("/api/session/pin", json={"name": name, "pin": PINS[name][1]}).raise_for_status()
            yield client

    def people(self) -> None:
        """The admin's first start, and everybody else."""
        admin = next(iter(PINS))
        with self.client() as client:
            body = {"name": admin, "pin": PINS[admin][1], "language": "en"}
            client.post("/api/setup", json=body).raise_for_status()
            for name, (role, pin) in list(PINS.items())[1:]:
                client.post("/api/people", json={"name": name, "role": role, "pin": pin}).raise_for_status()
            for name, badge in BADGES.items():
                client.patch(f"/api/people/{name}", json={"badge": badge}).raise_for_status()

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self._reap()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self._reap()

    def _reap(self) -> None:
        if self.process is not None:
            self.process.wait(15)
            assert self.process.stdout is not None
            self.process.stdout.close()


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
    """What a scanner types."""
    page.keyboard.type(code, delay=2)
    page.keyboard.press("Enter")


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
