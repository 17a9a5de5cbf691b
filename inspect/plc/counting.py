"""The PLC's trigger count to triggers: none twice, none left out, whatever happened to the connection."""

from __future__ import annotations

import time
from enum import Enum

from linegate.inspect.part import PartKey, Trigger
from linegate.inspect.plc.registers import SLOT_COUNT, PlcBlock

U32 = 1 << 32
MOST_AT_ONCE = 256
"""Triggers reported after one exchange; what is over follows after the next ones, so that a long outage can't hold up
the thread."""
SETTLE_NS = 1_000_000_000
"""A PLC may set its new epoch a few scans before it clears its counters. A count in which neither word of the old one can be
left is believed at once; any other once it has not fallen for so long."""


class Seen(Enum):
    """What a P block turned out to be."""

    COUNTED = "counted"
    NEW_EPOCH = "new epoch"
    SETTLING = "settling"
    """The epoch is new, and the count may still be the old one's."""
    TORN = "torn"
    """TRIG_ID is not the low word of the count: the PLC's server was read in the middle of an update."""
    BACKWARDS = "backwards"
    """The count fell without a new epoch: ids would be used again."""


class TriggerCounter:
    """Follows P_TRIGGERED through polls, wraps, outages and PLC restarts.

    A new epoch (the first contact too) begins at the count it has settled at: parts 1 to that count are the client's to
    reconcile. After that every count becomes exactly one Trigger.

    ``Trigger.at_ns`` is when the exchange that showed it was answered: the edge was at most one poll period and one
    exchange earlier. ``deadline_ns`` is counted from the start of the exchange before, the earliest the edge can have been,
    so that a slow exchange takes time from the deadline and not from the gate.
    """

    def __init__(self, deadline_ms: float) -> None:
        self._deadline_ns = int(deadline_ms * 1e6)
        self._epoch: int | None = None
        self._reported = 0
        self._earliest_ns = 0
        self._settling: PlcBlock | None = None
        self._since_ns = 0  # when the count of the epoch that settles was first seen, or fell
        self._ended: PlcBlock | None = None
        self._behind = True

    @property
    def epoch(self) -> int | None:
        """The PLC's epoch, None before the first contact."""
        return self._epoch

    def interrupt(self) -> None:
        """The connection broke: what was counted meanwhile is reported, and can't be answered any more."""
        self._behind = True

    def see(self, block: PlcBlock, sent_ns: int) -> tuple[Seen, list[Trigger]]:
        """One P block, and host time when its exchange began. Triggers come oldest first."""
        if block.trig_id != block.triggered & 0xFFFF:
            return Seen.TORN, []
        if block.epoch != self._epoch:
            if not self._settled(block):
                return Seen.SETTLING, []
            self._epoch, self._reported = block.epoch, block.triggered
            self._behind, self._earliest_ns = False, sent_ns
            return Seen.NEW_EPOCH, []
        self._settling = None
        new = (block.triggered - self._reported) % U32
        if new >= U32 // 2:
            return Seen.BACKWARDS, []
        now = min(new, MOST_AT_ONCE)
        utc_ns = time.time_ns() - (time.monotonic_ns() - block.read_ns)
        triggers = []
        for step in range(1, now + 1):
            sequence = (self._reported + step) % U32
            answerable = not self._behind and new - step < SLOT_COUNT
            triggers.append(
                Trigger(
                    key=PartKey(block.epoch, sequence),
                    at_ns=block.read_ns,
                    deadline_ns=self._earliest_ns + self._deadline_ns if answerable else block.read_ns,
                    utc_ns=utc_ns,
                    encoder=block.encoder,
                    answerable=answerable,
                    earliest_ns=self._earliest_ns if answerable else 0,
                )
            )
        self._reported = (self._reported + now) % U32
        self._behind = now < new
        self._earliest_ns = sent_ns
        return Seen.COUNTED, triggers

    def take_ended(self) -> PlcBlock | None:
        """The last block of an epoch that ended before its count had settled, once: its parts came, too."""
        ended, self._ended = self._ended, None
        return ended

    def _settled(self, block: PlcBlock) -> bool:
        """Whether the count of a new epoch is that epoch's own."""
        before, self._settling = self._settling, block
        if before is not None and before.epoch != block.epoch and before.triggered != self._reported:
            self._ended = before
        if before is None or before.epoch != block.epoch or block.triggered < before.triggered:
            self._since_ns = block.read_ns
        cleared = block.triggered == 0 or (self._epoch is not None and block.triggered < self._reported & 0xFFFF)
        return cleared or block.read_ns - self._since_ns >= SETTLE_NS
