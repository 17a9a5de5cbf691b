"""The wires between the physical world and the PLC: a shared block of 64-bit words in a mapped file.

A wire outlives both ends. When the PLC is stopped or killed, the world goes on writing its sensors; when the PLC is back,
it finds the counts as they are now. Each word has one writer, but for RATE_ASKED, which is handed over. A ring entry is
written before the count that announces it; aligned 8-byte stores keep their order on the processors this runs on (x86-64's
TSO), and a reader checks the entry's own number as well.
"""

from __future__ import annotations

import mmap
from enum import IntEnum
from pathlib import Path

RING = 256
"""Entries of each ring: many more than parts fit between camera and gate."""


class Word(IntEnum):
    """Single words."""

    # The world's sensors.
    EYE_COUNT = 0
    GATE_COUNT = 1
    OUTCOME_COUNT = 2
    ENCODER = 3
    # The world's own state, for the parent.
    WORLD_STATE = 4
    FED = 5
    STARVED_MS = 6
    """Time the belt waited for pictures."""
    RATE = 7
    """Parts per 1000 s that the belt brings now."""
    TRAVEL_US = 27
    """Photo-eye to commit point."""
    # The operator's and the machine's switches, written by the parent.
    CONTROL = 8
    RECIPE_ASKED = 9
    COMMAND = 10
    FAULT_INPUTS = 11
    PURGE_COUNT = 12
    RESET_COUNT = 13
    BLIND_CONFIRM = 14
    """Rejected parts that the confirm sensor shall not see (a fault to inject), in total since the start."""
    RATE_ASKED = 15
    """Parts per 1000 s that somebody asks of the running belt, from outside the plant; the world sets it to 0 when done."""
    # The PLC's outputs.
    LINE_STOP = 16
    PLC_PID = 17
    EPOCH = 18
    HEARTBEAT = 19
    TRIGGERED = 20
    PASSED = 21
    REJECTED = 22
    CONFIRMED = 23
    NO_VERDICT = 24
    UNTRACKED = 25
    FAULTS = 26


class WorldState(IntEnum):
    """WORLD_STATE."""

    STARTING = 0
    PAUSED = 1
    RUNNING = 2
    FINISHED = 3
    STOPPED = 4


class Ring(IntEnum):
    """Rings of (number, a, b); the number counts from 1, so that an empty entry matches none."""

    EYE = 0
    """World: photo-eye edge; a = monotonic ns, b = encoder."""
    GATE = 1
    """World: edge at the commit point; a = monotonic ns, b = encoder."""
    OUTCOME = 2
    """World: what the confirm sensor saw of a gate edge; a = 1 in the reject bin, 2 passed, 3 saw nothing."""
    PASS = 3
    """PLC: PASS pulse for a gate edge; a = monotonic ns at which it expires by itself."""
    REASON = 4
    """PLC: for a gate edge; a = index into GateReason, b = eye number of the part it was taken for, or 0."""
    SEEN = 5
    """PLC: identity given to an eye edge; a = epoch, b = sequence."""
    SLOT = 6
    """PLC: slot of an eye edge complete; a = monotonic ns, b = verdict."""


_WORDS = 32
_ENTRY = 4
SIZE_BYTES = 8 * (_WORDS + len(Ring) * RING * _ENTRY)


class Signals:
    """One process's end of the wires."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), SIZE_BYTES)
        self._words = memoryview(self._map).cast("Q")

    @staticmethod
    def create(path: Path) -> None:
        """A new block, all zero."""
        path.write_bytes(bytes(SIZE_BYTES))

    def __getitem__(self, word: Word) -> int:
        return self._words[word]

    def __setitem__(self, word: Word, value: int) -> None:
        self._words[word] = value

    def put(self, ring: Ring, number: int, a: int, b: int = 0) -> None:
        """Write entry ``number`` (≥ 1) of ``ring``; its number last."""
        at = _WORDS + (ring * RING + number % RING) * _ENTRY
        self._words[at] = 0
        self._words[at + 1] = a
        self._words[at + 2] = b
        self._words[at] = number

    def get(self, ring: Ring, number: int) -> tuple[int, int] | None:
        """(a, b) of entry ``number``, or None where it was not written or is already overwritten."""
        at = _WORDS + (ring * RING + number % RING) * _ENTRY
        if self._words[at] != number:
            return None
        a, b = self._words[at + 1], self._words[at + 2]
        return (a, b) if self._words[at] == number else None

    def close(self) -> None:
        """Let go of the mapping."""
        self._words.release()
        self._map.close()
