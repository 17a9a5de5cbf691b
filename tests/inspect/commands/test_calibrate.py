"""`linegate calibrate`, and what the line then says in millimetres."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from linegate.cameras.calibration import Calibration
from linegate.cameras.errors import CameraError, LinegateError
from linegate.inspect.cli import app
from linegate.inspect.judge import Judge
from linegate.inspect.lens import Lens
from linegate.inspect.recipes import Thresholds
from linegate.inspect.runtime.engines import open_session
from linegate.inspect.settings import RecipeSettings, RuntimeSettings
from linegate.models.preprocess import Grid

from ...cameras.test_calibration import DISTANCE_MM, MATRIX, SIZE, render
from ...models.tiny import bundle as make_bundle

POSES = [(0, 0, 0, 0), (0.4, 0, 5, -3), (-0.4, 0.1, -6, 4), (0, 0.45, 4, 5), (0.1, -0.45, -5, -5), (-0.3, 0.35, 8, 2)]
TRUE_MM = DISTANCE_MM / MATRIX[0, 0]


@pytest.fixture(scope="module")
def board_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("board")
    for number, (a, b, x, y) in enumerate(POSES):
        cv2.imwrite(str(folder / f"{number}.png"), render(a, b, x, y, DISTANCE_MM + 4 * number))
    return folder


def linegate(*words: str, given: str = "") -> str:
    result = CliRunner().invoke(app, ["calibrate", *words], input=given, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_from_pictures(board_pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "top.json"
    said = linegate(str(board_pictures), "--out", str(out))
    assert "800 × 640 px, 0.118" in said and f'calibration = "{out}"' in said
    assert Calibration.load(out).pixel_mm == pytest.approx(TRUE_MM, rel=0.001)


def test_with_the_stations_own_camera(board_pictures: Path, tmp_path: Path) -> None:
    """A picture without the board is taken again; one camera of two has to be named."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, path in enumerate(sorted(board_pictures.iterdir())):
        (photos / f"{number}.png").write_bytes(path.read_bytes())
    cv2.imwrite(str(photos / "0a.png"), np.zeros((640, 800), np.uint8))
    cameras = "".join(
        f'[[cameras]]\ndriver = "replay"\nname = "{name}"\nfolder = "photos"\n' for name in ("top", "side")
    )
    station = tmp_path / "station.toml"
    station.write_text(cameras + '[[recipes]]\nid = 1\nname = "A"\n')
    options = ["--station", str(station), "--count", "6", "--out", str(tmp_path / "top.json")]
    said = linegate(*options, "--camera", "top", given="\n" * 7)
    assert said.count("corners\n") == 6 and "once more" in said
    assert "flat in the part's plane: Enter" in said
    by_the_clock = linegate(*options, "--camera", "side", "--every-s", "0")
    assert "is written" in by_the_clock
    with pytest.raises(LinegateError, match="one of top, side, found none named"):
        linegate(*options)


def test_what_can_not_be_right_is_not_written(board_pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "top.json"
    tilted = sorted(map(str, board_pictures.iterdir()))
    with pytest.raises(CameraError, match=r"differs by at most 1 %.*found [3-9]\.. % in 1\.png.*Lay the board flat"):
        linegate(tilted[1], *tilted[2:], tilted[0], "--out", str(out))
    with pytest.raises(LinegateError, match="--marker-mm"):
        linegate(*tilted, "--marker-mm", "8", "--out", str(out))
    with pytest.raises(LinegateError, match="--out"):
        linegate(*tilted)
    with pytest.raises(LinegateError, match="Give files or a folder"):
        linegate(str(tmp_path), "--out", str(out))
    with pytest.raises(CameraError, match=r"no/top\.json.*No such file"):
        linegate(*tilted, "--out", str(tmp_path / "no" / "top.json"))
    small = tmp_path / "small.png"
    cv2.imwrite(str(small), np.zeros((8, 8), np.uint8))
    with pytest.raises(CameraError, match=r"one size.*8 x 8 px, 800 x 640 px"):
        linegate(*tilted, str(small), "--out", str(out))
    assert not out.exists()


def test_the_virtual_line_has_no_board(tmp_path: Path) -> None:
    station = Path(__file__).resolve().parents[3] / "station.toml"
    with pytest.raises(LinegateError, match="looks at the virtual line"):
        linegate("--station", str(station), "--out", str(tmp_path / "top.json"))


def test_the_board_is_drawn_in_its_true_size(tmp_path: Path) -> None:
    path = tmp_path / "board.png"
    linegate("--draw-board", str(path), "--square-mm", "10", "--marker-mm", "7.5")
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert image.shape == (round(70 * 600 / 25.4), round(90 * 600 / 25.4))
    with pytest.raises(CameraError, match="fewer squares"):
        linegate("--draw-board", str(path), "--columns", "40", "--rows", "40")


# -- on the line


@pytest.fixture(scope="module")
def calibration(board_pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Calibration:
    out = tmp_path_factory.mktemp("calibration") / "top.json"
    linegate(str(board_pictures), "--out", str(out))
    return Calibration.load(out)


def discs(calibration: Calibration, radius_mm: float, *centres_mm: tuple[float, float]) -> np.ndarray:
    """What the camera sees of dark discs in the part's plane; places from the straightened picture's top left corner."""
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]].astype(np.float32)
    places = np.stack([columns + 0.5, rows + 0.5], -1).reshape(-1, 2)
    places_mm = Lens(calibration).straight(places) * calibration.pixel_mm
    image = np.full(SIZE[1] * SIZE[0], 128, np.uint8)
    for centre in centres_mm:
        image[np.linalg.norm(places_mm - np.array(centre, np.float32), axis=1) < radius_mm] = 0
    return image.reshape(SIZE[1], SIZE[0])


