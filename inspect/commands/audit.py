"""`linegate audit`: who did what, and whether the record of it is whole."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from linegate.inspect.commands.log_options import STATION, AsJson, Data, Station, Url, reading
from linegate.inspect.partlog import audit


def register(app: typer.Typer) -> None:
    """Add the sub-commands."""
    group = typer.Typer(no_args_is_help=True, help="The chain of what people did: verify it, list it.")
    app.add_typer(group, name="audit")

    @group.command("verify")
    def verify(station: Station = STATION, data: Data = None, url: Url = None) -> None:
        """Walk the hash chain; exit 1 and name each place where a row was changed, moved or taken out."""
        with reading(station, data, url) as (connection, _):
            report = audit.verify(connection)
        for problem in report.problems:
            sys.stdout.write(f"broken: {problem}\n")
        if report.problems:
            raise typer.Exit(1)
        sys.stdout.write(f"whole: {report.count} rows, head {report.head}\n")

    @group.command("list")
    def list_entries(
        limit: Annotated[int, typer.Option(min=1, max=100_000)] = 50,
        by: Annotated[str | None, typer.Option(help="Only this person.")] = None,
        action: Annotated[str | None, typer.Option(help="Only this action.")] = None,
        as_json: AsJson = False,
        station: Station = STATION,
        data: Data = None,
        url: Url = None,
    ) -> None:
        """The latest acts, newest first."""
        with reading(station, data, url) as (connection, _):
            found = audit.entries(connection, limit, by, action)
        if as_json:
            for entry in found:
                sys.stdout.write(json.dumps(asdict(entry), ensure_ascii=False) + "\n")
            return
        table = Table("no.", "when", "who", "role", "what", "about", "detail", title="Audit")
        for entry in found:
            when = datetime.fromtimestamp(entry.at_utc_ns / 1e9).astimezone().strftime("%Y-%m-%d %H:%M:%S")
            detail = "" if entry.detail == "{}" else entry.detail
            table.add_row(str(entry.id), when, entry.by, entry.role, entry.action, entry.subject, detail)
        Console().print(table)
