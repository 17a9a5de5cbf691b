"""Notices a thread that no longer turns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stall:
    """A thread that has not stamped for longer than it may."""

    thread: str
    for_ms: float
    limit_ms: float

    def __str__(self) -> str:
        return f"thread {self.thread} has not turned for {self.for_ms:.0f} ms; it may take {self.limit_ms:.0f} ms"


class Watchdog:
    """Each thread of the verdict path stamps ``beat`` on every turn, idle turns too, at least twice per its limit.

    ``beat`` is called on many threads without a lock: one dict item each, always the same keys.
    """

    def __init__(self, limits_ms: Mapping[str, float], now_ns: int) -> None:
        self._limits_ns = {thread: int(limit * 1e6) for thread, limit in limits_ms.items()}
        self._beats = dict.fromkeys(limits_ms, now_ns)

    def beat(self, thread: str, now_ns: int) -> None:
        """The thread lives. Raises KeyError for one that is not watched."""
        if thread not in self._beats:
            raise KeyError(thread)
        self._beats[thread] = now_ns

    def stalls(self, now_ns: int) -> tuple[Stall, ...]:
        """All threads over their limit."""
        return tuple(
            Stall(thread, (now_ns - self._beats[thread]) / 1e6, limit / 1e6)
            for thread, limit in self._limits_ns.items()
            if now_ns - self._beats[thread] > limit
        )

    def alive(self, now_ns: int) -> bool:
        """Whether all turn: the condition for the heartbeat."""
        return all(now_ns - self._beats[thread] <= limit for thread, limit in self._limits_ns.items())
