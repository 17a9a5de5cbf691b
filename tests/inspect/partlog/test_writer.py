"""One row for each part, durable before ``done`` hears of it."""

from __future__ import annotations

import dataclasses
import sqlite3
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from partlog_samples import Answer, put, record, region, until
from sqlalchemy import func, select

from linegate.inspect.part import Decision, GateResult, PartKey, WireVerdict
from linegate.inspect.partlog import gauge, schema
from linegate.inspect.partlog.errors import BacklogFull, DuplicatePart, LogError
from linegate.inspect.partlog.records import ImageRecord, Outcome
from linegate.inspect.partlog.rows import pack_outline, unpack_embedding, unpack_outline
from linegate.inspect.partlog.writer import PartLog
from linegate.inspect.settings import LogSettings

SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)


def one(log: PartLog, sequence: int):
    with log.reader.connect() as connection:
        return connection.execute(select(schema.part).where(schema.part.c.sequence == sequence)).one()


def kinds(log: PartLog) -> list[str]:
    with log.reader.connect() as connection:
        return list(connection.execute(select(schema.event.c.kind).order_by(schema.event.c.id)).scalars())


def test_done_comes_on_the_writer_thread_after_the_row(sqlite_log: PartLog, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "linegate.db", check_same_thread=False)
    seen: list[int] = []
    came = threading.Event()
    answer = Answer()

    def done(error: LogError | None) -> None:
        seen.append(other.execute("SELECT count(*) FROM part").fetchone()[0])
        answer(error)
        came.set()

    sqlite_log.put(record(1), done)
    assert came.wait(10)
    other.close()
    assert (seen, answer.calls, answer.threads) == ([1], [None], ["partlog-writer"])


def test_a_part_is_kept_whole(log: PartLog) -> None:
    item = record(5, decision=Decision.NG, defect_class="dent", serial="S-1")
    assert put(log, item) is None
    row = one(log, 5)
    assert (row.epoch, row.decision, row.judged, row.cause, row.serial) == (7, "NG", "NG", "judged", "S-1")
    assert (row.triggered_utc_ns, row.encoder, row.keep_probability) == (item.triggered_utc_ns, 50, 0.02)
    assert row.wire_verdict is None
    with log.reader.connect() as connection:
        view = connection.execute(select(schema.view)).one()
        found = connection.execute(select(schema.region)).one()
        text = connection.execute(select(schema.thresholds.c.text)).scalar_one()
    assert text == item.thresholds
    assert (view.camera, view.frame_counter, view.width_px, view.height_px) == ("top", 5, 1024, 768)
    assert np.allclose(unpack_embedding(view.embedding), item.views[0].embedding, atol=1e-3)
    assert (found.defect_class, found.box_x_px, found.box_height_px, found.length_mm) == ("dent", 10, 9, 3.5)
    assert np.array_equal(unpack_outline(found.outline), region().outline_px)


def test_the_outcome_is_added(log: PartLog) -> None:
    assert put(log, record(1)) is None
    log.put_outcome(Outcome(PartKey(7, 1), WireVerdict.OK, True, 12.5, 187.5, "in time"))
    log.put_gate_result(PartKey(7, 1), GateResult.PASSED)
    until(lambda: one(log, 1).gate is not None)
    row = one(log, 1)
    assert (row.wire_verdict, row.wire_written, row.latency_ms, row.slack_ms) == (1, True, 12.5, 187.5)
    assert (row.outcome_note, row.gate) == ("in time", "passed")


@SQLITE
def test_an_outcome_without_a_row_is_an_event(log: PartLog) -> None:
    log.put_outcome(Outcome(PartKey(7, 99), WireVerdict.NG, True, 1.0, 1.0))
    until(lambda: "outcome_without_row" in kinds(log))


def test_a_duplicate_never_overwrites(log: PartLog) -> None:
    assert put(log, record(1, reason="first")) is None
    error = put(log, record(1, reason="second", decision=Decision.NG))
    assert isinstance(error, DuplicatePart)
    assert put(log, record(2)) is None
    until(lambda: "duplicate_part" in kinds(log))
    row = one(log, 1)
    assert (row.reason, row.decision, log.count()) == ("first", "OK", 2)
    assert log.ok


