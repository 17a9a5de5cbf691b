"""The bench's browsers: chromium contexts on the operator board that note when pixels changed."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from linegate.cameras.errors import LinegateError

if TYPE_CHECKING:
    from playwright.sync_api import Browser, CDPSession, Page

BROWSER_NAMES = ("chromium", "chromium-browser", "google-chrome")
CLOCK_TRIES = 60
WATCH = """() => {
  const seen = window.bench = { verdicts: {}, pictures: {}, tiles: [] };
  const afterPaint = (note) => { const channel = new MessageChannel();
    channel.port1.onmessage = () => { note(performance.now()); channel.port1.close(); };
    channel.port2.postMessage(0); };
  const panel = document.querySelector('.lg-part');
  let last = '';
  new MutationObserver(() => { const number = panel.textContent.match(/\\d+/)?.[0];
    if (!number || number === last || panel.parentElement.dataset.kind === 'gone') return;
    last = number;
    requestAnimationFrame(() => afterPaint((at) => { seen.verdicts[number] ??= at; })); })
    .observe(panel, { childList: true, characterData: true, subtree: true });
  document.addEventListener('painted', (event) => { const { key } = event.detail;
    afterPaint((at) => { seen.pictures[key] ??= at; }); });
  new MutationObserver((changes) => { for (const change of changes) for (const node of change.addedNodes)
    seen.tiles.push(node.dataset.key); }).observe(document.querySelector('.lg-strip'), { childList: true });
}"""


@dataclass(frozen=True, slots=True)
class Watched:
    """What one page showed: key → host monotonic ns of its pixels, and the keys that got a tile."""

    verdicts: dict[str, float]
    pictures: dict[str, float]
    tiles: set[str]


class BenchPage:
    """One browser context with the board in it."""

    def __init__(self, page: Page, url: str) -> None:
        self._page = page
        page.goto(url)
        page.wait_for_selector("#board[data-ready]", timeout=60_000)
        page.evaluate(WATCH)
        self._cdp: CDPSession = page.context.new_cdp_session(page)
        self._cdp.send("Performance.enable")
        self._offset_ns, self.clock_error_ms = self._clock()

    def _clock(self) -> tuple[float, float]:
        best = (float("inf"), 0.0)
        for _ in range(CLOCK_TRIES):
            before = time.monotonic_ns()
            page_ms = float(self._page.evaluate("performance.now()"))
            after = time.monotonic_ns()
            best = min(best, (after - before, (before + after) / 2 - page_ms * 1e6))
        return best[1], best[0] / 2e6

    def forget(self) -> None:
        """Begin anew."""
        self._page.evaluate("Object.assign(window.bench, { verdicts: {}, pictures: {}, tiles: [] })")

    def take(self) -> Watched:
        """What was shown since."""
        seen: dict[str, Any] = self._page.evaluate("window.bench")
        at = self._offset_ns
        return Watched(
            {f"be7c-{number}": ms * 1e6 + at for number, ms in seen["verdicts"].items()},
            {key: ms * 1e6 + at for key, ms in seen["pictures"].items()},
            set(seen["tiles"]),
        )

    def memory_mb(self) -> float:
        """The page's JavaScript heap."""
        metrics = {m["name"]: m["value"] for m in self._cdp.send("Performance.getMetrics")["metrics"]}
        return float(metrics["JSHeapUsedSize"]) / 1e6


@contextlib.contextmanager
def open_browser() -> Iterator[Browser]:
    """A chromium without a window. Raises LinegateError where playwright or a browser is missing."""
    binary = next((found for name in BROWSER_NAMES if (found := shutil.which(name))), None)
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError as error:
        raise _missing("the package playwright", "pip install 'linegate[dev]'") from error
    if binary is None:
        raise _missing("chromium", "Install it: apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def open_pages(url: str, count: int) -> Iterator[list[BenchPage]]:
    """So many browser contexts on the board. Raises LinegateError where playwright or a browser is missing."""
    with open_browser() as browser:
        size: Any = {"width": 1280, "height": 800}
        yield [BenchPage(browser.new_context(viewport=size).new_page(), url) for _ in range(count)]


def _missing(what: str, remedy: str) -> LinegateError:
    return LinegateError("linegate bench", expected=what, found="not installed", remedy=remedy)
