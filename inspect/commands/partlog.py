"""`linegate log`: look at the parts, export them, check the log."""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from sqlalchemy import func, select

from linegate.cameras.errors import SettingsError
from linegate.inspect.commands.label import label
from linegate.inspect.commands.log_options import STATION, AsJson, Data, Station, Url, reading
from linegate.inspect.commands.part_text import part_as_json, print_part
from linegate.inspect.commands.place import log_place
from linegate.inspect.commands.quarantine import quarantine
from linegate.inspect.part import Decision, PartKey
from linegate.inspect.partlog import queries
from linegate.inspect.partlog.check import check_log
from linegate.inspect.partlog.database import open_reader
from linegate.inspect.partlog.errors import LogError
from linegate.inspect.partlog.export import export_parts, export_regions, utc_text
from linegate.inspect.partlog.schema import image

Since = Annotated[
    str | None, typer.Option(help="From then on: 2026-05-01, 2026-05-01T06:00, or an age like 90m, 8h, 7d.")
]
Until = Annotated[str | None, typer.Option(help="Up to then, in the same ways.")]
DecisionOption = Annotated[Decision | None, typer.Option(case_sensitive=False, help="Only this decision.")]
DefectClass = Annotated[str, typer.Option("--class", help="Only parts with a defect of this class.")]
Lot = Annotated[str, typer.Option(help="Only this lot.")]
Serial = Annotated[str, typer.Option(help="Only this serial number.")]
AGE = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def register(app: typer.Typer) -> None:
    """Add the sub-commands."""
    group = typer.Typer(no_args_is_help=True, help="Every part's row: query, show one, export, label, verify.")
    app.add_typer(group, name="log")
    group.command("query")(query)
    group.command("show")(show)
    group.command("export")(export)
    group.command("verify")(verify)
    group.command("repeat")(repeat)
    group.command("quarantine")(quarantine)
    group.command("label")(label)


def query(
    since: Since = None,
    until: Until = None,
    decision: DecisionOption = None,
    defect_class: DefectClass = "",
    lot: Lot = "",
    serial: Serial = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Most rows shown, newest first.")] = 20,
    as_json: AsJson = False,
    station: Station = STATION,
    data: Data = None,
    url: Url = None,
) -> None:
    """The latest parts, newest first, and how many there are of each decision."""
    wanted = _filter(since, until, decision, defect_class, lot, serial)
    with reading(station, data, url) as (connection, _):
        rows = queries.parts_page(connection, wanted, limit)
        counts = queries.decision_counts(connection, wanted)
    if as_json:
        for row in rows:
            sys.stdout.write(part_as_json(row) + "\n")
        return
    table = Table(
        "part", "triggered (UTC)", "decision", "class", "score", "ms", "lot", "serial", "reason", title="Parts"
    )
    for row in rows:
        score = "" if row["score"] is None else f"{row['score']:.3f}"
        latency = "" if row["latency_ms"] is None else f"{row['latency_ms']:.1f}"
        when = utc_text(row["triggered_utc_ns"])[:23].replace("T", " ")
        key = str(PartKey(row["epoch"], row["sequence"]))
        table.add_row(
            key, when, row["decision"], row["defect_class"], score, latency, row["lot"], row["serial"], row["reason"]
        )
    console = Console()
    console.print(table)
    total = sum(counts.values())
    console.print(f"{total} parts: " + ", ".join(f"{count} {name}" for name, count in counts.items()))


def show(
    key: Annotated[str, typer.Argument(help="The part as the other commands print it: epoch-sequence, 1a2b-4711.")],
    as_json: AsJson = False,
    station: Station = STATION,
    data: Data = None,
    url: Url = None,
) -> None:
    """One part whole: verdict, views, defects, bundle, thresholds, pictures, labels, events."""
    wanted = _part_key(key)
    with reading(station, data, url) as (connection, folder):
        whole = queries.whole_part(connection, wanted)
    if whole is None:
        raise LogError(
            f"part {wanted}",
            expected="a row in the log",
            found="none",
            remedy="See linegate log query for the parts it has.",
        )
    if as_json:
        sys.stdout.write(part_as_json(whole) + "\n")
    else:
        print_part(Console(), whole, folder)


def export(
    file: Annotated[Path, typer.Argument(help="FILE.csv or FILE.parquet.")],
    regions: Annotated[
        bool, typer.Option("--regions", help="One row a defect instead of one a part; parts without one are left out.")
    ] = False,
    since: Since = None,
    until: Until = None,
    decision: DecisionOption = None,
    defect_class: DefectClass = "",
    lot: Lot = "",
    serial: Serial = "",
    station: Station = STATION,
    data: Data = None,
    url: Url = None,
) -> None:
    """Write part rows, or with --regions every defect that was found, to a file."""
    wanted = _filter(since, until, decision, defect_class, lot, serial)
    with reading(station, data, url) as (connection, _), _progress("parts") as progress:
        task = progress.add_task("parts", total=queries.count_filtered(connection, wanted))
        write = export_regions if regions else export_parts
        count = write(connection, wanted, file, lambda done: progress.advance(task, done))
    sys.stdout.write(f"{count} {'defects' if regions else 'parts'} written to {file}\n")


