"""The place under the camera: a folder that the emulated camera photographs.

pylon's emulator re-reads its folder at each frame when that holds two names, so the current part's picture lies there
twice, as hard links put in place by rename: the camera finds the old picture or the new one, never half of one.
"""

from __future__ import annotations

import os
from pathlib import Path

NAMES = ("a.bmp", "b.bmp")
UNPLUGGED = ".unplugged"
WIRE = ".wire"


class Stage:
    """The folder of one camera. ``pull`` takes it away, as unplugging the camera does; pictures put there meanwhile lie in
    it when it is back, so that no camera that returns ever sees an old part."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wire = folder.with_name(folder.name + WIRE)
        """The photo-eye's wire to this camera, a file of linegate.cameras.wire."""
        self._away = folder.with_name(folder.name + UNPLUGGED)

    def put(self, picture: Path) -> None:
        """Replace what lies under the camera by ``picture`` (same file system)."""
        for name in NAMES:
            for _ in range(20):  # the folder may be pulled or plugged between any two steps
                if self._put_in(self.folder, name, picture) or self._put_in(self._away, name, picture):
                    break

    @staticmethod
    def _put_in(folder: Path, name: str, picture: Path) -> bool:
        fresh, place = folder / f".{name}", folder / name
        try:
            if place.exists() and place.samefile(picture):
                return True  # renaming onto the same inode would do nothing and leave the new name behind
            fresh.unlink(missing_ok=True)
            os.link(picture, fresh)
            fresh.replace(place)
        except FileNotFoundError:
            if not picture.exists():
                raise
            return False
        return True

    def pull(self) -> None:
        """Unplug the camera."""
        self.folder.rename(self._away)

    def plug(self) -> None:
        """Plug it in again."""
        self._away.rename(self.folder)
