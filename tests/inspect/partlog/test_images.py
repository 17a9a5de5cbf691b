"""Pictures come back bit for bit, and retention never takes one that a person has labelled."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from partlog_samples import put, record, until
from sqlalchemy import func, insert, select, update

from linegate.cameras.frame import Frame
from linegate.inspect.part import PartKey
from linegate.inspect.partlog import schema
from linegate.inspect.partlog.codec import decode_png, encode_png, encode_preview
from linegate.inspect.partlog.errors import LogError
from linegate.inspect.partlog.files import content_files, content_matches
from linegate.inspect.partlog.images import ImageStore
from linegate.inspect.partlog.recall import Picture, Recall
from linegate.inspect.partlog.records import ImageRecord
from linegate.inspect.partlog.writer import PartLog
from linegate.inspect.settings import ImageSettings

DAY_NS = 86_400_000_000_000


def picture(seed: int, shape: tuple[int, ...] = (40, 60), dtype: type = np.uint8) -> np.ndarray:
    image = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)
    image.setflags(write=False)
    return image


@pytest.fixture
def store(sqlite_log: PartLog, tmp_path: Path) -> Iterator[ImageStore]:
    opened = ImageStore(tmp_path, ImageSettings(), sqlite_log)
    opened.start()
    yield opened
    opened.close()


def events(log: PartLog, kind: str) -> list:
    with log.reader.connect() as connection:
        return list(connection.execute(select(schema.event).where(schema.event.c.kind == kind)))


def image_of(sequence: int, sha256: str) -> ImageRecord:
    return ImageRecord(PartKey(7, sequence), "top", sha256, 60, 40, 1, 8, 2400, "ng", 1.0, time.time_ns())


def live(log: PartLog) -> list:
    with log.reader.connect() as connection:
        wanted = select(schema.image).where(schema.image.c.deleted_utc_ns.is_(None)).order_by(schema.image.c.sequence)
        return list(connection.execute(wanted))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(40, 60), (33, 17, 3), (1, 1), (1, 5, 3)])
def test_png_round_trip(shape: tuple[int, ...], dtype: type) -> None:
    image = picture(1, shape, dtype)
    back = decode_png(encode_png(image))
    assert back.dtype == image.dtype
    assert np.array_equal(back, image)


@pytest.mark.parametrize("image", [np.zeros((2, 2), np.float32), np.zeros((2, 2, 4), np.uint8), np.zeros(3, np.uint8)])
def test_other_pictures_are_refused_by_name(image: np.ndarray) -> None:
    with pytest.raises(LogError, match="uint8 or uint16"):
        encode_png(image)


def test_a_stored_picture_and_its_row(store: ImageStore, sqlite_log: PartLog) -> None:
    image = picture(1, (40, 60, 3), np.uint16)
    assert put(sqlite_log, record(1)) is None
    assert store.put(image, PartKey(7, 1), "top", "ng")
    until(lambda: live(sqlite_log))
    (row,) = live(sqlite_log)
    path = store.path(row.sha256)
    assert path.parts[-4:-1] == ("images", row.sha256[:2], row.sha256[2:4])
    assert content_matches(path)
    assert np.array_equal(decode_png(path.read_bytes()), image)
    assert (row.width_px, row.height_px, row.channels, row.bits, row.reason) == (60, 40, 3, 16, "ng")
    assert (row.size_bytes, row.probability) == (path.stat().st_size, 1.0)


def test_equal_pictures_share_a_file(store: ImageStore, sqlite_log: PartLog) -> None:
    for sequence in (1, 2, 3):
        store.put(picture(5), PartKey(7, sequence), "top", "sample", 0.02)
    until(lambda: len(live(sqlite_log)) == 3)
    status = store.status()
    assert (status.stored, status.duplicates) == (1, 2)
    assert len(set(content_files(store.path("00" * 32).parents[2]))) == 1


def test_a_full_queue_drops_the_picture_and_says_so(sqlite_log: PartLog, tmp_path: Path) -> None:
    store = ImageStore(tmp_path, ImageSettings(queue=2), sqlite_log)
    kept = [store.put(picture(n), PartKey(7, n), "top", "ng") for n in range(1, 5)]
    assert kept == [True, True, False, False]
    assert store.status().dropped == 2
    store.start()
    store.close()
    until(lambda: len(live(sqlite_log)) == 2)
    with sqlite_log.reader.connect() as connection:
        events = connection.execute(select(schema.event).where(schema.event.c.kind == "image_dropped")).all()
    assert [event.sequence for event in events] == [3, 4]


def test_a_disk_that_refuses_is_one_event_not_a_crash(store: ImageStore, sqlite_log: PartLog, tmp_path: Path) -> None:
    (tmp_path / "images").rmdir()
    (tmp_path / "images").write_text("in the way")
    for n in (1, 2, 3):
        store.put(picture(n), PartKey(7, n), "top", "ng")
    until(lambda: store.status().failed == 3)
    (tmp_path / "images").unlink()
    store.put(picture(4), PartKey(7, 4), "top", "ng")
    until(lambda: len(live(sqlite_log)) == 1)
    with sqlite_log.reader.connect() as connection:
        count = select(func.count()).where(schema.event.c.kind == "image_failed")
        assert connection.execute(count).scalar() == 1


@pytest.mark.parametrize("shape", [(900, 1600), (900, 1600, 3), (30, 20)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_preview_is_small_and_8_bit(shape: tuple[int, ...], dtype: type) -> None:
    back = cv2.imdecode(
        np.frombuffer(encode_preview(np.full(shape, 50 << (8 * (dtype is np.uint16)), dtype)), np.uint8), -1
    )
    assert back.shape[1] == min(1280, shape[1])
    assert back.shape[0] == (720 if shape[1] == 1600 else 30)
    assert abs(int(back.mean()) - 50) <= 2


def test_a_preview_never_shows_another_part(sqlite_log: PartLog, tmp_path: Path) -> None:
    """A name is a promise: it shows this picture, or after 64 more none at all, also when the line was started anew."""
    shown: dict[str, int] = {}
    for _run in range(2):
        store = ImageStore(tmp_path, ImageSettings(), sqlite_log, views=2)
        store.start()
        assert list((tmp_path / "live").iterdir()) == [], "what an earlier run left"
        for grey in range(70):
            name = store.preview(np.full((8, 8), grey, np.uint8))
            assert name and name not in shown
            shown[name] = grey
            until(lambda grey=grey, store=store: store.status().previews == grey + 1)
        store.close()
        files = {path.name for path in (tmp_path / "live").iterdir()}
        assert files == set(list(shown)[-64:])
        for name in files:
            image = cv2.imread(str(tmp_path / "live" / name), cv2.IMREAD_GRAYSCALE)
            assert abs(int(image.mean()) - shown[name]) <= 1


def test_a_preview_that_finds_no_room_has_no_name(sqlite_log: PartLog, tmp_path: Path) -> None:
    store = ImageStore(tmp_path, ImageSettings(), sqlite_log, views=3)
    names = [store.preview(picture(n, (8, 8))) for n in range(7)]  # its thread has not begun
    assert all(names[:6]) and names[6] == "", "two parts of three views find room"
    assert len(set(names[:6])) == 6
    assert store.status().previews_dropped == 1


# -- retention


def stored(store: ImageStore, log: PartLog, count: int, age_days: float = 0.0) -> list[Path]:
    """Pictures of parts 1.., one day apart, the first the oldest; the store's thread is stopped."""
    for sequence in range(1, count + 1):
        store.put(picture(sequence), PartKey(7, sequence), "top", "ng")
    until(lambda: len(live(log)) == count)
    store.close()
    now = time.time_ns()
    with log.writer_engine.begin() as connection:
        for sequence in range(1, count + 1):
            at = now - round((age_days + count - sequence) * DAY_NS)
            where = schema.image.c.sequence == sequence
            connection.execute(update(schema.image).where(where).values(stored_utc_ns=at))
    return [store.path(row.sha256) for row in live(log)]


