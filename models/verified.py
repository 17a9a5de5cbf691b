"""Verified bundles for those who only show them, again and again: each is hashed once, and again when its files change."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from pathlib import Path

from linegate.models.bundle import Bundle, load_bundle
from linegate.models.errors import BundleError
from linegate.models.manifest import MANIFEST_FILE, MODEL_FILE

KEPT = 256
SETTLED_NS = 2_000_000_000
"""A file that was changed more recently may change once more within one tick of its file system's clock (2 s on FAT)."""

_Stamp = tuple[int, int, int] | None


class VerifiedBundles:
    """``load_bundle`` with a memory. Thread-safe. What is to judge parts is verified by ``load_bundle`` itself, not here."""

    def __init__(self) -> None:
        self._known: OrderedDict[Path, tuple[list[_Stamp], Bundle | BundleError]] = OrderedDict()
        self._lock = threading.Lock()

    def load(self, folder: Path) -> Bundle:
        """The bundle as ``load_bundle`` found it when its files were as they are now. Raises BundleError."""
        with self._lock:
            stamps = [_stamp(folder / name) for name in (MANIFEST_FILE, MODEL_FILE)]
            before, found = self._known.get(folder, ([], None))
            if found is None or before != stamps:
                found = _load(folder)
                self._keep(folder, stamps, found)
            else:
                self._known.move_to_end(folder)
        if isinstance(found, BundleError):
            raise found.with_traceback(None)
        return found

    def _keep(self, folder: Path, stamps: list[_Stamp], found: Bundle | BundleError) -> None:
        self._known.pop(folder, None)
        latest = time.time_ns() - SETTLED_NS
        if any(stamp is None or stamp[1] > latest for stamp in stamps):
            return
        self._known[folder] = stamps, found
        while len(self._known) > KEPT:
            self._known.popitem(last=False)


def _load(folder: Path) -> Bundle | BundleError:
    try:
        return load_bundle(folder)
    except BundleError as error:
        return error


def _stamp(path: Path) -> _Stamp:
    """Size, time of change, and the time that nobody can set back; None where there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns
