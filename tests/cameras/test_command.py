"""`linegate cameras`, as a person runs it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from linegate.cameras import vendor
from linegate.cameras.camera import Camera
from linegate.cameras.errors import CameraError
from linegate.cameras.factory import list_cameras, open_camera
from linegate.cameras.settings import GentlSettings, PylonSettings, ReplaySettings

ROOT = Path(__file__).resolve().parents[2]


def linegate(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".src")}
    environment.pop("PYLON_CAMEMU", None)
    return subprocess.run(
        [sys.executable, "-m", "linegate.inspect.cli", "cameras", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("module", "error", "said"),
    [
        ("pypylon.pylon", ModuleNotFoundError("No module named 'pypylon'", name="pypylon"), "pip install pypylon"),
        ("harvesters.core", ModuleNotFoundError("No module named 'genicam'", name="genicam"), "pip install genicam"),
        ("pypylon.pylon", ImportError("libGL.so.1: cannot open shared object file", name="pypylon"), "libGL.so.1"),
    ],
)
def test_a_driver_that_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, module: str, error: ImportError, said: str
) -> None:
    def fail(_name: str) -> None:
        raise error

    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setattr(vendor, "import_module", fail)
    with pytest.raises(CameraError, match=re.escape(said)):
        vendor.sdk(module)


def test_lists_emulated_cameras_only_when_asked() -> None:
    plain, asked = linegate("--json"), linegate("--json", "--emulated")
    assert plain.returncode == asked.returncode == 0, plain.stderr + asked.stderr
    assert "0815-0000" not in plain.stdout
    serials = [row["id"] for row in json.loads(asked.stdout)]
    assert "0815-0000" in serials
    assert len(serials) == len(set(serials))


def test_saves_a_picture_of_a_producers_camera(viky: Path, tmp_path: Path) -> None:
    done = linegate("--producer", str(viky), "--serial", "VikyTL_DEV_blue", "--save", str(tmp_path / "out"), "--json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert (row["driver"], row["model"]) == ("gentl", "Viky")
    image = cv2.imread(row["image"])
    assert image.shape == (row["height_px"], row["width_px"], 3)


def test_saves_what_the_emulated_camera_sees(stage: Any, tmp_path: Path, make_picture: Any) -> None:
    stage.show(make_picture(5))
    done = linegate("--photos", str(stage.folder), "--serial", "0815-0001", "--save", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "0815-0001" in done.stdout
    saved = cv2.imread(str(tmp_path / "pylon-0815-0001.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(saved, make_picture(5))


def test_a_missing_camera_and_a_wrong_producer_are_one_message(tmp_path: Path) -> None:
    for arguments, word in (
        (["--serial", "40012345"], "40012345"),
        (["--producer", str(tmp_path / "vendor.cti")], "vendor.cti"),
    ):
        done = linegate(*arguments)
        assert done.returncode == 2
        assert word in done.stderr
        assert "Traceback" not in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


def test_the_factory_knows_every_driver(viky: Path, tmp_path: Path) -> None:
    every = (
        PylonSettings(driver="pylon", name="a"),
        GentlSettings(driver="gentl", name="b", producer=viky),
        ReplaySettings(driver="replay", name="c", folder=tmp_path),
    )
    for settings in every:
        camera = open_camera(settings)
        assert isinstance(camera, Camera)
        assert camera.name == settings.name


def test_listing_opens_nothing_and_can_be_repeated(viky: Path) -> None:
    first, second = list_cameras(producer=viky), list_cameras(producer=viky)
    assert first == second
    assert [c.id for c in first if c.driver == "gentl"] == ["VikyTL_DEV_red", "VikyTL_DEV_green", "VikyTL_DEV_blue"]
