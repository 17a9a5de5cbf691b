"""`linegate run`: the station, with the virtual line where there is no real one."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from linegate.cameras.errors import LinegateError, SettingsError
from linegate.inspect.settings import StationSettings

if TYPE_CHECKING:
    from linegate.inspect.station import Station
    from linegate.inspect.summary import RunSummary
    from linegate.inspect.virtual.plant import VirtualPlant

READY_S = 60.0
CAMERAS_S = 5.0
"""A camera that could not be opened by then never will: its name, its settings or its place in station.toml is wrong."""
CAMERA_BOOT_S = 45.0
"""A real one that does not answer may start later than the station after a power cut."""
BELT_EMPTY_S = 0.5
STOPPED_EARLY = 130
"""Exit code of a run that was interrupted before its first part, as of any program that SIGINT ended."""


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("run")
    def run(
        station: Annotated[Path, typer.Option(help="The station's settings.")] = Path("station.toml"),
        parts: Annotated[
            int | None, typer.Option(min=1, help="End after so many parts; else run until Ctrl-C.")
        ] = None,
        rate: Annotated[float | None, typer.Option(help="Parts per second of the virtual line.")] = None,
        seed: Annotated[int | None, typer.Option(min=0, help="Seed of the virtual line's parts.")] = None,
        data: Annotated[Path | None, typer.Option(help="Folder of the log and the pictures.")] = None,
        photos: Annotated[Path | None, typer.Option(help="Photos with masks instead of drawn panels.")] = None,
        all_photos: Annotated[
            bool | None, typer.Option("--all-photos", help="Also show photos that the bundle was trained on.")
        ] = None,
        defects: Annotated[
            str | None,
            typer.Option(
                help="Kinds of defect that come, such as scratch,weld_spatter; default: as station.toml says."
            ),
        ] = None,
        bundle: Annotated[str, typer.Option(help="A bundle's folder or name, instead of the recipes' own.")] = "",
        pool: Annotated[
            int | None, typer.Option(min=1, help="Draw so many panels ahead and show them in turn.")
        ] = None,
        screens: Annotated[
            bool | None, typer.Option(help="Start the screens too; default: as station.toml says.")
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object on stdout.")] = False,
    ) -> None:
        """Run the station. Exit code 0 only if every trigger, frame, row and counter agrees."""
        from linegate.inspect.settings_file import load_station
        from linegate.inspect.virtual.spec import defect_names
        from linegate.inspect.virtual_overrides import Overrides

        console = Console(stderr=as_json)
        kinds = defect_names(defects) if defects is not None else None
        wishes = Overrides(rate, seed, data, photos, all_photos, bundle, screens, kinds)
        settings = wishes.apply(load_station(station), station.parent)
        raise typer.Exit(_run(settings, station, parts, pool, console, as_json))


def _run(
    settings: StationSettings, station_file: Path, parts: int | None, pool: int | None, console: Console, as_json: bool
) -> int:
    from linegate.inspect.interpreter import settle
    from linegate.inspect.priority import go_first
    from linegate.inspect.screens_child import ScreensChild, screens_installed
    from linegate.inspect.station import Station
    from linegate.inspect.virtual.errors import PlantStopped
    from linegate.inspect.virtual_overrides import at_plant, known_truth, shown_photos

    if settings.runtime.real_time and (words := go_first()):
        console.print(f"! {words}", style="yellow", highlight=False, markup=False)
    base = station_file.parent
    data = (base / settings.data).resolve()
    _check_data(data)
    summary: RunSummary | None = None
    unsaved: list[str] = []

    def end(station: Station) -> None:
        """What could not be saved at the end is part of what the run has to say, not instead of it."""
        try:
            station.stop()
        except LinegateError as error:
            if summary is None:
                raise
            unsaved.extend(str(each) for each in (error.__context__, error) if isinstance(each, LinegateError))

    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(_interruptible())
        plant: VirtualPlant | None = None
        photos = shown_photos(settings, data, base)
        if settings.virtual is not None:
            left_out = photos.left_out if photos is not None else frozenset()
            try:
                plant = stack.enter_context(_plant(settings, data, parts, pool, left_out, console, stop))
            except PlantStopped:
                console.print("stopped while the virtual line was being set up; no part had come yet")
                return STOPPED_EARLY
            settings = at_plant(settings, plant)
        station = Station(settings, data, base)
        stack.callback(end, station)
        station.start()
        if not station.wait_ready(CAMERAS_S, stop):
            if plant is None:
                _wait_for_cameras(station, stop, console)
            station.require_cameras()
            if not station.wait_ready(READY_S, stop):
                for line in station.complaints():
                    console.print(f"✗ {line}", style="yellow", highlight=False, markup=False)
        if settings.screens.enabled and screens_installed():
            arguments = ["--station", str(station_file), "--data", str(data)]
            child = ScreensChild(arguments, data / "screens.log", lambda text: console.print(text, highlight=False))
            stack.callback(child.stop)
            child.start()
        if words := station.uncertified():
            console.print(f"! {words}", style="yellow", highlight=False, markup=False)
        settle()
        with _progress(console) as progress:
            stopped = _watch(station, plant, parts, stop, progress)
        station.finish()
        truth, gate = known_truth(plant) if plant is not None else (None, None)
        summary = station.summary(truth, gate, stopped)
    summary = replace(summary, unsaved="; ".join(unsaved))
    summary.print(console)
    if photos is not None:
        console.print(f"photos   {photos.words()}", highlight=False, markup=False)
    if as_json:
        said = summary.as_json() | {"photos": photos.as_json() if photos is not None else None}
        sys.stdout.write(json.dumps(said, allow_nan=False) + "\n")
    return summary.exit_code


def _wait_for_cameras(station: Station, stop: threading.Event, console: Console) -> None:
    """Give real cameras the time to start, and say so. Raises CameraError at once for one that no waiting brings."""
    station.require_cameras(may_start_yet=True)
    absent = station.absent_cameras()
    if absent:
        for line in absent:
            console.print(f"… {line}", style="yellow", highlight=False, markup=False)
        console.print(f"It may be starting yet: waiting up to {CAMERA_BOOT_S:.0f} s.", highlight=False)
        station.wait_ready(CAMERA_BOOT_S - CAMERAS_S, stop)


def _check_data(data: Path) -> None:
    """Make the data folder. Raises SettingsError when that can't be, or nothing can be written there."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=data):
            pass
    except OSError as error:
        raise SettingsError(
            f"data folder {data}",
            expected="a folder that can be written",
            found=error.strerror or str(error),
            remedy="Correct data in station.toml (or --data), or the folder's rights; free some disk where it is full.",
        ) from error


