"""`linegate bench`: where the time goes, on this machine, against the floor measured in the same run."""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from linegate.inspect.benchmark import LineResult
    from linegate.inspect.stages import StageRow
    from linegate.inspect.summary import Latency


DEFAULT_RATE = 10.0


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("bench")
    def bench(
        station: Annotated[Path, typer.Option(help="The station's settings.")] = Path("station.toml"),
        rate: Annotated[
            float | None,
            typer.Option(min=0.1, help="Parts per second: 10 by default, with --screen alone 10 and then 25."),
        ] = None,
        seconds: Annotated[
            float | None,
            typer.Option(
                min=1, help="How long to measure: 30 the line, 20 each rate of --screen, 120 --line and --shadow."
            ),
        ] = None,
        pool: Annotated[int, typer.Option(min=1, help="Different parts, drawn ahead, shown in turn.")] = 200,
        bundle: Annotated[str, typer.Option(help="A bundle's folder or name.")] = "",
        data: Annotated[
            Path | None, typer.Option(help="Folder for the log; default: a temporary one beside it.")
        ] = None,
        screens: Annotated[bool, typer.Option(help="Run the screens beside the line, as in production.")] = False,
        engines: Annotated[bool, typer.Option(help="Rank the CPU engines on this machine instead.")] = False,
        screen: Annotated[bool, typer.Option("--screen", help="Measure verdict to pixels instead.")] = False,
        line: Annotated[
            bool, typer.Option("--line", help="With --screen: what both screens, open and busy, cost the line.")
        ] = False,
        shadow: Annotated[
            str, typer.Option(help="What this bundle, judging along in shadow, costs the live verdicts.")
        ] = "",
        editor: Annotated[bool, typer.Option("--editor", help="Measure the mask editor at 12 MP instead.")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    ) -> None:
        """Measure the line stage by stage: p50, p99, p99.9 and each stage's share of the whole.

        Exit code 1 when a part was missed or not inspected, counts disagree, the rate was not kept, or memory grows.
        """
        from linegate.inspect.priority import go_first
        from linegate.inspect.settings_file import load_station
        from linegate.inspect.virtual_overrides import Overrides

        console = Console(stderr=as_json)
        if screen and not line:
            from linegate.inspect.hmi.bench_screen import RATES, SECONDS, bench_screen

            raise typer.Exit(bench_screen(console, as_json, seconds or SECONDS, RATES if rate is None else (rate,)))
        if editor:
            from linegate.inspect.hmi.bench_editor import bench_editor

            raise typer.Exit(bench_editor(console, as_json))
        with tempfile.TemporaryDirectory(dir=_beside(data), prefix="linegate-bench-") as folder:
            work = data or Path(folder)
            wishes = Overrides(rate=rate or DEFAULT_RATE, data=work, bundle=bundle, screens=screens)
            settings = wishes.apply(load_station(station), station.parent)
            work.mkdir(parents=True, exist_ok=True)
            if settings.runtime.real_time and not engines and (words := go_first()):
                console.print(f"! {words}", style="yellow", highlight=False, markup=False)
            if line:
                from linegate.inspect.hmi.bench_beside import bench_beside

                out = bench_beside(console, settings, work, station.parent, seconds or 120.0, pool, console.print)
            elif shadow:
                from linegate.inspect.bench_shadow import bench_shadow

                out = bench_shadow(
                    console, settings, shadow, work, station.parent, seconds or 120.0, pool, console.print
                )
            elif engines:
                out = _engines(console, settings, work, station.parent)
            else:
                out = _line(console, settings, work, station, seconds or 30.0, pool)
        if as_json:
            sys.stdout.write(json.dumps(out) + "\n")
        raise typer.Exit(1 if out.get("failures") else 0)


def _beside(data: Path | None) -> Path:
    """A folder on the disk that will carry the log: fsync is part of what is measured, and a RAM disk has none."""
    folder = data.parent if data is not None else Path("data")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _line(console: Console, settings: Any, work: Path, station: Path, seconds: float, pool: int) -> dict[str, Any]:
    from linegate.inspect.benchmark import bench_line
    from linegate.inspect.screens_child import ScreensChild

    child = None
    if settings.screens.enabled:
        child = ScreensChild(["--station", str(station), "--data", str(work)], work / "screens.log", console.print)
        child.start()
    try:
        with Progress(
            TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn(), console=console
        ) as progress:
            task = progress.add_task("setting up", total=1.0)
            result = bench_line(
                settings,
                work,
                station.parent,
                seconds,
                pool,
                lambda what, share: progress.update(task, description=what, completed=share),
            )
    finally:
        if child is not None:
            child.stop()
    _print_line(console, result)
    return {
        "failures": result.failures(),
        "rate_parts_per_s": result.rate_parts_per_s,
        "sustained_parts_per_s": result.summary.parts_per_s,
        "stages": [_stage(row) for row in result.stages],
        "overhead_ms": _numbers(result.overhead),
        "floor_p50_ms": result.floor.p50_ms,
        "memory_mb": result.memory_mb,
        "memory_mb_per_min": None if math.isnan(result.memory_mb_per_min) else result.memory_mb_per_min,
        "run": result.summary.as_json(),
        "load_average": os.getloadavg(),
    }


def _print_line(console: Console, result: LineResult) -> None:
    from linegate.inspect.stages import GIVEN

    table = Table(title=f"A good part's way at {result.rate_parts_per_s:g} parts/s, milliseconds", title_justify="left")
    table.add_column("stage")
    for name in ("p50", "p99", "p99.9", "max", "share"):
        table.add_column(name, justify="right")
    for row in result.stages:
        table.add_row(row.stage, *_cells(row.latency), f"{row.share:.1%}")
    table.add_row(f"not {', '.join(GIVEN)}", *_cells(result.overhead), "")
    console.print(table)
    floor, whole = result.floor, result.stages[-1].latency.p50
    console.print(
        f"Floor, each step alone before the run (p50): camera {floor.camera.p50} + inference {floor.infer.p50} + "
        f"fsync {floor.fsync.p50} = {floor.p50_ms:.2f} ms; the line is {whole - floor.p50_ms:.2f} ms above it.",
        highlight=False,
    )
    trend = result.memory_mb_per_min
    console.print(
        f"Memory of the line, without the pictures held for recall: {result.memory_mb[0][1]:.0f} MB at the start, "
        f"{result.memory_mb[-1][1]:.0f} MB after {result.memory_mb[-1][0]:.0f} s, "
        f"{'no trend yet' if math.isnan(trend) else f'{trend:+.1f} MB/min after the first quarter'}.",
        highlight=False,
    )
    console.print(
        f"Sustained {result.summary.parts_per_s:.1f} parts/s of {result.rate_parts_per_s:g} asked for. "
        f"Load average {os.getloadavg()[0]:.1f}.",
        highlight=False,
    )
    result.summary.print(console)
    for failure in result.failures():
        console.print(f"✗ {failure}", style="bold red", highlight=False)


def _engines(console: Console, settings: Any, work: Path, base: Path) -> dict[str, Any]:
    from linegate.inspect.benchmark import bench_engines, example_frame
    from linegate.inspect.bundles import station_bundle

    bundle = station_bundle(settings.recipes[0].bundle, base, work)
    frame = example_frame(settings, work)
    table = Table(title=f"{bundle.label} on one picture, {settings.runtime.threads} thread(s), milliseconds")
    for column in ("engine", "p50", "p99", "p99.9", "max"):
        table.add_column(column, justify="left" if column == "engine" else "right")
    out = {}
    for engine, latency, why in bench_engines(bundle, frame, settings.runtime.threads):
        table.add_row(engine, *(_cells(latency) if latency is not None else (why, "", "", "")))
        out[engine] = _numbers(latency) if latency is not None else why
    console.print(table)
    return {"bundle": bundle.sha256, "engines_ms": out}


def _cells(latency: Latency) -> tuple[str, ...]:
    return tuple(f"{value:.2f}" for value in (latency.p50, latency.p99, latency.p99_9, latency.max))


def _numbers(latency: Latency) -> dict[str, float]:
    return {"p50": latency.p50, "p99": latency.p99, "p99_9": latency.p99_9, "max": latency.max}


def _stage(row: StageRow) -> dict[str, Any]:
    return {"stage": row.stage, "share": row.share, **_numbers(row.latency)}