@SQLITE
def test_a_duplicate_in_the_same_group(log: PartLog) -> None:
    answers = [Answer() for _ in range(3)]
    for answer, reason in zip(answers, ("a", "b", "c"), strict=True):
        log.put(record(1, reason=reason), answer)
    assert [type(answer.wait()) for answer in answers] == [type(None), DuplicatePart, DuplicatePart]
    assert one(log, 1).reason == "a"


@pytest.mark.parametrize(
    "broken",
    [
        lambda item: dataclasses.replace(
            item, views=(dataclasses.replace(item.views[0], regions=(dataclasses.replace(region(), outline_px=None),)),)
        ),
        lambda item: dataclasses.replace(item, encoder=2**70),
        lambda item: dataclasses.replace(item, views=(dataclasses.replace(item.views[0], width_px=2**40),) * 2),
    ],
)
def test_a_record_that_cannot_be_stored_whole_still_has_its_row(log: PartLog, broken) -> None:
    answers = [Answer(), Answer(), Answer()]
    log.put(record(1), answers[0])
    log.put(broken(record(2)), answers[1])
    log.put(record(3), answers[2])
    results = [answer.wait() for answer in answers]
    assert results[0] is None
    assert results[2] is None
    row = one(log, 2)
    if log.reader.dialect.name == "sqlite" and "views left out" not in row.reason:
        assert row.decision == "OK"  # SQLite has no 32-bit columns
        return
    assert (row.decision, row.judged, row.cause) == ("NOT_INSPECTED", "OK", "log_failed")
    assert results[1] is not None, "the line must not pass a part whose row says it is not inspected"
    assert log.ok


def test_junk_from_a_scanner(log: PartLog) -> None:
    assert put(log, record(1, serial="A\0B\ud800", lot="\N{SNOWMAN}")) is None
    assert (one(log, 1).serial, one(log, 1).lot) == ("AB?", "\N{SNOWMAN}")


@SQLITE
def test_not_a_number_scores_are_kept_as_unknown(log: PartLog) -> None:
    assert put(log, dataclasses.replace(record(1), score=float("nan"))) is None
    assert one(log, 1).score is None


def test_many_at_once_share_commits(log: PartLog) -> None:
    answers = [Answer() for _ in range(300)]
    for sequence, answer in enumerate(answers, 1):
        log.put(record(sequence), answer)
    assert [answer.wait() for answer in answers] == [None] * 300
    assert log.count() == 300
    status = log.status()
    assert (status.ok, status.rows, status.backlog, status.failed) == (True, 300, 0, 0)
    assert 0 < status.commit_ms_p50 <= status.commit_ms_p99
    with log.reader.connect() as connection:
        commits = connection.execute(select(func.count(func.distinct(schema.part.c.logged_utc_ns)))).scalar_one()
    assert commits > 0


def test_what_is_known_and_what_is_missing(log: PartLog) -> None:
    for sequence in (2, 3, 6):
        assert put(log, record(sequence)) is None
    assert put(log, record(1, epoch=8)) is None
    known = log.known(7)
    assert (known.epoch, known.count, known.last) == (7, 3, 6)
    assert log.missing(7, 8) == [range(1, 2), range(4, 6), range(7, 9)]
    assert log.missing(7, 3) == [range(1, 2)]
    assert log.missing(8, 1) == []
    assert log.missing(9, 2) == [range(1, 3)]
    assert log.missing(9, 0) == []


@SQLITE
def test_bundle_recipe_lot_and_picture_are_remembered_once(log: PartLog) -> None:
    for _ in range(2):
        log.register_bundle("ab" * 32, "panels", "1.0", "{}")
        log.register_recipe(1, "panel", '{"a":1}')
        log.start_lot("L1", "anna")
    log.put_image(ImageRecord(PartKey(7, 1), "top", "cd" * 32, 4, 3, 1, 8, 99, "ng", 1.0, 1))
    log.put_image(ImageRecord(PartKey(7, 1), "top", "ef" * 32, 4, 3, 1, 8, 99, "ng", 1.0, 1))  # refused: one per view
    log.record_event("camera_down", "alarm", "gone", PartKey(7, 1), {"camera": "top"})
    until(lambda: "row_refused" in kinds(log) and "camera_down" in kinds(log))
    with log.reader.connect() as connection:
        for table in (schema.bundle, schema.recipe, schema.lot, schema.image):
            assert connection.execute(select(func.count()).select_from(table)).scalar() == 1, table.name
    assert log.ok


