"""Item 6: three languages at once, nothing missing, nothing overflowing, every pair of colours readable, nobody called."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from linegate.inspect.hmi import texts

from .board_pages import shot, sign_in
from .feeder import Feeder, region, some_regions
from .screens_process import Screens

Board = Callable[..., Page]
HMI = Path(texts.__file__).parent
LANGUAGES = texts.LANGUAGES

GONE = {"plc": "PLC GONE", "log": "LOG GONE", "camera": "CAMERA GONE: top"}
OVERFLOWS = """() => {
  const bad = [];
  const shown = n => n.offsetParent !== null && getComputedStyle(n).visibility !== 'hidden';
  for (const n of document.querySelectorAll('.lg *')) {
    if (!(n instanceof HTMLElement) || !shown(n) || n.tagName === 'CANVAS' || n.tagName === 'SELECT') continue;
    const name = `${n.tagName}.${n.className} "${n.textContent.slice(0, 40)}"`;
    if (n.clientWidth && n.scrollWidth > n.clientWidth + 1) bad.push(`wide ${n.scrollWidth}>${n.clientWidth} ${name}`);
    if (n.clientHeight && getComputedStyle(n).overflowY !== 'auto' && n.scrollHeight > n.clientHeight + 3
        && ['BUTTON', 'SECTION', 'OUTPUT'].includes(n.tagName)) bad.push(`high ${n.scrollHeight}>${n.clientHeight} ${name}`);
    for (const text of n.childNodes) {
      if (text.nodeType !== 3 || !text.textContent.trim()) continue;
      const range = document.createRange(); range.selectNodeContents(text);
      const r = range.getBoundingClientRect();
      const box = n.closest('button, section, output, header, .lg-number, .lg-person, li').getBoundingClientRect();
      if (r.left < box.left - 1 || r.right > box.right + 1 || r.top < box.top - 3 || r.bottom > box.bottom + 3
          || r.right > innerWidth || r.bottom > innerHeight) bad.push(`out ${name}`);
    }
    if (n.textContent.includes('⟦')) bad.push(`missing text ${name}`);
  }
  return [...new Set(bad)]; }"""

CONTRASTS = """() => {
  const channel = v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const parse = c => { const m = c.match(/[\\d.]+/g).map(Number); return m.length < 4 ? [...m, 1] : m; };
  const over = (top, under) => top.slice(0, 3).map((v, i) => v * top[3] + under[i] * (1 - top[3]));
  const backdrop = n => { const layers = []; let images = null;
    for (let at = n; at; at = at.parentElement) { const s = getComputedStyle(at);
      if (s.backgroundImage !== 'none' && !images) { images = s.backgroundImage.match(/rgba?\\([^)]*\\)/g).map(parse); break; }
      const c = parse(s.backgroundColor); if (c[3] > 0) { layers.push(c); if (c[3] === 1) break; } }
    layers.reverse();
    return (images || [[14, 19, 23, 1]]).map(base => layers.reduce((under, top) => over(top, under), base.slice(0, 3))); };
  const top = [...document.querySelectorAll('.lg-veil')].pop();
  const bad = [];
  for (const n of document.querySelectorAll('.lg *')) {
    if (n.offsetParent === null || (top && !top.contains(n) && !n.closest('.lg-answers'))) continue;
    if (n.closest('[data-stale=true] .lg-pane, button:disabled')) continue;
    const own = [...n.childNodes].some(t => t.nodeType === 3 && t.textContent.trim());
    if (!own || getComputedStyle(n).textDecorationLine === 'line-through') continue;
    const ink = parse(getComputedStyle(n).color);
    for (const ground of backdrop(n)) { const a = light(over(ink, ground)), b = light(ground);
      const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      if (ratio < 7) bad.push(`${ratio.toFixed(2)} ${n.tagName}.${n.className} "${n.textContent.slice(0, 30)}"`); }
  }
  return bad; }"""


def test_no_key_is_missing_in_any_language() -> None:
    for screen in texts.screens():
        files = {lang: json.loads((texts.FOLDER / f"{screen}.{lang}.json").read_text("utf-8")) for lang in LANGUAGES}
        for lang in LANGUAGES:
            assert files[lang].keys() == files["en"].keys(), (screen, lang)
            for key, text in files[lang].items():
                assert key.startswith(f"{screen}."), key
                assert text.strip(), (lang, key)
                assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", files["en"][key])), (lang, key)


def test_every_key_used_exists_and_every_key_is_used() -> None:
    known = {key for key in texts.dictionary("en") if key.startswith("operator.")}
    sources = [p for p in HMI.rglob("*") if p.suffix in {".py", ".js", ".html"} and "review" not in p.parts]
    code = "\n".join(path.read_text("utf-8") for path in sources)
    used = set(re.findall(r"[\"'`](operator\.[\w.]*\w)[\"'`]", code))  # one that ends in a dot is the start of many
    assert used - known == set()
    made = (
        "operator.verdict.",
        "operator.gone.",
        "operator.state.",
        "operator.do.",
        "operator.class.",
        "operator.cause.",
    )
    made += (
        "operator.role.",
        "operator.support.",
        "operator.trust.",
        "operator.mark.",
        "operator.alarm.kind.",
        "operator.error.log",
    )
    answers = "operator.answer.line."  # and the sentence as the line says it
    said = {key for key in known if key.startswith(answers) and said_by_the_line(key.removeprefix(answers))}
    unused = {key for key in known - used - said if not key.startswith(made)}
    assert unused == set()


def said_by_the_line(sentence: str) -> bool:
    """Whether the line's code says so: whole, a piece at a time (joined by semicolons), or as an error's parts."""
    code = "\n".join(
        (HMI.parent / f"{name}.py").read_text("utf-8") for name in ("actions", "challenge", "marks", "station")
    )
    refused = re.fullmatch(r"(.+?): expected (.+), found (.+)\. (.+)", sentence)
    if refused is not None:
        thing, expected, found, remedy = refused.groups()
        parts = [f'expected="{expected}"', f'remedy="{remedy}"', *([] if "{" in found else [f'found="{found}"'])]
        return all(part in code for part in parts) and f'"{thing.split(" {")[0]}' in code
    whole, _, pictures = sentence.partition("; no picture")
    return f'"{whole}"' in code and (not pictures or f'"no picture{pictures}"' in code)


def test_every_cause_and_state_has_words() -> None:
    from linegate.inspect.part import Cause, Decision
    from linegate.inspect.plc.registers import State

    for lang in LANGUAGES:
        known = texts.dictionary(lang)
        assert not [c for c in Cause if f"operator.cause.{c}" not in known]
        assert not [d for d in Decision if f"operator.verdict.{d}" not in known]
        assert not [s.name for s in State if f"operator.state.{s.name}" not in known]


def test_language_switches_at_once_and_is_kept_by_person(board: Board, line: Feeder) -> None:
    page = board()
    line.part("NG", region("scratch", 300, 260))
    expect(page.locator(".lg-word")).to_have_text("NG")
    page.evaluate("window.mark = 1")
    sign_in(page, "Quinn Li")
    page.click('[data-do="language"]')
    expect(page.locator('[data-do="recipe"] span:last-child')).to_have_text("切换产品")
    expect(page.locator(".lg-word")).to_have_text("不合格")
    expect(page.locator(".lg-why")).to_have_text("划痕")
    page.click('[data-do="language"]')
    expect(page.locator(".lg-word")).to_have_text("NIO")
    assert page.evaluate("window.mark") == 1  # without a reload
    assert page.evaluate("document.documentElement.lang") == "de"
    page.click('[data-do="user"]')
    page.click('[data-dialog="user"] button.act')
    expect(page.locator('[data-do="user"]')).to_have_text("Sign in")  # the panel's own language is back
    sign_in(page, "Quinn Li")
    expect(page.locator('[data-do="user"]')).to_have_text("Quinn Li · Qualität")
    page.click('[data-do="language"]')  # back to English for the other tests
    expect(page.locator('[data-do="user"]')).to_have_text("Quinn Li · Quality")


PRESS = "selector => document.querySelector(selector).click()"
"""Without the pointer's way there, which waits until nothing moves: that buttons can be hit is tested elsewhere."""
DRAWN = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


