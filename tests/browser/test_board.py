"""Items 1 and 2: what the operator sees while the line runs."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from linegate.inspect.bounds import rate

from .board_pages import shot, sign_in
from .feeder import Feeder, region, some_regions

Board = Callable[..., Page]
SIZES = [(1280, 800), (1920, 1080)]


def pixels(page: Page, selector: str = ".lg-canvas") -> int:
    """How many of the canvas's pixels are strongly coloured: the part is grey, marks are not."""
    return page.eval_on_selector(
        selector,
        """c => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0;
        for (let i = 0; i < d.length; i += 4) if (Math.max(d[i], d[i+1], d[i+2]) - Math.min(d[i], d[i+1], d[i+2]) > 60) n++;
        return n; }""",
    )


@pytest.mark.parametrize(
    ("decision", "word", "colour"),
    [
        ("OK", "OK", "rgb(10, 100, 48)"),
        ("NG", "NG", "rgb(171, 13, 34)"),
        ("REVIEW", "REVIEW", "rgb(27, 70, 168)"),
        ("NOT_INSPECTED", "NOT INSPECTED", "rgb(55, 67, 77)"),
    ],
)
def test_verdict_has_colour_sign_and_word(board: Board, line: Feeder, decision: str, word: str, colour: str) -> None:
    page = board()
    regions = [] if decision in {"OK", "NOT_INSPECTED"} else [region("scratch", 300, 260)]
    part = line.part(decision, *regions, cause="deadline" if decision == "NOT_INSPECTED" else "judged")
    panel = page.locator(".lg-verdict")
    expect(panel).to_have_attribute("data-kind", decision)
    expect(page.locator(".lg-word")).to_have_text(word)
    expect(panel).to_have_css("background-color", colour)
    assert page.locator(".lg-sign svg path, .lg-sign svg circle").count() >= 1
    expect(page.locator(".lg-part")).to_contain_text(str(part["sequence"]))
    if decision == "NOT_INSPECTED":
        expect(page.locator(".lg-why")).to_have_text("Too late")
    expect(page.locator(".lg-canvas")).to_have_attribute("data-part", part["key"])
    expect(page.locator(".lg-canvas")).to_have_attribute("data-drawn", "yes")
    shot(page, f"verdict-{decision.lower()}")


def test_signs_differ_in_shape(board: Board, line: Feeder) -> None:
    page = board()
    shapes = set()
    for decision in ("OK", "NG", "REVIEW", "NOT_INSPECTED"):
        line.part(decision)
        expect(page.locator(".lg-verdict")).to_have_attribute("data-kind", decision)
        shapes.add(page.locator(".lg-sign svg").inner_html())
    assert len(shapes) == 4


def test_marks_go_on_and_off(board: Board, line: Feeder) -> None:
    page = board()
    part = line.part("NG", region("dent", 300, 260, 90, 80), region("stain", 600, 300, 80, 60))
    expect(page.locator(f'.lg-canvas[data-part="{part["key"]}"][data-drawn="yes"]')).to_be_visible()
    with_marks = pixels(page)
    page.click('[data-do="marks"]')
    page.wait_for_timeout(100)
    assert with_marks > 500
    assert pixels(page) < with_marks / 20
    expect(page.locator('[data-do="marks"]')).to_have_attribute("aria-pressed", "false")


def test_last_ng_and_back_to_live(board: Board, line: Feeder) -> None:
    page = board()
    bad = line.part("NG", region("crack", 400, 300))
    good = line.part("OK")
    expect(page.locator(".lg-verdict")).to_have_attribute("data-kind", "OK", timeout=4000)
    canvas = page.locator(".lg-canvas")
    expect(canvas).to_have_attribute("data-part", good["key"])
    page.click('[data-do="last_ng"]')
    expect(canvas).to_have_attribute("data-part", bad["key"])
    expect(page.locator(".lg-caption")).to_contain_text("Crack")
    line.part("OK")
    expect(page.locator(".lg-part")).to_contain_text(str(good["sequence"] + 1))
    expect(canvas).to_have_attribute("data-part", bad["key"])  # a person is looking: it stays
    page.click('[data-do="live"]')
    expect(canvas).not_to_have_attribute("data-part", bad["key"])