def test_the_same_picture_twice_is_one_row_and_no_trouble(log: PartLog) -> None:
    again = ImageRecord(PartKey(7, 1), "top", "cd" * 32, 4, 3, 1, 8, 99, "ng", 0.02, 1)
    for sequence in (1, 2):
        log.put_image(again)
        log.put_image(ImageRecord(PartKey(7, 1 + sequence), "top", "cd" * 32, 4, 3, 1, 8, 99, "ng", 0.02, 1))
    log.record_event("end", "info", "")
    until(lambda: "end" in kinds(log))
    assert "row_refused" not in kinds(log)
    with log.reader.connect() as connection:
        found = connection.execute(select(schema.image.c.sequence, schema.image.c.probability)).all()
    assert sorted(found) == [(1, 0.02), (2, 0.02), (3, 0.02)]


@SQLITE
def test_close_stores_what_waits(settings: LogSettings, tmp_path: Path) -> None:
    log = PartLog.open(settings, tmp_path)
    answers = [Answer() for _ in range(50)]
    for sequence, answer in enumerate(answers, 1):
        log.put(record(sequence), answer)
    assert not log.ok, "LogOK needs a writer that runs"
    log.start()
    log.record_event("last", "info", "the end")
    log.close()
    assert all(answer.calls == [None] for answer in answers)
    late = Answer()
    log.put(record(51), late)
    assert isinstance(late.wait(), LogError)
    again = PartLog.open(settings, tmp_path)
    assert (again.count(), kinds(again)) == (50, ["last"])
    again.close()


def test_a_full_backlog_refuses_and_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("linegate.inspect.partlog.writer.MAX_BACKLOG", 3)
    log = PartLog.open(LogSettings(min_free_mb=0), tmp_path)
    answers = [Answer() for _ in range(5)]
    for sequence, answer in enumerate(answers, 1):
        log.put(record(sequence), answer)
    assert [type(answer.calls[0]) for answer in answers if answer.calls] == [BacklogFull, BacklogFull]
    assert log.status().overflowed == 2
    log.start()
    until(lambda: "log_overflow" in kinds(log))
    assert log.count() == 3
    log.close()


def test_too_little_disk_is_not_ok(tmp_path: Path) -> None:
    log = PartLog.open(LogSettings(min_free_mb=1e12), tmp_path)
    log.start()
    assert put(log, record(1)) is None
    assert not log.ok
    assert 0 < log.status().free_mb < 1e12
    log.close()


@SQLITE
def test_a_callers_mistake_does_not_stop_the_log(log: PartLog) -> None:
    def bad(error: LogError | None) -> None:
        raise RuntimeError("caller's mistake")

    log.put(record(1), bad)
    assert put(log, record(2)) is None
    until(lambda: "done_failed" in kinds(log))


def test_outlines_outside_the_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.\.65535"):
        pack_outline(np.array([[-1, 3]], np.int32))
    with pytest.raises(ValueError, match="got"):
        pack_outline(np.array([1, 2, 3], np.int32))


def test_the_time_of_each_parts_commit_is_known_for_a_while(log: PartLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gauge, "SAMPLES", 3)
    for sequence in range(1, 6):
        began_ns = time.monotonic_ns()
        assert put(log, record(sequence)) is None
        took_ns = log.fsync_ns(PartKey(7, sequence))
        assert took_ns is not None and 0 < took_ns < time.monotonic_ns() - began_ns
    assert log.fsync_ns(PartKey(7, 2)) is None
    assert log.fsync_ns(PartKey(7, 3)) is not None
    assert log.fsync_ns(PartKey(7, 9)) is None
