"""`linegate plant`: draw the virtual line's parts as a dataset, or run the virtual line alone for a station elsewhere."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from linegate.inspect.virtual.report import PlantReport


def register(app: typer.Typer) -> None:
    """Add `plant` with its commands."""
    plant = typer.Typer(no_args_is_help=True, help="The virtual line: its parts as data, alone, faster or slower.")
    plant.command()(draw)
    plant.command()(serve)
    plant.command()(rate)
    plant.command()(labels)
    app.add_typer(plant, name="plant")


def draw(
    parts: Annotated[int, typer.Option(min=1, help="How many panels.")],
    out: Annotated[Path, typer.Option(help="A new folder for images/, masks/, classes.txt and split.csv.")],
    seed: Annotated[int, typer.Option(min=0, help="The series of panels.")] = 1,
    defect_share: Annotated[float, typer.Option(min=0, max=1, help="Share of panels with a defect.")] = 0.2,
    parts_per_lot: Annotated[int, typer.Option(min=1, help="Panels that share a coil and a light.")] = 100,
    spatter_share: Annotated[float, typer.Option(min=0, max=1, help="Share of them with weld spatter instead.")] = 0.0,
    defects: Annotated[str, typer.Option(help="Only these kinds of defect, such as scratch,weld_spatter.")] = "",
    picture_px: Annotated[int, typer.Option(help="Width and height of the pictures: 256, 512 or 1024.")] = 1024,
) -> None:
    """Draw panels with exact masks into a dataset folder."""
    from rich.progress import Progress

    from linegate.inspect.virtual.dataset import write_dataset
    from linegate.inspect.virtual.spec import defect_names, panel_spec

    spec = panel_spec(
        defect_names(defects), defect_share=defect_share, parts_per_lot=parts_per_lot, picture_px=picture_px
    )
    if spatter_share:
        spec = replace(spec, spatter_share=spatter_share)
    with Progress(transient=True) as bar:
        task = bar.add_task("drawing", total=parts)
        write_dataset(out, seed, parts, spec, progress=lambda done: bar.update(task, completed=done))
    typer.echo(f"{parts} panels in {out}")


def serve(
    folder: Annotated[Path, typer.Option(help="Keeps the truth ledger and the PLC's last epoch.")] = Path("data/plant"),
    host: Annotated[str, typer.Option(help="Address the PLC listens on; 0.0.0.0 for stations on other machines.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="The PLC's Modbus TCP port; 0 takes a free one.")] = 5020,
    device_id: Annotated[int, typer.Option(min=0, max=247, help="The PLC's Modbus device id.")] = 1,
    rate: Annotated[float, typer.Option(min=0.01, max=200, help="Parts per second.")] = 10.0,
    seed: Annotated[int, typer.Option(min=0, help="The series of panels.")] = 1,
    defect_share: Annotated[float, typer.Option(min=0, max=1, help="Share of panels with a defect.")] = 0.2,
    camera_to_gate_ms: Annotated[float, typer.Option(min=11, help="Photo-eye to commit point.")] = 400.0,
    defects: Annotated[str, typer.Option(help="Only these kinds of defect, such as scratch,weld_spatter.")] = "",
    photos: Annotated[Path | None, typer.Option(help="Photos with masks instead of drawn panels.")] = None,
    parts: Annotated[int | None, typer.Option(min=1, help="Stop after so many; without it, on Ctrl-C.")] = None,
    pool: Annotated[int | None, typer.Option(min=1, help="Draw so many pictures once and repeat them.")] = None,
    camera: Annotated[list[str] | None, typer.Option(help="A camera's name; once for each view.")] = None,
) -> None:
    """Run the virtual line alone, for a station in another terminal or on another machine.

    Point [plc] host and port at it, and the camera's `emulate` at the stage folder that is printed.
    """
    from linegate.inspect.settings import VirtualSettings
    from linegate.inspect.virtual.plant import VirtualPlant
    from linegate.inspect.virtual.spec import defect_names

    settings = VirtualSettings(
        seed=seed,
        rate_parts_per_s=rate,
        defect_share=defect_share,
        defects=defect_names(defects),
        camera_to_gate_ms=camera_to_gate_ms,
        photos=photos,
    )
    views = tuple(camera or ["top"])
    typer.echo("drawing the first parts …")
    with VirtualPlant.start(
        settings, folder, plc_host=host, plc_port=port, device_id=device_id, views=views, parts=parts, pool=pool
    ) as plant:
        typer.echo(f"PLC: Modbus TCP on {host}:{plant.plc_port}, device {device_id}")
        for view in views:
            typer.echo(f"camera {view}: {plant.stage(view)}")
        plant.run_belt()
        try:
            while not plant.finished:
                time.sleep(1.0)
                typer.echo(_status(plant.report()))
        except KeyboardInterrupt:
            typer.echo("stopping; parts on the belt go to the ledger as in transit")
    report = plant.report()
    typer.echo(_status(report))
    typer.echo(f"escapes {report.escapes.words()}; overkill {report.overkill.words()}; ledger {plant.ledger}")


def rate(
    parts_per_s: Annotated[
        float | None, typer.Argument(min=0.01, max=200, help="New rate; without it, the present one is printed.")
    ] = None,
    folder: Annotated[
        Path, typer.Option(help="The running plant's folder: plant/ in the station's data folder.")
    ] = Path("data/plant"),
) -> None:
    """Speed up or slow down the belt of a virtual line that runs on this machine, from the next part on.

    The station is not told: how it copes with parts that come closer than its min_pitch_ms is what this shows.
    """
    from linegate.inspect.virtual.remote import ask_rate, belt_rate

    before = belt_rate(folder)
    if parts_per_s is None:
        typer.echo(f"{before:g} parts/s")
        return
    typer.echo(f"{before:g} → {ask_rate(folder, parts_per_s):g} parts/s")


def labels(
    out: Annotated[Path, typer.Option(help="The zip to write: masks/ and classes.txt.")],
    station: Annotated[Path, typer.Option(help="The station that ran.")] = Path("station.toml"),
    data: Annotated[Path | None, typer.Option(help="Its data folder, where not as station.toml says.")] = None,
    escapes: Annotated[bool, typer.Option("--escapes", help="Only bad parts that the line passed.")] = False,
) -> None:
    """What is true of the parts of the last run, as masks: what a person would draw, for `linegate log label`."""
    from linegate.inspect.settings_file import load_station
    from linegate.inspect.virtual.answers import write_answers

    settings = load_station(station)
    folder = data or station.parent / settings.data
    cameras = [camera.name for camera in settings.cameras]
    count = write_answers(folder, settings.log, cameras, out, escapes=escapes)
    typer.echo(f"{count} labels in {out}")


def _status(report: PlantReport) -> str:
    latency = report.latency_percentiles()
    shown = f"{latency['p50']:.1f}/{latency['p99']:.1f} ms p50/p99" if latency else "no verdict yet"
    return (
        f"parts {report.parts}  triggered {report.triggered}  passed {report.passed}  rejected {report.rejected}  "
        f"no verdict {report.no_verdict}  escapes {report.escapes.count}  latency {shown}"
    )
