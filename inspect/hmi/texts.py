"""The one place of all texts: ``static/texts/<screen>.<language>.json``, flat, keys begin with the screen's name."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

LANGUAGES = ("en", "zh", "de")
FOLDER = Path(__file__).parent / "static" / "texts"


def screens() -> list[str]:
    """Names of the dictionaries there are: operator, review, …"""
    return sorted({path.name.split(".")[0] for path in FOLDER.glob("*.json")})


@cache
def dictionary(language: str) -> dict[str, str]:
    """All texts of one language, every screen's. Raises KeyError for a language there is none of."""
    if language not in LANGUAGES:
        raise KeyError(language)
    merged: dict[str, str] = {}
    for path in sorted(FOLDER.glob(f"*.{language}.json")):
        merged.update(json.loads(path.read_text(encoding="utf-8")))
    return merged


def text(language: str, key: str, **values: object) -> str:
    """One text with its {placeholders} filled in. Raises KeyError for a key that is missing: a test sees it first."""
    return dictionary(language)[key].format(**values)
