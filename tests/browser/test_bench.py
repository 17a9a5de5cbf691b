"""`linegate bench --screen`: its sums, and a short real run of feed, server and one browser."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

from linegate.inspect.bench_phases import compare
from linegate.inspect.hmi.bench_feed import BenchServer, Feed
from linegate.inspect.hmi.bench_memory import browsers_mb, trend
from linegate.inspect.hmi.bench_page import BenchPage, Watched
from linegate.inspect.hmi.bench_screen import _figures, _holds


def test_figures_count_what_was_shown_and_leave_out_what_an_ng_held_back() -> None:
    sent = {
        "a": (0, "OK", False),
        "b": (10**9, "NG", False),
        "c": (11 * 10**8, "OK", True),
        "d": (3 * 10**9, "OK", False),
    }
    seen = Watched({"a": 20e6, "b": 1030e6, "c": 2600e6}, {"a": 50e6, "b": 1055e6}, {"b"})
    blind = Watched({"a": 40e6}, {}, set())
    found = _figures([seen, blind], sent)
    assert found["verdict_ms"] == {"p50": 30.0, "p95": 39.0, "max": 40.0}
    assert found["picture_ms"]["max"] == 55.0
    assert found["verdicts_shown"] == 3 / 6
    assert found["ng_shown"] == 0.5
    found |= {"flat": True, "rate_per_s": 10.0}
    assert not _holds([found])  # an NG was not shown
    assert _holds([found | {"ng_shown": 1.0}])
    assert not _holds([found | {"ng_shown": 1.0, "flat": False}])
    slow = found | {"ng_shown": 1.0, "picture_ms": {"p50": 50.0, "p95": 151.0, "max": 400.0}}
    assert not _holds([slow])
    assert _holds([slow | {"rate_per_s": 25.0}])  # where pictures may be skipped, and the NGs were not


def test_memory_is_flat_when_its_trend_says_so() -> None:
    grows = [
        (2.0 * n, 200.0 + (40.0 if n < 40 else 60.0) + 0.02 * n) for n in range(300)
    ]  # 10 min, 0.6 MB/min at the end
    found = trend(grows)
    assert found.mb_per_min == pytest.approx(0.6, abs=0.05) and found.flat  # 18 MB of 260 in half an hour
    assert not trend([(at_s, mb + at_s / 60) for at_s, mb in grows]).flat
    assert trend(grows[:60]).growth is None  # two minutes tell nothing


def test_the_browsers_of_this_process_are_found(chromium: Browser) -> None:
    before = browsers_mb()
    context = chromium.new_context()
    context.new_page().goto("about:blank")
    assert browsers_mb() > before > 20
    context.close()


def test_a_line_that_is_slower_beside_the_screens_is_told() -> None:
    rng = np.random.default_rng(3)
    quiet = [list(rng.gamma(9.0, 2.0, 150)) for _ in range(4)]
    same = compare(quiet, [list(rng.gamma(9.0, 2.0, 150)) for _ in range(4)], "a cat")
    assert same["without"]["parts"] == 600 and same["p99_ratio_90"][0] < same["p99_ratio"] < same["p99_ratio_90"][1]
    slower = compare(quiet, [[1.3 * ms for ms in phase] for phase in quiet], "a cat")
    assert slower["p99_ratio"] == pytest.approx(1.3, abs=0.01)
    assert slower["failures"] == ["p99 with a cat is 1.30 times the p99 without"]
    assert compare(quiet, [[1.05 * ms for ms in phase] for phase in quiet], "a cat")["failures"] == []


def test_pixels_follow_the_verdict(chromium: Browser, tmp_path: Path) -> None:
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    try:
        with BenchServer(tmp_path, tmp_path / "data") as server, Feed(tmp_path / "data") as feed:
            feed.run(10.0, 0.5, 0.0)
            page = BenchPage(context.new_page(), server.url)
            sent = feed.run(4.0, 2.0, 0.2)
            deadline = time.monotonic() + 15
            while not (seen := page.take()).pictures.keys() & sent.keys():
                assert time.monotonic() < deadline, "no picture was painted"
                time.sleep(0.1)
            error_ns = page.clock_error_ms * 1e6
            for key in seen.verdicts.keys() & sent.keys():
                assert seen.verdicts[key] > sent[key][0] - error_ns  # never before its verdict
            assert seen.verdicts.keys() & sent.keys()
    finally:
        context.close()
