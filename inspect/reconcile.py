"""Does everything add up? triggered = passed + rejected + in transit, and every trigger has exactly one row.

Five parties count on their own: the PLC, the line, the cameras, the log and the gate. Their counts are compared all the
time; since they are read one after the other while parts move, only a contradiction that lasts is believed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from linegate.inspect.part import PartKey
from linegate.inspect.plc.registers import PLC_NOTHING, PlcBlock, difference_u32

BELIEVE_AFTER_NS = 1_500_000_000


@dataclass(frozen=True, slots=True)
class Tally:
    """What the line knows at one moment, counted since this station started."""

    triggers: int
    frames: int
    frames_lost: int
    views_due: int
    rows: int
    rows_due: int
    passes_written: int
    passes_unproven: int
    """OK verdicts handed to the link whose exchange broke: whether the PLC has them is not known."""
    passes_withheld: int
    """Released parts that the gate rejected with a reason the line knows of; see GateWatch."""
    passes_unreleased: int
    """Parts that passed the gate although the line had not released them."""
    kept_back: int
    """Parts that are through and were not released."""
    in_flight: int
    unwatched: int
    """Triggers the PLC counted while nobody watched; each got a row when the station came (back)."""


@dataclass(frozen=True, slots=True)
class Life:
    """Parts ``after`` + 1 to ``upto`` of an epoch, counted by the PLC while this station ran."""

    epoch: int
    after: int
    upto: int


@dataclass(frozen=True, slots=True)
class Stored:
    """What the log's database itself says at the end of a run: part rows since the start, and for each epoch the parts that
    have none."""

    rows: int
    missing: Mapping[int, Sequence[range]]

    def has(self, key: PartKey) -> bool:
        """Whether this part has a row."""
        return not any(key.sequence in span for span in self.missing.get(key.epoch, ()))


@dataclass(slots=True)
class PlcTotals:
    """The PLC's counters since this station started, over all restarts of the PLC.

    ``found``: parts that were between camera and gate when the PLC was first met; it counts them at the gate only.
    ``vanished``: parts that were there when a PLC restarted; nobody counts them at the gate, which lets none of them pass.
    """

    triggered: int = 0
    passed: int = 0
    rejected: int = 0
    confirmed: int = 0
    no_verdict: int = 0
    epochs: int = 0
    found: int = 0
    vanished: int = 0
    _base: PlcBlock = PLC_NOTHING
    _last: PlcBlock = PLC_NOTHING
    _lives: list[Life] = field(default_factory=list)

    def on_epoch(self, block: PlcBlock) -> None:
        """A PLC was met: for the first time, where it already stands; after a restart, from zero."""
        first = self.epochs == 0
        if first:
            self.found = difference_u32(block.triggered, block.passed + block.rejected)
        else:
            self.vanished += self.now().in_transit
        self._lives = self.lives()
        self._fold()
        self.epochs += 1
        self._base = block if first else PLC_NOTHING
        self._last = block

    def on_block(self, block: PlcBlock) -> None:
        """The latest counters."""
        self._last = block

    def lives(self) -> list[Life]:
        """The PLC's lives so far, up to the latest block."""
        if not self.epochs:
            return []
        return [*self._lives, Life(self._last.epoch, self._base.triggered, self._last.triggered)]

    def _fold(self) -> None:
        now = self.now()
        self.triggered, self.passed, self.rejected = now.triggered, now.passed, now.rejected
        self.confirmed, self.no_verdict = now.confirmed, now.no_verdict
        self._base = self._last

    def now(self) -> PlcTotals:
        """The totals up to the latest block."""

        def since(name: str) -> int:
            gone = int(getattr(self._last, name)) - int(getattr(self._base, name))
            return int(getattr(self, name)) + (gone & 0xFFFFFFFF)

        return PlcTotals(
            triggered=since("triggered"),
            passed=since("passed"),
            rejected=since("rejected"),
            confirmed=since("confirmed"),
            no_verdict=since("no_verdict"),
            epochs=self.epochs,
            found=self.found,
            vanished=self.vanished,
        )

    @property
    def in_transit(self) -> int:
        """Triggered and not yet at the gate, of these totals."""
        return self.found + self.triggered - self.passed - self.rejected - self.vanished


class Reconciler:
    """Compares, and remembers since when something does not add up. Called by one thread."""

    def __init__(self, max_in_transit: int) -> None:
        self._max_in_transit = max_in_transit
        self._since_ns: dict[str, int] = {}

    def check(self, tally: Tally, plc: PlcTotals, now_ns: int) -> list[str]:
        """The contradictions that have lasted, each as a plain sentence; [] when all adds up."""
        found = dict(_contradictions(tally, plc, self._max_in_transit))
        self._since_ns = {name: self._since_ns.get(name, now_ns) for name in found}
        return [text for name, text in found.items() if now_ns - self._since_ns[name] >= BELIEVE_AFTER_NS]

    @staticmethod
    def final(tally: Tally, plc: PlcTotals, stored: Stored) -> list[str]:
        """The contradictions once the belt has run empty: nothing may be under way, and the database has the last word on the
        rows."""
        found = [text for _, text in _contradictions(replace(tally, rows=stored.rows), plc, 0)]
        gaps = [
            PartKey(epoch, sequence) for epoch, spans in stored.missing.items() for span in spans for sequence in span
        ]
        if len(gaps) > tally.rows_due:
            found.append(f"{len(gaps)} parts have no row in the log, the first of them {gaps[0]}")
        return found


def _contradictions(tally: Tally, plc: PlcTotals, max_in_transit: int) -> list[tuple[str, str]]:
    found = []
    if plc.triggered != tally.triggers + tally.unwatched:
        text = f"the PLC counted {plc.triggered} parts, the line saw {tally.triggers + tally.unwatched}"
        found.append(("triggers", text))
    if tally.rows + tally.rows_due != tally.triggers + tally.unwatched:
        text = f"{tally.triggers + tally.unwatched} parts came, {tally.rows + tally.rows_due} rows are or will be in the log"
        found.append(("rows", text))
    if tally.frames + tally.frames_lost != tally.views_due:
        text = f"{tally.views_due} pictures were due, {tally.frames} came and {tally.frames_lost} are known to be lost"
        found.append(("frames", text))
    if not 0 <= plc.in_transit <= max_in_transit:
        text = (
            f"the PLC counted {plc.triggered} parts, {plc.passed} passed and {plc.rejected} rejected: "
            f"{plc.in_transit} would be between camera and gate"
        )
        found.append(("gate", text))
    if tally.passes_written + tally.kept_back + tally.in_flight != tally.triggers:
        text = (
            f"the line saw {tally.triggers} parts, released {tally.passes_written}, kept {tally.kept_back} back "
            f"and has {tally.in_flight} under way"
        )
        found.append(("parts", text))
    most = tally.passes_written + tally.passes_unproven + max(0, plc.found)  # the station before released those found
    least = tally.passes_written - tally.passes_withheld - plc.vanished - max(0, plc.in_transit)
    if not least <= plc.passed <= most:
        found.append(("passes", f"the gate passed {plc.passed} parts, the line released {tally.passes_written}"))
    if tally.passes_unreleased:
        found.append(("unreleased", f"{tally.passes_unreleased} parts passed the gate that the line had not released"))
    return found
