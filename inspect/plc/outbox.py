"""Verdicts on their way to the PLC: each is written at most once, in time, for the epoch it was made for."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from linegate.inspect.plc.registers import SLOT_COUNT, Slot

Done = Callable[[bool, int], None]
"""Called on the link thread with (written, host monotonic ns)."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A slot, the moment after which it must not be written any more, and whom to tell."""

    slot: Slot
    deadline_ns: int
    done: Done


class Outbox:
    """The queue between the verdict threads (``put``) and the link thread (all else).

    A part whose slot was handed out by ``take`` is answered, whatever became of the write: a second slot for it is refused.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Letter] = []
        self._answered: deque[tuple[int, int]] = deque(maxlen=4 * SLOT_COUNT)

    def put(self, letter: Letter) -> None:
        """From any thread."""
        with self._lock:
            self._waiting.append(letter)

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def take(self, now_ns: int, epoch: int, newest_trig_id: int) -> tuple[list[Letter], list[Letter]]:
        """(to write now, refused). Refused are another epoch's, late ones, ids whose slot belongs to a newer part (or
        that the PLC has not counted yet), and second answers."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        good: list[Letter] = []
        refused: list[Letter] = []
        for letter in waiting:
            key = (letter.slot.epoch, letter.slot.trig_id)
            age = (newest_trig_id - letter.slot.trig_id) & 0xFFFF
            if (
                letter.slot.epoch == epoch
                and now_ns < letter.deadline_ns
                and age < SLOT_COUNT
                and key not in self._answered
            ):
                self._answered.append(key)
                good.append(letter)
            else:
                refused.append(letter)
        return good, refused

    def empty(self) -> list[Letter]:
        """Everything that waits, to be discarded."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        return waiting
