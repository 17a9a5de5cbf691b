"""A shadow judges beside the line: it tells its disagreements, keeps their pictures, and never makes anybody wait."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "models"))
import tiny

from linegate.cameras.frame import Frame
from linegate.inspect.part import Cause, Decision, PartKey, Trigger, WireVerdict
from linegate.inspect.partlog import queries
from linegate.inspect.partlog.database import open_reader
from linegate.inspect.partlog.images import ImageStore
from linegate.inspect.partlog.records import Outcome, PartRecord
from linegate.inspect.partlog.writer import PartLog
from linegate.inspect.settings import ImageSettings, LogSettings, RuntimeSettings, ShadowSettings
from linegate.inspect.shadow import KIND, Shadow
from linegate.inspect.shadow_totals import ShadowTotals, totals_path
from linegate.inspect.tracking_ports import FinishedPart
from linegate.models.bundle import save_bundle

GOOD = np.full((64, 64), 128, np.uint8)
BAD = GOOD.copy()
BAD[20:40, 20:40] = 255


def finished(sequence: int, image: np.ndarray, decision: Decision, keep: float | None = None) -> FinishedPart:
    key = PartKey(1, sequence)
    record = PartRecord(
        key, 1, 1, "Panel", "live", "{}", "", "", decision, Cause.JUDGED, "", 0.1, "", keep, False, 0, ()
    )  # fmt: skip
    outcome = Outcome(key, WireVerdict.of(decision), True, 1.0, 1.0)
    frame = Frame(image, "top", sequence, 0, 0, "Mono8")
    active: Any = SimpleNamespace()
    return FinishedPart(record, outcome, Trigger(key, 0, 0, 0, 0), (frame,), active, {}, {})


def until(condition: Any) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_disagreements_are_told_and_their_pictures_kept(tmp_path: Path) -> None:
    log = PartLog.open(LogSettings(), tmp_path)
    log.start()
    images = ImageStore(tmp_path, ImageSettings(), log)
    images.start()
    bundle = save_bundle(tmp_path / "candidate", tiny.manifest(), tiny.network())
    busy = [True]
    shadow = Shadow(ShadowSettings(bundle="x"), RuntimeSettings(), bundle, log, images, lambda: busy[0])
    shadow.start()
    parts = [
        finished(1, GOOD, Decision.OK),
        finished(2, BAD, Decision.OK),
        finished(3, GOOD, Decision.NG, keep=1.0),
        finished(4, BAD, Decision.NG, keep=1.0),
    ]
    for part in parts:
        log.put(part.record, lambda _error: None)
        shadow.offer(part)
    began = time.monotonic()
    for k in range(5, 40):
        shadow.offer(finished(k, GOOD, Decision.OK))
    assert time.monotonic() - began < 1
    time.sleep(0.1)
    assert shadow.report().judged == 0, "it judged while live inference was busy"
    assert shadow.report().skipped == 35
    busy[0] = False
    until(lambda: shadow.report().judged == 4)
    report = shadow.report()
    assert (report.worse, report.milder, report.failed) == (1, 1, 0)
    shadow.stop()
    images.close()
    log.close()
    reader = open_reader(LogSettings(), tmp_path)
    with queries.Reading(reader) as connection:
        told = [event for event in queries.events_page(connection) if event["kind"] == KIND]
        kept = queries.whole_part(connection, PartKey(1, 2))
    reader.dispose()
    assert {event["sequence"] for event in told} == {2, 3}
    assert kept is not None and [image["reason"] for image in kept["images"]] == ["shadow"]


def test_takes_its_share(tmp_path: Path) -> None:
    log = PartLog.open(LogSettings(), tmp_path)
    log.start()
    images = ImageStore(tmp_path, ImageSettings(), log)
    bundle = save_bundle(tmp_path / "candidate", tiny.manifest(), tiny.network())
    shadow = Shadow(ShadowSettings(bundle="x", share=0.25), RuntimeSettings(), bundle, log, images, lambda: False)
    shadow.start()
    for k in range(1, 41):
        done = shadow.report().judged + shadow.report().skipped
        shadow.offer(finished(k, GOOD, Decision.OK))
        if k % 4 == 0:
            until(lambda done=done: shadow.report().judged + shadow.report().skipped > done)
    assert shadow.report().judged + shadow.report().skipped == 10
    shadow.stop()
    log.close()


def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    log = PartLog.open(LogSettings(), tmp_path)
    log.start()
    images = ImageStore(tmp_path, ImageSettings(), log)
    bundle = save_bundle(tmp_path / "candidate", tiny.manifest(), tiny.network())
    for life in (1, 2):
        shadow = Shadow(
            ShadowSettings(bundle="x"), RuntimeSettings(), bundle, log, images, lambda: False, data=tmp_path
        )
        shadow.start()
        shadow.offer(finished(life, BAD, Decision.OK, keep=1.0))
        until(lambda life=life, shadow=shadow: shadow.report().judged == life)
        shadow.stop()
    assert shadow.report().worse == 2
    found = ShadowTotals.load(totals_path(tmp_path, bundle.manifest)).figures()
    assert (found["judged"], found["worse"], found["milder"]) == (2, 2, 0) and found["p99_9_ms_at_most"] > 0
    log.close()
