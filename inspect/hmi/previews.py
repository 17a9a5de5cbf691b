"""Pictures for the screens: the line's small previews, kept for the rejects on show.

The line writes ``live/part-<run>-<n>.jpg`` a little after the record that names it, never another picture under that name, and
names none when it is busy. A file is removed when 64 more have come, so the bytes of the last rejects and passed parts are
kept here, a few megabytes at most.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

NAME = re.compile(r"^[A-Za-z0-9_-]{1,64}\.jpg$")
KEPT = 30
"""Of each: rejects and passed parts, so that passed ones never push a reject out."""
WAIT_S = 0.4
LARGEST_BYTES = 4_000_000


class Previews:
    """Serves and keeps previews. On the event loop; the files are small and in the page cache."""

    def __init__(self, data: Path) -> None:
        self._folder = data / "live"
        self._rejects: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._passed: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    def keep(self, record: dict[str, Any]) -> None:
        """Load this record's pictures before their files are removed."""
        shelf = self._passed if record.get("decision") == "OK" else self._rejects
        for view in record.get("views", ()):
            if view.get("preview"):
                task = asyncio.get_running_loop().create_task(self._keep(shelf, str(record["key"]), view))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _keep(self, shelf: OrderedDict[tuple[str, str], bytes], key: str, view: dict[str, Any]) -> None:
        content = await self.get(str(view["preview"]))
        if content is not None:
            shelf[key, str(view["camera"])] = content
            while len(shelf) > KEPT:
                shelf.popitem(last=False)

    async def kept(self, key: str, camera: str) -> bytes | None:
        """The JPEG of a recent part's view; waits for one that is just being loaded."""
        if self._tasks and (key, camera) not in self._rejects and (key, camera) not in self._passed:
            await asyncio.wait(set(self._tasks), timeout=WAIT_S)
        return self._rejects.get((key, camera)) or self._passed.get((key, camera))

    async def get(self, name: str) -> bytes | None:
        """One JPEG; waits a moment for one the line is still writing. None where there is none."""
        if not NAME.match(name):
            return None
        path = self._folder / name
        deadline = asyncio.get_running_loop().time() + WAIT_S
        while True:
            try:
                if path.stat().st_size <= LARGEST_BYTES:
                    return path.read_bytes()
                return None
            except OSError:
                if asyncio.get_running_loop().time() > deadline:
                    return None
            await asyncio.sleep(0.005)
