from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rich.console import Console
from sqlalchemy import insert, select, update

from linegate.inspect.part import Cause, Decision, PartKey
from linegate.inspect.partlog.errors import LogError
from linegate.inspect.partlog.files import write_content
from linegate.inspect.partlog.labels import LabelStore, NewLabel
from linegate.inspect.partlog.records import ImageRecord, PartRecord, ViewRecord
from linegate.inspect.partlog.schema import image, job
from linegate.inspect.partlog.writer import PartLog
from linegate.inspect.settings import LogSettings
from linegate.models.bundle import load_bundle
from linegate.models.store import BundleStore
from linegate.training.checkpoint import save_checkpoint
from linegate.training.checks import open_sample
from linegate.training.fit import FitSettings
from linegate.training.jobs import Heartbeat, JobQueue
from linegate.training.partlog_source import NothingLabelled, load_cases, load_partlog
from linegate.training.worker import Worker

from ..models.tiny import certified

MakeFolder = Callable[..., Path]


def put_part(
    log: PartLog, data: Path, sequence: int, picture: np.ndarray, lot: str, kept: tuple[str, ...] = ("top",)
) -> PartKey:
    """One part as the line logs it; ``kept``: cameras whose picture is."""
    key = PartKey(1, sequence)
    height, width = picture.shape
    view = ViewRecord("top", sequence, 0, width, height, Decision.OK, 0.1, "")
    record = PartRecord(
        key=key,
        triggered_utc_ns=time.time_ns(),
        recipe_id=1,
        recipe_name="plates",
        bundle_sha256="",
        thresholds="{}",
        lot=lot,
        serial="",
        decision=Decision.OK,
        cause=Cause.JUDGED,
        reason="",
        score=0.1,
        defect_class="",
        keep_probability=None,
        challenge=False,
        encoder=0,
        views=(view,),
    )
    stored: list[Any] = []
    log.put(record, lambda *outcome: stored.append(outcome))
    deadline = time.monotonic() + 20
    while not stored:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    for camera in kept:
        put_picture(log, data, key, camera, picture)
    return key


def put_picture(
    log: PartLog, data: Path, key: PartKey, camera: str, picture: np.ndarray, probability: float = 1.0
) -> None:
    height, width = picture.shape
    _, png = cv2.imencode(".png", picture)
    sha256, _ = write_content(data / "images", png.tobytes())
    log.put_image(ImageRecord(key, camera, sha256, width, height, 1, 8, len(png), "label", probability, time.time_ns()))


def label_folder(log: PartLog, data: Path, folder: Path, kind: str = "label", first: int = 1) -> list[PartKey]:
    """Log and label every picture of a dataset folder; the first bad one has no mask."""
    labels = LabelStore(log.writer_engine, log.reader, data)
    keys = []
    weak = True
    for sequence, path in enumerate(sorted((folder / "images").iterdir()), first):
        picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        assert picture is not None
        keys.append(put_part(log, data, sequence, picture, f"L{sequence // 3}"))
    for key, path in zip(keys, sorted((folder / "images").iterdir()), strict=True):
        good = path.name.startswith("good")
        mask_sha256, classes = None, ()
        if not good and not weak:
            mask = cv2.imread(str(folder / "masks" / path.name), cv2.IMREAD_GRAYSCALE)
            assert mask is not None
            classes = ("line", "spot")  # the label's own order, not the dataset's
            own = np.where(mask > 0, 3 - mask, 0).astype(np.uint8)
            mask_sha256 = labels.masks.put(cv2.imencode(".png", own)[1].tobytes()).sha256
        weak = weak and good
        wait_for_picture(log, key)
        new = NewLabel(
            key=key,
            camera="top",
            decision=Decision.OK if good else Decision.NG,
            by="ada",
            mask_sha256=mask_sha256,
            classes=classes,
            kind="label" if good else kind,
            must_catch=not good and kind == "escape",
        )
        labels.save(new, parent=0)
    return keys


def wait_for_picture(log: PartLog, key: PartKey, camera: str = "top") -> None:
    deadline = time.monotonic() + 20
    mine = (image.c.sequence == key.sequence) & (image.c.camera == camera)
    while True:
        with log.reader.connect() as connection:
            if connection.execute(select(image.c.sha256).where(mine)).first():
                return
        assert time.monotonic() < deadline
        time.sleep(0.005)


def ask(log: PartLog, **changes: Any) -> int:
    """A job as the review screen writes it."""
    row = {
        "kind": "train",
        "state": "waiting",
        "spec": json.dumps({"source": "log", "minutes": 1, "seed": 0, "note": "two escapes"}),
        "by": "quinn",
        "created_utc_ns": time.time_ns(),
        "progress": 0.0,
        "progress_text": "",
        "cancel": False,
        **changes,
    }
    with log.writer_engine.begin() as connection:
        return int(connection.execute(insert(job).values(row)).inserted_primary_key[0])


