"""Queues and look-alikes against a log with known parts; help with drawing against known defects."""

from __future__ import annotations

import io
import json
import sqlite3
from contextlib import closing

import numpy as np
import pyarrow.parquet as pq
import pytest
from review_feed import CLASSES, Past, defect, plate
from sqlalchemy import Engine, select

from linegate.inspect.hmi.errors import ScreenError
from linegate.inspect.hmi.review import figures, queues, report, tracing
from linegate.inspect.hmi.review.context import parse_key
from linegate.inspect.hmi.review.exchange.picture import LabelledPicture, Pending
from linegate.inspect.hmi.review.exchange.service import parse_name, picture_name, plan, save
from linegate.inspect.hmi.review.queues import Filters, review_threshold
from linegate.inspect.hmi.review.refine import grab_cut, trace_edge
from linegate.inspect.hmi.review.report import csv_lines
from linegate.inspect.part import Decision, PartKey
from linegate.inspect.partlog.audit import Act, entries
from linegate.inspect.partlog.labels import REPORTED, LabelStore, NewLabel
from linegate.inspect.partlog.queries import Reading
from linegate.inspect.partlog.schema import part

EVERYTHING = Filters(todo=False)


def keys_of(reader: Engine, queue: str, filters: Filters = EVERYTHING) -> list[str]:
    with Reading(reader) as connection:
        return [row["key"] for row in queues.rows(connection, queues.queue_ids(connection, queue, filters))]


