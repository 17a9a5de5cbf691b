"""What the PLC wants of the station: control bits that rise, and commands. Each is heard once, however often it is read."""

from __future__ import annotations

from linegate.inspect.plc.registers import Control, PlcBlock


class PlcWishes:
    """Called on the link's thread with every block.

    What stands when a PLC is met, or met again after its restart, is nobody's wish: it may have been done already. It
    counts when it was let go and comes again.
    """

    def __init__(self) -> None:
        self._epoch: int | None = None
        self._control = Control(0)
        self._command = 0

    def see(self, block: PlcBlock) -> tuple[Control, int | None]:
        """(bits that rose since the last block, the command register where it changed, else None; 0: taken back)."""
        known = block.epoch == self._epoch
        risen = block.control & ~self._control if known else Control(0)
        command = block.command if known and block.command != self._command else None
        self._epoch, self._control, self._command = block.epoch, block.control, block.command
        return risen, command
