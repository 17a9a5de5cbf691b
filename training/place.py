"""A station as training sees it: its settings, its data folder, its store of bundles, and what a candidate would replace."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from linegate.inspect.judge import check_fits
from linegate.inspect.partlog.database import FILE_NAME
from linegate.inspect.settings import BUNDLES, StationSettings
from linegate.inspect.settings_file import load_station
from linegate.models.bundle import Bundle
from linegate.models.store import BundleStore


@dataclass(frozen=True, slots=True)
class Place:
    """One station, whether its line runs or not. ``data`` is absolute or relative to where the command runs."""

    settings: StationSettings
    data: Path

    @staticmethod
    def of(station: Path) -> Place:
        """The station whose station.toml this is; a relative data folder lies beside it. Raises SettingsError."""
        settings = load_station(station)
        return Place(settings, settings.data if settings.data.is_absolute() else station.parent / settings.data)

    @property
    def store(self) -> BundleStore:
        """Its bundles."""
        return BundleStore(self.data / BUNDLES)

    @property
    def has_log(self) -> bool:
        """Whether it has a part log yet."""
        return bool(self.settings.log.url) or (self.data / FILE_NAME).is_file()

    def live(self) -> Bundle | None:
        """What a candidate would replace; None for a first release. The packaged bundle knows the virtual line's panels: it
        says nothing of other parts, even where a station would start with it. Raises BundleError, NotCertified."""
        virtual = self.settings.virtual
        drawn = virtual is not None and virtual.photos is None
        return self.store.live() if drawn or self.store.pointers().live else None

    def check_fits(self, bundle: Bundle) -> None:
        """Raises SettingsError where a recipe that takes the live bundle could not take this one: the line would not start."""
        check_fits(bundle, self.settings.recipes)

    def classes(self) -> tuple[str, ...]:
        """Defect classes of ``live``, in its order: the PLC knows them by number. () for a first release."""
        live = self.live()
        return live.manifest.classes if live is not None else ()
