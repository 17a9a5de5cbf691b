"""What can go wrong with the virtual plant itself."""

from __future__ import annotations

from linegate.cameras.errors import LinegateError


class PlantError(LinegateError):
    """The virtual plant can't start, or one of its processes ended."""


class PlantStopped(PlantError):
    """Its owner asked for the end while it was being set up."""
