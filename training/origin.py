"""Which Linegate made something."""

from __future__ import annotations

import hashlib
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent
_MAKERS = ("models", "training", "inspect/runtime", "inspect/virtual")
"""The rooms a bundle's weights and thresholds come from."""


def commit() -> str:
    """The commit of this checkout, with a "+" if a tracked file was changed since, or the installed version where there is
    no checkout."""
    from linegate import __version__

    here = Path(__file__).resolve().parent
    try:
        head = _git(here, "rev-parse", "--short=12", "HEAD")
        changed = _git(here, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return f"linegate {__version__}"
    return f"{head}+" if changed else head


def code_sha256(package: Path | None = None) -> str:
    """Hash of the Python files that make a bundle: their paths and contents in order. A commit's name is lost when history is
    rewritten or the package is installed without it; this says in any copy whether it is the same code.

    ``package``: folder of the package, this one by default.
    """
    found = hashlib.sha256()
    root = _PACKAGE if package is None else package
    for room in _MAKERS:
        for file in sorted((root / room).rglob("*.py")):
            content = file.read_bytes()
            found.update(f"{file.relative_to(root).as_posix()}\0{len(content)}\0".encode())
            found.update(content)
    return found.hexdigest()


def command_of(arguments: Sequence[str]) -> str:
    """The command line of ``linegate`` with ``arguments``, each absolute path by its last name: where a folder lay on one
    machine tells nobody elsewhere anything, and what was in it has a hash in the manifest."""
    return "linegate " + shlex.join(_named(word) for word in arguments)


def _named(word: str) -> str:
    option, equals, value = word.rpartition("=") if word.startswith("-") else ("", "", word)
    return option + equals + (Path(value).name if Path(value).is_absolute() else value)


def _git(folder: Path, *words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=folder, capture_output=True, text=True, timeout=10, check=True
    ).stdout.strip()