def label(log: PartLog, sequence: int, **values) -> None:
    row = {
        "epoch": 7, "sequence": sequence, "camera": "", "version": 1, "classes": "[]", "decision": "NG", "kind": "escape",
        "must_catch": True, "by": "anna", "at_utc_ns": 1, "note": "", **values,
    }  # fmt: skip
    with log.writer_engine.begin() as connection:
        connection.execute(insert(schema.label).values(**row))


def test_old_pictures_go_and_labelled_ones_stay(sqlite_log: PartLog, tmp_path: Path) -> None:
    store = ImageStore(tmp_path, ImageSettings(max_age_days=90), sqlite_log)
    store.start()
    paths = stored(store, sqlite_log, 6, age_days=87.5)  # ages 92.5 … 87.5
    label(sqlite_log, 1)
    label(sqlite_log, 99, image_sha256=paths[1].stem)  # labelled by the picture, not by the part
    report = store.sweep(young_s=0)
    assert [path.exists() for path in paths] == [True, True, False, True, True, True]
    assert (report.deleted, report.kept_labelled, report.orphans) == (1, 2, 0)
    assert [row.sequence for row in live(sqlite_log)] == [1, 2, 4, 5, 6]


def test_too_many_pictures_go_oldest_first(sqlite_log: PartLog, tmp_path: Path) -> None:
    store = ImageStore(tmp_path, ImageSettings(max_gb=1), sqlite_log)
    store.start()
    paths = stored(store, sqlite_log, 5)
    size = sum(path.stat().st_size for path in paths)
    store._settings = ImageSettings(max_gb=(size - 2 * paths[0].stat().st_size + 100) / 1e9)
    label(sqlite_log, 2)
    report = store.sweep(young_s=0)
    assert [path.exists() for path in paths] == [False, True, False, True, True]
    assert report.deleted == 2


