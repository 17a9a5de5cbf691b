"""Queues, tracing, charts, training and release, in a real browser."""

from __future__ import annotations

import contextlib
import csv
import io
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from linegate.inspect.hmi.review.queues import QUEUES
from linegate.inspect.partlog.commands import CommandBox
from linegate.inspect.settings import LogSettings

from .board_pages import ARTEFACTS
from .review_pages import Held, labels_of, loaded, newest, open_queue
from .screens_process import Screens


def test_every_queue_shows_its_parts(engineer: Callable[..., Page], review_screens: Screens) -> None:
    named = {name: str(key) for name, key in review_screens.named.items()}
    expected = {"escape": named["escaped"], "overkill": named["ng"], "must_catch": named["escaped"]}
    page = engineer("queue/escape")
    loaded(page)
    for queue, key in expected.items():  # with the filter as it is: what operators reported waits
        open_queue(page, queue, todo=True)
        page.wait_for_selector(f'.rv-item[data-key="{key}"]')
    open_queue(page, "shadow", todo=False)
    page.wait_for_selector(f'.rv-item[data-key="{named["near"]}"]')
    for queue in QUEUES:
        open_queue(page, queue)
        loaded(page)
    open_queue(page, "sample")
    expect(page.locator(".rv-item:has-text('chance 10.0 %')").first).to_be_visible()
    expect(page.locator(".rv-why")).to_contain_text("Escape rate")
    with review_screens.signed_in("Lena Braun") as lead:
        near = lead.get("/api/review/queues/near?todo=false").json()["ids"]
        scores = [row["score"] for row in lead.get(f"/api/review/rows?ids={','.join(map(str, near))}").json()]
        assert scores
        assert scores == sorted(scores, reverse=True)
        assert min(scores) >= 0.6 * 0.5
        of_lot = lead.get("/api/review/queues/ng?todo=false&lot=LOT-2").json()["ids"]
        rows = lead.get(f"/api/review/rows?ids={','.join(map(str, of_lot))}").json()
        assert rows
        assert {row["lot"] for row in rows} == {"LOT-2"}
        stains = lead.get("/api/review/queues/all?todo=false&class=stain").json()["ids"]
        assert {row["defect_class"] for row in lead.get(f"/api/review/rows?ids={stains[0]}").json()} == {"stain"}
        assert lead.get("/api/review/queues/nonsense").status_code == 404


def test_a_queue_that_comes_late_is_not_shown_as_the_one_that_was_chosen_since(
    engineer: Callable[..., Page], review_screens: Screens
) -> None:
    page = engineer("queue/review")
    loaded(page)
    late = Held(page, "**/api/review/queues/ng?**")
    page.select_option(".rv-queue", "ng")
    late.wait()
    open_queue(page, "sample")
    loaded(page)
    with page.expect_response("**/api/review/queues/ng?**"):
        late.release()
    open_queue(page, "sample")
    assert page.locator(".rv-item .rv-badge.NG").count() == 0
    with review_screens.signed_in("Quinn Li") as client:
        bad = str(review_screens.named["ng"])
        body = {"key": bad, "camera": "top", "parent": 1, "decision": "NG", "source": "sample"}
        answer = client.post("/api/review/labels", json=body)
        assert (answer.status_code, answer.json()["key"]) == (422, "review.refused.label_not_sampled")
        for forged in ({"source": "operator"}, {"source": "import"}, {"source": "sample", "probability": 0.5}):
            assert client.post("/api/review/labels", json={**body, **forged}).status_code == 422


def test_the_list_keeps_only_what_is_in_sight(engineer: Callable[..., Page]) -> None:
    page = engineer("queue/all")
    loaded(page)
    open_queue(page, "all", todo=False)
    loaded(page)  # the list is filled anew, and stands at its top
    assert page.locator(".rv-item").count() < 24
    page.evaluate("document.querySelector('.rv-list').scrollTop = 1e6")
    page.wait_for_selector(".rv-item:has-text('SN000001')")
    assert page.locator(".rv-item").count() < 24


