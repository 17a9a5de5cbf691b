"""What a check found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from linegate.cameras.errors import LinegateError


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of ``linegate check``. ``remedy`` is empty where all is well."""

    about: str
    ok: bool
    found: str
    remedy: str


def attempt(about: str, trial: Callable[[], Finding], remedy: str) -> Finding:
    """Run ``trial``; its failure is a finding. ``remedy`` is for failures of the operating system, which bring none."""
    try:
        return trial()
    except LinegateError as error:
        return Finding(about, False, f"{error.thing}: expected {error.expected}, found {error.found}", error.remedy)
    except OSError as error:
        return Finding(about, False, error.strerror or str(error), remedy)
