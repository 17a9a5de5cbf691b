"""The review screen's texts in three languages: none missing, none left over, none too long for its place."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import fields

import pytest
from playwright.sync_api import Page

from linegate.inspect.hmi.review.classes import CLASSES_KEY
from linegate.inspect.hmi.review.queues import QUEUES
from linegate.inspect.hmi.texts import FOLDER, dictionary
from linegate.inspect.part import Decision, GateResult
from linegate.inspect.partlog.labels import KINDS
from linegate.inspect.shadow_totals import ShadowTotals

from .board_pages import ARTEFACTS
from .screens_process import Screens

EVENTS = ("shadow_disagreement", "image_dropped", "image_failed", "row_refused", "challenge_failed")
HMI = FOLDER.parent.parent
INSPECT = HMI.parent
SCREENS = ("queue", "trace", "charts", "release", "exchange")
OVERFLOW = """() => [...document.querySelectorAll('.rv *')].filter(n => {
  const style = getComputedStyle(n);
  if (!n.offsetParent || n.closest('.rv-item-text, .rv-list, .rv-info, svg') || style.overflowY === 'auto') return false;
  return n.scrollWidth > n.clientWidth + 1 && n.clientWidth > 0 && style.display !== 'inline';
}).map(n => n.className + ': ' + n.textContent.slice(0, 60))"""


@pytest.mark.parametrize(("language", "width", "height"), [
    ("en", 1280, 800), ("zh", 1280, 800), ("de", 1280, 800), ("en", 1920, 1080), ("zh", 1920, 1080), ("de", 1920, 1080),
])  # fmt: skip
def test_nothing_overflows_and_no_text_is_missing(
    engineer: Callable[..., Page], review_screens: Screens, language: str, width: int, height: int
) -> None:
    page = engineer("charts", language=language, width=width, height=height)
    key = review_screens.named["escaped"]
    ready = {
        "queue": ".rv-canvas[data-loaded]",
        "trace": "[data-list=alike] .rv-tile",
        "charts": f".rv-charts[data-loaded={language}] [data-chart=cameras]",
        "release": "[data-bundle]",
        "exchange": ".rv-drop",
    }
    for screen in SCREENS:
        page.goto(f"{review_screens.url}/review#/{screen}{f'/{key}' if screen == 'trace' else ''}")
        page.wait_for_selector(ready[screen])
        assert "⟦" not in page.inner_text("#review")
        assert page.evaluate(OVERFLOW) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.screenshot(path=ARTEFACTS / f"review-{screen}-{language}-{width}.png")


def test_three_dictionaries_have_the_same_keys_and_placeholders() -> None:
    texts = {lang: json.loads((FOLDER / f"review.{lang}.json").read_text("utf-8")) for lang in ("en", "zh", "de")}
    for lang in ("zh", "de"):
        assert texts[lang].keys() == texts["en"].keys()
        for key, text in texts["en"].items():
            assert set(re.findall(r"\{(\w+)\}", text)) == set(re.findall(r"\{(\w+)\}", texts[lang][key])), key


def test_every_text_that_the_screen_can_ask_for_is_there_and_no_other() -> None:
    """Keys stand in the code whole, or begin there and end with a value: each value they can take is listed here."""
    known = {key for key in dictionary("en") if key.startswith("review.")}
    code = "\n".join(
        path.read_text("utf-8")
        for folder in (HMI / "review", FOLDER.parent / "review", INSPECT / "partlog")
        for path in folder.rglob("*")
        if path.suffix in {".js", ".py"}
    )
    codes = set(re.findall(r"code=\"(\w+)\"|bad\(\s*\"(\w+)\"|Note\(\"(\w+)\"", code))
    refusals = {a or b for a, b, _ in codes if a or b} - {"conflict", "class_gone"}
    values = {
        "review.tab.": SCREENS,
        "review.queue.": QUEUES,
        "review.why.": QUEUES,
        "review.decision.": list(Decision),
        "review.gate.": list(GateResult),
        "review.kind.": KINDS,
        "review.saved.": KINDS,
        "review.reported.": ("escape", "overkill"),
        "review.tool.": ("brush", "erase", "lasso", "fill", "wand", "heat", "refine", "scissors", "pan", "hide"),
        "review.act.": ("undo", "redo", "confirm", "overkill", "escape"),
        "review.format.": ("png", "coco", "cvat", "label-studio"),
        "review.import.": ("new", "same", "unknown", "size", "saved"),
        "review.import.note_": {note for _, _, note in codes if note},
        "review.refused.": refusals,
        "review.error.": {"conflict", "class_gone"},
        "review.charts.by_": ("time", "lot"),
        "review.filter.": ("from", "to"),
        "review.reason.part_": ("reject", "review"),
        "review.reason.limit_": ("length", "area", "score", "count"),
        "review.event.": EVENTS,
        "review.job.": ("waiting", "running", "done", "failed", "cancelled"),
        "review.change.": ("add", "certify", "promote", "rollback", "shadow", "unshadow", "discard"),
        "review.shadow.": [one.name for one in fields(ShadowTotals) if one.name != "took"],
    }
    begun = set(re.findall(r"[`\"](review\.[\w.]*)\$?\{", code))
    assert begun - {"review.fact.", "review.bundle."} <= values.keys()
    for kind in EVENTS:  # those that are about one part
        assert f'"{kind}"' in "".join(path.read_text("utf-8") for path in INSPECT.rglob("*.py")), kind
    whole = set(re.findall(r"[\"'`](review\.[a-z0-9_.-]*[a-z0-9_])[\"'`]", code)) - {CLASSES_KEY, "review.html"}
    facts = {f"review.fact.{name}" for name in re.findall(r"fact\(\"(\w+)\"", code)}
    bundle = {f"review.bundle.{name}" for name in ("bundle", "classes", "guarantee", "data", "trained")}
    report = {
        key for key in known if key.startswith(("review.report.", "review.chart."))
    }  # a KeyError shows those at once
    wanted = (
        whole | facts | bundle | report | {f"{prefix}{value}" for prefix, all_of in values.items() for value in all_of}
    )
    assert wanted - known == set()
    assert known - wanted == set()
