"""The one protocol behind which every PLC stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from linegate.cameras.errors import LinegateError
from linegate.inspect.plc.registers import PlcBlock, Slot, VisionBlock


class PlcError(LinegateError):
    """The PLC can't be reached or refused an exchange."""


class PlcLost(PlcError):
    """An exchange timed out or the connection broke: whether it was carried out is unknown, and it is never repeated."""


@runtime_checkable
class PlcDriver(Protocol):
    """One connection to one PLC, owned and called by the PLC thread alone.

    Life: ``connect`` → ``exchange``* → ``close``. After any PlcLost the driver is disconnected, and what was in flight is
    forgotten by this side; the caller decides when to ``connect`` again. No call blocks longer than the driver's timeout.
    """

    def connect(self) -> None:
        """Raises PlcLost when nothing answers, PlcError when what answers has no such registers."""
        ...

    def exchange(self, block: VisionBlock, slots: Sequence[Slot]) -> PlcBlock:
        """Write ``slots``, then the V block, and read the P block. A slot is on the PLC when this returns.
        Raises PlcLost; then each slot may or may not have been written."""
        ...

    def close(self) -> None:
        """Let go of the connection. Never raises."""
        ...