def verify(as_json: AsJson = False, station: Station = STATION, data: Data = None, url: Url = None) -> None:
    """Check that each part has exactly one row, none is missing, and each picture is unchanged; exit 1 if not."""
    with reading(station, data, url) as (connection, folder), _progress("pictures") as progress:
        live = select(func.count()).select_from(image).where(image.c.deleted_utc_ns.is_(None))
        task = progress.add_task("pictures", total=connection.execute(live).scalar_one())
        found = check_log(connection, folder, lambda done: progress.advance(task, done))
    if as_json:
        answer: dict[str, Any] = {"parts": found.parts, "pictures": found.pictures, "problems": found.problems}
        sys.stdout.write(json.dumps(answer, ensure_ascii=False) + "\n")
    else:
        for problem in found.problems:
            sys.stdout.write(f"broken: {problem}\n")
        verdict = f"{len(found.problems)} problems" if found.problems else "whole"
        sys.stdout.write(f"{verdict}: {found.parts} parts, {found.pictures} pictures\n")
    if found.problems:
        raise typer.Exit(1)


def _progress(what: str) -> Progress:
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _filter(
    since: str | None, until: str | None, decision: Decision | None, defect_class: str, lot: str, serial: str
) -> queries.PartFilter:
    return queries.PartFilter(
        since_utc_ns=None if since is None else _moment("--since", since),
        until_utc_ns=None if until is None else _moment("--until", until),
        decision=decision,
        defect_class=defect_class,
        lot=lot,
        serial=serial,
    )


def _moment(option: str, value: str) -> int:
    """UTC ns."""
    if age := AGE.fullmatch(value):
        at = datetime.now(UTC) - timedelta(**{UNITS[age[2]]: float(age[1])})
    else:
        try:
            at = datetime.fromisoformat(value).astimezone()
        except ValueError as error:
            raise SettingsError(
                f"{option} {value!r}",
                expected="a date like 2026-05-01, a time like 2026-05-01T06:00 (local), or an age like 90m, 8h, 7d",
                found="neither",
                remedy="Write it in one of these ways.",
            ) from error
    return round(at.timestamp() * 1e9)


def _part_key(value: str) -> PartKey:
    found = re.fullmatch(r"([0-9a-fA-F]{1,4})-(\d{1,10})", value)
    if found is None:
        raise SettingsError(
            f"part {value!r}",
            expected="epoch (hexadecimal) and sequence, like 1a2b-4711",
            found="something else",
            remedy="Copy it from linegate log query.",
        )
    return PartKey(int(found[1], 16), int(found[2]))


def repeat(
    limit: Annotated[int, typer.Option(min=1, help="Most parts judged again, newest first.")] = 200,
    bundle: Annotated[
        list[Path] | None, typer.Option(help="Folder of a bundle that the store has not; repeatable.")
    ] = None,
    as_json: AsJson = False,
    station: Station = STATION,
    data: Data = None,
    url: Url = None,
) -> None:
    """Judge stored pictures again: bundle, recipe and picture must give the verdict that was logged. Exit code 1 if not."""
    from linegate.inspect.repeat import find_bundles, repeat_verdicts
    from linegate.inspect.settings import BUNDLES
    from linegate.models.store import BundleStore

    settings, folder = log_place(station, data, url)
    reader = open_reader(settings, folder)
    console = Console(stderr=True)
    bundles = find_bundles(BundleStore(folder / BUNDLES), tuple(bundle or ()))
    same = different = 0
    try:
        with Progress(TextColumn("judging again"), BarColumn(), MofNCompleteColumn(), console=console) as progress:
            task = progress.add_task("", total=limit)
            for view in repeat_verdicts(
                reader, folder, bundles, limit, lambda done: progress.update(task, completed=done)
            ):
                same, different = same + view.same, different + (not view.same)
                if not view.same:
                    progress.console.print(
                        f"✗ part {view.key} {view.camera}: logged {view.logged}, now {view.again or '-'}; {view.why}",
                        highlight=False,
                    )
    finally:
        reader.dispose()
    if as_json:
        typer.echo(json.dumps({"same": same, "different": different}))
    else:
        typer.echo(f"{same} of {same + different} verdicts are the same again")
    if different or not same:
        raise typer.Exit(1)
