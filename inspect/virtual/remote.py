"""A running virtual plant in the hands of another program on the same machine, by way of its wires."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from linegate.inspect.virtual.errors import PlantError
from linegate.inspect.virtual.launch import WIRES, check_rate
from linegate.inspect.virtual.signals import Signals, Word, WorldState

ANSWER_S = 3.0
"""The belt looks every few milliseconds."""


def belt_rate(folder: Path) -> float:
    """Parts per second that the belt of the plant in ``folder`` brings now. Raises PlantError where none runs."""
    with _wires(folder) as wires:
        return wires[Word.RATE] / 1000


def ask_rate(folder: Path, parts_per_s: float) -> float:
    """Ask for another rate, from the next part on; what the belt then does. Raises PlantError where none runs or answers,
    SettingsError for more than the PLC's slots hold."""
    with _wires(folder) as wires:
        check_rate(parts_per_s, wires[Word.TRAVEL_US] / 1000)
        wires[Word.RATE_ASKED] = round(1000 * parts_per_s)
        deadline = time.monotonic() + ANSWER_S
        while wires[Word.RATE_ASKED]:
            if time.monotonic() > deadline:
                raise _none(folder, "one that does not answer")
            time.sleep(0.005)
        return wires[Word.RATE] / 1000


@contextmanager
def _wires(folder: Path) -> Iterator[Signals]:
    try:
        wires = Signals(folder / WIRES)
    except (FileNotFoundError, NotADirectoryError):
        raise _none(folder, "none") from None
    try:
        if wires[Word.WORLD_STATE] == WorldState.STOPPED:
            raise _none(folder, "one that has ended")
        yield wires
    finally:
        wires.close()


def _none(folder: Path, found: str) -> PlantError:
    return PlantError(
        f"virtual plant in {folder}",
        expected="a running one",
        found=found,
        remedy="Start `linegate run` or `linegate plant serve`, or name its folder with --folder.",
    )
