"""A client (an address) that keeps guessing has to wait, whichever names it tries."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from linegate.inspect.hmi.errors import ScreenError

FREE_TRIES = 8
FIRST_WAIT_S = 5.0
LONGEST_WAIT_S = 900.0
FORGET_S = 1800.0
"""In this time as many failures are forgotten as there are free tries."""
CLIENTS = 4096


@dataclass(slots=True)
class _Tries:
    """One client's failures by the name they were made under, as far as they are not forgotten yet; oldest name first."""

    last_s: float
    until_s: float = 0.0
    failures: dict[str, float] = field(default_factory=dict)

    def forget(self, now: float) -> None:
        """Let go of what time forgives, the oldest first."""
        forgiven, self.last_s = (now - self.last_s) * FREE_TRIES / FORGET_S, now
        while self.failures and forgiven > 0:
            name = next(iter(self.failures))
            left = self.failures[name] - forgiven
            forgiven = -left
            if left > 0:
                self.failures[name] = left
            else:
                del self.failures[name]


class ClientLockout:
    """Counts failures by address, in memory, for at most CLIENTS addresses. Thread-safe.

    Whoever signs in is forgiven what failed under their own name, and nothing else: with a PIN of one's own one could else
    guess at other people's for as long as one likes. The rest only time forgives.

    Each check also takes the one place in which hashes are computed, so that a storm of PINs uses one core for one hash at
    a time at most, and beyond WAITING of them is sent away unchecked.
    """

    WAITING = 4

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tries: OrderedDict[str, _Tries] = OrderedDict()
        self._lock = threading.Lock()
        self._hashing = threading.Lock()
        self._waiting = 0

    def enter(self, client: str) -> None:
        """Before a check. Raises ScreenError 429 where the client has to wait, 503 where too many checks are under way."""
        with self._lock:
            now = self._clock()
            tries = self._of(client, now)
            if tries.until_s > now:
                raise ScreenError("operator.error.locked_out", 429, seconds=int(tries.until_s - now) + 1)
            if self._waiting >= self.WAITING:
                raise ScreenError("operator.error.busy", 503)
            self._waiting += 1
        self._hashing.acquire()

    def leave(self, client: str, name: str, *, ok: bool) -> bool:
        """After a check. ``name``: whose it was, "" for a badge nobody has. Returns whether the client is locked out by it."""
        self._hashing.release()
        with self._lock:
            now = self._clock()
            self._waiting -= 1
            tries = self._of(client, now)
            if ok:
                tries.failures.pop(name, None)
                return False
            tries.failures[name] = tries.failures.get(name, 0.0) + 1.0
            over = math.ceil(sum(tries.failures.values())) - FREE_TRIES
            if over < 0:
                return False
            tries.until_s = now + min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(over, 20))
            return True

    def _of(self, client: str, now: float) -> _Tries:
        tries = self._tries.get(client)
        if tries is None:
            tries = self._tries[client] = _Tries(last_s=now)
        tries.forget(now)
        self._tries.move_to_end(client)
        while len(self._tries) > CLIENTS:
            self._tries.popitem(last=False)
        return tries
