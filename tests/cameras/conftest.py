"""Photos, and a recorder for what an acquisition reports."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from linegate.cameras.frame import CameraEvent

WAIT_S = 20.0


def picture(seed: int, width: int = 96, height: int = 64) -> NDArray[np.uint8]:
    """(H, W) uint8, different for each seed."""
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


class Stage:
    """What is under an emulated camera: two names of one file, replaced at once, as the virtual line does it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._made = 0

    def show(self, image: NDArray[np.uint8]) -> None:
        self._made += 1
        source = self.folder.parent / f"part{self._made}.bmp"
        assert cv2.imwrite(str(source), image)
        for name in ("a.bmp", "b.bmp"):
            temporary = self.folder.parent / f"{name}.new"
            os.link(source, temporary)
            temporary.replace(self.folder / name)
        source.unlink()

    def pull(self) -> None:
        self.folder.rename(self.folder.with_suffix(".pulled"))

    def plug(self) -> None:
        self.folder.with_suffix(".pulled").rename(self.folder)


class Recorder:
    """Collects (event, tag) and waits for what a test needs."""

    def __init__(self) -> None:
        self.events: list[tuple[CameraEvent, int | None]] = []
        self._changed = threading.Condition()

    def __call__(self, event: CameraEvent, tag: int | None) -> None:
        with self._changed:
            self.events.append((event, tag))
            self._changed.notify_all()

    def wait(self, until: Callable[[list[tuple[CameraEvent, int | None]]], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: until(self.events), WAIT_S), self.events

    def of(self, tag: int) -> CameraEvent:
        """The one event of ``tag``; waits for it, fails on a second."""
        self.wait(lambda events: any(t == tag for _, t in events))
        found = [event for event, t in self.events if t == tag]
        assert len(found) == 1, found
        return found[0]

    def count(self, kind: type) -> int:
        return sum(isinstance(event, kind) for event, _ in self.events)


@pytest.fixture
def viky() -> Path:
    """The GenTL producer that the genicam package carries: three simulated devices."""
    spec = find_spec("genicam")
    if spec is None or spec.origin is None:
        pytest.skip("the genicam package has no build for this processor")
    return Path(spec.origin).parent / "viky.cti"


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    made = Stage(tmp_path / "stage")
    made.show(picture(0))
    return made


@pytest.fixture
def make_picture() -> Callable[..., NDArray[np.uint8]]:
    return picture


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()
