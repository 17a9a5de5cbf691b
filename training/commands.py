"""`linegate train` and `linegate release`: thin; torch is imported when training starts."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from linegate.cameras.errors import SettingsError
from linegate.training.default_group import DEFAULT, DefaultGroup
from linegate.training.release_commands import Margin, MostEscapes, MostOverkill, Slack, gate_settings, release_app

train_app = typer.Typer(cls=DefaultGroup, no_args_is_help=True)

Sources = Annotated[
    list[Path],
    typer.Argument(
        help="Labelled data: folders with images/, masks/, classes.txt and split.csv; snapshots; COCO .json files; "
        "a station.toml for the labels of its part log."
    ),
]
Out = Annotated[Path, typer.Option("--out", help="Folder of the bundle to write; must not exist yet.")]
Minutes = Annotated[float, typer.Option(min=0.05, help="Time budget: the best model that can be had in it.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Exactly so many steps instead: the same result every time.")]
Seed = Annotated[int, typer.Option(min=0, help="Of split, weights and batches.")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads; all cores by default.")]
DeviceName = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
PrecisionName = Annotated[str, typer.Option("--precision", help="auto, fp32, bf16 or fp16.")]


@train_app.callback()
def _train() -> None:
    """Train a bundle on labelled data."""


@train_app.command(DEFAULT)
def train_data(
    sources: Sources,
    out: Out,
    minutes: Minutes = 20.0,
    steps: Steps = None,
    seed: Seed = 0,
    threads: Threads = None,
    device: DeviceName = "auto",
    precision: PrecisionName = "auto",
    name: Annotated[str, typer.Option(help="Name of the bundle.")] = "model",
    version: Annotated[str, typer.Option(help="Version of the bundle, such as 1.2.")] = "1",
    pixel_mm: Annotated[float, typer.Option(min=1e-6, help="Size of an image pixel on the part.")] = 1.0,
    share: Annotated[float, typer.Option(min=0.05, max=0.6, help="Parts kept for validation.")] = 0.2,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Leave broken files out instead of stopping.")
    ] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="Also write OUT-int8 in 8-bit integers, if it flips no verdict.")
    ] = False,
    begin: Annotated[
        str,
        typer.Option(
            "--from",
            help="Begin with this bundle's network: a folder, or a name in the station's store. By default, with a "
            "station.toml, its live bundle's.",
        ),
    ] = "",
    anew: Annotated[bool, typer.Option("--anew", help="Begin with nothing, with a station.toml too.")] = False,
) -> None:
    """Train on labelled pictures; run again after an interruption, it goes on where it stopped."""
    from linegate.models.store import resolve_bundle
    from linegate.training.sources import load_datasets, station_of

    if begin and anew:
        raise SettingsError(
            "options --from and --anew", expected="one of them", found="both", remedy="Leave one of them out."
        )
    options = {
        "name": name,
        "version": version,
        "pixel_mm": pixel_mm,
        "share": share,
        "skip_broken": skip_broken,
        "int8": int8,
    }
    fit = _fit_settings(minutes, steps, seed, threads, device, precision)
    place = station_of(sources)
    if begin:
        options["begin"] = resolve_bundle(begin, place.store if place is not None else None)
    elif place is not None and not anew:
        options["begin"] = place.live()
    _run(load_datasets(sources), out, fit, {**options, "must_begin": bool(begin)})


@train_app.command("virtual")
def train_virtual(
    out: Out,
    minutes: Minutes = 25.0,
    steps: Steps = None,
    seed: Seed = 100,
    parts: Annotated[int, typer.Option(min=20, help="Panels to draw.")] = 3000,
    threads: Threads = None,
    device: DeviceName = "auto",
    precision: PrecisionName = "auto",
    version: Annotated[str, typer.Option(help="Version of the bundle.")] = "1",
    defects: Annotated[str, typer.Option(help="Only these kinds of defect, such as scratch,dent.")] = "",
    picture_px: Annotated[int, typer.Option(help="Width and height of the pictures: 256, 512 or 1024.")] = 1024,
) -> None:
    """Draw panels of the virtual line and train on them: how the shipped bundle was made."""
    from linegate.inspect.virtual.spec import defect_names
    from linegate.training.virtual import FIT, drawn_panels

    fit = _fit_settings(minutes, steps, seed, threads, device, precision, FIT)
    with drawn_panels(out, seed, parts, defect_names(defects), picture_px) as (dataset, pixel_mm, words):
        options = {"name": "panel", "version": version, "pixel_mm": pixel_mm, "share": 0.25, "words": words}
        _run(dataset, out, fit, {**options, "licence": "Apache-2.0; trained on drawn pictures only"})


@train_app.command("worker")
def worker(
    station: Annotated[Path, typer.Option(help="station.toml of the station whose jobs are taken.")] = Path(
        "station.toml"
    ),
    base: Annotated[
        list[Path] | None, typer.Option(help="Labelled data that every job trains on besides; repeatable.")
    ] = None,
    frozen: Annotated[
        list[Path] | None, typer.Option(help="For release jobs: labelled parts no candidate is trained on; repeatable.")
    ] = None,
    must_catch: Annotated[
        list[Path] | None, typer.Option(help="For release jobs: cases besides the station's own; repeatable.")
    ] = None,
    margin: Margin = 0.01,
    most_escapes: MostEscapes = 0.05,
    most_overkill: MostOverkill = 0.10,
    slack: Slack = 0.0,
    once: Annotated[bool, typer.Option("--once", help="End when no job is waiting.")] = False,
    steps: Steps = None,
    threads: Threads = None,
    device: DeviceName = "auto",
    precision: PrecisionName = "auto",
) -> None:
    """Take training and release jobs from a station's log, one at a time, until interrupted. Also `train --worker`."""
    from rich.console import Console

    fit = _fit_settings(20.0, steps, 0, threads, device, precision)
    limits = gate_settings(
        flip_margin=margin, most_escapes=most_escapes, most_overkill=most_overkill, overkill_slack=slack
    )
    from linegate.training.gate_job import GateSources
    from linegate.training.worker import Worker

    gate = GateSources(tuple(frozen or ()), tuple(must_catch or ()), limits)
    try:
        Worker(station, base or (), fit, Console(), gate).run(once=once)
    except KeyboardInterrupt:
        typer.echo("Stopped; a job in hand goes on with the next worker.", err=True)
        raise typer.Exit(130) from None


