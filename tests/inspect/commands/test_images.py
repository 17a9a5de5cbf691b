from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from linegate.cameras.errors import LinegateError, SettingsError
from linegate.inspect.batch import find_images, read_verdicts
from linegate.inspect.cli import app
from linegate.models.certificate import certify

from ...models.tiny import bundle as make
from ...models.tiny import findings

ROOT = Path(__file__).resolve().parents[3]
SPEC = {"width_px": 64, "height_px": 64, "channels": 1, "stride_px": 2, "pixel_mm": 0.5, "fit": "pad"}


def draw(path: Path, height: int, width: int, bad: bool, colour: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((height, width), 128, np.uint8)
    if bad:
        image[height // 2 : height // 2 + height // 5, width // 4 : width // 4 + width // 5] = 255
    cv2.imwrite(str(path), np.dstack([image] * 3) if colour else image)


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["inspect", *[str(a) for a in arguments]])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stderr


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """images/ of many sizes and kinds, masks/ that must not be taken for images, one broken file."""
    root = tmp_path / "set"
    draw(root / "images" / "good.png", 103, 222, bad=False)
    draw(root / "images" / "bad.bmp", 632, 403, bad=True)
    draw(root / "images" / "colour.jpg", 460, 1130, bad=True, colour=True)
    draw(root / "masks" / "good.png", 103, 222, bad=False)
    (root / "images" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    return root


@pytest.mark.parametrize("fit", ["resize", "pad", "tile"])
def test_a_data_set(tmp_path: Path, dataset: Path, fit: str) -> None:
    bundle = make(tmp_path / "b", input={**SPEC, "fit": fit})
    out = tmp_path / "out"
    code, words = run(dataset, "--bundle", bundle.folder, "--out", out, "--overlay")
    assert code == 0
    assert "4 images: 1 OK, 2 NG, 1 NOT_INSPECTED" in words
    rows = {row["file"]: row for row in read_verdicts(out)}
    assert list(rows) == ["bad.bmp", "broken.png", "colour.jpg", "good.png"]
    for name, size in {"good.png": (103, 222), "bad.bmp": (632, 403), "colour.jpg": (460, 1130)}.items():
        row = rows[name]
        mask = cv2.imread(str(out / row["mask"]), cv2.IMREAD_UNCHANGED)
        assert row["mask"] == f"masks/{Path(name).stem}.png"
        assert mask.shape == size
        assert mask.dtype == np.uint8
        assert set(np.unique(mask)) == ({0} if name == "good.png" else {0, 2})
        assert 0 <= row["score"] <= 1
        assert row["bundle"] == bundle.sha256
        assert row["verdict"] == ("OK" if name == "good.png" else "NG")
        assert (out / "overlays" / f"{Path(name).stem}.jpg").exists()
    (region,) = rows["bad.bmp"]["regions"]
    assert set(region) == {"class", "score", "area_mm2", "length_mm", "x_mm", "y_mm", "box_px"}
    assert region["area_mm2"] == pytest.approx(126 * 80 * 0.25, rel=0.2)
    assert rows["bad.bmp"]["score"] > rows["good.png"]["score"]
    assert (rows["broken.png"]["verdict"], rows["broken.png"]["score"]) == ("NOT_INSPECTED", 1.0)
    assert "broken.png" in rows["broken.png"]["error"]


def test_same_stems_do_not_overwrite_each_other(tmp_path: Path) -> None:
    draw(tmp_path / "in" / "a.png", 64, 64, bad=False)
    draw(tmp_path / "in" / "a.bmp", 64, 70, bad=True)
    draw(tmp_path / "in" / "a~2.png", 64, 80, bad=True)
    draw(tmp_path / "in" / "sub" / "A.png", 64, 90, bad=True)
    bundle = make(tmp_path / "b", input=SPEC)
    code, _ = run(tmp_path / "in", "--bundle", bundle.folder, "--out", tmp_path / "out")
    assert code == 0
    widths = {}
    for row in read_verdicts(tmp_path / "out"):
        mask = cv2.imread(str(tmp_path / "out" / row["mask"]), cv2.IMREAD_UNCHANGED)
        widths[row["file"]] = mask.shape[1]
        assert mask.shape[1] == row["width_px"]
    assert widths == {"a.bmp": 70, "a.png": 64, "a~2.png": 80, "sub/A.png": 90}
    assert len(list((tmp_path / "out" / "masks").iterdir())) == 4


def test_output_inside_the_folder_is_not_inspected_again(tmp_path: Path) -> None:
    draw(tmp_path / "in" / "a.png", 64, 64, bad=True)
    bundle = make(tmp_path / "b", input=SPEC)
    for _ in range(2):
        run(tmp_path / "in", "--bundle", bundle.folder, "--out", tmp_path / "in" / "out")
        assert [row["file"] for row in read_verdicts(tmp_path / "in" / "out")] == ["a.png"]


def test_files_given_one_by_one_and_millimetres(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", 64, 64, bad=True)
    draw(tmp_path / "b.png", 64, 64, bad=True)
    bundle = make(tmp_path / "bundle", input=SPEC)
    out = tmp_path / "out"
    run(tmp_path / "b.png", tmp_path / "a.png", "--bundle", bundle.folder, "--out", out, "--pixel-mm", "2")
    rows = list(read_verdicts(out))
    assert [row["file"] for row in rows] == ["b.png", "a.png"]
    assert rows[0]["regions"][0]["area_mm2"] == pytest.approx(12 * 12 * 4, rel=0.3)


def test_nothing_readable_is_exit_2_with_the_lines_kept(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"x")
    bundle = make(tmp_path / "b", input=SPEC)
    with pytest.raises(SettingsError, match="none of 1"):
        run(tmp_path / "in", "--bundle", bundle.folder, "--out", tmp_path / "out")
    assert [row["verdict"] for row in read_verdicts(tmp_path / "out")] == ["NOT_INSPECTED"]


def test_a_released_bundle_judges_as_on_the_line_unless_a_precision_is_named(tmp_path: Path) -> None:
    """Its gate has tried no build of this machine."""
    one = make(tmp_path / "b", input=SPEC)
    bundle = certify(one, findings(one, parity=[]), "Ada", "it was content", tmp_path / "released")
    draw(tmp_path / "a.png", 64, 64, bad=True)
    command = (tmp_path / "a.png", "--bundle", bundle.folder, "--out", tmp_path / "out", "--threads", 1)
    words = run(*command)[1]
    assert "on openvino CPU accuracy, 1 thread; the release gate has not tried openvino CPU" in words
    assert "on openvino CPU fp32, 1 thread\n" in run(*command, "--precision", "fp32")[1]


def test_bad_arguments_are_named(tmp_path: Path) -> None:
    bundle = make(tmp_path / "b", input=SPEC)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingsError, match="found none"):
        run(tmp_path / "empty", "--bundle", bundle.folder, "--out", tmp_path / "out")
    with pytest.raises(SettingsError, match="found nothing"):
        find_images([tmp_path / "nowhere"])
    draw(tmp_path / "a.png", 64, 64, bad=True)
    with pytest.raises(SettingsError, match="--precision"):
        run(tmp_path / "a.png", "--bundle", bundle.folder, "--out", tmp_path / "out", "--precision", "int3")
    (tmp_path / "file").write_text("x")
    with pytest.raises(LinegateError, match="output folder"):
        run(tmp_path / "a.png", "--bundle", bundle.folder, "--out", tmp_path / "file")


def test_ctrl_c_keeps_what_is_written(tmp_path: Path) -> None:
    for index in range(300):
        draw(tmp_path / "in" / f"{index:03}.png", 500, 500, bad=True)
    bundle = make(tmp_path / "b", input=SPEC)
    out = tmp_path / "out"
    env = {**os.environ, "PYTHONPATH": str(ROOT / ".src")}
    command = [sys.executable, "-m", "linegate.inspect.cli", "inspect", str(tmp_path / "in")]
    with subprocess.Popen(
        [*command, "--bundle", str(bundle.folder), "--out", str(out)], stderr=subprocess.PIPE, text=True, env=env
    ) as process:
        deadline = time.monotonic() + 60
        verdicts = out / "verdicts.jsonl"
        while not (verdicts.exists() and verdicts.stat().st_size > 2000):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        _, words = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "stopped after" in words
    assert "Traceback" not in words
    rows = [json.loads(line) for line in verdicts.read_text().splitlines()]
    assert 0 < len(rows) < 300
    for row in rows:
        assert cv2.imread(str(out / row["mask"]), cv2.IMREAD_UNCHANGED).shape == (500, 500)
    assert not list((out / "masks").glob(".*"))
