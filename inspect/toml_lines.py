"""Where each key of a TOML file stands: tomllib reads values, and says nothing about lines."""

from __future__ import annotations

import re

Path = tuple[str | int, ...]

_KEY = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_DOTTED = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_HEADER = re.compile(rf"^\s*(\[\[?)\s*({_DOTTED})\s*\]\]?\s*(?:#.*)?$")
_SETTING = re.compile(rf"^\s*({_DOTTED})\s*=(.*)$")


def key_lines(text: str) -> dict[Path, int]:
    """Path of each table and key → its line, from 1. Valid TOML only.

    Tables in an array carry their index (("cameras", 0, "name")). Keys inside an inline table are not listed; the line
    of the key that holds it is theirs.
    """
    lines: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    rest = ""  # what ends a value that goes on over several lines: """, ''' or a bracket depth
    depth = 0
    for number, line in enumerate(text.splitlines(), 1):
        if rest:
            if rest not in line:
                continue
            line, rest = line.split(rest, 1)[1], ""
            depth += _depth(line)
            continue
        if depth:
            depth += _depth(line)
            continue
        if header := _HEADER.match(line):
            table = _resolve(_parts(header[2]), counts, new=header[1] == "[[")
            lines.setdefault(table, number)
        elif setting := _SETTING.match(line):
            lines.setdefault((*table, *_parts(setting[1])), number)
            value = setting[2]
            for quotes in ('"""', "'''"):
                if value.count(quotes) % 2:
                    rest = quotes
            depth = 0 if rest else _depth(value)
    return lines


def line_of(path: Path, lines: dict[Path, int]) -> int | None:
    """The line of the longest known beginning of ``path``."""
    for end in range(len(path), 0, -1):
        if path[:end] in lines:
            return lines[path[:end]]
    return None


def _parts(dotted: str) -> Path:
    return tuple(part.strip("\"'") for part in re.findall(_KEY, dotted))


def _resolve(parts: Path, counts: dict[Path, int], *, new: bool) -> Path:
    """A header's path with the index of each array of tables in it."""
    table: Path = ()
    for at, part in enumerate(parts):
        table = (*table, part)
        if new and at == len(parts) - 1:
            counts[table] = counts.get(table, -1) + 1
        if table in counts:
            table = (*table, counts[table])
    return table


def _depth(value: str) -> int:
    """Brackets opened less brackets closed, outside strings and comments."""
    bare = re.sub(r""""(?:\\.|[^"\\])*"|'[^']*'""", "", value).split("#", 1)[0]
    return sum(bare.count(c) for c in "[{") - sum(bare.count(c) for c in "]}")
