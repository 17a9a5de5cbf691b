"""Stored files whose row may not be committed yet: retention must leave them, whoever else gave the same bytes up."""

from __future__ import annotations

import threading
import time
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection, select

from linegate.inspect.partlog.schema import image

YOUNG_S = 600.0
"""A file younger than this may still be waiting for its row; what a failing log never took is given up after it."""
CHUNK = 500

Owner = tuple[int, int, str]
"""Epoch, sequence, camera: the row that a file waits for."""


class Unlogged:
    """Hash to the newest row that needs the file. Thread-safe.

    The store adds a hash before it looks whether the file is there; retention asks once more, under the same lock, before
    it removes one. So a picture whose bytes lie there already is never lost to a sweep that goes on at that moment.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owners: dict[str, tuple[Owner, float]] = {}

    def add(self, sha256: str, owner: Owner) -> None:
        """This file is about to be stored, or found stored, for ``owner``."""
        with self._lock:
            self._owners[sha256] = owner, time.monotonic()

    def __contains__(self, sha256: str) -> bool:
        with self._lock:
            return sha256 in self._owners

    def settle(self, connection: Connection) -> None:
        """Forget the files whose row is there now, and those that have waited too long."""
        with self._lock:
            waiting = dict(self._owners)
        too_old_s = time.monotonic() - YOUNG_S
        names = iter(waiting)
        while chunk := list(islice(names, CHUNK)):
            columns = select(image.c.sha256, image.c.epoch, image.c.sequence, image.c.camera)
            rows = connection.execute(columns.where(image.c.sha256.in_(chunk)))
            found = {(row.sha256, (row.epoch, row.sequence, row.camera)) for row in rows}
            with self._lock:
                for sha256 in chunk:
                    owner, since_s = waiting[sha256]
                    settled = (sha256, owner) in found or since_s < too_old_s
                    if settled and self._owners.get(sha256) == waiting[sha256]:
                        del self._owners[sha256]

    def unlink(self, path: Path) -> bool:
        """Remove a stored file, unless its bytes were stored again by now; whether it is gone. Raises OSError."""
        with self._lock:
            if path.stem in self._owners:
                return False
            path.unlink(missing_ok=True)
            return True
