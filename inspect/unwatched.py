"""The parts that the PLC counted while the station did not watch: each gets its row, and what the gate did with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from linegate.inspect.backfill import Backfilled
from linegate.inspect.chores import Chores
from linegate.inspect.part import Cause, GateResult, PartKey
from linegate.inspect.partlog.errors import LogError
from linegate.inspect.partlog.writer import PartLog

AddRows = Callable[[int, int, Cause, Sequence[range] | None], Backfilled]
"""Add the rows that are missing of an epoch's parts 1 up to a count, or only of these spans, with this cause. Called on the
chores thread. Raises LogError."""


class Unwatched:
    """``on_epoch`` and ``on_gate`` are called by the link's thread.

    Attributes:
        count: parts that a restarted PLC had counted before it was met again. Those of the first one met came before this
            station and are not its own.
        rows_before: rows of the log that tell of parts before this start, those that were added since included.
    """

    def __init__(self, log: PartLog, chores: Chores, add_rows: AddRows, rows_before: int) -> None:
        self._log = log
        self._chores = chores
        self._add_rows = add_rows
        self._met = False
        self._met_at = 0
        self.count = 0
        self.rows_before = rows_before

    def on_epoch(self, epoch: int, triggered: int) -> None:
        """A PLC was met that has counted parts 1 to ``triggered`` of this epoch."""
        first, self._met = not self._met, True
        self._met_at = triggered
        if not first:
            self.count += triggered
        self._add(epoch, triggered, first, None)

    def on_gate(self, key: PartKey, result: GateResult) -> None:
        """What became of a part at the gate. The row of one that nobody watched may still have to be added."""
        if key.sequence <= self._met_at:
            self._chores.do("note what the gate did", lambda: self._log.put_gate_result(key, result))
        else:
            self._log.put_gate_result(key, result)

    def _add(self, epoch: int, triggered: int, first: bool, left: Sequence[range] | None) -> None:
        def when_the_log_works(rest: Sequence[range] | None) -> None:
            again = partial(self._add, epoch, triggered, first, rest)
            self._chores.do(f"{what}, again", again, when=lambda: self._log.ok)

        def add_rows() -> None:
            try:
                added = self._add_rows(epoch, triggered, Cause.CRASH if first else Cause.PLC_LOST, left)
            except LogError:  # what rows there are can't be read now; every part gets its row all the same
                when_the_log_works(left)
                raise
            if first:
                self.rows_before += added.rows
            if added.left:
                when_the_log_works(added.left)

        what = "add the rows of parts nobody watched"
        self._chores.do(what, add_rows)