def test_regions_are_measured_through_the_lens(calibration: Calibration, tmp_path: Path) -> None:
    """Three discs of 10 mm, in the middle and near two corners, where this lens draws them 10 % smaller."""
    spec = {"width_px": 400, "height_px": 320, "channels": 1, "stride_px": 1, "pixel_mm": 1.0}
    bundle = make_bundle(tmp_path / "tiny", input=spec)
    centres = [(46.0, 38.0), (6.0, 6.0), (86.0, 70.0)]
    image = discs(calibration, 5.0, *centres)
    session = open_session(bundle, RuntimeSettings())
    recipe = RecipeSettings(id=1, name="A", pixel_mm=0.118)
    judge = Judge(bundle, session, recipe, calibrations={"top": calibration})
    try:
        straight = sorted(judge.judge(image, "top").judgement.regions, key=lambda r: abs(r.x_mm - 46))
        plain = sorted(judge.judge(image, "side").judgement.regions, key=lambda r: abs(r.x_mm - 46))
        with pytest.raises(CameraError, match="800 x 640 px, found 400 x 320 px"):
            judge.judge(image[::2, ::2].copy(), "top")
    finally:
        judge.close()
    assert len(straight) == len(plain) == 3
    for region in straight:
        assert region.area_mm2 == pytest.approx(np.pi * 25, rel=0.02)
        assert region.length_mm == pytest.approx(10.0, abs=0.35)
    for centre in centres:
        assert min(np.hypot(r.x_mm - centre[0], r.y_mm - centre[1]) for r in straight) < 0.15
    assert min(r.area_mm2 for r in plain) < 0.93 * np.pi * 25, (
        "what the lens does to a measure that does not know of it"
    )
    assert [r.box_px for r in straight] == [r.box_px for r in plain], "boxes stay in the picture's own pixels"


def test_a_row_carries_what_its_mm_rest_on(calibration: Calibration, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "tiny")
    kept = Thresholds(
        bundle=bundle.manifest.thresholds,
        recipe=RecipeSettings(id=1, name="A"),
        runtime=RuntimeSettings(),
        device="CPU",
        calibrations={"top": calibration},
    )
    text = json.dumps(kept.model_dump(mode="json"), sort_keys=True)
    assert Thresholds.model_validate(json.loads(text)).calibrations == {"top": calibration}
    old = {name: value for name, value in json.loads(text).items() if name != "calibrations"}
    assert Thresholds.model_validate(old).calibrations == {}, "rows of before have none"


def test_cells_of_a_lens_without_distortion_are_pixels() -> None:
    plain = Calibration(80, 60, 0.1, 0.0, 0.0, ((100.0, 0.0, 40.0), (0.0, 100.0, 30.0), (0.0, 0.0, 1.0)), (0.0,) * 5)
    lens = Lens(plain)
    points = np.array([[0, 0], [80, 60], [12.5, 3.25]], np.float32)
    assert lens.straight(points) == pytest.approx(points, abs=1e-4)
    cells = lens.cell_areas_px(Grid(80, 60, 20, 15, 4.0, 4.0))
    assert cells.shape == (15, 20)
    assert cells == pytest.approx(16.0, rel=1e-4)