def test_keys_lead_through_the_parts(engineer: Callable[..., Page], review_screens: Screens) -> None:
    page = engineer("queue/ng")
    first = loaded(page).split("|")[0]
    page.keyboard.press("d")
    second = loaded(page).split("|")[0]
    assert second != first
    page.keyboard.press("a")
    loaded(page, first)
    page.keyboard.press("d")
    loaded(page, second)
    page.keyboard.press("o")
    page.wait_for_selector(".rv-toast.good:has-text('Good part')")
    label = newest(review_screens, second)
    assert (label["kind"], label["decision"], label["must_catch"]) == ("overkill", "OK", False)


def test_trace_an_escape_to_its_look_alikes(engineer: Callable[..., Page], review_screens: Screens) -> None:
    key = str(review_screens.named["escaped"])
    page = engineer("trace")
    serial = f"SN{review_screens.named['escaped'].sequence:06d}"
    page.locator(".rv-search").press_sequentially(serial)  # as a scanner types
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-list=alike] .rv-tile")
    facts = page.inner_text(".rv-facts")
    for fact in (serial, key, "LOT-3", "0.050", "0.500 / 0.800", "panel 1.0", "passed", "no defect that counts"):
        assert fact in facts
    assert "Otto Frei reported" in page.inner_text(".rv-cols")
    alike = [str(review_screens.named[f"alike {tilt}"]) for tilt in (0.02, 0.1, 0.3)]
    tiles = page.locator("[data-list=alike] .rv-tile")
    assert [tiles.nth(n).get_attribute("data-key") for n in range(3)] == alike
    page.screenshot(path=ARTEFACTS / "review-trace.png", full_page=True)
    with page.expect_download() as download:
        page.click("[data-act=containment]")
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text())))
    assert [row["part"] for row in rows[:3]] == alike
    assert float(rows[0]["similarity"]) == pytest.approx(1 / np.sqrt(1 + 0.02**2), abs=2e-3)
    page.click("[data-act=mark-escape]")
    page.wait_for_selector("text=Must-catch case")
    labels = labels_of(review_screens, key)
    assert [(one["version"], one["by"], one["source"]) for one in labels] == [
        (1, "Otto Frei", "operator"),
        (2, "Quinn Li", "trace"),
    ]
    assert (labels[1]["kind"], labels[1]["decision"], labels[1]["must_catch"]) == ("escape", "NG", True)
    with review_screens.signed_in("Quinn Li") as client:
        assert len(client.get("/api/review/queues/must_catch").json()["ids"]) >= 1
    page.click("[data-language=zh]")
    page.wait_for_selector(".rv-facts:has-text('无计入的缺陷')")
    assert "位置 680, 590 px" in page.inner_text(".rv-cols")
    page.click("[data-language=en]")
    page.wait_for_selector(".rv-facts:has-text('no defect that counts')")
    page.fill(".rv-search", "no such serial")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=No part with “no such serial”.")
    page.locator(".rv-search").fill(serial)
    page.keyboard.press("Enter")
    page.click("text=Draw the defect")  # it is labelled, so no filter lists it: it opens all the same
    loaded(page, key)
    assert page.evaluate("location.hash") == f"#/queue/all/{key}"


