"""The virtual PLC's program: inputs, tracking, gate and counters, one scan at a time. No socket in here."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from linegate.inspect.part import WireVerdict
from linegate.inspect.plc import registers as reg
from linegate.inspect.plc.registers import Control, Fault, Status, split_u32
from linegate.inspect.virtual.gate_rule import GateReason, VisionSide, gate_rule, slot_verdict
from linegate.inspect.virtual.signals import RING, Ring, Signals, Word

REASONS = tuple(GateReason)
V_LENGTH = reg.SLOT_BASE + reg.SLOT_LENGTH * reg.SLOT_COUNT
"""Registers 0 to here are Linegate's to write."""
WATCHDOG_MS = 250
"""A scan later than this and the PLC trusts nothing it tracked: the camera-to-gate zone is purged."""
SHOW_MS = 5
"""Longest time between two updates of the outputs."""
FLAP_MS = 120
"""From the commit point to the flap."""
DECIDE_MS = 80
"""A scan later than this after the commit point can no longer move the flap in time."""
PULSE_MS = 250
"""The PASS pulse ends by itself after this."""
ENCODER_PER_MS = 10
"""Belt counts in a millisecond; the belt's speed never changes, the spacing of parts does."""
POSITION_TOLERANCE_MS = 4
"""How far a part may be from its place at the commit point and still be taken for the tracked one."""


@dataclass(slots=True)
class _Tracked:
    """A part between the photo-eye and the confirm sensor."""

    eye: int
    sequence: int
    encoder: int
    purged: bool = False
    stamped: bool = False
    expected: GateReason | None = None

    @property
    def trig_id(self) -> int:
        return self.sequence & 0xFFFF


