"""The confirm sensor against the gate: every part that the gate rejects must be seen in the bin soon after."""

from __future__ import annotations

from collections import deque

from linegate.inspect.plc.registers import PlcBlock, difference_u32


class ConfirmWatch:
    """Follows the PLC's counts of rejected and confirmed parts. One thread at a time.

    A part on its way from the gate to the sensor explains a difference for ``grace_ms`` after it was counted and no longer,
    however many follow it. Time is that of the blocks: while none comes, nothing is late.
    """

    def __init__(self, grace_ms: float) -> None:
        self._grace_ns = round(grace_ms * 1e6)
        self._epoch: int | None = None
        self._seen: deque[tuple[int, int, int]] = deque()  # (read_ns, rejected, confirmed), one for each change
        self._accepted = 0
        self.missing = 0
        """Rejected parts the sensor should have seen by now and has not, beyond those accepted; below 0: it saw so many that
        the gate did not reject."""

    def see(self, block: PlcBlock) -> None:
        """The counts of one block. Those of a new epoch begin anew."""
        counts = (block.rejected, block.confirmed)
        if block.epoch != self._epoch:
            self._epoch, self._accepted = block.epoch, 0
            self._seen.clear()
        if not self._seen or self._seen[-1][1:] != counts:
            self._seen.append((block.read_ns, *counts))
        while len(self._seen) > 1 and self._seen[1][0] <= block.read_ns - self._grace_ns:
            self._seen.popleft()
        before_ns, rejected, confirmed = self._seen[0]
        if before_ns > block.read_ns - self._grace_ns:
            self.missing = 0
            return
        least = difference_u32(rejected, block.confirmed)
        most = difference_u32(block.rejected, confirmed)
        if self._accepted > most:  # some of the missing came after all
            self._accepted = max(0, most)
        self.missing = max(0, least - self._accepted) or min(0, most - self._accepted)

    def accept(self) -> None:
        """A person has looked into what is missing: it counts as explained from now on."""
        self._accepted += self.missing
        self.missing = 0