@train_app.command("bakeoff")
def bakeoff(
    sources: Annotated[list[Path], typer.Argument(help="Labelled data, each compared on by itself.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of bundles and results; run again, it goes on.")],
    networks: Annotated[str, typer.Option(help="Networks, comma-separated; line:3 means three seeds.")] = (
        "line:3,unet-resnet18,unet-mobilenetv3,lraspp,deeplabv3,fastscnn,ddrnet23slim"
    ),
    minutes: Minutes = 12.0,
    steps: Steps = None,
    share: Annotated[float, typer.Option(min=0.05, max=0.6, help="Parts kept for validation.")] = 0.3,
    subset: Annotated[
        list[str] | None, typer.Option(help="Classes to look at together, as name=class+class; repeatable.")
    ] = None,
    threads: Threads = None,
    device: DeviceName = "auto",
    precision: PrecisionName = "auto",
    pretrained: Annotated[
        bool, typer.Option(help="ImageNet weights for torchvision trunks, where they can be had.")
    ] = False,
) -> None:
    """Compare Linegate's network with others: one split, one recipe, one budget, one table for each data set."""
    from rich.console import Console

    fit = _fit_settings(minutes, steps, 0, threads, device, precision)
    from linegate.training.bakeoff import BakeOff, bake_off, networks_of
    from linegate.training.sources import load_dataset
    from linegate.training.yardstick import Subset

    subsets = tuple(Subset.of(word) for word in subset or ())
    plan = BakeOff(networks_of(networks), fit, share, pretrained, subsets)
    try:
        bake_off([load_dataset(source) for source in sources], plan, out, Console())
    except KeyboardInterrupt:
        _stopped()
    typer.echo((out / "results.md").read_text(encoding="utf-8"))
    typer.echo(f"written: {out / 'results.md'}, results.json and a plot for each data set")


