"""`linegate bench --editor`: the mask editor on a picture of 12 megapixels, in a real browser on a real `linegate screens`.

A hand of the browser's own input events draws, pans and zooms. A frame's time is what the page works for it, from its
animation frame to the last canvas call; the rate is what the browser's animation frames really came at meanwhile. At the end
the mask is saved, and read back from the store pixel for pixel.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from linegate.cameras.errors import LinegateError
from linegate.inspect.hmi.bench_feed import BenchServer
from linegate.inspect.hmi.bench_page import open_browser
from linegate.inspect.part import Cause, Decision, PartKey
from linegate.inspect.partlog.images import ImageStore
from linegate.inspect.partlog.records import PartRecord, ViewRecord
from linegate.inspect.partlog.writer import PartLog
from linegate.inspect.settings import ImageSettings, LogSettings

if TYPE_CHECKING:
    from playwright.sync_api import Page

SIZE_PX = (4000, 3000)
WINDOWS = ((1280, 800), (1920, 1080))
FRAME_MS = 1000 / 60
"""What 95 % of the frames must take at the most."""
STEPS = 120
"""Input events of each movement."""
STORE_S = 30.0
KEY = PartKey(0xBE7C, 1)
EDITOR = "document.querySelector('.rv-canvas').editor"
OPEN = f"() => document.querySelector('.rv-canvas')?.dataset.loaded && {EDITOR}.view.scheduled === 0"
WATCH = f"""() => {{ const seen = window.bench = {{ ticks: [], on: true }};
  {EDITOR}.view.frames.length = 0;
  const tick = (now) => {{ seen.ticks.push(now); if (seen.on) requestAnimationFrame(tick); }};
  requestAnimationFrame(tick); }}"""
TAKE = f"() => {{ window.bench.on = false; return [{EDITOR}.view.frames, window.bench.ticks]; }}"
MASK = f"""() => {{ const {{ data }} = {EDITOR}.labels; let text = '';
  for (let i = 0; i < data.length; i += 8192) text += String.fromCharCode(...data.subarray(i, i + 8192));
  return btoa(text); }}"""


def bench_editor(console: Console, as_json: bool) -> int:
    """Measure and print; the exit code is 0 when the limit holds and the saved mask is exact. Raises LinegateError without
    playwright or a browser."""
    with tempfile.TemporaryDirectory(prefix="linegate-editor-") as folder:
        data = Path(folder) / "data"
        with BenchServer(Path(folder), data) as server, open_browser() as browser:
            _store_part(data)
            results = []
            for width, height in WINDOWS:
                console.print(f"window {width} x {height}, picture {SIZE_PX[0]} x {SIZE_PX[1]} …", highlight=False)
                context = browser.new_context(viewport={"width": width, "height": height})
                person = {"name": server.name, "pin": server.pin}
                headers = {"Origin": server.url}
                context.request.post(f"{server.url}/api/session/pin", data=person, headers=headers)
                context.request.post(f"{server.url}/api/review/classes", data={"name": "scratch"}, headers=headers)
                results.append(measure(context.new_page(), server.url))
                context.close()
    ok = all(_holds(one) for one in results)
    _print(console, results)
    if as_json:
        sys.stdout.write(json.dumps({"editor": results, "ok": ok, "load_average": os.getloadavg()}) + "\n")
    return 0 if ok else 1


def _holds(found: dict[str, Any]) -> bool:
    return bool(found["exact"]) and all(one["frame_ms"]["p95"] <= FRAME_MS for one in found["movements"].values())


def measure(page: Page, url: str, key: PartKey = KEY, steps: int = STEPS) -> dict[str, Any]:
    """One window: load, draw, pan, zoom, save. The person is signed in already."""
    page.set_default_timeout(60_000)
    page.goto(f"{url}/review#/queue/all/{key}")
    page.wait_for_function(OPEN)
    box = page.locator(".rv-canvas").bounding_box()
    assert box is not None
    left, top, width, height = box["x"], box["y"], box["width"], box["height"]

    def brush() -> None:
        page.mouse.move(left + 0.2 * width, top + 0.3 * height)
        page.mouse.down()
        page.mouse.move(left + 0.8 * width, top + 0.7 * height, steps=steps)
        page.mouse.up()

    def pan() -> None:
        page.keyboard.down(" ")
        page.mouse.down()
        page.mouse.move(left + 0.4 * width, top + 0.5 * height, steps=steps)
        page.mouse.up()
        page.keyboard.up(" ")

    def zoom() -> None:
        for n in range(steps):
            page.mouse.wheel(0, -40 if n < 3 * steps // 4 else 40)

    movements: dict[str, Callable[[], None]] = {"brush": brush, "pan": pan, "zoom": zoom, "brush, close up": brush}
    rows = {name: _watched(page, act) for name, act in movements.items()}
    frames = [ms for one in rows.values() for ms in one.pop("frames")]
    drawn = base64.b64decode(page.evaluate(MASK))
    page.keyboard.press("Enter")
    page.wait_for_selector(".rv-toast.good")
    times = page.evaluate("() => ({ ...document.querySelector('.rv-canvas').dataset })")
    return {
        "window": page.viewport_size,
        "movements": rows,
        "frame_ms": _percentiles(frames),
        "frames": len(frames),
        "load_ms": int(times["loadMs"]),
        "save_ms": int(times["saveMs"]),
        "exact": drawn == _stored(page, url, key),
        "painted_px": drawn.count(1),
    }


def _watched(page: Page, act: Callable[[], None]) -> dict[str, Any]:
    page.evaluate(WATCH)
    act()
    page.wait_for_function(OPEN)
    frames, ticks = page.evaluate(TAKE)
    per_s = 1000 * (len(ticks) - 1) / (ticks[-1] - ticks[0]) if len(ticks) > 1 else 0.0
    return {"frame_ms": _percentiles(frames), "browser_frames_per_s": round(per_s, 1), "frames": frames}


def _percentiles(values: list[float]) -> dict[str, float]:
    if not values:
        return {"p50": float("inf"), "p95": float("inf"), "max": float("inf")}
    p50, p95 = np.percentile(values, [50, 95])
    return {"p50": round(float(p50), 1), "p95": round(float(p95), 1), "max": round(max(values), 1)}


def _stored(page: Page, url: str, key: PartKey) -> bytes:
    """The newest label's mask, its pixels row by row."""
    request = page.context.request
    labels = request.get(f"{url}/api/review/parts/{key}").json()["labels"]
    png = request.get(f"{url}/api/review/masks/{labels[-1]['mask_sha256']}.png").body()
    return np.asarray(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)).tobytes()


