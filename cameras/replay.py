"""Photos from a folder or a list, one a trigger, in name order."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from linegate.cameras.camera import CameraInfo
from linegate.cameras.errors import CameraError, CameraLost, CameraNotFound, WrongImage
from linegate.cameras.frame import Frame, FrameLost, Image, LossReason
from linegate.cameras.image_file import SUFFIXES, read_image
from linegate.cameras.settings import ReplaySettings
from linegate.cameras.wire import Wire, connect

PENDING = 8
"""Most exposures that wait to be fetched, as a camera's buffers are bounded."""
WIRE_LOOK_S = 0.0005
"""Pause between two looks at the photo-eye's wire."""


class ReplayCamera:
    """A ``Camera`` whose exposures are files. The file is read at the trigger, each time anew, so that a folder whose
    photos are replaced while it runs shows what is there at that moment.

    Args:
        settings: the folder, and whether it starts over after the last photo.
        photos: these files in this order instead of the folder's.
    """

    def __init__(self, settings: ReplaySettings, photos: Sequence[Path] | None = None) -> None:
        self._settings = settings
        self._given = None if photos is None else tuple(photos)
        self._photos: tuple[Path, ...] = ()
        self._open = False
        self._armed = False
        self._position = 0
        self._counter = 0
        self._exposed: deque[Frame | FrameLost] = deque()
        self._wire: Wire | None = None

    @property
    def name(self) -> str:
        """The name in station.toml."""
        return self._settings.name

    def open(self) -> CameraInfo:
        """List the photos. Raises CameraNotFound when there is none."""
        self.close()
        if self._settings.trigger == "hardware":
            self._wire = connect(self.name, self._settings.wire)
        self._photos = self._list()
        if not self._photos:
            raise CameraNotFound(
                f"camera {self.name!r}",
                expected=f"photos ({', '.join(sorted(SUFFIXES))}) in {self._settings.folder}",
                found="no photo in it" if self._settings.folder.is_dir() else "no such folder",
                remedy="Set folder in station.toml to a folder of photos.",
            )
        self._open = True
        try:
            first = read_image(self._photos[0])
        except WrongImage:  # a trigger will say so
            first = None
        height, width = first.shape[:2] if first is not None else (0, 0)
        return CameraInfo(
            driver="replay",
            id=str(self._settings.folder),
            vendor="Linegate",
            model=f"replay of {len(self._photos)} photos",
            width_px=width,
            height_px=height,
            pixel_format=_format(first) if first is not None else "",
            link="file",
        )

    def arm(self) -> None:
        """Start over the count; the photos go on where they were."""
        self._need_open()
        self._exposed.clear()
        self._counter = 0
        self._armed = True
        if self._wire is not None:
            self._wire.edges()  # from before

    def prepare(self, timeout_s: float) -> None:
        """Always ready while the photos are there."""
        self._need_open()
        if self._given is None and not self._settings.folder.is_dir():
            raise self._lost()

    def trigger(self, timeout_s: float) -> None:
        """Read the next photo."""
        self._need_open()
        if self._settings.trigger == "hardware":
            raise CameraError(
                f"camera {self.name!r}",
                expected='trigger = "plc" or "software"',
                found='trigger = "hardware"',
                remedy="Change it in station.toml; the photo-eye fires this camera by itself.",
            )
        self._expose()

    def _expose(self) -> None:
        if len(self._exposed) >= PENDING:
            raise CameraError(
                f"camera {self.name!r}",
                expected="frames to be fetched",
                found=f"{PENDING} frames not fetched yet",
                remedy="Lower the part rate.",
            )
        if self._position >= len(self._photos):
            if not self._settings.loop:
                raise CameraError(
                    f"camera {self.name!r}",
                    expected="a photo left to show",
                    found=f"all {len(self._photos)} were shown",
                    remedy="Set loop = true in station.toml to start over.",
                )
            self._position = 0
        path = self._photos[self._position]
        exposed_ns = time.monotonic_ns()
        counter = self._counter
        news: Frame | FrameLost
        try:
            image = read_image(path)
            news = Frame(image, self.name, counter, exposed_ns, time.monotonic_ns(), _format(image))
        except WrongImage as error:
            if self._given is None and not self._settings.folder.is_dir():
                raise self._lost() from error
            detail = f"{error.thing}: {error.found}"
            news = FrameLost(self.name, LossReason.FAILED_BUFFER, 1, counter, time.monotonic_ns(), detail)
        self._position += 1
        self._counter += 1
        self._exposed.append(news)

    def fetch(self, timeout_s: float) -> Frame | FrameLost | None:
        """What was triggered; with trigger = "free" the next photo, None after the last."""
        self._need_open()
        if not self._exposed and self._armed and self._settings.trigger == "free":
            if self._settings.loop or self._position < len(self._photos):
                self._expose()
            else:
                time.sleep(timeout_s)  # as a camera that nothing comes from
        if not self._exposed and self._armed and self._wire is not None:
            self._watch(self._wire, timeout_s)
        if not self._exposed:
            self.prepare(timeout_s)
            return None
        return self._exposed.popleft()

    def _watch(self, wire: Wire, timeout_s: float) -> None:
        """Expose at every edge of the photo-eye, until there is something to fetch."""
        until = time.monotonic() + timeout_s
        while not self._exposed:
            for _ in range(wire.edges()):
                self._expose()
            if time.monotonic() >= until:
                return
            time.sleep(WIRE_LOOK_S)

    def disarm(self) -> None:
        """Drop what was not fetched."""
        self._exposed.clear()
        self._armed = False

    def close(self) -> None:
        """Forget the photos; the next ``open`` begins with the first."""
        self._exposed.clear()
        self._photos, self._position, self._open, self._armed = (), 0, False, False
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    def _list(self) -> tuple[Path, ...]:
        if self._given is not None:
            return self._given
        try:
            found = [p for p in self._settings.folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file()]
        except OSError:
            return ()
        return tuple(sorted(found, key=lambda path: path.name))

    def _need_open(self) -> None:
        if not self._open:
            raise CameraError(
                f"camera {self.name!r}",
                expected="an open camera",
                found="a closed one",
                remedy="Open it first; this is a programming error.",
            )

    def _lost(self) -> CameraLost:
        return CameraLost(
            f"camera {self.name!r}",
            expected=f"the folder {self._settings.folder}",
            found="no such folder",
            remedy="Put it back; the camera is opened again by itself.",
        )


def _format(image: Image) -> str:
    return ("Mono" if image.ndim == 2 else "RGB") + ("8" if image.dtype == np.uint8 else "16")
