"""`linegate check`: every fault is found, named, and comes with what to do."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import sys
import warnings
from contextlib import closing
from datetime import UTC, datetime

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from linegate.cameras.calibration import Calibration
from linegate.cameras.settings import PylonSettings, ReplaySettings
from linegate.inspect import checks
from linegate.inspect.checks_camera import check_camera, check_pulse
from linegate.inspect.cli import app
from linegate.inspect.settings import (
    LogSettings,
    PulseSettings,
    RecipeSettings,
    ScreenSettings,
    StationSettings,
    VirtualSettings,
)
from linegate.models.bundle import load_bundle
from linegate.models.certificate import certify

from ..models.tiny import bundle, certified, findings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # SWIG's own deprecation, turned into an error, ends the interpreter
    from pypylon import pylon  # noqa: F401


@pytest.fixture
def station(tmp_path):
    folder = bundle(tmp_path / "tiny").folder
    text = f"""
[station]
data = "data"
[[cameras]]
driver = "pylon"
emulate = "stage"
exposure_us = 100
[[recipes]]
id = 1
name = "A"
bundle = "{folder.name}"
[plc]
port = 0
[screens]
port = 0
[virtual]
"""
    path = tmp_path / "station.toml"
    path.write_text(text)
    return path


def check(path):
    result = CliRunner().invoke(app, ["check", str(path), "--json"])
    told = json.loads(result.stdout)
    assert told["ok"] is (result.exit_code == 0)
    assert result.exit_code in (0, 1), result.output
    return {finding["about"]: finding for finding in told["findings"]}


def test_all_is_well_and_nothing_is_left_behind(station):
    before = sorted(station.parent.rglob("*"))
    found = check(station)
    assert [f["about"] for f in found.values() if not f["ok"]] == []
    assert list(found) == [
        "settings", "clock", "priority", "disk", "fsync", "log", "screens", "virtual PLC", "virtual line", "camera top",
        "recipe 1",
    ]  # fmt: skip
    assert found["priority"]["found"].startswith("real-time") is (found["priority"]["remedy"] == "")
    assert "512 × 512" in found["camera top"]["found"]
    assert "tiny 1.0" in found["recipe 1"]["found"]
    assert "has not passed the release gate: no certificate" in found["recipe 1"]["found"]
    assert "linegate release" in found["recipe 1"]["remedy"]
    assert "will be created" in found["log"]["found"]
    assert sorted(station.parent.rglob("*")) == before


def test_a_released_bundle_needs_no_words(station):
    released = certified(station.parent / "released", load_bundle(station.parent / "tiny"))
    station.write_text(station.read_text().replace('bundle = "tiny"', f'bundle = "{released.folder.name}"'))
    found = check(station)["recipe 1"]
    assert "release gate" not in found["found"]
    assert found["remedy"] == ""


def test_a_build_that_the_release_gate_has_not_tried_does_not_judge(station):
    draft = load_bundle(station.parent / "tiny")
    other = findings(
        draft, parity=[{"build": "openvino CPU fp8, 1 thread", "reference": "openvino accuracy", "within": True}]
    )
    released = certify(draft, other, "Ada", "tried elsewhere", station.parent / "released")
    station.write_text(station.read_text().replace('bundle = "tiny"', f'bundle = "{released.folder.name}"'))
    found = check(station)["recipe 1"]
    assert found["ok"]
    assert "on openvino CPU accuracy, 1 thread" in found["found"]
    assert "the release gate has not tried openvino CPU" in found["found"]
    assert "linegate release" in found["remedy"]


def test_lines_for_people(station):
    result = CliRunner().invoke(app, ["check", str(station)])
    assert result.exit_code == 0
    assert result.stdout.count("✓ ") == 11


def test_a_wrong_file_is_the_one_finding(station):
    station.write_text(station.read_text().replace("exposure_us", "exposure_ms"))
    found = check(station)
    assert list(found) == ["settings"]
    assert "line 7" in found["settings"]["found"]
    assert "exposure_us (microseconds)" in found["settings"]["found"]


def test_each_broken_thing_is_found_and_the_others_still_tried(station, tmp_path):
    (tmp_path / "tiny" / "model.onnx").write_bytes(b"changed")
    data = tmp_path / "data"
    data.mkdir()
    (data / "linegate.db").write_bytes(b"this is no database at all, " * 40)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        station.write_text(
            station.read_text().replace("[screens]\nport = 0", f"[screens]\nport = {port}")
            + '[[cameras]]\ndriver = "pylon"\nname = "gone"\nserial = "12345678"\n'
        )
        found = check(station)
    broken = {about for about, finding in found.items() if not finding["ok"]}
    assert broken == {"recipe 1", "log", "screens", "camera gone"}
    assert "sha256" in found["recipe 1"]["found"]
    assert "12345678" in found["camera gone"]["found"]
    assert str(port) in found["screens"]["remedy"]
    assert all(found[about]["remedy"] for about in broken)
    assert found["camera top"]["ok"]


def test_a_locked_log_is_told(station, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    with closing(sqlite3.connect(data / "linegate.db", isolation_level=None)) as other:
        other.execute("CREATE TABLE t (x)")
        other.execute("BEGIN EXCLUSIVE")
        found = check(station)["log"]
    assert not found["ok"]
    assert "Another process holds the database" in found["remedy"]


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full and read-only folders of Linux")
def test_a_folder_that_cant_be_written(tmp_path):
    made = StationSettings(
        data=tmp_path / "file" / "data", cameras=(ReplaySettings(driver="replay", folder=tmp_path),), recipes=(RECIPE,)
    )
    (tmp_path / "file").write_text("a file where a folder should be")
    assert checks.existing(made.data) == tmp_path
    if os.geteuid() == 0:
        proc = made.model_copy(update={"data": checks.Path("/proc/1")})
        assert not checks.check_fsync(proc).ok
        assert "writeable" in checks.check_fsync(proc).remedy


RECIPE = RecipeSettings(id=1, name="A")


def settings(tmp_path, **more):
    return StationSettings(
        data=tmp_path, cameras=(ReplaySettings(driver="replay", folder=tmp_path),), recipes=(RECIPE,), **more
    )


def test_disk_below_the_limit(tmp_path):
    full = checks.check_disk(settings(tmp_path, log=LogSettings(min_free_mb=1e12)))
    assert not full.ok
    assert "nothing passes" in full.remedy
    assert checks.check_disk(settings(tmp_path)).ok


def test_a_clock_without_battery(monkeypatch):
    class Wrong(datetime):
        @classmethod
        def now(cls, tz=None):  # noqa: ARG003
            return datetime(2000, 1, 1, tzinfo=UTC)

    monkeypatch.setattr(checks, "datetime", Wrong)
    assert not checks.check_clock().ok


def test_a_rule_for_a_class_the_bundle_lacks(station):
    station.write_text(station.read_text().replace("[plc]", '[[recipes.rules]]\ndefect_class = "scratch"\n[plc]'))
    found = check(station)["recipe 1"]
    assert not found["ok"]
    assert "scratch" in found["found"]
    assert "dark, bright" in found["found"]


def test_a_missing_engine_is_told(station):
    station.write_text(station.read_text() + '[runtime]\nengine = "tensorrt"\n')
    found = check(station)["recipe 1"]
    # On a machine with TensorRT and a GPU this passes, and then it has compared with the reference.
    assert found["ok"] is ("from the reference" in found["found"])
    assert found["ok"] or found["remedy"]


def test_too_slow_for_the_deadline(station):
    station.write_text(station.read_text() + "[timing]\ndeadline_ms = 20.001\nlog_reserve_ms = 20.0\n")
    found = check(station)["recipe 1"]
    assert not found["ok"]
    assert "leaves 0.001" in found["found"]


def test_a_camera_that_delivers_what_no_recipe_takes(station, tmp_path):
    text = station.read_text()
    station.write_text(text.replace("exposure_us = 100", 'pixel_format = "RGB8"'))
    found = check(station)["recipe 1"]
    assert not found["ok"]
    assert "camera top delivers colour (RGB8" in found["found"]
    assert "grey is asked for by its bundle tiny" in found["found"]
    assert "pixel_format" in found["remedy"]
    station.write_text(text.replace('name = "A"', 'name = "A"\nchannels = 3'))
    assert "colour is asked for by the recipe" in check(station)["recipe 1"]["found"]


def test_a_real_cameras_size_is_held_against_the_recipe(tmp_path):
    made = bundle(tmp_path / "tiny")
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((48, 64), np.uint8))
    recipe = RecipeSettings(id=1, name="A", bundle=str(made.folder), size_px=(64, 50))
    real = StationSettings(
        data=tmp_path / "data", cameras=(ReplaySettings(driver="replay", folder=tmp_path),), recipes=(recipe,)
    )
    found = {one.about: one.run() for one in checks.station_checks(real, tmp_path) if one.about[:3] in ("cam", "rec")}
    assert found["camera top"].ok
    assert "camera top delivers 64 × 48 px, size_px asks for 64 × 50" in found["recipe 1"].found


def test_a_cameras_calibration_is_of_its_own_pictures(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((48, 64), np.uint8))
    matrix = ((100.0, 0.0, 32.0), (0.0, 100.0, 24.0), (0.0, 0.0, 1.0))
    for width, right in ((64, True), (65, False)):
        path = tmp_path / "top.json"
        Calibration(width, 48, 0.125, 0.0, 0.0, matrix, (0.0,) * 5).save(path)
        found = check_camera(ReplaySettings(driver="replay", folder=tmp_path, calibration=path), virtual=False)
        assert found.ok is right
        assert ("0.1250 mm a pixel by top.json" if right else "65 x 48 px, found 64 x 48 px") in found.found
    gone = ReplaySettings(driver="replay", folder=tmp_path, calibration=tmp_path / "gone.json")
    assert "gone.json" in check_camera(gone, virtual=False).found


def test_the_shadows_bundle_is_tried_too(station, tmp_path):
    text = station.read_text()
    station.write_text(text + '[shadow]\nbundle = "tiny"\n')
    assert "tiny 1.0" in check(station)["shadow"]["found"]
    station.write_text(text + '[shadow]\nbundle = "nobody"\n')
    found = check(station)["shadow"]
    assert not found["ok"] and "nobody" in found["found"]


def test_a_pulse_that_can_not_be(station):
    text = station.read_text()
    station.write_text(text + '[pulse]\ncamera = "top"\n')
    found = check(station)["pulse Line2"]
    assert not found["ok"] and "emulated camera top has no timer output" in found["found"]


def test_a_pulse_on_a_real_line_is_not_tried(tmp_path):
    def pulse(camera, **more):
        return check_pulse(
            StationSettings(cameras=(camera,), recipes=(RECIPE,), pulse=PulseSettings(camera="top", **more))
        )

    real = PylonSettings(driver="pylon", serial="123")
    assert "not tried, it would open the gate" in pulse(real).found
    assert not pulse(ReplaySettings(driver="replay", folder=tmp_path)).ok
    long = pulse(real, pulse_ms=60)
    assert not long.ok and "still lasts when the next part may come" in long.found


@pytest.fixture
def photo_station(station, tmp_path):
    """The same with two photos, one of them with a mask."""
    for name in ("images", "masks"):
        (tmp_path / "photos" / name).mkdir(parents=True)
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / "photos" / "images" / name), np.zeros((48, 64), np.uint8))
    cv2.imwrite(str(tmp_path / "photos" / "masks" / "a.png"), np.ones((48, 64), np.uint8))
    station.write_text(station.read_text().replace("[virtual]", '[virtual]\nphotos = "photos"'))
    return station


def test_photos_are_looked_at(photo_station, tmp_path):
    found = check(photo_station)["photos"]
    assert found["ok"] and "2 photos; whether the bundle was trained on them is not known" in found["found"]
    photo_station.write_text(photo_station.read_text().replace('name = "A"', 'name = "A"\nsize_px = [64, 50]'))
    found = check(photo_station)["photos"]
    assert "a.png has 64 × 48 px, the recipe asks for 64 × 50" in found["found"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("images/b.png", b"nothing", "b.png can't be read"),
        ("masks/b.png", b"nothing", "mask b.png can't be read"),
        ("masks/b.png", cv2.imencode(".png", np.ones((4, 4), np.uint8))[1].tobytes(), "mask b.png has 4 × 4 px"),
        ("split.csv", b"file,split\na.png,train\nb.png,train\n", "all of them on the training side"),
    ],
)
def test_photos_that_can_not_be_shown(photo_station, tmp_path, name, content, said):
    (tmp_path / "photos" / name).write_bytes(content)
    found = check(photo_station)["photos"]
    assert not found["ok"] and said in found["found"]


def test_more_parts_on_the_belt_than_the_plc_has_slots(station):
    station.write_text(station.read_text() + "rate_parts_per_s = 16\ncamera_to_gate_ms = 1000\n")
    found = check(station)["virtual line"]
    assert not found["ok"] and "at most 14 parts" in found["found"]


def test_an_empty_folder_is_no_camera(tmp_path):
    found = check_camera(ReplaySettings(driver="replay", folder=tmp_path / "nothing"), virtual=False)
    assert not found.ok
    assert found.remedy


def test_screens_off_means_no_port_is_needed(tmp_path):
    made = settings(tmp_path, screens=ScreenSettings(enabled=False), virtual=VirtualSettings())
    assert "screens" not in [one.about for one in checks.station_checks(made, tmp_path)]
