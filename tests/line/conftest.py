"""Stations for the whole-line tests; the plates and the bundle are drawn once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .plates import save_blob_bundle, save_plates
from .rig import Rig, settings


@pytest.fixture(scope="session")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve plates, a third of them bad."""
    return save_plates(tmp_path_factory.mktemp("plates"))


@pytest.fixture(scope="session")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle that finds every defect on them."""
    return save_blob_bundle(tmp_path_factory.mktemp("bundle") / "blobs").folder


@pytest.fixture
def make_rig(tmp_path: Path, plates: Path, blobs: Path) -> Iterator[Callable[..., Rig]]:
    """``make_rig(station settings to change…)``: a plant, and no station in front of it yet."""
    with contextlib.ExitStack() as stack:

        def make(
            data: Path | None = None, stop_delay_ms: float = 0.0, checks_confirm: bool = True, **changes: Any
        ) -> Rig:
            wanted = settings(changes.pop("photos", plates), changes.pop("bundle", blobs), **changes)
            rig = Rig(wanted, tmp_path, data, stop_delay_ms=stop_delay_ms, checks_confirm=checks_confirm)
            stack.callback(rig.close)
            return rig

        yield make


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    """A station that has passed its first parts."""
    made = make_rig()
    made.start_station()
    made.run()
    return made
