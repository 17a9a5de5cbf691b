"""Which of pylon's devices a camera of station.toml is, and whether the emulator has anything to photograph."""

from __future__ import annotations

import os
from pathlib import Path

from linegate.cameras import pylon_nodes
from linegate.cameras.errors import CameraNotFound
from linegate.cameras.settings import PylonSettings

PHOTO_SUFFIXES = (".bmp", ".png", ".tif", ".tiff", ".jpg", ".jpeg")

EMULATED_IN_USE: set[str] = set()
"""Serials of the emulated cameras that this process has open: pylon would let two cameras share one."""


def find(settings: PylonSettings) -> pylon_nodes.PylonDevice:
    """The device that ``settings`` ask for. Call it with ``pylon_nodes.ENUMERATION`` held. Raises CameraNotFound."""
    thing = f"camera {settings.name!r}"
    if settings.emulate is not None:
        pylon_nodes.offer_emulated()
        if not has_photo(settings.emulate):
            raise CameraNotFound(
                thing,
                expected=f"a folder of photos at {settings.emulate}",
                found="no such folder" if not settings.emulate.is_dir() else "no photo in it",
                remedy=f"Put {', '.join(PHOTO_SUFFIXES)} files there, or change emulate in station.toml.",
            )
    every = pylon_nodes.devices()
    usable = [
        d
        for d in every
        if (d.emulated == (settings.emulate is not None) or d.serial == settings.serial)
        and not (d.emulated and d.serial in EMULATED_IN_USE)
    ]
    if settings.serial:
        usable = [d for d in usable if d.serial == settings.serial]
    elif settings.emulate is not None:
        usable = usable[:1]
    if len(usable) == 1:
        return usable[0]
    real = [f"{d.serial} ({d.model}, {d.link})" for d in every if not d.emulated]
    raise CameraNotFound(
        thing,
        expected=f"a pylon camera with serial {settings.serial!r}" if settings.serial else "exactly one pylon camera",
        found=", ".join(real) or "no pylon camera connected",
        remedy="Set serial in station.toml to one of those found."
        if real
        else "Check power and cable; `linegate cameras` lists what is connected.",
    )


def has_photo(folder: Path) -> bool:
    """True when there is at least one photo in ``folder``; stops at the first, however many there are."""
    try:
        with os.scandir(folder) as entries:
            return any(entry.name.lower().endswith(PHOTO_SUFFIXES) for entry in entries)
    except OSError:
        return False
