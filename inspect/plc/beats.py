"""Heartbeats both ways, and the times of the exchanges."""

from __future__ import annotations

import numpy as np

from linegate.inspect.plc.registers import HEARTBEAT_PERIOD_MS

PERIOD_NS = HEARTBEAT_PERIOD_MS * 1_000_000
WINDOW = 4096


class VisionHeartbeat:
    """V_HEARTBEAT: +1 for every 50 ms in which the verdict path lived. Time in which it did not is never made up for."""

    def __init__(self) -> None:
        self._count = 0
        self._from_ns: int | None = None

    def value(self, now_ns: int, *, alive: bool) -> int:
        """The register's value now, 0..65535."""
        if self._from_ns is None or not alive:
            self._from_ns = now_ns
            return self._count
        beats, rest = divmod(now_ns - self._from_ns, PERIOD_NS)
        self._count = (self._count + beats) & 0xFFFF
        self._from_ns = now_ns - rest
        return self._count


class HeartbeatWatch:
    """Whether the PLC's heartbeat moves. It counts as moving when the watch begins, until the limit has passed."""

    def __init__(self, lost_ms: float) -> None:
        self._lost_ns = int(lost_ms * 1e6)
        self._last: int | None = None
        self._moved_ns = 0

    def begin(self, now_ns: int) -> None:
        """Forget the old connection."""
        self._last = None
        self._moved_ns = now_ns

    def see(self, heartbeat: int, now_ns: int) -> None:
        """One value read."""
        if heartbeat != self._last:
            self._last = heartbeat
            self._moved_ns = now_ns

    def frozen_ms(self, now_ns: int) -> float:
        """For how long it has stood still, or 0.0 while that is within the limit."""
        still_ns = now_ns - self._moved_ns
        return still_ns / 1e6 if still_ns > self._lost_ns else 0.0


class ExchangeTimes:
    """The last 4096 exchanges' durations. Written by one thread; reading copies."""

    def __init__(self) -> None:
        self.count = 0
        self._ns = np.zeros(WINDOW, dtype=np.int64)

    def add(self, duration_ns: int) -> None:
        """One exchange."""
        self._ns[self.count % WINDOW] = duration_ns
        self.count += 1

    def percentile_ms(self, q: float) -> float:
        """``q`` 0..100; 0.0 before the first exchange."""
        n = min(self.count, WINDOW)
        return float(np.percentile(self._ns[:n].copy(), q)) / 1e6 if n else 0.0
