"""`linegate log quarantine`: the parts that a failed challenge puts in doubt."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from linegate.inspect.commands.log_options import STATION, AsJson, Data, Station, Url, reading
from linegate.inspect.commands.part_text import part_as_json
from linegate.inspect.part import PartKey
from linegate.inspect.partlog.export import utc_text
from linegate.inspect.partlog.quarantine import Quarantine, quarantined_parts, quarantines


def quarantine(
    every: Annotated[bool, typer.Option("--all", help="Of every failed challenge, not only of the last one.")] = False,
    as_json: AsJson = False,
    station: Station = STATION,
    data: Data = None,
    url: Url = None,
) -> None:
    """The parts in doubt after a challenge part was accepted: all since the last good challenge that may have left as good."""
    with reading(station, data, url) as (connection, _):
        found = quarantines(connection, limit=1000 if every else 1)
        listed = [(doubt, quarantined_parts(connection, doubt)) for doubt in found]
    console = Console()
    for doubt, parts in listed:
        if as_json:
            sys.stdout.writelines(part_as_json({**part, "quarantined_by": str(doubt.failed)}) + "\n" for part in parts)
        else:
            _print(console, doubt, parts)
    if not listed and not as_json:
        console.print("No challenge part was ever accepted: nothing is in quarantine.", highlight=False)


def _print(console: Console, doubt: Quarantine, parts: list[dict[str, Any]]) -> None:
    table = Table("part", "triggered (UTC)", "lot", "serial", "at the gate", "challenge part")
    for part in parts:
        key = str(PartKey(part["epoch"], part["sequence"]))
        when = utc_text(part["triggered_utc_ns"])[:23].replace("T", " ")
        gate, rabbit = part["gate"] or "not known", "yes" if part["challenge"] else ""
        table.add_row(key, when, part["lot"], part["serial"], gate, rabbit)
    console.print(table)
    since = f"the last good challenge, {doubt.last_good}" if doubt.last_good else "the log began"
    text = f"{len(parts)} parts since {since}, until challenge part {doubt.failed} was accepted"
    console.print(text, highlight=False)