def look(log: PartLog, number: int) -> dict[str, Any]:
    with log.reader.connect() as connection:
        return dict(connection.execute(select(job).where(job.c.id == number)).mappings().one())


def test_labels_of_the_log_become_training_data(
    log: PartLog, station: Path, make_folder: MakeFolder, tmp_path: Path
) -> None:
    with pytest.raises(NothingLabelled, match="Label parts"):
        load_partlog(station)
    assert load_cases(station) is None
    folder = make_folder(name="plates", good=4, spot=3, line=2)
    label_folder(log, tmp_path / "data", folder, kind="escape")
    dataset = load_partlog(station)
    assert set(dataset.classes) == {"line", "spot"}
    assert len(dataset.samples) == 9
    assert [s.label for s in dataset.samples].count("good") == 4
    weak = [s for s in dataset.samples if s.weak]
    assert len(weak) == 1
    assert {s.weight for s in dataset.samples if s.label == "defect"} == {4}
    files = sorted((folder / "images").iterdir())
    for sample in dataset.samples:
        if sample.label == "defect" and not sample.weak:
            _, mask = open_sample(sample, dataset.classes, 1)
            shown = files[int(sample.name.split("/")[0].split("-")[1]) - 1].name.split("_")[0]
            assert {dataset.classes[value - 1] for value in np.unique(mask) if value} == {shown}
    cases = load_cases(station)
    assert cases is not None
    assert len(cases.samples) == 5


def test_a_worker_brings_back_a_candidate(log: PartLog, station: Path, make_folder: MakeFolder, tmp_path: Path) -> None:
    data = tmp_path / "data"
    label_folder(log, data, make_folder(name="plates", good=12, spot=6, line=6))
    number = ask(log)
    worker = Worker(station, (), FitSettings(steps=3, threads=1), Console(quiet=True))
    assert worker.run(once=True, heartbeat_s=0.2) == 1
    row = look(log, number)
    assert row["state"] == "done", row["result"]
    result = json.loads(row["result"])
    store = BundleStore(data / "models")
    assert store.pointers().candidates == (result["bundle"],)
    assert store.candidates()[0].manifest.provenance.command.endswith(f"job {number}")
    assert (data / "jobs" / str(number) / "report.html").is_file()
    assert row["progress"] == 1.0