def test_a_shared_file_stays_while_one_row_needs_it(sqlite_log: PartLog, tmp_path: Path) -> None:
    store = ImageStore(tmp_path, ImageSettings(max_age_days=90), sqlite_log)
    store.start()
    for sequence in (1, 2):
        store.put(picture(1), PartKey(7, sequence), "top", "ng")
    until(lambda: len(live(sqlite_log)) == 2)
    store.close()
    with sqlite_log.writer_engine.begin() as connection:
        old = update(schema.image).where(schema.image.c.sequence == 1).values(stored_utc_ns=1)
        connection.execute(old)
    assert store.sweep(young_s=0).deleted == 0
    with sqlite_log.writer_engine.begin() as connection:
        connection.execute(update(schema.image).values(stored_utc_ns=1))
    assert store.sweep(young_s=0).deleted == 1
    assert live(sqlite_log) == []


def test_files_without_a_row_go_once_they_are_old(sqlite_log: PartLog, tmp_path: Path) -> None:
    store = ImageStore(tmp_path, ImageSettings(), sqlite_log)
    store.start()
    (kept,) = stored(store, sqlite_log, 1)
    for name in ("ab" * 32 + ".png", "cd" * 32 + ".part"):
        orphan = tmp_path / "images" / name[:2] / name[2:4] / name
        orphan.parent.mkdir(parents=True)
        orphan.write_bytes(b"x")
        old = time.time() - 1000
        os.utime(orphan, (old, old))
    young = tmp_path / "images" / "ef" / "01" / ("ef01" + "0" * 60 + ".png")
    young.parent.mkdir(parents=True)
    young.write_bytes(b"x")
    assert store.sweep().orphans == 2
    assert sorted(content_files(tmp_path / "images")) == sorted([kept, young])


def test_a_picture_whose_row_is_on_its_way_is_not_swept(sqlite_log: PartLog, tmp_path: Path) -> None:
    store = ImageStore(tmp_path, ImageSettings(max_age_days=90), sqlite_log)
    store.start()
    (path,) = stored(store, sqlite_log, 1, age_days=100)
    store._unlogged.add(path.stem, (7, 2, "top"))  # stored again just now, for another part
    assert store.sweep(young_s=0).deleted == 0
    assert path.exists()
    sqlite_log.put_image(image_of(2, path.stem))
    until(lambda: len(live(sqlite_log)) == 2)
    with sqlite_log.writer_engine.begin() as connection:
        connection.execute(update(schema.image).values(stored_utc_ns=1))
    assert store.sweep(young_s=0).deleted == 1, "its row is there now, and is old"


def test_a_picture_stored_again_while_it_is_swept_stays(sqlite_log: PartLog, tmp_path: Path) -> None:
    """Between the choice and the removal of an old file its bytes come again, for a new part."""
    store = ImageStore(tmp_path, ImageSettings(max_age_days=90), sqlite_log)
    store.start()
    (path,) = stored(store, sqlite_log, 1, age_days=100)

    def comes_again() -> bool:  # the sweep asks this after it has chosen
        store._unlogged.add(path.stem, (7, 2, "top"))
        return False

    report = store.sweep(young_s=0, stop=comes_again)
    assert path.exists()
    assert report.deleted == 0