def test_charts_speak_three_languages_and_leave_as_files(
    engineer: Callable[..., Page], review_screens: Screens
) -> None:
    page = engineer("charts")
    page.wait_for_selector("[data-chart=cameras]")
    names = page.eval_on_selector_all("[data-chart]", "all => all.map(n => n.dataset.chart)")
    assert names == ["yield", "pprime", "pareto", "place", "latency", "cameras"]
    assert "1 lost" in page.text_content("[data-chart=cameras]")
    page.screenshot(path=ARTEFACTS / "review-charts.png")
    page.click("[data-language=de]")
    page.wait_for_selector(".rv-charts[data-loaded=de] >> text=Ausbeute (Anteil OK)")
    assert {"Kratzer", "Delle", "Kein Bild rechtzeitig"} & set(
        page.locator("[data-chart=pareto] text").all_text_contents()
    )
    page.click("[data-language=en]")
    page.wait_for_selector(".rv-charts[data-loaded=en]")
    with page.expect_download() as download:
        page.click("[data-report='parts.csv']")
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text())))
    assert len(rows) == review_screens.named["last"].sequence
    assert rows[0]["serial"] == "SN000001"
    with page.expect_download() as download:
        page.click("[data-report='parts.parquet']")
    assert download.value.path().read_bytes()[:4] == b"PAR1"
    with page.expect_download(timeout=60_000) as download:
        page.click("[data-report='report.pdf']")
    pdf = download.value.path().read_bytes()
    with contextlib.closing(sqlite3.connect(review_screens.data / "linegate.db", timeout=10)) as log:
        acts = log.execute(
            "SELECT subject FROM audit WHERE \"by\" = 'Quinn Li' AND action IN ('export', 'report')"
        ).fetchall()
    assert {"parts.csv", "parts.parquet", "report.pdf"} <= {subject for (subject,) in acts}
    assert pdf.startswith(b"%PDF-")
    assert len(pdf) > 20_000


def test_a_shift_or_any_other_time_can_be_chosen(engineer: Callable[..., Page], review_screens: Screens) -> None:
    page = engineer("queue/all")
    loaded(page)
    open_queue(page, "all", todo=False)
    with review_screens.signed_in("Quinn Li") as client:
        shift = client.get("/api/review/queues").json()["choices"]["shifts"][0]
        all_ids = client.get("/api/review/queues/all?todo=false").json()["ids"]
        rows = [
            row
            for n in range(0, len(all_ids), 500)
            for row in client.get(f"/api/review/rows?ids={','.join(map(str, all_ids[n : n + 500]))}").json()
        ]
    times = sorted(row["utc_ns"] for row in rows)
    of_shift = sum(int(shift["from"]) <= at < int(shift["to"]) for at in times)
    assert "06:00" in page.inner_text("[data-filter=time]")
    with page.expect_response("**/api/review/queues/all?**") as listed:
        page.select_option("[data-filter=time]", f"{shift['from']}-{shift['to']}")
    assert len(listed.value.json()["ids"]) == of_shift
    with page.expect_response("**/api/review/queues/all?**"):
        page.select_option("[data-filter=time]", "span")
    middle = times[len(times) // 2] // 60_000_000_000 * 60  # to the minute, as the field has it
    with page.expect_response("**/api/review/queues/all?**"):
        page.fill("[data-filter=from]", time.strftime("%Y-%m-%dT%H:%M", time.localtime(middle - 3600)))
    with page.expect_response("**/api/review/queues/all?**") as listed:
        page.fill("[data-filter=to]", time.strftime("%Y-%m-%dT%H:%M", time.localtime(middle)))
    expected = [at for at in times if middle - 3600 <= at / 1e9 < middle]
    assert expected
    assert len(listed.value.json()["ids"]) == len(expected)
    page.screenshot(path=ARTEFACTS / "review-time.png")
    page.click(".rv-tabs [data-screen=charts]")  # charts, files and report ask for the same time
    page.wait_for_selector("[data-chart=cameras]")
    with page.expect_download() as download:
        page.click("[data-report='parts.csv']")
    assert len(list(csv.DictReader(io.StringIO(download.value.path().read_text())))) == len(expected)
    with page.context.expect_page() as opened:
        page.click("[data-report='report.html']")
    report = opened.value.inner_text("body")
    for at in (middle - 3600, middle):
        assert time.strftime("%Y-%m-%d %H:%M", time.localtime(at)) in report


def test_the_report_prints(engineer: Callable[..., Page], review_screens: Screens) -> None:
    page = engineer("charts", width=900, height=1200)
    page.wait_for_selector("[data-chart=cameras]")
    page.goto(f"{review_screens.url}/api/review/report.html?todo=false&language=en")
    text = page.inner_text("body")
    for words in ("Shift report", "Quinn Li", "Clopper-Pearson", "LOT-2", "Lena Braun", "escape rate at most"):
        assert words in text
    assert page.locator("svg.chart").count() == 6
    page.screenshot(path=ARTEFACTS / "review-report.png", full_page=True)


@pytest.fixture
def answering(review_screens: Screens) -> Iterator[list[str]]:
    """A line that answers promote and rollback."""
    box = CommandBox.open(LogSettings(), review_screens.data)
    taken: list[str] = []
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.02):
            command = box.take(("promote", "rollback"))
            if command is not None:
                taken.append(f"{command.kind} {command.args.get('bundle', '')} {command.by} {command.role}")
                box.ack(command.id, True, "live since now")

    thread = threading.Thread(target=run, name="answering-line")
    thread.start()
    yield taken
    stop.set()
    thread.join()
    box.close()