@contextlib.contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Ctrl-C and SIGTERM ask for a clean end; a second one ends at once."""
    stop = threading.Event()

    def ask(_number: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _plant(
    settings: StationSettings,
    data: Path,
    parts: int | None,
    pool: int | None,
    leave_out: frozenset[str],
    console: Console,
    stop: threading.Event,
) -> Iterator[VirtualPlant]:
    from linegate.inspect.virtual.plant import VirtualPlant

    assert settings.virtual is not None
    with console.status("Setting up the virtual line: drawing the first parts") as status:
        plant = VirtualPlant.start(
            settings.virtual,
            data / "plant",
            plc_port=settings.plc.port,
            device_id=settings.plc.device_id,
            views=tuple(camera.name for camera in settings.cameras),
            parts=parts,
            pool=pool,
            leave_out=leave_out,
            stop=stop.is_set,
            progress=lambda what, done, total: status.update(f"Setting up the virtual line: {what}, {done} of {total}"),
        )
    with plant:
        yield plant


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[now]}"),
        console=console,
        transient=True,
    )


def _watch(
    station: Station, plant: VirtualPlant | None, parts: int | None, stop: threading.Event, progress: Progress
) -> str:
    """Show what goes on until the parts are through or somebody asks for the end; why it ended early, "" if it did not.

    A line that was asked to stop waits for a person's acknowledgement. With a number of parts asked for, nobody may be
    there to give it: the run then ends and says so.
    """
    settings = station.settings
    task = progress.add_task("parts", total=parts, now="")
    if plant is not None:
        plant.run_belt()
    while not stop.wait(0.2):
        counts = station.counts()
        now = f"OK {counts.ok}  NG {counts.ng}  review {counts.review}  not inspected {counts.not_inspected}"
        progress.update(task, completed=counts.triggers, now=now)
        if parts is None:
            continue
        held_up = station.held_up()
        if held_up:
            return held_up
        if plant.wait_finished(0.0) if plant is not None else counts.triggers >= parts:
            return ""
    if plant is not None:
        plant.pause()
        assert settings.virtual is not None
        time.sleep(settings.virtual.camera_to_gate_ms / 1000 + BELT_EMPTY_S)  # what is on the belt reaches the gate
    return ""
