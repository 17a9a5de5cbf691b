"""station.toml to StationSettings; everything that is wrong with it in one message, with lines and the nearest names."""

from __future__ import annotations

import difflib
import json
import tomllib
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from linegate.cameras.errors import SettingsError
from linegate.inspect import toml_lines
from linegate.inspect.settings import StationSettings

MOST_ERRORS = 10
STAGE = "stage"
"""The value of a camera's ``emulate`` that the virtual line fills in."""
STATION_KEYS = ("name", "data", "recipe")
"""What stands under [station]; all other settings have tables of their own."""
UNITS = {
    "us": "microseconds",
    "ms": "milliseconds",
    "s": "seconds",
    "mm": "millimetres",
    "mm2": "square millimetres",
    "px": "pixels",
    "mb": "megabytes",
    "gb": "gigabytes",
    "db": "decibels",
    "days": "days",
    "parts_per_s": "parts a second",
}


def load_station(path: Path) -> StationSettings:
    """Read, check and resolve relative paths against the file's folder.

    Raises SettingsError with up to ten faults, each with its line, what is known, and what to write instead.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(
            str(path),
            expected="a station file",
            found=error.strerror or str(error),
            remedy="Name the file: linegate … station.toml.",
        ) from None
    except UnicodeDecodeError as error:
        raise _fault(path, f"byte {error.start} is not UTF-8", "Save the file as UTF-8.") from None
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _fault(path, str(error), "Correct the line; text needs quotes, tables look like [plc].") from None
    lines = toml_lines.key_lines(text)
    faults = _station_faults(data, lines)
    station_table = data.pop("station", {})
    named = station_table if isinstance(station_table, dict) else {}
    flat = {**data, **{key: value for key, value in named.items() if key in STATION_KEYS}}
    try:
        # JSON mode: strict about "10" for 10, and yet lists become tuples and text becomes paths.
        station = StationSettings.model_validate_json(json.dumps(flat, default=str), strict=True)
    except ValidationError as error:
        faults += [
            _explain(detail, flat, lines)
            for detail in error.errors(include_url=False)
            # A list whose items are wrong counts as empty afterwards; its items were told already.
            if not (detail["type"] == "too_short" and detail["input"])
        ]
    if faults:
        raise _report(path, faults)
    return _resolve(station, path.resolve().parent)


def _fault(path: Path, found: str, remedy: str) -> SettingsError:
    return SettingsError(str(path), expected="a TOML file", found=found, remedy=remedy)


def _report(path: Path, faults: list[tuple[int | None, str]]) -> SettingsError:
    faults = sorted(faults, key=lambda fault: fault[0] or 0)
    told = [f"line {line}: {text}" if line else text for line, text in faults[:MOST_ERRORS]]
    if len(faults) > MOST_ERRORS:
        told.append(f"… and {len(faults) - MOST_ERRORS} more")
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    return SettingsError(
        str(path),
        expected="settings that Linegate knows",
        found=f"{count}:\n  " + "\n  ".join(told) + "\n",
        remedy="The shipped station.toml shows every setting with its unit.",
    )


def _station_faults(data: dict[str, Any], lines: dict[toml_lines.Path, int]) -> list[tuple[int | None, str]]:
    """What the flattening of [station] would hide: unknown keys in it, and its keys at the top level."""
    faults: list[tuple[int | None, str]] = []
    station = data.get("station", {})
    for key in station if isinstance(station, dict) else ():
        if key not in STATION_KEYS:
            tables = [name for name in StationSettings.model_fields if name == key]
            hint = f"{key} is a table of its own, [{key}]" if tables else _nearest(key, STATION_KEYS)
            faults.append((toml_lines.line_of(("station", key), lines), f"unknown key 'station.{key}'; {hint}"))
    if not isinstance(station, dict):
        faults.append((toml_lines.line_of(("station",), lines), "station must be a table: write [station]"))
    faults += [
        (toml_lines.line_of((key,), lines), f"'{key}' belongs under [station]") for key in STATION_KEYS if key in data
    ]
    return faults


def _explain(detail: ErrorDetails, data: dict[str, Any], lines: dict[toml_lines.Path, int]) -> tuple[int | None, str]:
    """One pydantic error as (line, words)."""
    where, model = _locate(detail["loc"], data)
    in_file = ("station", *where) if where and where[0] in STATION_KEYS else where
    line, name = toml_lines.line_of(in_file, lines), _name(in_file)
    kind, given = detail["type"], detail["input"]
    if kind == "extra_forbidden":
        known = list(model.model_fields) if model else []
        if len(where) == 1:
            known = ["station", *(key for key in known if key not in STATION_KEYS)]
        return line, f"unknown key '{name}'; {_nearest(str(where[-1]), known)}"
    if kind == "missing":
        return line, f"'{name}' is missing"
    if kind == "union_tag_not_found":
        return line, f'\'{name}\' has no driver; write driver = "pylon", "gentl" or "replay"'
    if kind == "union_tag_invalid":
        return line, f"'{name}' has an unknown driver; known: pylon, gentl, replay"
    if isinstance(given, str) and kind in {"float_type", "int_type", "float_parsing", "int_parsing"}:
        unit = _unit(str(where[-1]))
        return (
            line,
            f"'{name}' must be a number{f' in {unit}' if unit else ''}, without quotes or unit; found {given!r}",
        )
    said = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    shown = "" if isinstance(given, dict | list) else f"; found {json.dumps(given, default=str)}"
    return line, f"'{name}' {said}{shown}" if name else said


def _locate(loc: tuple[int | str, ...], data: Any) -> tuple[toml_lines.Path, type[BaseModel] | None]:
    """pydantic's location without the tags of unions (they are no keys), and the model that holds the last key."""
    where: toml_lines.Path = ()
    holder: type[BaseModel] | None = StationSettings
    kind: Any = StationSettings
    for at, step in enumerate(loc):
        models = _models(kind)
        tagged = isinstance(data, dict) and step == data.get("driver") and len(models) > 1
        if tagged:
            kind = next((m for m in models if _tag(m) == step), None)
            continue
        where = (*where, step)
        model = models[0] if models else None
        if isinstance(step, str) and model is not None:
            holder = model if at == len(loc) - 1 else holder
            field = model.model_fields.get(step)
            kind = field.annotation if field else None
        data = data[step] if _has(data, step) else None
    return where, holder


