"""What all commands that read the log have in common: where it is, and how it is opened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Connection

from linegate.inspect.commands.place import log_place
from linegate.inspect.partlog import queries
from linegate.inspect.partlog.database import open_reader

Data = Annotated[Path | None, typer.Option("--data", help="The station's data folder.")]
Url = Annotated[str | None, typer.Option("--url", help="SQLAlchemy URL of the log.")]
Station = Annotated[Path, typer.Option("--station", help="The station file that names the data folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of a table, one object a line.")]
STATION = Path("station.toml")


@contextmanager
def reading(station: Path, data: Path | None, url: str | None) -> Iterator[tuple[Connection, Path]]:
    """A read transaction on the log, and the station's data folder. Raises SettingsError or LogError."""
    settings, folder = log_place(station, data, url)
    engine = open_reader(settings, folder)
    try:
        with queries.Reading(engine) as connection:
            yield connection, folder
    finally:
        engine.dispose()
