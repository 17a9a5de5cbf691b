"""The news desk with a real store and a real ring: what a screen shows of a part is that part, whatever the hurry."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from linegate.cameras.frame import Frame
from linegate.inspect.hmi.previews import Previews
from linegate.inspect.live import SLOTS, LiveReader, LiveWriter
from linegate.inspect.news import DEPTH, KeepRule, NewsDesk
from linegate.inspect.part import Cause, Decision, PartKey, Trigger, WireVerdict
from linegate.inspect.partlog.images import ImageStore
from linegate.inspect.partlog.records import Outcome, PartRecord, ViewRecord
from linegate.inspect.partlog.writer import PartLog
from linegate.inspect.settings import ImageSettings, LogSettings
from linegate.inspect.tracking_ports import FinishedPart

CAMERAS = ("top", "left", "right")


def finished(number: int, decision: Decision = Decision.OK, keep: float | None = None) -> FinishedPart:
    """Part ``number``; each camera's picture has a grey level of its own."""
    views = tuple(ViewRecord(camera, number, 0, 32, 24, decision, 0.1, "") for camera in CAMERAS)
    record = PartRecord(
        PartKey(7, number), time.time_ns(), 1, "plates", "ab" * 32, "{}", "", "", decision, Cause.JUDGED, "", 0.1, "",
        keep, False, 0, views,
    )  # fmt: skip
    frames = tuple(
        Frame(np.full((24, 32), grey(number, camera), np.uint8), camera, number, 0, 0, "Mono8") for camera in CAMERAS
    )
    outcome = Outcome(record.key, WireVerdict.of(decision), True, 10.0, 100.0)
    trigger = Trigger(record.key, 0, 0, 0, 0)
    return FinishedPart(record, outcome, trigger, frames, None, {"written": 1}, {})  # type: ignore[arg-type]


def grey(number: int, camera: str) -> int:
    return (40 * CAMERAS.index(camera) + 13 * number) % 251


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Callable[..., NewsDesk]]:
    log = PartLog.open(LogSettings(min_free_mb=0), tmp_path)
    log.start()
    images = ImageStore(tmp_path, ImageSettings(), log, views=len(CAMERAS))
    images.start()
    live = LiveWriter(tmp_path)
    made = NewsDesk(live, images, 200.0, dict)
    yield lambda: made
    made.stop()
    live.close()
    images.close()
    log.close()


def test_a_screen_is_never_shown_another_parts_picture(desk: Callable[..., NewsDesk], tmp_path: Path) -> None:
    """150 parts of three views, far more than the ring of previews, each looked at the moment its record is there."""
    news, reader = desk(), LiveReader(tmp_path)
    news.start()
    shown = empty = seen = 0
    elsewhere = ThreadPoolExecutor(1)

    async def look(record: dict[str, Any]) -> None:
        nonlocal shown, empty
        previews = Previews(tmp_path)
        for view in record["views"]:
            if not view["preview"]:
                empty += 1
                continue
            content = await previews.get(view["preview"])
            assert content is not None, "a name that was given is a picture that comes"
            image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
            assert abs(int(image.mean()) - grey(record["sequence"], view["camera"])) <= 1
            shown += 1

    for number in range(1, 151):
        news.tell(finished(number))
        deadline = time.monotonic() + 10
        while reader.published() < number:
            assert time.monotonic() < deadline
            time.sleep(0.0005)
        records, missed = reader.since(seen)
        assert missed == 0
        for record in records:
            elsewhere.submit(
                asyncio.run, look(record)
            ).result()  # a browser test before this may have left its loop here
        seen = records[-1]["number"]
    elsewhere.shutdown()
    reader.close()
    assert seen == 150
    assert shown + empty == 450
    assert shown > 300


def test_what_waits_is_bounded_and_a_reject_is_still_told(desk: Callable[..., NewsDesk], tmp_path: Path) -> None:
    news = desk()
    count = SLOTS + 100
    for number in range(1, count + 1):
        news.tell(finished(number, Decision.NG))
    waiting = list(news._queue)
    assert sum(bool(part.frames) for part in waiting) <= DEPTH
    assert len(waiting) == SLOTS
    news.tell(finished(count + 1, Decision.OK))
    assert len(news._queue) == SLOTS and news._queue[-1].record.key.sequence == count
    news.start()
    reader = LiveReader(tmp_path)
    deadline = time.monotonic() + 10
    while reader.published() < SLOTS:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    records, _ = reader.since(0)
    reader.close()
    assert [record["sequence"] for record in records] == list(range(count - SLOTS + 1, count + 1))
    assert {view["camera"] for view in records[-1]["views"]} == set(CAMERAS)
    assert records[-1]["views"][0] == {"camera": "top", "preview": "", "width_px": 32, "height_px": 24}


def test_challenge_parts_are_always_kept() -> None:
    keep = KeepRule(ImageSettings(ok_share=0.0))
    passed = finished(1).record
    assert keep(passed).keep_probability is None
    challenge = keep(replace(passed, challenge=True))
    assert (challenge.keep_probability, challenge.keep_reason) == (1.0, "challenge")
    assert keep(finished(2, Decision.NG).record).keep_reason == "NG"
