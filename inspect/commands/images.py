"""`linegate inspect`: judge image files with a bundle."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import numpy as np
import typer


def register(app: typer.Typer) -> None:
    """Add `inspect`."""
    app.command("inspect")(inspect_images)


def inspect_images(
    images: Annotated[list[Path], typer.Argument(help="Files, folders, or data sets with images/ in them.")],
    out: Annotated[Path, typer.Option(help="Where masks/ and verdicts.jsonl go; an earlier run's are replaced.")],
    bundle: Annotated[
        str, typer.Option(help="A bundle's folder, or the name of a released one; default: the newest released.")
    ] = "",
    overlay: Annotated[bool, typer.Option("--overlay", help="Also write pictures with the regions outlined.")] = False,
    pixel_mm: Annotated[
        float | None, typer.Option(help="Size of an image pixel on the part; default: the bundle's.", min=1e-6)
    ] = None,
    engine: Annotated[str, typer.Option(help="openvino, onnxruntime, tensorrt or cuda.")] = "openvino",
    precision: Annotated[str, typer.Option(help="accuracy, fp32, bf16 or fp16; default: as on the line.")] = "",
    threads: Annotated[int, typer.Option(help="Threads of the network; 0: one for each core.", min=0)] = 0,
) -> None:
    """Judge images with a bundle: a mask of each and one line of verdicts.jsonl.

    An image that can't be read gets a line with verdict NOT_INSPECTED and score 1.0. Exit code 2 when none could be read.
    """
    from pydantic import ValidationError
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from linegate.cameras.errors import SettingsError
    from linegate.inspect.batch import find_images, inspect_files
    from linegate.inspect.judge import Judge
    from linegate.inspect.part import Decision
    from linegate.inspect.runtime.engines import open_session
    from linegate.inspect.runtime.proven import Proven, open_proven
    from linegate.inspect.settings import RuntimeSettings
    from linegate.models.store import resolve_bundle

    try:
        asked = {"precision": precision} if precision else {}
        runtime = RuntimeSettings.model_validate({"engine": engine, "threads": threads or os.cpu_count() or 1, **asked})
    except ValidationError as error:
        first = error.errors()[0]
        raise SettingsError(
            f"option --{first['loc'][0]}",
            expected=str(first.get("ctx", {}).get("expected", first["msg"])),
            found=repr(first["input"]),
            remedy="See `linegate inspect --help`.",
        ) from error
    jobs = find_images(images, leave_out=out)
    judge_bundle = resolve_bundle(bundle)
    # A person who names a precision wants to see what comes of it, proven or not.
    asked_for = Proven(open_session(judge_bundle, runtime), runtime, "") if precision else None
    session, _, words = asked_for or open_proven(judge_bundle, runtime)
    judge = Judge(judge_bundle, session, pixel_mm=pixel_mm)
    console = Console(stderr=True)
    on = f"{judge.session.device}; {words}" if words else judge.session.device
    console.print(f"{judge_bundle.label} on {on}", highlight=False, soft_wrap=True)
    counted = 0
    try:
        with Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
        ) as progress:
            task = progress.add_task("inspecting", total=len(jobs))

            def advance(_job: object, _decision: Decision) -> None:
                nonlocal counted
                counted += 1
                progress.advance(task)

            tally = inspect_files(jobs, judge, out, overlay=overlay, done=advance)
    except KeyboardInterrupt:
        console.print(
            f"stopped after {counted} of {len(jobs)}; what is written in {out} is complete",
            highlight=False,
            soft_wrap=True,
        )
        raise typer.Exit(130) from None
    finally:
        judge.close()
    words = ", ".join(f"{count} {decision.value}" for decision, count in tally.decisions.items() if count)
    speed = f", {np.percentile(tally.ms, 50):.1f} ms each (p50)" if tally.ms else ""
    console.print(f"{len(jobs)} images: {words}{speed} -> {out}", highlight=False, soft_wrap=True)
    if not tally.judged:
        raise SettingsError(
            f"images {', '.join(str(path) for path in images)}",
            expected="at least one that can be inspected",
            found=f"none of {len(jobs)}; {out / 'verdicts.jsonl'} says why for each",
            remedy="Check the first lines of that file.",
        )
