"""`linegate check`: every cable and file of a station, in words, with what to do."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from linegate.inspect.findings import Finding


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("check")
    def check(
        station: Annotated[Path, typer.Argument(help="The station's settings.")] = Path("station.toml"),
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
    ) -> None:
        """Try everything the station needs. Exit code 1 if anything fails."""
        from linegate.inspect.checks import settings_finding, station_checks
        from linegate.inspect.settings_file import load_station

        console = Console(stderr=as_json)
        settings, first = settings_finding(station, load_station)
        findings = [first]
        _print(console, first)
        if settings is not None:
            for one in station_checks(settings, station.resolve().parent):
                with console.status(f"Checking {one.about}"):
                    finding = one.run()
                findings.append(finding)
                _print(console, finding)
        ok = all(finding.ok for finding in findings)
        if as_json:
            sys.stdout.write(json.dumps({"ok": ok, "findings": [asdict(finding) for finding in findings]}) + "\n")
        raise typer.Exit(0 if ok else 1)


def _print(console: Console, finding: Finding) -> None:
    mark = Text("✓ ", "green") if finding.ok else Text("✗ ", "bold red")
    console.print(mark + Text(f"{finding.about}: {finding.found}"), soft_wrap=True)
    if finding.remedy:
        console.print(Text(f"  → {finding.remedy}", "yellow"), soft_wrap=True)