def test_train_and_release_from_the_screen(
    engineer: Callable[..., Page], review_screens: Screens, answering: list[str]
) -> None:
    page = engineer("release")
    page.fill("[aria-label='Why (note)']", "new burrs")
    page.click("[data-act=train]")
    job = page.locator("[data-job]").first
    job.wait_for()
    assert "waiting" in job.inner_text()
    page.click("[data-act=train]")
    page.wait_for_selector(".rv-toast:has-text('under way already')")
    number = job.get_attribute("data-job")
    folder = review_screens.data / "jobs" / str(number)
    folder.mkdir(parents=True)
    (folder / "report.html").write_text("<h1>How good it is</h1><script>document.title='no'</script>")
    with sqlite3.connect(review_screens.data / "linegate.db", timeout=10) as worker:
        worker.execute("UPDATE job SET state='running', progress=0.42, progress_text='epoch 12' WHERE id=?", (number,))
    worker.close()
    page.wait_for_selector("text=42 % epoch 12")
    page.wait_for_selector("text=report.html")
    page.screenshot(path=ARTEFACTS / "review-release.png")
    page.click("text=Cancel")
    page.wait_for_selector("[data-job] button[disabled]")
    names = page.eval_on_selector_all("[data-bundle]", "all => all.map(n => n.dataset.bundle)")
    good, bad = (next(name for name in names if name.startswith(f"panel-{v}-")) for v in ("1.1", "1.2"))
    assert page.is_enabled(f'[data-bundle="{bad}"] [data-act=gate]')
    assert page.locator(f'[data-bundle="{bad}"] [data-act=promote]').count() == 0
    assert "6 / 6" in page.inner_text(f'[data-bundle="{good}"]')
    page.click(f'[data-bundle="{good}"] summary')
    certificate = page.inner_text(f'[data-bundle="{good}"] .rv-certificate')
    for finding in ("few escapes on the frozen set", "as it should be", "bf16", "Quinn Li"):
        assert finding in certificate
    page.screenshot(path=ARTEFACTS / "review-certificate.png")
    page.click(f'[data-bundle="{good}"] [data-act=promote]')
    page.fill("[aria-label^='Why?']", "catches the burrs")
    box = page.locator("[data-act=promote-hold]").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 10, box["y"] + 10)
    page.mouse.down()
    page.wait_for_selector("[data-act=promote-hold].holding")
    page.mouse.up()
    page.wait_for_timeout(1300)  # longer than it has to be held: what was let go of too early never comes
    with contextlib.closing(sqlite3.connect(review_screens.data / "linegate.db", timeout=10)) as log:
        assert log.execute("SELECT count(*) FROM command WHERE kind = 'promote'").fetchone() == (0,)
    page.mouse.down()
    page.wait_for_selector(".rv-toast.good:has-text('live since now')")
    page.mouse.up()
    assert answering == [f"promote {good} Quinn Li quality"]


