"""What became of each part at the gate, as far as the PLC's counters prove it.

Parts reach the gate in the order of their triggers and the PLC counts each there once, so the n-th that an epoch counts at
the gate is its n-th part. Where an exchange shows passes only, or rejects only, each of these parts is proven; where it
shows both, none is.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace

from linegate.inspect.part import GateResult, PartKey
from linegate.inspect.plc.registers import PLC_NOTHING, Control, PlcBlock, difference_u32

U32 = 1 << 32
STALL_NS = 50_000_000
"""A block so much later than the poll was due: PLC or network stood still, and the gate may have been decided too late."""
PURGE_NS = 1_000_000_000
"""For so long after Purge was shown last, purged parts may still come to the gate."""
MOST_AT_ONCE = 256
"""Parts told after one exchange; the rest follows after the next ones, so that a long outage can't hold up the thread."""
MOST_BELIEVED = 1_000_000
"""More parts than that between two blocks are no parts but a counter that was set."""


class GateWatch:
    """``on_epoch`` and ``on_block`` belong to the link's thread, ``released`` to any; the two counts may be read by any.

    Attributes:
        withheld: parts the line had released and the gate rejected at a time when it may have had a reason to: Linegate did
            not vouch for its verdicts, the PLC purged, or an exchange took too long. Without one, the counts contradict.
        unreleased: parts the gate passed although the line had not released them.
    """

    def __init__(self, poll_ms: float) -> None:
        self._late_ns = round(poll_ms * 1e6) + STALL_NS
        self._lock = threading.Lock()
        self._last = PLC_NOTHING
        self._unseen_upto = 0
        self._purge_ns: int | None = None
        self._released: dict[PartKey, bool] = {}
        self._untold: deque[tuple[PartKey, GateResult]] = deque()
        self.withheld = 0
        self.unreleased = 0

    def on_epoch(self, block: PlcBlock, *, first: bool) -> None:
        """A PLC was met. The ``first`` one may have counted for weeks: what came to its gate before is not told."""
        with self._lock:
            self._last = block if first else replace(block, passed=0, rejected=0)
            self._unseen_upto = block.triggered if first else 0
            self._released.clear()

    def released(self, key: PartKey, written: bool) -> None:
        """An OK went to the PLC; not ``written``: it may have, and only the gate knows."""
        with self._lock:
            if key.epoch == self._last.epoch and difference_u32(key.sequence, _at_gate(self._last)) > 0:
                self._released[key] = written

    def on_block(self, block: PlcBlock, doubt_ns: int) -> list[tuple[PartKey, GateResult]]:
        """What this exchange proves, in the parts' order. ``doubt_ns``: until then the PLC may have had reason not to trust
        Linegate, see PlcLink."""
        with self._lock:
            last, self._last = self._last, block
            if Control.PURGE in block.control:
                self._purge_ns = block.read_ns
            passed = difference_u32(block.passed, last.passed)
            rejected = difference_u32(block.rejected, last.rejected)
            if passed >= 0 and rejected >= 0 and 0 < passed + rejected <= MOST_BELIEVED:
                self._take(last, passed, rejected, reason=self._may_have_reason(last, block, doubt_ns))
            return [self._untold.popleft() for _ in range(min(MOST_AT_ONCE, len(self._untold)))]

    def _take(self, last: PlcBlock, passed: int, rejected: int, *, reason: bool) -> None:
        result = GateResult.REJECTED if not passed else GateResult.PASSED if not rejected else GateResult.UNKNOWN
        sure = possible = 0
        for step in range(1, passed + rejected + 1):
            key = PartKey(last.epoch, (_at_gate(last) + step) % U32)
            written = self._released.pop(key, None)
            sure += written is True
            possible += written is not None or difference_u32(self._unseen_upto, key.sequence) >= 0
            self._untold.append((key, result))
        self.unreleased += max(0, passed - possible)
        if reason:
            self.withheld += max(0, sure - passed)

    def _may_have_reason(self, last: PlcBlock, block: PlcBlock, doubt_ns: int) -> bool:
        purged = self._purge_ns is not None and block.read_ns - self._purge_ns <= PURGE_NS
        return purged or doubt_ns >= last.read_ns or block.read_ns - last.read_ns > self._late_ns


def _at_gate(block: PlcBlock) -> int:
    return (block.passed + block.rejected) % U32
