"""`linegate run` from end to end: its summary, Ctrl-C, and photos of all sizes and kinds."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from linegate.inspect.commands.run import _run
from linegate.inspect.partlog.images import ImageStore
from linegate.inspect.settings_file import load_station
from linegate.inspect.virtual.ledger import read_ledger

from .command import begin, run, write_station
from .plates import save_blob_bundle, save_plate, save_plates

KEYS = {
    "triggers",
    "frames",
    "rows",
    "passed",
    "rejected",
    "not_inspected",
    "plc_triggered",
    "plc_passed",
    "plc_rejected",
    "deadline_misses",
    "escapes",
    "overkill",
    "defective",
    "good",
    "latency_ms",
    "parts_per_s",
    "bundle",
}


def query(data: Path, statement: str) -> list[tuple]:
    with contextlib.closing(sqlite3.connect(data / "linegate.db")) as connection:
        return connection.execute(statement).fetchall()


def count_rows(data: Path) -> int:
    return int(query(data, "SELECT count(*) FROM part")[0][0])


def test_photos_of_all_sizes_and_kinds_reconcile(tmp_path: Path, blobs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")  # each process says on stderr what it imports
    photos = save_plates(tmp_path / "photos", count=6)
    for number, (width_px, height_px, colour, suffix) in enumerate(
        [(640, 480, False, "png"), (100, 300, False, "bmp"), (333, 217, True, "png"), (512, 512, True, "bmp")], 6
    ):
        save_plate(photos, number, suffix, width_px=width_px, height_px=height_px, colour=colour)
    (photos / "split.csv").write_text("file,split\nplate_000.png,train\n")
    station = write_station(tmp_path, blobs, photos)
    code, out, err = run(station, "--parts", "40", "--seed", "5", "--json")
    assert code == 0, err
    said = json.loads(out)
    assert said["photos"] | {"folder": ""} == {
        "folder": "", "total": 10, "shown": 9, "source": "split.csv", "trained": 1, "tuned": 0,
    }  # fmt: skip
    assert "9 of 10 photos: 1 on the training side" in err
    ledger = read_ledger(tmp_path / "data" / "plant" / "ledger.jsonl")
    assert "plate_000.png" not in {row["source"] for row in ledger}
    assert set(said) >= KEYS
    assert set(said["latency_ms"]) >= {"p50", "p99", "p99_9", "max"}
    assert said["triggers"] == said["rows"] == said["plc_triggered"] == 40
    assert said["reconciled"] and said["frames"] + said["frames_lost"] <= 40, (
        "a part that came too soon gets no picture"
    )
    assert said["plc_passed"] + said["plc_rejected"] == 40
    assert said["passed"] + said["rejected"] == 40
    assert said["defective"] + said["good"] == 40
    assert said["defective"] > 5
    assert said["escapes"] == said["uninspected_passed"] == 0
    assert said["overkill"] <= said["not_inspected"], "only a busy machine costs good parts"
    assert count_rows(tmp_path / "data") == 40
    names = [line.rpartition("|")[2].strip() for line in err.splitlines() if line.startswith("import time:")]
    imported = {name.partition(".")[0] for name in names}
    assert "openvino" in imported and not imported & {"torch", "gradio"}
    at_gate = dict(query(tmp_path / "data", "SELECT gate, count(*) FROM part GROUP BY gate"))
    assert set(at_gate) <= {"passed", "rejected", "unknown"}, "what became of each part is in its row"
    assert at_gate.get("passed", 0) <= said["plc_passed"] <= at_gate.get("passed", 0) + at_gate.get("unknown", 0)
    assert at_gate.get("rejected", 0) <= said["plc_rejected"]
    assert at_gate.get("passed", 0) > 0
    key = f"{query(tmp_path / 'data', 'SELECT epoch FROM part LIMIT 1')[0][0]:04x}-1"
    shown = subprocess.run(
        [sys.executable, "-m", "linegate.inspect.cli", "log", "show", key, "--data", str(tmp_path / "data")],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert re.search(r"at the gate\W+(passed|rejected|unknown)", shown.stdout), shown


def test_ctrl_c_ends_cleanly_with_everything_saved(tmp_path: Path, plates: Path) -> None:
    ungated = save_blob_bundle(tmp_path / "ungated", released=False)
    station = write_station(tmp_path, ungated.folder, plates)
    with begin(station, "--json") as process:
        try:
            deadline = time.monotonic() + 60
            ledger = tmp_path / "data" / "plant" / "ledger.jsonl"
            while not ledger.exists() or ledger.read_text().count("\n") < 8:
                assert time.monotonic() < deadline
                assert process.poll() is None, process.communicate()
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, err
    said = json.loads(out)
    assert said["rows"] == said["triggers"] == said["plc_triggered"] == count_rows(tmp_path / "data") >= 8
    assert said["plc_passed"] + said["plc_rejected"] == said["triggers"]
    assert "Everything adds up" in err
    assert "blobs 1.0" in err and "without having passed the release gate: no certificate" in err
    assert "Traceback" not in err


def test_ctrl_c_is_heard_while_the_first_parts_are_drawn(tmp_path: Path, blobs: Path) -> None:
    """As a terminal sends it: to the command and to every process it has started, some of which are still loading."""
    station = write_station(tmp_path, blobs, tmp_path, ('photos = "' + str(tmp_path) + '"\n', ""))
    folders = (Path("/dev/shm"), tmp_path / "data" / "plant")
    for wait_for_pictures in (False, True):
        with begin(station, "--pool", "2000", start_new_session=True) as process:
            try:
                deadline = time.monotonic() + 60
                scratch: list[Path] = []
                while not scratch or (wait_for_pictures and not list((scratch[0] / "pictures").iterdir())):
                    assert time.monotonic() < deadline
                    scratch = [path for folder in folders for path in folder.glob(f"linegate-plant-{process.pid}-*")]
                    time.sleep(0.01)
                os.killpg(process.pid, signal.SIGINT)
                out, err = process.communicate(timeout=60)
            finally:
                process.kill()
        assert process.returncode == 130, err
        assert "no part had come yet" in out
        assert "Traceback" not in err
        assert not scratch[0].exists()


def test_what_could_not_be_saved_at_the_end_is_told_with_the_summary(
    tmp_path: Path, blobs: Path, plates: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures that a slow disk does not take in time must not cost the run its summary, its JSON and its exit code."""
    monkeypatch.setattr(ImageStore.close, "__defaults__", (0.0,))  # no time at all to write what waits
    station = write_station(tmp_path, blobs, plates)
    code = _run(load_station(station), station, 4, None, Console(stderr=True, width=1000), True)
    out, err = capsys.readouterr()
    said = json.loads(out)
    assert code == 1
    assert said["triggers"] == said["rows"] == 4
    assert "pictures in" in said["unsaved"] and "Not saved" in err
