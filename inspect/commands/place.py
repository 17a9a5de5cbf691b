"""Where the log is that a command reads: --url, else --data, else what station.toml says."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import BaseModel, ValidationError

from linegate.cameras.errors import SettingsError
from linegate.inspect.settings import LogSettings


def log_place(station: Path, data: Path | None, url: str | None) -> tuple[LogSettings, Path]:
    """The log's settings and the data folder. Only the two keys a reader needs are looked at, so that the log of a station
    whose other settings are broken can still be read. Raises SettingsError."""
    folder, settings = Path("data"), LogSettings()
    if data is None or url is None:
        if station.is_file():
            folder, settings = _from_station(station)
        elif data is None and url is None:
            raise SettingsError(
                f"station file {station}",
                expected="a station.toml here, or --data, or --url",
                found="none of them",
                remedy="Name the data folder with --data DIR, or the station file with --station FILE.",
            )
    if data is not None:
        folder = data
        settings = settings.model_copy(update={"url": ""})
    if url is not None:
        settings = settings.model_copy(update={"url": url})
    return settings, folder


class _DataOnly(BaseModel):
    """The one key of [station] that a reader needs; whatever else stands there."""

    data: Path = Path("data")


def _from_station(station: Path) -> tuple[Path, LogSettings]:
    try:
        table = tomllib.loads(station.read_text("utf-8"))
        settings = LogSettings.model_validate(table.get("log", {}))
        folder = _DataOnly.model_validate(table.get("station", {})).data
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise SettingsError(
            f"station file {station}",
            expected="a readable station.toml",
            found=str(error).replace("\n", "; "),
            remedy="Correct the file, or name the data folder with --data DIR.",
        ) from error
    return station.parent / folder, settings
