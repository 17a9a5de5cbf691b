"""Which bundle a name in station.toml stands for."""

from __future__ import annotations

from pathlib import Path

from linegate.inspect.settings import BUNDLES
from linegate.models.bundle import Bundle
from linegate.models.store import BundleStore, resolve_bundle


def station_bundle(name: str, base: Path, data: Path) -> Bundle:
    """A folder beside station.toml (``base``), else a folder or a name in the store of the data folder; "" is the store's
    live one. Nothing is created. Raises BundleError."""
    here = base / name
    store = data / BUNDLES
    found = str(here) if name and here.is_dir() else name
    return resolve_bundle(found, BundleStore(store) if store.is_dir() else None)