def test_the_server_refuses_the_wrong_role(review_screens: Screens) -> None:
    body = {"key": "1a2b-1", "camera": "top", "parent": 0, "decision": "OK", "source": "all"}
    with review_screens.signed_in("Otto Frei") as operator:
        assert operator.get("/api/review/queues").status_code == 403
    with review_screens.signed_in("Lena Braun") as lead:
        assert lead.get("/api/review/queues").status_code == 200
        assert lead.post("/api/review/labels", json=body).status_code == 403
        assert lead.post("/api/review/promote", json={"bundle": "x", "why": "because"}).status_code == 403
    with review_screens.client() as nobody:
        for path in ("queues", "parts/1a2b-1", "charts", "jobs", "export.zip", "report.html", "masks/00.png"):
            assert nobody.get(f"/api/review/{path}").status_code == 401
    with review_screens.signed_in("Quinn Li") as quality:
        answer = quality.post("/api/review/masks", content=b"GIF89a")
        assert (answer.status_code, answer.json()["key"]) == (422, "review.refused.mask_no_png")
        missing = quality.post("/api/review/labels", json={**body, "mask_sha256": "0" * 64})
        assert missing.status_code == 422
        assert quality.get("/api/review/jobs/1/files/..%2F..%2Flinegate.db").status_code == 404


def test_no_number_is_too_large_for_an_answer_in_words(review_screens: Screens) -> None:
    large, key = "9" * 400, review_screens.named["ng"]
    with review_screens.signed_in("Quinn Li") as client:
        for path in (
            f"parts/{'f' * 30}-1",
            f"parts/1a2b-{large[:30]}",
            f"parts/{key}/alike?from={large}",
            f"parts/{key}/alike.csv?from={large}",
            f"queues/all?from={large}",
            f"queues?recipe={large}",
            f"charts?to={large}",
            f"jobs/{large}/files/report.html",
            "find?text=" + "f" * 150 + "-1",
            f"find?text=1a2b-{large[:30]}",
            "rows?ids=²,1",
        ):
            assert client.get(f"/api/review/{path}").status_code in {200, 404, 422}, path
        body = {"key": str(key), "camera": "top", "parent": int(large[:30]), "decision": "OK", "source": "all"}
        assert client.post("/api/review/labels", json=body).status_code == 422
        assert client.post(f"/api/review/jobs/{large}/cancel").status_code == 422
        box = {"sha256": "0" * 64, "box": [int(large), 0, 9, 9]}
        assert client.post("/api/review/refine", json=box).status_code == 404
    with review_screens.signed_in("Otto Frei") as client:
        slashed = str(review_screens.named["slashed"])
        assert client.get("/api/part/by-serial/A%2F1%2FB").json()["key"] == slashed


def test_the_same_screen_lives_inside_gradio(engineer: Callable[..., Page], review_screens: Screens) -> None:
    page = engineer("charts")
    page.set_default_timeout(40_000)  # Gradio is built at the first visit
    page.goto(f"{review_screens.url}/engineer/")
    page.get_by_role("tab", name="Review").click()
    page.wait_for_selector(".rv .rv-tabs")
    page.click(".rv-tabs [data-screen=queue]")
    key = loaded(page).split("|")[0]
    before = labels_of(review_screens, key)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/api/review/" in request.url else None)
    page.get_by_role("tab", name="Line").click()
    page.wait_for_selector(".rv .rv-tabs", state="hidden")
    for name in ("Enter", "o", "x", "d", "Enter"):  # a scanner at the board types and ends with Enter
        page.keyboard.press(name)
    page.get_by_role("tab", name="Review").click()
    loaded(page, key)
    assert not [url for url in asked if "presence" not in url]
    assert labels_of(review_screens, key) == before
    box = page.locator(".rv-canvas").bounding_box()
    assert box is not None
    assert min(box["width"], box["height"]) > 300
    page.screenshot(path=ARTEFACTS / "review-gradio.png")