@train_app.command("bench")
def bench(
    sources: Annotated[
        list[Path] | None, typer.Argument(help="Labelled data; by default drawn panels of 1 MP.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=1, help="For each device and precision.")] = 20.0,
    pictures: Annotated[int, typer.Option(min=1, help="Pictures of the run whose time is told.")] = 20000,
    threads: Threads = None,
    device: DeviceName = "auto",
    precision: PrecisionName = "auto",
) -> None:
    """How fast this machine trains: images/s on the CPU and, where there is one, on the GPU, and the time of a run."""
    from rich.console import Console
    from rich.table import Table

    fit = _fit_settings(20.0, None, 0, threads, device, precision)
    from linegate.training.bench import bench_training, data_for

    console = Console()
    table = Table()
    for column in ("device", "batch", "crops/s", "whole/s", "waits for data", f"min for {pictures} pictures"):
        table.add_column(column, justify="left" if column == "device" else "right")
    with data_for(sources or ()) as dataset:
        for speed in bench_training(dataset, fit, seconds, lambda words: console.print(words, highlight=False)):
            figures = f"{speed.crops_per_s:.1f}", f"{speed.wholes_per_s:.1f}", f"{speed.waited:.0%}"
            minutes = speed.minutes_for(pictures, fit.whole_from)
            table.add_row(speed.device, str(speed.batch), *figures, f"{minutes:.1f}")
    console.print(table)


@train_app.command("check")
def check_data(
    source: Annotated[
        Path, typer.Argument(help="Folder with images/, masks/, classes.txt, split.csv; or a COCO .json.")
    ],
) -> None:
    """Open every file and name each broken one, and pictures that two groups have; exit code 2 if there are any."""
    from linegate.training.checks import find_copies, find_problems, summarise
    from linegate.training.sources import load_dataset

    dataset = load_dataset(source)
    problems = [*find_problems(dataset), *find_copies(dataset)]
    for _, problem in problems:
        typer.echo(str(problem))
    if problems:
        raise summarise(problems)
    typer.echo(
        f"{len(dataset.samples)} pictures: {', '.join(f'{n} {name}' for name, n in sorted(dataset.counts().items()))}"
    )


@train_app.command("freeze")
def freeze_data(
    source: Annotated[Path, typer.Argument(help="Labelled data.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the snapshot; may hold earlier ones.")],
    share: Annotated[float, typer.Option(min=0.05, max=0.6, help="Parts kept for validation.")] = 0.2,
    seed: Seed = 0,
) -> None:
    """Split, then copy every file under its hash: a snapshot that can be trained on again and proven unchanged."""
    from linegate.training.snapshot import freeze
    from linegate.training.sources import load_dataset
    from linegate.training.splits import with_split

    snapshot = freeze(with_split(load_dataset(source), share, seed), out)
    typer.echo(f"{len(snapshot.rows())} parts, sha256 {snapshot.sha256}")


def register(app: typer.Typer) -> None:
    """Called by linegate.inspect.cli through the entry points ``train`` and ``release``."""
    app.add_typer(train_app, name="train")
    app.add_typer(release_app, name="release")


def _fit_settings(
    minutes: float,
    steps: int | None,
    seed: int,
    threads: int | None,
    device: str,
    precision: str,
    more: Mapping[str, Any] | None = None,
) -> Any:
    _need_torch()
    from pydantic import ValidationError

    from linegate.training.fit import FitSettings

    try:
        return FitSettings.model_validate(
            {
                "minutes": minutes,
                "steps": steps,
                "seed": seed,
                "threads": threads,
                "device": device,
                "precision": precision,
                **(more or {}),
            }
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise SettingsError(
            f"option --{first['loc'][0]}",
            expected=first["msg"],
            found=repr(first["input"]),
            remedy="See linegate train --help.",
        ) from None


def _need_torch() -> None:
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise SettingsError(
            "training",
            expected="torch",
            found="an installation without it",
            remedy="Run `pip install linegate[train]`.",
        )


def _stopped() -> NoReturn:
    typer.echo("Interrupted; the checkpoint is kept. Run the same command again to go on.", err=True)
    raise typer.Exit(130) from None


def _run(dataset: Any, out: Path, fit: Any, options: dict[str, Any]) -> None:
    from rich.console import Console

    from linegate.training.export import ExportError
    from linegate.training.origin import command_of
    from linegate.training.pipeline import TrainOptions, train
    from linegate.training.ranks import NotFirst, Ranks

    command = command_of(sys.argv[1:])
    try:
        console = Console(quiet=Ranks.join().rank > 0)  # one of several processes speaks for all
        trained = train(dataset, out, fit, TrainOptions(command=command, **options), console)
    except NotFirst:
        return
    except KeyboardInterrupt:
        _stopped()
    finally:
        Ranks.leave()
    evaluation = trained.evaluation
    console.print(f"{trained.bundle.label} in {out}, {trained.steps} steps, {trained.minutes:.1f} min", highlight=False)
    console.print(
        f"escapes {evaluation.escape}; overkill {evaluation.overkill}; AP {evaluation.ap_words}", highlight=False
    )
    if trained.tested is not None:
        tested = trained.tested
        console.print(
            f"test side: escapes {tested.escape}; overkill {tested.overkill}; AP {tested.ap_words}", highlight=False
        )
    console.print(trained.bundle.manifest.thresholds.guarantee, highlight=False)
    if trained.skipped:
        console.print(f"left out, broken: {', '.join(trained.skipped[:10])}", highlight=False)
    console.print(f"report: {trained.report}", highlight=False)
    for parity in trained.parity:
        console.print(f"parity: {parity.words()}", highlight=False)
    if trained.int8 is not None:
        console.print(trained.int8.words(), highlight=False)
    apart = [parity.words() for parity in trained.bundle.manifest.parity if not parity.within]
    if apart:
        raise ExportError(
            f"bundle {out}",
            expected="an export that judges as the network that was trained",
            found="; ".join(apart),
            remedy="It is written, for looking at; its manifest says so, and it can't be certified. Train another.",
        )
    if trained.int8 is not None and trained.int8.draft is None:
        raise typer.Exit(1)