def test_retention_keeps_up_with_a_line_that_never_rests(sqlite_log: PartLog, tmp_path: Path) -> None:
    """Rejects without a pause: the store stays within its limit all the same."""
    limit_bytes = 60_000
    store = ImageStore(
        tmp_path, ImageSettings(max_gb=limit_bytes / 1e9, queue=4096), sqlite_log, sweep_s=0.3, sweep_pause_s=0.01
    )
    store.start()
    try:
        sequence = 0

        def stored_bytes() -> int:
            return sum(row.size_bytes for row in live(sqlite_log))

        def busy_and_swept() -> bool:
            nonlocal sequence
            while store.status().waiting < 3:
                sequence += 1
                store.put(picture(sequence), PartKey(7, sequence), "top", "ng")
            report = store.status().last_sweep
            return sequence > 120 and report is not None and stored_bytes() < 2 * limit_bytes

        until(busy_and_swept)
        until(lambda: events(sqlite_log, "images_swept"), 20.0)
    finally:
        store.close()
    assert events(sqlite_log, "sweep_failed") == []


# -- the last passed parts


def frame(image: np.ndarray, camera: str = "top") -> Frame:
    return Frame(image, camera, 1, 1, 1, "Mono8")


def test_a_passed_parts_pictures_are_kept_when_somebody_asks(sqlite_log: PartLog, tmp_path: Path) -> None:
    store = ImageStore(tmp_path, ImageSettings(), sqlite_log)
    store.start()
    try:
        for sequence in (1, 2):
            part = replace(record(sequence), keep_probability=None)
            assert put(sqlite_log, part) is None
            store.remember(part, [frame(picture(sequence)), frame(picture(10 + sequence), "side")])
        assert store.recall(PartKey(7, 2)) == ("side", "top")
        assert store.recall(PartKey(7, 2)) == ("side", "top"), "asked twice, kept once"
        assert store.recall(PartKey(7, 9)) == ()
    finally:
        store.close()
    rows = {(row.sequence, row.camera): row for row in live(sqlite_log)}
    assert set(rows) == {(2, "side"), (2, "top")}
    assert {(row.reason, row.probability) for row in rows.values()} == {("recalled", 1.0)}
    kept = decode_png(store.path(rows[2, "side"].sha256).read_bytes())
    assert np.array_equal(kept, picture(12))


def test_a_sampled_part_stays_a_sample_when_its_picture_is_asked_for(sqlite_log: PartLog, tmp_path: Path) -> None:
    """Else every escape that somebody finds would leave the sample that proves how rare they are."""
    store = ImageStore(tmp_path, ImageSettings(), sqlite_log)
    part = replace(record(1), keep_probability=0.02)
    assert put(sqlite_log, part) is None
    assert store.put(picture(1), part.key, "top", part.keep_reason, 0.02)  # its thread is late: it has not begun
    store.remember(part, [frame(picture(1))])
    assert store.recall(part.key) == ("top",)
    store.start()
    store.close()
    sqlite_log.record_event("end", "info", "after the picture's own row")
    until(lambda: events(sqlite_log, "end"))
    (row,) = live(sqlite_log)
    assert (row.reason, row.probability) == ("OK", 0.02)
    assert events(sqlite_log, "row_refused") == []


@given(st.lists(st.tuples(st.integers(1, 6), st.lists(st.integers(1, 60), min_size=0, max_size=3)), max_size=40))
def test_the_ring_is_bounded_and_holds_the_latest(parts: list[tuple[int, list[int]]]) -> None:
    ring, latest = Recall(100e-6), OrderedDict[int, list[int]]()  # 100 bytes
    for sequence, sizes in parts:
        key = PartKey(7, sequence)
        images = [np.full(size, size, np.uint8) for size in sizes]
        ring.add(key, tuple(Picture(image, key, "top", "", 1.0) for image in images))
        for image in images:
            image[:] = 0  # the camera takes its buffer back
        if sizes and sum(sizes) <= 100:
            latest.pop(sequence, None)
            latest[sequence] = sizes
            while sum(map(sum, latest.values())) > 100:
                latest.popitem(last=False)
    for sequence in range(1, 7):
        held = [picture.image.tolist() for picture in ring.get(PartKey(7, sequence))]
        assert held == [[size] * size for size in latest.get(sequence, [])]
    assert ring.held_mb * 1e6 == pytest.approx(sum(map(sum, latest.values())))
