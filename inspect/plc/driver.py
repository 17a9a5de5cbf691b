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

    Life: ``connect`` → (``write`` | ``exchange``)* → ``close``. After any PlcLost the driver is disconnected, and what was in
    flight is forgotten by this side; the caller decides when to ``connect`` again. No call blocks longer than the driver's
    timeout.
    """

    def connect(self) -> None:
        """Raises PlcLost when nothing answers, PlcError when what answers has no such registers."""
        ...

    def write(self, slots: Sequence[Slot]) -> None:
        """Put ``slots`` on the PLC; they are there when this returns. Raises PlcLost; then each of them may or may not be."""
        ...

    def exchange(self, block: VisionBlock) -> PlcBlock:
        """Write the V block and read the P block. Raises PlcLost; then the PLC may or may not have got the V block."""
        ...

    def close(self) -> None:
        """Let go of the connection. Never raises."""
        ...