def test_last_twelve_rejects(board: Board, line: Feeder) -> None:
    page = board()
    keys = [line.part("NG", *some_regions(n))["key"] for n in range(14)]
    for _ in range(20):
        line.part("OK")
    tiles = page.locator(".lg-strip .lg-tile")
    expect(tiles).to_have_count(12)
    expect(page.locator('.lg-strip canvas[data-drawn="yes"]')).to_have_count(12)
    assert [tiles.nth(n).get_attribute("data-key") for n in range(12)] == keys[:1:-1]
    page.reload()
    expect(page.locator('.lg-strip canvas[data-drawn="yes"]')).to_have_count(12)  # kept by the server
    page.click(f'.lg-tile[data-key="{keys[5]}"]')
    expect(page.locator(".lg-canvas")).to_have_attribute("data-part", keys[5])


def test_yield_and_ppm_with_counts_and_bound(board: Board, line: Feeder) -> None:
    page = board()
    line.lot |= {"inspected": 4909, "ok": 4858, "ng": 50, "review": 1, "not_inspected": 0}
    line.say()
    expect(page.locator('[data-number="yield"] b')).to_have_text("98.96 %")
    expect(page.locator('[data-number="yield"] small')).to_have_text("4,858 / 4,909 · ≥ 98.68 %")
    expect(page.locator('[data-number="ppm"] b')).to_have_text("10,185")
    most = -(-rate(50, 4909).upper * 1e6 // 1)
    expect(page.locator('[data-number="ppm"] small')).to_have_text(f"50 / 4,909 · ≤ {most:,.0f}")
    assert 1 - rate(51, 4909).upper >= 0.9868
    expect(page.locator('[data-number="inspected"] b')).to_have_text("4,909")
    expect(page.locator('[data-number="rejected"] b')).to_have_text("51")
    expect(page.locator('[data-number="rejected"] small')).to_have_text("1 review, 0 not inspected")


def test_top_line_tells_state_product_user_and_time(board: Board, line: Feeder) -> None:
    page = board()
    expect(page.locator(".lg-line")).to_have_text("RUNNING")
    expect(page.locator(".lg-product")).to_contain_text("BRK-2041 Bracket, alu 4-hole")
    expect(page.locator(".lg-product")).to_contain_text("Press 1, panel gate · Batch LOT-2207")
    assert len(page.locator(".lg-clock").inner_text()) == 8
    sign_in(page, "Otto Frei")
    expect(page.locator('[data-do="user"]')).to_have_text("Otto Frei · Operator")
    line.set(state="HALTED")
    expect(page.locator(".lg-line")).to_have_text("HALTED")
    expect(page.locator(".lg-word")).to_have_text("STOPPED")


def test_slack_and_reconciliation(board: Board, line: Feeder) -> None:
    page = board()
    line.part("OK", slack_ms=120.0)
    line.part("OK")
    expect(page.locator(".lg-slack")).to_contain_text("186 of 200 ms")
    expect(page.locator(".lg-slack")).to_contain_text(re.compile(r"lowest of the last \d: 120 ms"))
    sums = page.locator(".lg-reconcile")
    expect(sums).to_have_text("Triggers 2 = Frames 2 = Rows 2 = PLC 2 ✓ all there")
    line.counts["rows"] -= 1
    line.set(reconciled=False, reconcile_text="1 trigger has no row")
    expect(sums).to_have_attribute("data-state", "broken")
    expect(sums).to_have_text("⚠ 1 part has no row in the log.")
    line.counts["rows"] += 1
    line.counts |= {"frames": line.counts["frames"] - 1, "frames_lost": 1}
    line.set(reconciled=True)
    expect(sums).to_contain_text("= Frames 1 + 1 missing =")
    line.set(reconciled=False)
    line.counts["plc_triggered"] += 3
    line.say()
    expect(sums).to_have_text("⚠ The PLC counted 3 parts that the station did not see.")
    line.part("OK", slack_ms=-12.0, latency_ms=212.0)
    expect(page.locator(".lg-slack")).to_contain_text("12 ms late")


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_nothing_scrolls_and_targets_are_large(board: Board, line: Feeder, width: int, height: int) -> None:
    page = board(width=width, height=height)
    alarm = {"severity": "alarm", "text": "Bin full", "remedy": "Empty it", "since_utc_ns": time.time_ns()}
    line.set(alarms=[{"id": 7, "acknowledged_by": "", "active": True, **alarm}])
    for n in range(12):
        line.part("NG", *some_regions(n))
    expect(page.locator(".lg-strip .lg-tile")).to_have_count(12)
    sizes = page.evaluate("(d => [d.scrollWidth - innerWidth, d.scrollHeight - innerHeight])(document.documentElement)")
    assert max(sizes) <= 0
    small = page.evaluate(
        """() => [...document.querySelectorAll('button')].filter(b => b.offsetParent)
        .map(b => [b.textContent, b.getBoundingClientRect()])
        .filter(([, r]) => r.width < 64 || r.height < 64 || r.bottom > innerHeight || r.right > innerWidth).map(([t]) => t)"""
    )
    assert small == []
    stop = page.locator('[data-do="stop"]').bounding_box()
    support = page.locator('[data-do="support"]').bounding_box()
    assert stop is not None and support is not None
    assert stop["x"] - support["x"] - support["width"] >= 40  # away from the others


def test_ng_stays_and_is_never_skipped_at_25_per_second(board: Board, line: Feeder) -> None:
    page = board()
    page.evaluate(
        """() => { window.kinds = []; window.keys = new Set();
        new MutationObserver(() => window.kinds.push([document.querySelector('.lg-verdict').dataset.kind, performance.now()]))
          .observe(document.querySelector('.lg-verdict'), {attributes: true});
        new MutationObserver(list => list.forEach(m => m.addedNodes.forEach(n => window.keys.add(n.dataset.key))))
          .observe(document.querySelector('.lg-strip'), {childList: true}); }"""
    )
    start, bad = time.monotonic(), []
    for n in range(100):
        if n == 10 or 60 <= n < 80:
            bad.append(line.part("NG", region("dent", 300, 260))["key"])
        else:
            line.part("OK")
        time.sleep(max(0.0, start + (n + 1) / 25 - time.monotonic()))
    expect(page.locator(".lg-verdict")).to_have_attribute("data-kind", "OK", timeout=4000)
    kinds = page.evaluate("window.kinds")
    reds = [
        (at, kinds[n + 1][1]) for n, (kind, at) in enumerate(kinds[:-1]) if kind == "NG" and kinds[n + 1][0] != "NG"
    ]
    assert reds and all(end - begin >= 1490 for begin, end in reds), kinds
    assert set(page.evaluate("[...window.keys]")) >= set(bad)


def test_labels_do_not_overlap_and_only_the_largest_of_a_class_is_named(board: Board, line: Feeder) -> None:
    page = board()
    page.evaluate(
        """() => { window.named = []; const fill = CanvasRenderingContext2D.prototype.fillText;
        CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
          window.named.push([text, x, y, this.measureText(text).width, parseFloat(this.font.split(' ')[1])]);
          return fill.call(this, text, x, y); }; }"""
    )
    close = [
        region("dent", 300, 260),
        region("scratch", 310, 262),
        region("stain", 305, 270),
        region("dent", 500, 300, 20, 20),
    ]
    part = line.part("NG", *close)
    expect(page.locator(f'.lg-canvas[data-part="{part["key"]}"][data-drawn="yes"]')).to_be_visible()
    page.wait_for_timeout(150)
    named = {text: (x, y, w, h) for text, x, y, w, h in page.evaluate("window.named")}
    assert set(named) == {"Dent", "Scratch", "Stain"}
    boxes = list(named.values())
    for n, (x, y, w, h) in enumerate(boxes):
        for x2, y2, w2, h2 in boxes[n + 1 :]:
            assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y, named
