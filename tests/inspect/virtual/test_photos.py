"""Photos instead of panels: all sizes, grey and colour, with the truth of their masks."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from linegate.cameras.errors import SettingsError
from linegate.inspect.cli import app
from linegate.inspect.settings import VirtualSettings
from linegate.inspect.virtual.ledger import read_ledger
from linegate.inspect.virtual.pictures import find_photos
from linegate.inspect.virtual.plant import VirtualPlant


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    (folder / "classes.txt").write_text("0 background\n1 blowhole\n2 break\n")
    noise = np.random.default_rng(0)
    for name, shape in (
        ("grey.jpg", (80, 121)),
        ("colour.jpg", (64, 200, 3)),
        ("grey.png", (33, 47)),
        ("free.png", (50, 50)),
    ):
        cv2.imwrite(str(folder / "images" / name), noise.integers(0, 255, shape, np.uint8))
    mask = np.zeros((80, 121), np.uint8)
    mask[3:5, 4:9] = 2
    cv2.imwrite(str(folder / "masks" / "colour.png"), np.zeros((64, 200), np.uint8))
    cv2.imwrite(str(folder / "masks" / "grey.png"), mask)
    return folder


def test_every_photo_comes_under_the_camera_with_its_truth(photos: Path, tmp_path: Path) -> None:
    (photos / "split.csv").write_text("file,group\ngrey.jpg,t1\ncolour.jpg,t2\ngrey.png,t1\nfree.png,t3\n")
    settings = VirtualSettings(rate_parts_per_s=20, camera_to_gate_ms=60, photos=photos, seed=3)
    shapes = set()
    with VirtualPlant.start(settings, tmp_path / "plant", parts=8, views=("top", "side")) as plant:
        plant.run_belt()
        deadline = time.monotonic() + 30
        while not plant.finished:
            assert time.monotonic() < deadline
            for view in ("top", "side"):
                image = cv2.imread(str(plant.stage(view) / "a.bmp"), cv2.IMREAD_UNCHANGED)
                shapes.add(image.shape)
        rows = read_ledger(plant.ledger)
    assert shapes == {(80, 121), (64, 200, 3), (33, 47), (50, 50)}
    assert len(rows) == 8
    assert {row["source"] for row in rows[:4]} == {row["source"] for row in rows[4:]}
    by_name = {row["source"]: row for row in rows}
    assert by_name["grey.jpg"]["classes"] == ["break"]
    assert by_name["grey.jpg"]["defect_px"] == 10
    assert by_name["grey.jpg"]["lot"] == "t1"
    assert by_name["colour.jpg"]["good"]
    assert by_name["free.png"]["good"]


def test_a_plain_folder_needs_no_table(photos: Path) -> None:
    found, names = find_photos(photos)
    assert [photo.image.name for photo in found] == ["colour.jpg", "free.png", "grey.jpg", "grey.png"]
    assert found[1].mask is None
    assert names == {0: "background", 1: "blowhole", 2: "break"}
    assert {photo.lot for photo in found} == {"set"}


@pytest.mark.parametrize("name", ["classes.txt", "split.csv"])
def test_a_list_that_is_no_text_is_named(photos: Path, name: str) -> None:
    (photos / name).write_bytes("file,group\n1 Gehäuse,x\n".encode("cp1252"))
    with pytest.raises(SettingsError, match=rf"{name}.*UTF-8.*byte 16"):
        find_photos(photos)


def test_a_table_that_is_none_is_named(photos: Path) -> None:
    (photos / "split.csv").write_text('file,group\n"' + "x" * 200_000)
    with pytest.raises(SettingsError, match=r"split\.csv.*CSV"):
        find_photos(photos)


def test_tables_as_spreadsheets_write_them(photos: Path) -> None:
    (photos / "split.csv").write_bytes(b"\xef\xbb\xbffile,group\r\ngrey.jpg,t1\r\n,\r\ngrey.png\r\n")
    found, _ = find_photos(photos)
    assert {photo.image.name: photo.lot for photo in found} == {
        "colour.jpg": "set", "free.png": "set", "grey.jpg": "t1", "grey.png": "",
    }  # fmt: skip


def test_plant_serve_runs_alone_and_tells_the_truth(tmp_path: Path) -> None:
    options = ["--folder", str(tmp_path), "--port", "0", "--rate", "30", "--parts", "12", "--pool", "2"]
    result = CliRunner().invoke(app, ["plant", "serve", *options])
    assert result.exit_code == 0, result.output
    assert "triggered 12  passed 0  rejected 12" in result.output
    assert "Modbus TCP on 127.0.0.1:" in result.output
    assert len(read_ledger(tmp_path / "ledger.jsonl")) == 12


def test_plant_draw_writes_a_dataset(tmp_path: Path) -> None:
    out = tmp_path / "set"
    result = CliRunner().invoke(app, ["plant", "draw", "--parts", "3", "--seed", "5", "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert len(list((out / "images").iterdir())) == 3