def _has(data: Any, step: int | str) -> bool:
    return (isinstance(data, dict) and step in data) or (
        isinstance(data, list) and isinstance(step, int) and step < len(data)
    )


def _models(kind: Any) -> list[type[BaseModel]]:
    """The settings models in an annotation, through Optional, tuple[X, ...], Annotated and unions."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [kind]
    if get_origin(kind) in (Annotated, Union, UnionType, tuple):
        return [model for part in get_args(kind) for model in _models(part)]
    return []


def _tag(model: type[BaseModel]) -> str:
    field = model.model_fields.get("driver")
    return str(get_args(field.annotation)[0]) if field else ""


def _stem(key: str) -> str:
    for unit in sorted(UNITS, key=len, reverse=True):
        if key.endswith(f"_{unit}"):
            return key[: -len(unit) - 1]
    return key


def _unit(key: str) -> str:
    return UNITS.get(key[len(_stem(key)) + 1 :], "")


def _nearest(key: str, known: list[str] | tuple[str, ...]) -> str:
    """The known key that was most likely meant: the same word in another unit first, else the closest spelling."""
    for name in known:
        if _stem(name) == _stem(key):
            return f"known: {name} ({_unit(name)})" if _unit(name) else f"known: {name}"
    close = difflib.get_close_matches(key, known, 1, 0.6)
    if close:
        return f"known: {close[0]} ({_unit(close[0])})" if _unit(close[0]) else f"known: {close[0]}"
    return f"known: {', '.join(known)}"


def _name(where: toml_lines.Path) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in where).lstrip(".")


def _resolve(station: StationSettings, folder: Path) -> StationSettings:
    def at(path: Path) -> Path:
        return path if path.is_absolute() else folder / path

    cameras = []
    for camera in station.cameras:
        changes: dict[str, Path] = {}
        for key in ("emulate", "producer", "folder", "calibration"):
            value = getattr(camera, key, None)
            if isinstance(value, Path) and not (key == "emulate" and value == Path(STAGE) and station.virtual):
                changes[key] = at(value)
        cameras.append(camera.model_copy(update=changes))
    recipes = [
        recipe.model_copy(update={"bundle": str(folder / recipe.bundle)})
        if recipe.bundle and (folder / recipe.bundle).is_dir()
        else recipe
        for recipe in station.recipes
    ]
    virtual = station.virtual
    if virtual is not None and virtual.photos is not None:
        virtual = virtual.model_copy(update={"photos": at(virtual.photos)})
    return station.model_copy(
        update={"data": at(station.data), "cameras": tuple(cameras), "recipes": tuple(recipes), "virtual": virtual}
    )
