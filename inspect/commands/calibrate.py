"""`linegate calibrate`: pixel size and lens of a camera, from pictures of a ChArUco board."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from linegate.cameras.calibration import Board
    from linegate.cameras.frame import Image
    from linegate.cameras.settings import CameraSettings

MOST_SPREAD = 0.01
"""A board that lay flat shows squares of one size; more is a tilt, or a print that is not true."""
MOST_RMS_PX = 1.0
MOST_MISSED = 20
PICTURE_WAIT_S = 5.0


def register(app: typer.Typer) -> None:
    """Add `calibrate`."""
    app.command("calibrate")(calibrate_camera)


def calibrate_camera(
    pictures: Annotated[
        list[Path] | None,
        typer.Argument(help="Pictures of the board, or a folder of them; without, the camera takes them."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The JSON file that `calibration` of the camera names.")] = None,
    station: Annotated[Path, typer.Option(help="The station's settings, for its camera.")] = Path("station.toml"),
    camera: Annotated[str, typer.Option(help="The camera's name in it; only needed where there are several.")] = "",
    count: Annotated[int, typer.Option(min=5, max=100, help="Pictures that the camera takes.")] = 12,
    every_s: Annotated[
        float | None, typer.Option(min=0.0, help="Take one every so many seconds, instead of at each Enter.")
    ] = None,
    columns: Annotated[int, typer.Option(min=3, max=50, help="Squares of the board along x.")] = 9,
    rows: Annotated[int, typer.Option(min=3, max=50, help="Squares along y.")] = 7,
    square_mm: Annotated[float, typer.Option(min=0.1, help="Side of a square, as measured on the print.")] = 8.0,
    marker_mm: Annotated[float, typer.Option(min=0.1, help="Side of a marker, likewise.")] = 6.0,
    draw_board: Annotated[
        Path | None, typer.Option(help="Only draw the board as a PNG, to be printed at 600 dpi.")
    ] = None,
) -> None:
    """Find the size of a pixel in the part's plane, and how the lens bends lines.

    Lay the board flat where the parts lie, in the height of their surface: that is the first picture. For the others tilt and
    move it, so that it fills every corner of the picture once.
    """
    from linegate.cameras.calibration import Board, calibrate
    from linegate.cameras.errors import CameraError, SettingsError

    if marker_mm >= square_mm:
        raise SettingsError(
            "--marker-mm",
            expected=f"less than a square ({square_mm:g} mm)",
            found=f"{marker_mm:g} mm",
            remedy="Measure both on the print.",
        )
    board = Board(columns, rows, square_mm, marker_mm)
    if draw_board is not None:
        board.draw(draw_board)
        typer.echo(f"{draw_board}: {columns} × {rows} squares; print it at 600 dpi, then measure square and marker")
        return
    if out is None:
        raise SettingsError(
            "--out", expected="a file for the calibration", found="none", remedy="Give --out top.json, for example."
        )
    if pictures:
        taken, names = _read(pictures)
    else:
        taken = list(_photograph(_camera(station, camera), board, count, every_s))
        names = [f"picture {number}" for number in range(1, len(taken) + 1)]
    found = calibrate(taken, board)
    typer.echo(
        f"{found.width_px} × {found.height_px} px, {found.pixel_mm:.5f} mm a pixel (±{100 * found.pixel_mm_spread:.2f} % over "
        f"the board), corners {found.rms_px:.2f} px from where they should be (rms of {len(taken)} pictures)"
    )
    if found.pixel_mm_spread > MOST_SPREAD or found.rms_px > MOST_RMS_PX:
        raise CameraError(
            "calibration",
            expected=f"a pixel size that differs by at most {100 * MOST_SPREAD:g} % over the board, and corners within "
            f"{MOST_RMS_PX:g} px",
            found=f"{100 * found.pixel_mm_spread:.1f} % in {names[0]}, {found.rms_px:.2f} px",
            remedy="Lay the board flat in the part's plane for the first picture, and check its print and its measures.",
        )
    found.save(out)
    typer.echo(f'{out} is written; set calibration = "{out}" in the camera\'s table of station.toml')


def _read(given: list[Path]) -> tuple[list[Image], list[str]]:
    """The pictures in name order, and their names."""
    from linegate.cameras.errors import SettingsError
    from linegate.cameras.image_file import SUFFIXES, read_image

    paths: list[Path] = []
    for path in given:
        inside = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
        paths += inside
    if not paths:
        raise SettingsError(
            f"pictures in {', '.join(map(str, given))}",
            expected="pictures of the board",
            found="none",
            remedy=f"Give files or a folder; known are {', '.join(sorted(SUFFIXES))}.",
        )
    return [read_image(path) for path in paths], [path.name for path in paths]


def _camera(station: Path, name: str) -> CameraSettings:
    """The station's camera as it is set there, but fired by this command."""
    from linegate.cameras.errors import SettingsError
    from linegate.inspect.settings_file import STAGE, load_station

    settings = load_station(station)
    known = {camera.name: camera for camera in settings.cameras}
    chosen = known.get(name) if name else next(iter(known.values())) if len(known) == 1 else None
    if chosen is None:
        raise SettingsError(
            "--camera",
            expected=f"one of {', '.join(known)}",
            found=repr(name) if name else "none named",
            remedy="Name the camera that is to be calibrated.",
        )
    if getattr(chosen, "emulate", None) == Path(STAGE):
        raise SettingsError(
            f"camera {chosen.name!r}",
            expected="a camera that can look at the board",
            found="one that looks at the virtual line",
            remedy="Calibrate a real camera, or give pictures.",
        )
    return chosen.model_copy(update={"trigger": "software"})


def _photograph(settings: CameraSettings, board: Board, count: int, every_s: float | None) -> Iterator[Image]:
    """``count`` pictures that show the board. Raises CameraError."""
    from linegate.cameras.calibration import MIN_CORNERS, find_corners
    from linegate.cameras.errors import CameraError
    from linegate.cameras.factory import open_camera
    from linegate.cameras.frame import Frame, FrameLost

    device = open_camera(settings)
    try:
        device.open()
        device.arm()
        number, missed = 1, 0
        while number <= count:
            how = "flat in the part's plane" if number == 1 else "tilted or moved"
            if every_s is None:
                typer.prompt(
                    f"picture {number} of {count}, board {how}: Enter", "", show_default=False, prompt_suffix=" "
                )
            else:
                time.sleep(every_s)
            device.trigger(PICTURE_WAIT_S)
            frame = device.fetch(PICTURE_WAIT_S)
            if not isinstance(frame, Frame):
                raise CameraError(
                    f"camera {settings.name!r}",
                    expected=f"a picture within {PICTURE_WAIT_S:g} s",
                    found=frame.detail if isinstance(frame, FrameLost) else "none",
                    remedy="Run `linegate check`.",
                )
            corners = len(find_corners(frame.image, board)[0])
            if corners < MIN_CORNERS:
                typer.echo(f"  {corners} corners of the board are seen, {MIN_CORNERS} are needed: once more")
                missed += 1
                if missed > MOST_MISSED:
                    raise CameraError(
                        f"camera {settings.name!r}",
                        expected="pictures that show the board",
                        found=f"{missed} in a row that do not",
                        remedy="Check light and focus, and that columns, rows and sizes are those of the print.",
                    )
                continue
            missed = 0
            typer.echo(f"  {corners} corners")
            number += 1
            yield frame.image
    finally:
        device.close()
