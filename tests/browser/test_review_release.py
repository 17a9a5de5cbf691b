"""From a candidate to the live model at the review screen: a real worker runs the gate, a person tries it in shadow and
approves."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from linegate.inspect.partlog.commands import Command, CommandBox
from linegate.inspect.settings import LogSettings
from linegate.inspect.shadow_totals import ShadowTotals, totals_path
from linegate.models.bundle import load_bundle, write_bundle
from linegate.models.certificate import certificate_of, certify
from linegate.models.store import BundleStore

from ..models.tiny import findings
from ..training.drawn_plates import write_folder
from .board_pages import ARTEFACTS
from .review_pages import sign_in
from .screens_process import Screens

LIMITS = ("--margin", "0.05", "--most-escapes", "0.2", "--most-overkill", "0.2")


def linegate(*words: object) -> None:
    """Run a command to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "linegate.inspect.cli", *map(str, words)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with ``frozen`` parts, a trained bundle ``two``, and ``one``: the same network as an earlier version."""
    root = tmp_path_factory.mktemp("models")
    write_folder(root / "frozen", good=100, spot=40, line=40, seed=9)
    base = write_folder(root / "base", good=40, spot=20, line=20)
    options = ("--name", "plates", "--version", 2, "--steps", 160, "--threads", 1, "--seed", 1)
    linegate("train", base, "--out", root / "two", *options)
    two = load_bundle(root / "two")
    manifest = {**json.loads((root / "two" / "manifest.json").read_bytes()), "version": "1"}
    write_bundle(root / "one", json.dumps(manifest).encode(), two.model_bytes(), two.snapshot_bytes())
    return root


@pytest.fixture
def candidate(own_screens: Screens, models: Path) -> str:
    """A station whose live bundle is ``one``; the name of its candidate ``two``."""
    store = BundleStore(own_screens.data / "models")
    one = load_bundle(models / "one")
    live = certify(one, findings(one), "Ada Admin", "the first", own_screens.folder / "live")
    store.promote(store.add(live.folder, "Ada Admin", "the first").bundle, "Ada Admin", "start of production")
    return store.add(models / "two", "Quinn Li", "job 1: fresh spots").bundle


@pytest.fixture
def orders(own_screens: Screens) -> Iterator[list[tuple[str, str, str]]]:
    """A line that does what it is asked with the store, and has judged some parts in shadow."""
    box, store = CommandBox.open(LogSettings(), own_screens.data), BundleStore(own_screens.data / "models")
    taken: list[tuple[str, str, str]] = []
    stop = threading.Event()

    def do(command: Command) -> str:
        name, why = str(command.args["bundle"]), str(command.args["why"])
        if command.kind == "promote":
            return f"bundle {store.promote(name, command.by, why).bundle} is live"
        store.set_shadow(name, command.by, why)
        if name:
            shadowed = load_bundle(store.folder_of(name))
            ShadowTotals(judged=412, worse=3, milder=1).save(totals_path(own_screens.data, shadowed.manifest))
        return f"bundle {name} judges in shadow" if name else "the shadow is over"

    def run() -> None:
        while not stop.wait(0.02):
            command = box.take(("promote", "shadow"))
            if command is not None:
                taken.append((command.kind, str(command.args["bundle"]), f"{command.by} {command.role}"))
                box.ack(command.id, True, do(command))

    thread = threading.Thread(target=run, name="a-line")
    thread.start()
    yield taken
    stop.set()
    thread.join()
    box.close()


def worker(page: Page, screens: Screens, models: Path) -> None:
    """Do all waiting jobs, as the training machine does, while the page looks on."""
    options = ("--station", screens.folder / "station.toml", "--frozen", models / "frozen", *LIMITS, "--once")
    words = [sys.executable, "-m", "linegate.inspect.cli", "train", "--worker", *map(str, options)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for _ in range(600):
            if process.poll() is not None:
                break
            page.wait_for_timeout(200)
        process.kill()
        assert process.stdout is not None
        said = process.stdout.read()
    assert process.returncode == 0, said


def decide(page: Page, bundle: str, act: str, why: str) -> None:
    """Press a button that has to be held, and give the reason."""
    page.click(f'[data-bundle="{bundle}"] [data-act={act}]')
    page.fill("[aria-label^='Why?']", why)
    sure = page.locator(f"[data-act={act}-hold]")
    sure.scroll_into_view_if_needed()
    box = sure.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 10, box["y"] + 10)
    page.mouse.down()
    sure.wait_for(state="detached")
    page.mouse.up()


def audited(screens: Screens) -> list[tuple[str, str]]:
    with contextlib.closing(sqlite3.connect(screens.data / "linegate.db", timeout=10)) as log:
        return list(
            log.execute("SELECT action, by FROM audit WHERE role = 'quality' AND action != 'sign-in' ORDER BY id")
        )


def test_a_candidate_goes_live_from_the_screen(
    open_page: Callable[..., Page], own_screens: Screens, models: Path, candidate: str, orders: list[Any]
) -> None:
    store = BundleStore(own_screens.data / "models")
    page = open_page(f"{own_screens.url}/static/core/icon.svg")
    sign_in(page, own_screens)
    page.goto(f"{own_screens.url}/review#/release")
    card = f'[data-bundle="{candidate}"]'
    page.wait_for_selector(card)
    assert page.locator(f"{card} [data-act=approve], {card} [data-act=promote]").count() == 0

    decide(page, candidate, "shadow", "see what it says")
    page.wait_for_selector(f"{card} [data-act=unshadow]")
    page.wait_for_selector("[data-figure=worse]:visible:text-is('3')")
    page.click("[data-act=disagreements]")
    page.wait_for_selector('.rv-list[data-name="shadow"]')
    page.go_back()

    page.click(f"{card} [data-act=gate]")
    page.screenshot(path=ARTEFACTS / "review-gate-ask.png")
    page.click("[data-act=gate-start]")
    page.wait_for_selector(f"{card} .rv-meter")
    page.screenshot(path=ARTEFACTS / "review-gate-waits.png")
    worker(page, own_screens, models)
    page.wait_for_selector(f"{card} .rv-state.no:has-text('The gate refuses it')")
    assert "no cases" in page.inner_text(card)
    assert page.locator(f"{card} [data-act=approve]").count() == 0
    page.screenshot(path=ARTEFACTS / "review-gate-refused.png")

    page.click(f"{card} [data-act=gate]")
    page.fill("[aria-label^='Waive']", "no cases")
    page.fill("[aria-label^='Why it may be waived']", "the first weeks")
    page.click("[data-act=gate-start]")
    page.wait_for_selector(f"{card} .rv-meter")
    worker(page, own_screens, models)
    page.wait_for_selector(f"{card} .rv-state.ok:has-text('The gate lets it pass')")
    page.screenshot(path=ARTEFACTS / "review-gate-held.png")
    assert "not passed the release gate" not in page.inner_text(card)
    with page.context.expect_page() as opened:
        page.click(f"{card} >> text=Report of the gate")
    opened.value.wait_for_selector("h1:has-text('may be released')")
    opened.value.screenshot(path=ARTEFACTS / "review-gate-report.png")
    opened.value.close()

    decide(page, candidate, "approve", "knows the fresh spots")
    page.wait_for_function('name => !document.querySelector(`[data-bundle="${name}"]`)', arg=candidate)
    live = store.pointers().live
    assert certificate_of(store.live()).approved_by == "Quinn Li"
    assert certificate_of(store.live()).shadow == {**ShadowTotals(judged=412, worse=3, milder=1).figures()}
    page.wait_for_selector(f'[data-bundle="{live}"] [data-act=report]')
    page.screenshot(path=ARTEFACTS / "review-gate-live.png", full_page=True)
    who = "Quinn Li quality"
    assert orders == [("shadow", candidate, who), ("promote", live, who)]
    acts = ["shadow", "gate", "gate", "approve", "certify", "promote"]
    assert audited(own_screens) == [(act, "Quinn Li") for act in acts]


def test_the_server_keeps_who_may_not_release_from_it(own_screens: Screens, candidate: str) -> None:
    why = {"why": "because"}
    wishes: dict[str, Any] = {
        "gate": {"bundle": candidate},
        "jobs/1/approve": why,
        "shadow": {"bundle": candidate, **why},
        "promote": {"bundle": candidate, **why},
        "rollback": why,
    }
    for name in ("Otto Frei", "Lena Braun"):
        with own_screens.signed_in(name) as client:
            for path, body in wishes.items():
                assert client.post(f"/api/review/{path}", json=body).status_code == 403, (name, path)
    pages = (f"bundles/{candidate}/report", "jobs/1/files/release.html")
    with own_screens.client() as nobody, own_screens.signed_in("Otto Frei") as operator:
        for page in pages:
            assert nobody.get(f"/api/review/{page}").status_code == 401
            assert operator.get(f"/api/review/{page}").status_code == 403
    own = own_screens.data / "jobs" / "1"
    own.mkdir(parents=True)
    (own / "release.html").symlink_to(own_screens.data / "linegate.db")
    (own_screens.data / "models" / "secret.html").write_text("no report")
    with own_screens.signed_in("Quinn Li") as quality:
        assert quality.post("/api/review/jobs/1/approve", json=why).status_code == 404
        assert quality.post("/api/review/gate", json={"bundle": "../../etc"}).status_code == 404
        assert quality.post("/api/review/shadow", json={"bundle": "nothing", **why}).status_code == 404
        assert quality.post("/api/review/shadow", json={"bundle": candidate, "why": ""}).status_code == 422
        for path in (*pages, "bundles/..%2Fsecret/report", "jobs/1/files/..%2F..%2Flinegate.db"):
            assert quality.get(f"/api/review/{path}").status_code == 404, path