def views(page: Page) -> dict[str, Callable[[], None]]:
    def dialog(name: str) -> Callable[[], None]:
        return lambda: page.evaluate(PRESS, f'[data-do="{name}"]')

    def escape() -> None:
        page.evaluate(PRESS, '[data-do="escape"]')
        page.evaluate(PRESS, ".lg-passed .lg-tile")
        page.wait_for_selector(".lg-mark")

    return {
        "board": lambda: None,
        "user": dialog("user"),
        "recipe": dialog("recipe"),
        "lot": dialog("lot"),
        "support": dialog("support"),
        "challenge": dialog("challenge"),
        "slipped": dialog("escape"),
        "mark": escape,
        "alarms": lambda: page.evaluate(PRESS, ".lg-alarm-text"),
    }


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1920, 1080)])
def test_nothing_overflows_and_all_is_readable(board: Board, line: Feeder, width: int, height: int) -> None:
    alarm = {"severity": "alarm", "active": True, "since_utc_ns": time.time_ns()}
    full = {"id": "bin-1", "text": "The reject bin is full", "remedy": "Empty the bin, close it, acknowledge."}
    lost = {"id": "camera-top-2", "text": "camera top: unplugged", "remedy": "Check the cable."}
    alarms = [alarm | full | {"acknowledged_by": ""}, alarm | lost | {"acknowledged_by": "Lena Braun"}]
    line.lot |= {"inspected": 1234567, "ok": 1222333, "ng": 12000, "review": 150, "not_inspected": 84}
    for name in line.counts:
        line.counts[name] = 1234567
    for n in range(12):
        line.part("NG", *some_regions(n))
    line.part("OK")
    steps = [{"name": "scratch", "result": "caught"}, {"name": "missing_hole", "result": ""}]
    page = board(width=width, height=height)
    expect(page.locator(".lg-strip .lg-tile")).to_have_count(12)
    problems: list[str] = []

    def look(name: str, *, keep: bool = True) -> None:
        problems.extend(f"{name}: {found}" for found in page.evaluate(OVERFLOWS))
        if "-en" in name:  # colours do not depend on the language
            problems.extend(f"{name}: contrast {found}" for found in page.evaluate(CONTRASTS))
        if keep and (width == 1280 or name.startswith(("board", "gone"))):
            shot(page, f"{name}-{width}")

    def in_all(name: str, *, keep: bool = True) -> None:
        for language in LANGUAGES:
            speak(language)
            look(f"{name}-{language}", keep=keep)

    def speak(language: str) -> None:
        page.evaluate("language => import('/static/core/texts.js').then(m => m.setLanguage(language))", language)

    page.click('[data-do="user"]')
    page.wait_for_selector(".lg-names button")
    in_all("signin")
    page.keyboard.press("Escape")
    sign_in(page, "Ada Admin")
    for decision in ("REVIEW", "NOT_INSPECTED", "NG"):
        line.part(decision, *some_regions(3)[:1], cause="frame_mismatch")
        page.wait_for_selector(f'.lg-verdict[data-kind="{decision}"]')
        in_all(f"verdict-{decision}", keep=False)
    line.set(alarms=alarms, challenge={"active": True, "step": 1, "steps": steps, "result": ""})
    expect(page.locator('[data-do="challenge"]')).to_have_class("act")
    page.wait_for_selector(".lg-alarm:not([hidden])")
    for language in LANGUAGES:
        speak(language)
        for name, show in views(page).items():
            show()
            page.evaluate(DRAWN)
            look(f"{name}-{language}", keep=name in {"board", "recipe", "lot", "mark", "challenge", "alarms"})
            page.keyboard.press("Escape")
            page.wait_for_selector(".lg-veil", state="detached")
    speak("en")
    line.set(reconciled=False, recipe_asked=2, state="HALTED", alarms=[])
    page.wait_for_selector('.lg-reconcile[data-state="broken"]')
    page.locator(".lg-strip .lg-tile").first.click()
    in_all("broken")
    speak("en")
    for link in ("plc", "log", "camera"):
        line.set(
            plc={"up": link != "plc"}, log={"ok": link != "log"}, cameras=[{"name": "top", "up": link != "camera"}]
        )
        expect(page.locator(".lg-word")).to_have_text(GONE[link])
        in_all(f"gone-{link}", keep=False)
        speak("en")
    line.still()
    page.wait_for_selector('.lg-in[data-old="true"]', timeout=6000)
    in_all("gone")
    assert problems == [], "\n".join(problems)


def test_fonts_scripts_and_styles_are_local(shared_screens: Screens) -> None:
    """Besides the browser's own refusal of every outside request in each test: nothing names another machine."""
    for path in (HMI / "static").rglob("*"):
        if path.suffix in {".js", ".css", ".html", ".json"}:
            outside = re.findall(
                r"(?:https?:)?//(?!www\.w3\.org/2000/svg)[a-z0-9-]+\.[a-z]{2,}", path.read_text("utf-8")
            )
            assert outside == [], path
    with shared_screens.client() as client:
        policy = client.get("/").headers["content-security-policy"]
    assert "default-src 'self'" in policy and "http:" not in policy
