"""Who has which part open. A courtesy, in memory: what keeps two people from overwriting each other is the label's version."""

from __future__ import annotations

import threading
import time

HERE_S = 12.0


class Presence:
    """Browsers say every few seconds which part they show; after 12 s of silence they are gone. Thread-safe."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], tuple[str, float]] = {}
        self._lock = threading.Lock()

    def here(self, key: str, window: str, name: str) -> list[str]:
        """This window of ``name`` shows part ``key`` ("" for none); returns who else does."""
        now = time.monotonic()
        with self._lock:
            self._seen = {
                place: seen for place, seen in self._seen.items() if now - seen[1] < HERE_S and place[1] != window
            }
            if key:
                self._seen[key, window] = (name, now)
            return sorted({who for (part, other), (who, _) in self._seen.items() if part == key and other != window})
