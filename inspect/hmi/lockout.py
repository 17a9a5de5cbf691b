"""A client (an address) that keeps guessing has to wait, whichever names it tries."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from linegate.inspect.hmi.errors import ScreenError

FREE_TRIES = 8
FIRST_WAIT_S = 5.0
LONGEST_WAIT_S = 900.0
FORGET_S = 1800.0
CLIENTS = 4096


@dataclass(slots=True)
class _Tries:
    failures: int = 0
    last_s: float = 0.0
    until_s: float = 0.0


class ClientLockout:
    """Counts failures by address, in memory, for at most CLIENTS addresses. Thread-safe.

    Each check also takes the one place in which hashes are computed, so that a storm of PINs uses one core for one hash at
    a time at most, and beyond WAITING of them is sent away unchecked.
    """

    WAITING = 4

    def __init__(self) -> None:
        self._tries: OrderedDict[str, _Tries] = OrderedDict()
        self._lock = threading.Lock()
        self._hashing = threading.Lock()
        self._waiting = 0

    def enter(self, client: str) -> None:
        """Before a check. Raises ScreenError 429 where the client has to wait, 503 where too many checks are under way."""
        now = time.monotonic()
        with self._lock:
            tries = self._of(client, now)
            if tries.until_s > now:
                raise ScreenError("operator.error.locked_out", 429, seconds=int(tries.until_s - now) + 1)
            if self._waiting >= self.WAITING:
                raise ScreenError("operator.error.busy", 503)
            self._waiting += 1
        self._hashing.acquire()

    def leave(self, client: str, *, ok: bool) -> bool:
        """After a check. Returns whether the client is locked out by it."""
        self._hashing.release()
        now = time.monotonic()
        with self._lock:
            self._waiting -= 1
            tries = self._of(client, now)
            tries.last_s = now
            if ok:
                tries.failures = 0
                return False
            tries.failures += 1
            over = tries.failures - FREE_TRIES
            if over < 0:
                return False
            tries.until_s = now + min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(over, 20))
            return True

    def _of(self, client: str, now: float) -> _Tries:
        tries = self._tries.get(client)
        if tries is None or (now - tries.last_s > FORGET_S and tries.until_s < now):
            tries = self._tries[client] = _Tries(last_s=now)
        self._tries.move_to_end(client)
        while len(self._tries) > CLIENTS:
            self._tries.popitem(last=False)
        return tries