def test_a_workers_candidate_goes_on_from_the_live_bundle(
    log: PartLog, station: Path, trained: tuple[Path, Path], make_folder: MakeFolder, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    store = BundleStore(data / "models")
    live = store.add(certified(tmp_path / "live", load_bundle(trained[1])).folder, "Ada", "the first").bundle
    store.promote(live, "Ada", "the first")
    label_folder(log, data, make_folder(name="plates", good=12, spot=6, line=6))
    number = ask(log)
    Worker(station, (), FitSettings(steps=3, threads=1), Console(quiet=True)).run(once=True, heartbeat_s=0.2)
    row = look(log, number)
    assert row["state"] == "done", row["result"]
    assert store.candidates()[0].manifest.provenance.begun_sha256 == store.live().sha256


def test_labels_saved_since_a_worker_died_cost_the_job_its_checkpoint_only(
    log: PartLog, station: Path, make_folder: MakeFolder, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    label_folder(log, data, make_folder(name="plates", good=12, spot=6, line=6))
    number = ask(log)
    left = data / "jobs" / str(number) / "candidate.train"
    save_checkpoint(left, {"identity": {"data": "of the labels that there were"}, "step": 2})
    words = io.StringIO()
    worker = Worker(station, (), FitSettings(steps=3, threads=1), Console(file=words, width=200))
    assert worker.run(once=True, heartbeat_s=0.2) == 1
    row = look(log, number)
    assert row["state"] == "done", row["result"]
    assert f"job {number} begins again" in words.getvalue()


def test_a_job_that_cannot_be_done_says_why(log: PartLog, station: Path) -> None:
    number = ask(log)
    Worker(station, (), FitSettings(steps=3, threads=1), Console(quiet=True)).run(once=True, heartbeat_s=0.2)
    row = look(log, number)
    assert row["state"] == "failed"
    assert "Label parts" in json.loads(row["result"])["text"]


def test_a_release_job_needs_a_frozen_set_and_a_candidate(
    log: PartLog, station: Path, trained: tuple[Path, Path]
) -> None:
    name = BundleStore(station.parent / "data" / "models").add(trained[1], "quinn", "job 1").bundle
    numbers = [ask(log, kind="release", spec=json.dumps({"bundle": bundle})) for bundle in (name, "gone")]
    Worker(station, (), FitSettings(steps=3, threads=1), Console(quiet=True)).run(once=True, heartbeat_s=0.2)
    rows = [look(log, number) for number in numbers]
    assert [row["state"] for row in rows] == ["failed", "failed"]
    assert "--frozen" in json.loads(rows[0]["result"])["text"]
    assert "candidate" in json.loads(rows[1]["result"])["text"]


def test_a_job_that_no_worker_can_read_stops_no_worker(log: PartLog, station: Path) -> None:
    numbers = [ask(log, spec=json.dumps({"minutes": "many"})), ask(log)]
    worker = Worker(station, (), FitSettings(threads=1), Console(quiet=True))
    assert worker.run(once=True, heartbeat_s=0.2) == 2
    rows = [look(log, number) for number in numbers]
    assert [row["state"] for row in rows] == ["failed", "failed"]
    assert "ValidationError" in json.loads(rows[0]["result"])["text"]


def test_one_job_at_a_time_and_a_dead_workers_job_is_taken_over(log: PartLog, tmp_path: Path) -> None:
    first, second = ask(log), ask(log)
    one = JobQueue.open(LogSettings(), tmp_path / "data", "one", lease_s=0.3)
    two = JobQueue.open(LogSettings(), tmp_path / "data", "two", lease_s=30)
    try:
        taken = one.take()
        assert taken is not None
        assert taken.id == first
        assert two.take() is None  # one works on it
        assert one.beat(first, 0.4, "crops")
        deadline = time.monotonic() + 10
        while (over := two.take()) is None:  # the lease of "one" runs out
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert over.id == first
        assert not one.beat(first, 0.5, "crops")
        one.end(first, "done", {})  # too late: it isn't one's any more
        assert look(log, first)["state"] == "running"
        assert look(log, first)["lease_owner"] == "two"
        two.end(first, "done", {"text": "ok"})
        assert look(log, first)["state"] == "done"
        following = two.take()
        assert following is not None
        assert following.id == second
    finally:
        one.close()
        two.close()


def test_cancel_reaches_a_running_job(log: PartLog, tmp_path: Path) -> None:
    number = ask(log)
    queue = JobQueue.open(LogSettings(), tmp_path / "data", "one")
    try:
        assert queue.take() is not None
        with Heartbeat(queue, number, every_s=0.02) as alive:
            alive.tell(0.25, "crops")
            deadline = time.monotonic() + 10
            while look(log, number)["progress"] != 0.25:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            assert not alive.lost
            with log.writer_engine.begin() as connection:
                connection.execute(update(job).where(job.c.id == number).values(cancel=True))
            while not alive.lost:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        queue.end(number, "cancelled", {"text": "cancelled"})
        assert look(log, number)["state"] == "cancelled"
        assert queue.take() is None
    finally:
        queue.close()


def test_a_cancelled_fit_ends_as_cancelled(
    log: PartLog, station: Path, make_folder: MakeFolder, tmp_path: Path
) -> None:
    label_folder(log, tmp_path / "data", make_folder(name="plates", good=12, spot=6, line=6))
    number = ask(log)
    worker = Worker(station, (), FitSettings(steps=100_000, threads=1), Console(quiet=True))
    polled = [0]

    def cancel_once_it_runs() -> None:
        deadline = time.monotonic() + 60
        while not look(log, number)["progress_text"].startswith("crops") and time.monotonic() < deadline:
            time.sleep(0.02)
        with log.writer_engine.begin() as connection:
            connection.execute(update(job).where(job.c.id == number).values(cancel=True))
        polled[0] += 1

    thread = threading.Thread(target=cancel_once_it_runs)
    thread.start()
    try:
        worker.run(once=True, heartbeat_s=0.05)
    finally:
        thread.join()
    assert polled == [1]
    assert look(log, number)["state"] == "cancelled"
    assert load_partlog(station).samples


def test_a_log_that_is_away_for_a_moment_costs_neither_worker_nor_result(
    log: PartLog, station: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = ask(log)
    monkeypatch.setattr("linegate.training.worker._POLL_S", 0.01)
    fails = {"take": 2, "end": 2}

    def flaky(name: str) -> Callable[..., Any]:
        real = getattr(JobQueue, name)

        def call(*args: Any) -> Any:
            if fails[name]:
                fails[name] -= 1
                raise LogError("part log", expected="an answer", found="a locked database", remedy="Wait.")
            return real(*args)

        return call

    for name in fails:
        monkeypatch.setattr(JobQueue, name, flaky(name))
    worker = Worker(station, (), FitSettings(steps=3, threads=1), Console(quiet=True))
    assert worker.run(heartbeat_s=0.2, stop=lambda: look(log, number)["state"] == "failed") == 1
    assert fails == {"take": 0, "end": 0}
    assert "Label parts" in json.loads(look(log, number)["result"])["text"], "the reason reaches the screen"
