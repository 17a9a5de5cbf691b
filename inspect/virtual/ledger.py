"""The truth ledger on disk: one JSON line a part, appended, never lost to a disk that is full for a while."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


class Ledger:
    """Owned by the world. A line is handed to the system at once, so that it outlives the process; what the disk does not
    take now is kept and offered again with every ``flush``."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._waiting = bytearray()

    def write(self, row: dict[str, Any]) -> None:
        """Append one line."""
        self._waiting += json.dumps(row).encode() + b"\n"
        self.flush()

    def flush(self) -> bool:
        """Try again what is waiting; True when nothing is left."""
        while self._waiting:
            try:
                written = os.write(self._file, self._waiting)
            except OSError:
                return False
            del self._waiting[:written]
        return True

    def close(self) -> None:
        """A last try, then the file is closed."""
        self.flush()
        os.close(self._file)


def read_ledger(path: Path) -> list[dict[str, Any]]:
    """The ledger's lines, in the order they were written; a last line cut off in mid-write is left out."""
    rows: list[dict[str, Any]] = []
    with path.open(encoding="utf-8") as lines:
        rows.extend(json.loads(line) for line in lines if line.endswith("\n"))
    return rows