class PlcProgram:
    """One life of the PLC, from power-up to power-down.

    ``scan`` is called every millisecond or two, ``write`` for every Modbus write and ``scan`` then ``refresh`` before every
    read, all on one thread.
    ``travel_ms`` is the way from photo-eye to commit point. ``clock`` gives nanoseconds; it is looked at anew before each
    decision, because a process can be stopped in the middle of a scan, which a PLC can't. Without ``checks_confirm`` it only
    counts what the confirm sensor sees, as many a PLC does, and never shows ConfirmFault.
    """

    def __init__(
        self,
        signals: Signals,
        epoch: int,
        travel_ms: float,
        stop_delay_ms: float,
        clock: Callable[[], int],
        *,
        checks_confirm: bool = True,
    ) -> None:
        now_ns = clock()
        self._checks_confirm = checks_confirm
        self._clock = clock
        self.memory = [0] * reg.MAP_LENGTH
        self._wires = signals
        self._epoch = epoch
        self._travel = round(travel_ms * ENCODER_PER_MS)
        self._stop_delay_ns = round(stop_delay_ms * 1e6)
        self._eye = signals[Word.EYE_COUNT]
        self._gate = signals[Word.GATE_COUNT]
        self._outcome = signals[Word.OUTCOME_COUNT]
        self._purges = signals[Word.PURGE_COUNT]
        self._resets = signals[Word.RESET_COUNT]
        self._way: deque[_Tracked] = deque()
        self._at_flap: dict[int, GateReason] = {}
        self._sequence = 0
        self._heartbeat_ns: int | None = None
        self._stop_since_ns: int | None = None
        self._confirm_fault = False
        self._last_ns = self._start_ns = self._beat_ns = now_ns
        self._purge_until_ns = now_ns + round(travel_ms * 1e6)
        self._counts = dict.fromkeys(
            (Word.TRIGGERED, Word.PASSED, Word.REJECTED, Word.CONFIRMED, Word.NO_VERDICT, Word.UNTRACKED), 0
        )
        for word in self._counts:
            signals[word] = 0
        signals[Word.LINE_STOP] = 0
        signals[Word.EPOCH] = epoch
        self.memory[reg.P_EPOCH] = epoch
        self.refresh()

    def scan(self) -> None:
        """One turn: sensors, tracking, gate, confirm sensor, stop request, heartbeat, registers."""
        now_ns = self._look()
        purges = self._wires[Word.PURGE_COUNT]
        self._see_parts()
        if purges != self._purges:
            self._purges = purges
            self._purge(now_ns)
        self._judge_parts()
        self._confirm()
        if now_ns >= self._show_ns:
            self.refresh()

    def _look(self) -> int:
        """The time now; after a standstill that was too long, what is tracked is purged first."""
        now_ns = self._clock()
        if now_ns - self._last_ns > WATCHDOG_MS * 1_000_000:
            self._eye = self._wires[Word.EYE_COUNT]  # what came by meanwhile was seen by nobody
            self._purge(now_ns)
        self._last_ns = now_ns
        return now_ns

    def write(self, address: int, values: Sequence[int]) -> bool:
        """Linegate writes; False when the registers are not its own, and then nothing is written."""
        if address < 0 or address + len(values) > V_LENGTH:
            return False
        self.scan()
        now_ns = self._last_ns  # a stop after the scan makes the heartbeat older than it is, never younger
        if address == reg.V_HEARTBEAT and values and values[0] != self.memory[reg.V_HEARTBEAT]:
            self._heartbeat_ns = now_ns
        self.memory[address : address + len(values)] = values
        for part in self._way:
            verdict = 0 if part.stamped else slot_verdict(self._slot(part), self._epoch, part.trig_id)
            if verdict != WireVerdict.EMPTY:
                part.stamped = True
                self._wires.put(Ring.SLOT, part.eye, now_ns, verdict)
        return True

    def _slot(self, part: _Tracked) -> list[int]:
        at = reg.SLOT_BASE + reg.SLOT_LENGTH * (part.trig_id % reg.SLOT_COUNT)
        return self.memory[at : at + reg.SLOT_LENGTH]

    def _see_parts(self) -> None:
        """Photo-eye edges: clear the slot, and only then show the part."""
        count = self._wires[Word.EYE_COUNT]
        self._eye = max(self._eye, count - RING + 1)
        while self._eye < count:
            self._eye += 1
            edge = self._wires.get(Ring.EYE, self._eye)
            if edge is None:
                continue
            self._sequence += 1
            part = _Tracked(self._eye, self._sequence, edge[1])
            at = reg.SLOT_BASE + reg.SLOT_LENGTH * (part.trig_id % reg.SLOT_COUNT)
            self.memory[at : at + reg.SLOT_LENGTH] = [0] * reg.SLOT_LENGTH
            self._way.append(part)
            self._wires.put(Ring.SEEN, self._eye, self._epoch, self._sequence)
            self._count(Word.TRIGGERED)
            self.memory[reg.P_TRIG_ID] = part.trig_id

    def _judge_parts(self) -> None:
        """Edges at the commit point, then parts that went by without one (the PLC stood still)."""
        encoder = self._wires[
            Word.ENCODER
        ]  # before the edges: those of all parts that are beyond the gate by it are there
        count = self._wires[Word.GATE_COUNT]
        self._gate = max(self._gate, count - RING + 1)
        while self._gate < count:
            self._gate += 1
            edge = self._wires.get(Ring.GATE, self._gate)
            if edge is None:
                continue
            now_ns = self._look()
            part = self._part_at(edge[1])
            reason = self._decide(part, edge[0], now_ns)
            self._wires.put(Ring.REASON, self._gate, REASONS.index(reason), 0 if part is None else part.eye)
            self._at_flap[self._gate] = reason
            if part is None:
                self._count(Word.UNTRACKED)
            elif reason is GateReason.PASS:
                self._wires.put(Ring.PASS, self._gate, now_ns + PULSE_MS * 1_000_000)
                self._count(Word.PASSED)
            else:
                self._reject(part)
        self._drop_gone(encoder)

    def _part_at(self, encoder: int) -> _Tracked | None:
        """The tracked part whose place on the belt is the commit point now."""
        tolerance = POSITION_TOLERANCE_MS * ENCODER_PER_MS
        self._drop_gone(encoder)
        if self._way and abs(encoder - self._way[0].encoder - self._travel) <= tolerance:
            return self._way.popleft()
        return None

    def _drop_gone(self, encoder: int) -> None:
        while self._way and encoder - self._way[0].encoder > self._travel + POSITION_TOLERANCE_MS * ENCODER_PER_MS:
            self._reject(self._way.popleft())

    def _decide(self, part: _Tracked | None, edge_ns: int, now_ns: int) -> GateReason:
        if part is None:
            return GateReason.UNTRACKED
        if part.purged:
            return GateReason.PURGED
        if now_ns - edge_ns > DECIDE_MS * 1_000_000:
            return GateReason.LATE
        age = None if self._heartbeat_ns is None else now_ns - self._heartbeat_ns
        vision = VisionSide(age, self.memory[reg.V_STATUS])
        return gate_rule(vision, self._slot(part), self._epoch, part.trig_id)

    def _reject(self, part: _Tracked) -> None:
        self._count(Word.REJECTED)
        if slot_verdict(self._slot(part), self._epoch, part.trig_id) == WireVerdict.EMPTY:
            self._count(Word.NO_VERDICT)

    def _confirm(self) -> None:
        """Compare what the confirm sensor saw with what the gate was told."""
        count = self._wires[Word.OUTCOME_COUNT]
        self._outcome = max(self._outcome, count - RING + 1)
        while self._outcome < count:
            self._outcome += 1
            seen = self._wires.get(Ring.OUTCOME, self._outcome)
            told = self._at_flap.pop(self._outcome, None)
            if seen is None or told is None:
                continue
            if seen[0] != (2 if told is GateReason.PASS else 1):
                self._confirm_fault = self._checks_confirm
            elif told not in (GateReason.PASS, GateReason.UNTRACKED):
                self._count(Word.CONFIRMED)
        if self._wires[Word.RESET_COUNT] != self._resets:
            self._resets = self._wires[Word.RESET_COUNT]
            self._confirm_fault = False

    def _purge(self, now_ns: int) -> None:
        self._purge_until_ns = now_ns + self._travel * 1_000_000 // ENCODER_PER_MS
        for part in self._way:
            part.purged = True

    def _count(self, word: Word) -> None:
        self._counts[word] += 1
        self._wires[word] = self._counts[word]

    def _line_stopped(self, now_ns: int) -> bool:
        if not self.memory[reg.V_STATUS] & Status.STOP_REQUEST:
            self._stop_since_ns = None
        elif self._stop_since_ns is None:
            self._stop_since_ns = now_ns
        asked = self._stop_since_ns is not None and now_ns - self._stop_since_ns >= self._stop_delay_ns
        return asked or self._confirm_fault

    def refresh(self) -> None:
        """Bring the P registers and the outputs up to date: before each read, and every few milliseconds anyway."""
        wires, memory, now_ns = self._wires, self.memory, self._clock()
        self._show_ns = now_ns + SHOW_MS * 1_000_000
        if now_ns - self._beat_ns >= reg.HEARTBEAT_PERIOD_MS * 1_000_000:
            self._beat_ns = now_ns
            memory[reg.P_HEARTBEAT] = (memory[reg.P_HEARTBEAT] + 1) & 0xFFFF
            wires[Word.HEARTBEAT] = memory[reg.P_HEARTBEAT]
        stopped = self._line_stopped(now_ns)
        wires[Word.LINE_STOP] = int(stopped)
        control = wires[Word.CONTROL] & ~int(Control.PURGE)
        memory[reg.P_CONTROL] = control | (Control.PURGE if now_ns < self._purge_until_ns else 0)
        memory[reg.P_COMMAND] = wires[Word.COMMAND]
        memory[reg.P_RECIPE_ASKED] = wires[Word.RECIPE_ASKED]
        faults = wires[Word.FAULT_INPUTS] | (Fault.CONFIRM_FAULT if self._confirm_fault else 0)
        memory[reg.P_FAULTS] = faults | (Fault.LINE_STOPPED if stopped else 0)
        wires[Word.FAULTS] = memory[reg.P_FAULTS]
        for address, value in (
            (reg.P_ENCODER, wires[Word.ENCODER] & 0xFFFFFFFF),
            (reg.P_TRIGGERED, self._counts[Word.TRIGGERED]),
            (reg.P_PASSED, self._counts[Word.PASSED]),
            (reg.P_REJECTED, self._counts[Word.REJECTED]),
            (reg.P_CONFIRMED, self._counts[Word.CONFIRMED]),
            (reg.P_NO_VERDICT, self._counts[Word.NO_VERDICT]),
        ):
            memory[address : address + 2] = split_u32(value)