def test_look_alikes_are_the_nearest_shipped_parts(
    past: Past, engines: tuple[Engine, Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(40, 8)).astype(np.float32)
    probe = past.part(embedding=vectors[0])
    shipped = [past.part(embedding=v) for v in vectors[1:30]]
    for v in vectors[30:]:
        past.part(Decision.NG, score=0.9, embedding=v)  # was not shipped
    past.part(embedding=vectors[0][:4])  # of a shorter embedding: can't be compared
    similar = vectors[1:30] @ vectors[0]
    similar /= np.linalg.norm(vectors[1:30], axis=1) * np.linalg.norm(vectors[0])
    expected = [shipped[i] for i in np.argsort(-similar)[:10]]
    monkeypatch.setattr(tracing, "CHUNK", 7)  # several pages
    found = tracing.look_alikes(engines[1], probe, limit=10)
    with Reading(engines[1]) as connection:
        rows = queues.rows(connection, [one.part_id for one in found])
    assert [row["key"] for row in rows] == [str(key) for key in expected]
    assert [one.similarity for one in found] == pytest.approx(np.sort(similar)[::-1][:10], abs=2e-3)


def test_parts_are_found_by_serial_beginning_and_key(past: Past, engines: tuple[Engine, Engine]) -> None:
    keys = [past.part() for _ in range(3)]
    with Reading(engines[1]) as connection:
        assert [r["sequence"] for r in tracing.find_parts(connection, " SN000002 ")] == [2]
        assert [r["sequence"] for r in tracing.find_parts(connection, "SN0000")] == [3, 2, 1]
        assert [r["sequence"] for r in tracing.find_parts(connection, str(keys[0]))] == [1]
        assert tracing.find_parts(connection, "SN%") == []
        assert tracing.find_parts(connection, "") == []


def test_the_sample_queue_keeps_its_probability(past: Past, engines: tuple[Engine, Engine], labels: LabelStore) -> None:
    kept = [past.part(keep=0.25) for _ in range(4)]
    past.part()
    past.part(Decision.NG, score=0.9)
    past.settle()
    assert keys_of(engines[1], "sample") == [str(key) for key in reversed(kept)]
    for n, key in enumerate(kept[:3]):
        bad = Decision.NG if n == 0 else Decision.OK
        assert labels.save(NewLabel(key, "top", bad, "Quinn", source="sample"), parent=0).probability == 0.25
    labels.save(NewLabel(kept[3], "top", Decision.NG, "Quinn", source="trace"), parent=0)
    with Reading(engines[1]) as connection:
        rows = queues.rows(connection, queues.queue_ids(connection, "sample", EVERYTHING))
        assert {row["probability"] for row in rows} == {0.25}
        assert queues.sample_estimate(connection, EVERYTHING) == (1, 3)  # the one searched for does not count


def test_filters_and_done_parts(past: Past, engines: tuple[Engine, Engine], labels: LabelStore) -> None:
    first = past.part(Decision.REVIEW, defect("dent", 300, 300), score=0.6, lot="A")
    second = past.part(Decision.REVIEW, defect("scratch", 300, 300), score=0.6, lot="B")
    reader = engines[1]
    assert keys_of(reader, "review", Filters(defect_class="dent")) == [str(first)]
    assert keys_of(reader, "review", Filters(lot="B")) == [str(second)]
    assert keys_of(reader, "review", Filters(recipe_id=7)) == []
    assert keys_of(reader, "review", Filters(from_utc_ns=past.at_ns)) == [str(second)]
    labels.save(NewLabel(second, "top", Decision.OK, "Quinn", kind="overkill"), parent=0)
    assert keys_of(reader, "review", Filters()) == [str(first)]
    assert keys_of(reader, "overkill") == [str(second)]
    with Reading(reader) as connection:
        assert queues.queue_count(connection, "review", EVERYTHING) == 2
        assert figures.defects(connection, EVERYTHING) == {"dent": 1, "scratch": 1}


def test_a_report_waits_until_quality_has_looked_and_again_when_it_is_new(
    past: Past, engines: tuple[Engine, Engine], labels: LabelStore
) -> None:
    """As the line takes reports: a version by the operator, besides the command itself."""
    reader, waiting = engines[1], Filters()
    escaped, rejected = past.part(), past.part(Decision.REVIEW, score=0.6)

    def report(key: PartKey, kind: str, parent: int) -> None:
        decision = Decision.NG if kind == "escape" else Decision.OK
        labels.save(NewLabel(key, "top", decision, "Otto", kind=kind, source=REPORTED), parent=parent)

    report(escaped, "escape", 0)
    report(rejected, "overkill", 0)
    assert keys_of(reader, "escape", waiting) == [str(escaped)]
    assert keys_of(reader, "overkill", waiting) == [str(rejected)]
    assert keys_of(reader, "review", waiting) == [str(rejected)]
    labels.save(NewLabel(escaped, "top", Decision.NG, "Quinn", kind="escape", source="escape"), parent=1)
    labels.save(NewLabel(rejected, "top", Decision.NG, "Quinn", source="review"), parent=1)
    for queue in ("escape", "overkill", "review"):
        assert keys_of(reader, queue, waiting) == []
    assert keys_of(reader, "escape") == [str(escaped)]  # seen, and still what was reported
    report(rejected, "overkill", 2)
    assert keys_of(reader, "overkill", waiting) == [str(rejected)]
    with Reading(reader) as connection:
        (row,) = queues.rows(connection, queues.queue_ids(connection, "overkill", waiting))
    assert (row["label"]["by"], row["label"]["source"]) == ("Otto", REPORTED)


def test_a_case_of_the_release_gate_is_none_once_quality_calls_it_good(
    past: Past, engines: tuple[Engine, Engine], labels: LabelStore
) -> None:
    keys = [past.part() for _ in range(3)]
    for key in keys[:2]:
        labels.save(NewLabel(key, "top", Decision.NG, "Otto", must_catch=True, source=REPORTED), parent=0)
    assert keys_of(engines[1], "must_catch", Filters()) == [str(keys[1]), str(keys[0])]
    labels.save(NewLabel(keys[0], "top", Decision.OK, "Quinn", kind="overkill", source="must_catch"), parent=1)
    labels.save(NewLabel(keys[1], "top", Decision.NG, "Quinn", source="must_catch"), parent=1)
    assert keys_of(engines[1], "must_catch", Filters()) == [str(keys[1])]


def test_a_challenge_part_is_no_part_of_the_random_sample(
    past: Past, engines: tuple[Engine, Engine], labels: LabelStore
) -> None:
    chosen, challenge = past.part(keep=0.25), past.part(keep=0.25, challenge=True)
    past.settle()
    assert keys_of(engines[1], "sample") == [str(chosen)]
    labels.save(NewLabel(challenge, "top", Decision.NG, "Quinn", source="sample"), parent=0)
    with Reading(engines[1]) as connection:
        assert queues.sample_estimate(connection, EVERYTHING) == (0, 0)


def test_a_sampled_part_is_bad_when_one_of_its_views_is(
    past: Past, engines: tuple[Engine, Engine], labels: LabelStore
) -> None:
    key = past.part(keep=0.25)
    past.images.put(past.plate, key, "side", "sample", 0.25)
    past.settle()
    labels.save(NewLabel(key, "top", Decision.NG, "Quinn", source="sample"), parent=0)
    labels.save(NewLabel(key, "side", Decision.OK, "Quinn", source="sample"), parent=0)
    with Reading(engines[1]) as connection:
        assert queues.sample_estimate(connection, EVERYTHING) == (1, 1)


def test_every_part_is_read_by_pages_each_in_a_transaction_of_its_own(
    past: Past, engines: tuple[Engine, Engine]
) -> None:
    for n in range(7):
        past.part(lot="A" if n % 2 else "B")
    reader, found = engines[1], []
    for page in queues.pages(reader, select(part.c.id, part.c.serial).where(part.c.lot == "A"), size=2):
        found += [serial for _, serial in page]
        with closing(sqlite3.connect(past.data / "linegate.db", timeout=2)) as other:
            busy, *_ = other.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        assert busy == 0  # nobody reads: the line's write-ahead log can be emptied
    assert found == ["SN000002", "SN000004", "SN000006"]
    (rows,) = report.part_pages(reader, Filters(lot="A", todo=False))
    assert [row[report.COLUMNS.index("serial")] for row in rows] == found
    file = io.BytesIO()
    report.parquet(report.part_pages(reader, Filters(todo=False)), file)
    assert pq.read_table(file).num_rows == 7


@pytest.mark.parametrize(
    "text", ["", "1a2b", "1a2b-", "-1", "g-1", "f" * 9 + "-1", "80000000-1", "1a2b-²", "1a2b-" + "9" * 16]
)
def test_what_is_no_key_is_said_to_be_none(past: Past, engines: tuple[Engine, Engine], text: str) -> None:
    assert queues.key_of(text) is None
    with pytest.raises(ScreenError) as caught:
        parse_key(text)
    assert caught.value.status == 404
    with Reading(engines[1]) as connection:
        assert tracing.find_parts(connection, text) == []


def test_the_suggested_mask_is_the_models_outline(past: Past, engines: tuple[Engine, Engine]) -> None:
    mask, region = defect("dent", 400, 200)
    key = past.part(Decision.NG, (mask, region), score=0.9)
    with Reading(engines[1]) as connection:
        row = tracing.part_row(connection, key)
        assert row is not None
        found = tracing.suggested_mask(connection, row["id"], "top", list(CLASSES), (1024, 800))
    assert np.array_equal(found, (mask > 0).astype(np.uint8) * 2)


def test_refine_finds_what_stands_out() -> None:
    image = plate()
    for kind in ("scratch", "dent"):
        mask, region = defect(kind, 640, 560, 90)
        part = image.copy()
        part[mask > 0] = 88
        x, y, w, h = region.box_px
        box = (x - 10, y - 10, w + 20, h + 20)
        found = grab_cut(part, box) > 0
        truth = mask[box[1] : box[1] + box[3], box[0] : box[0] + box[2]] > 0
        assert (found & truth).sum() / (found | truth).sum() > 0.9
    assert not grab_cut(np.full((50, 50), 9, np.uint8), (10, 10, 20, 20)).any()


def test_scissors_follow_the_edge() -> None:
    path = np.array(trace_edge(plate(), (164, 180), (200, 144)))
    distance = np.abs(np.hypot(path[:, 0] - 200, path[:, 1] - 180) - 36)
    assert len(path) > 30
    assert np.median(distance) < 2


def test_names_lead_back_to_the_part() -> None:
    key = PartKey(0x1A2B, 17)
    assert picture_name(key, "top left") == "1a2b-17_top left.png"
    for name in ("1a2b-17_top.png", "images/1a2b-17_top.png", "abcd1234-1a2b-17_top.png", "1a2b-17_top"):
        assert parse_name(name) == (key, "top")
    for name in ("holiday.jpg", "1a2b_top.png", ""):
        assert parse_name(name) is None
    assert parse_key(str(key)) == key


def test_an_import_is_a_new_version_once(past: Past, engines: tuple[Engine, Engine], labels: LabelStore) -> None:
    key = past.part(Decision.NG, score=0.9)
    mask = np.zeros((800, 1024), np.uint8)
    mask[5:9, 7:20] = 1
    pictures = [
        LabelledPicture(picture_name(key, "top"), mask, ("stain",)),
        LabelledPicture(picture_name(PartKey(1, 1), "top"), mask, ("stain",)),
        LabelledPicture(picture_name(key, "top"), mask[:10], ("stain",)),
    ]
    pending = [Pending.of(picture) for picture in pictures]
    made = plan(labels, pending)
    assert [one.state for one in made.pictures] == ["new", "unknown", "size"]
    assert made.classes == {"stain"}
    act = Act("Quinn", "quality", "import", "labels.zip")
    assert [one.state for one in save(labels, pending[:1], classes=CLASSES, act=act, note="x")] == ["saved"]
    assert [one.state for one in save(labels, pending[:1], classes=CLASSES, act=act, note="x")] == ["same"]
    with Reading(engines[1]) as connection:
        (entry,) = entries(connection)
    assert (entry.action, entry.subject, json.loads(entry.detail)["version"]) == ("label", str(key), 1)
    (label,) = labels.history(key)
    assert label.classes == CLASSES
    assert label.decision is Decision.NG


def test_the_review_threshold_is_found_wherever_it_stands() -> None:
    assert review_threshold('{"bundle": {"part_review": 0.4}, "rules": []}') == 0.4
    assert review_threshold('[{"x": 1}, {"part_review": 1}]') == 1.0
    for text in (None, "", "{}", "no json", '{"part_review": "high"}'):
        assert review_threshold(text) is None


def test_csv_is_no_formula() -> None:
    lines = "".join(csv_lines(iter([("=1+1", "ok", 5, None), ("@x", "-y", 0.5, True)]), ("a", "b", "c", "d")))
    assert lines.splitlines() == ["a,b,c,d", "'=1+1,ok,5,", "'@x,'-y,0.5,True"]
