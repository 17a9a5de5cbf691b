"""Which bundle judges in shadow: the one that people chose, which the store keeps, else station.toml's; changed while the line
runs."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from linegate.cameras.calibration import Calibration
from linegate.cameras.errors import LinegateError
from linegate.inspect.settings import ShadowSettings
from linegate.inspect.shadow import Shadow
from linegate.models.bundle import Bundle

if TYPE_CHECKING:
    from linegate.inspect.station import Station


class ShadowDesk:
    """Starts, stops and exchanges the line's shadow. ``follow`` waits for the disk and for the shadow before: it is called by
    whoever carries out an order, never by the verdict path, which only sees ``line.shadow``, one reference."""

    def __init__(self, station: Station, calibrations: Mapping[str, Calibration]) -> None:
        """Raises BundleError where station.toml names a bundle that isn't there."""
        self._station = station
        self._calibrations = calibrations
        self._lock = threading.Lock()
        self._ended = False
        if station.settings.shadow is not None:
            station.find_bundle(station.settings.shadow.bundle)  # a wrong one is said before the line starts

    def follow(self) -> None:
        """Let that bundle judge in shadow that should; what is wrong with it is an event, and then none does."""
        line = self._station.line
        with self._lock:
            if self._ended:
                return
            try:
                wanted = self._wanted()
            except LinegateError as error:
                self._station.log.record_event("shadow_failed", "warning", str(error))
                wanted = None
            now = line.shadow
            if (now.sha256 if now is not None else "") == (wanted.sha256 if wanted is not None else ""):
                return
            line.shadow = None
            if now is not None:
                now.stop()
            if wanted is not None:
                line.shadow = self._begin(wanted)

    def stop(self) -> None:
        """End the shadow, for good."""
        line = self._station.line
        with self._lock:
            self._ended = True
            if line.shadow is not None:
                line.shadow.stop()

    def _wanted(self) -> Bundle | None:
        chosen, settings = self._station.store.shadow(), self._station.settings
        if chosen is None and settings.shadow is not None:
            return self._station.find_bundle(settings.shadow.bundle)
        return chosen

    def _begin(self, bundle: Bundle) -> Shadow:
        station = self._station
        settings = station.settings
        shadow = Shadow(
            settings.shadow or ShadowSettings(bundle=""),
            settings.runtime,
            bundle,
            station.log,
            station.images,
            station.pipeline.busy,
            recipes={recipe.id: recipe for recipe in settings.recipes},
            calibrations=self._calibrations,
            data=station.data,
        )
        shadow.start()
        return shadow