def _store_part(data: Path) -> None:
    """One passed part with its picture, through the line's own writer and image store."""
    width, height = SIZE_PX
    log = PartLog.open(LogSettings(), data)
    log.start()
    images = ImageStore(data, ImageSettings(), log)
    images.start()
    try:
        view = ViewRecord("top", 1, 1, width, height, Decision.OK, 0.0, "")
        record = PartRecord(
            key=KEY, triggered_utc_ns=time.time_ns(), recipe_id=1, recipe_name="bench", bundle_sha256="", thresholds="",
            lot="", serial="", decision=Decision.OK, cause=Cause.JUDGED, reason="", score=0.0, defect_class="",
            keep_probability=1.0, challenge=False, encoder=0, views=(view,),
        )  # fmt: skip
        stored = threading.Event()
        log.put(record, lambda _error: stored.set())
        if not stored.wait(STORE_S):
            raise LinegateError(
                "linegate bench --editor",
                expected=f"a row within {STORE_S:g} s",
                found="none",
                remedy="The disk is too slow or full.",
            )
        images.put(_picture(), KEY, "top", "sample")
    finally:
        images.close(STORE_S)
        log.close(STORE_S)


def _picture() -> NDArray[np.uint8]:
    """(3000, 4000) uint8: brushed metal, as heavy as a part's picture."""
    noise = np.random.default_rng(1).normal(150, 60, (SIZE_PX[1], SIZE_PX[0])).astype(np.float32)
    return np.clip(cv2.blur(noise, (41, 1)), 0, 255).astype(np.uint8)


def _print(console: Console, results: list[dict[str, Any]]) -> None:
    table = Table(title="Mask editor at 12 megapixels, milliseconds a frame", title_justify="left")
    table.add_column("window")
    table.add_column("movement")
    for name in ("p50", "p95", "max", "browser frames/s"):
        table.add_column(name, justify="right")
    for found in results:
        window = f"{found['window']['width']} x {found['window']['height']}"
        for name, one in found["movements"].items():
            times = (str(one["frame_ms"][key]) for key in ("p50", "p95", "max"))
            table.add_row(window, name, *times, str(one["browser_frames_per_s"]))
        times = (str(found["frame_ms"][key]) for key in ("p50", "p95", "max"))
        table.add_row(window, f"all {found['frames']} frames", *times, "", end_section=True)
    console.print(table)
    for found in results:
        window = f"{found['window']['width']} x {found['window']['height']}"
        exact = "bit for bit" if found["exact"] else "NOT what was drawn"
        console.print(
            f"{window}: loaded in {found['load_ms']} ms, saved in {found['save_ms']} ms, stored {exact}.",
            highlight=False,
        )
    console.print(f"Limit: p95 ≤ {FRAME_MS:.1f} ms. Load average {os.getloadavg()[0]:.1f}.", highlight=False)
