"""The PLC's program, scan by scan, with the test as the world."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from linegate.inspect.virtual.gate_rule import GateReason
from linegate.inspect.virtual.plc import REASONS, PlcProgram
from linegate.inspect.virtual.plc_process import next_epoch
from linegate.inspect.virtual.signals import Ring, Signals, Word

MS = 1_000_000
TRAVEL_MS = 100.0
EPOCH = 77


class Bench:
    """Wires, a program, and a clock that the test turns."""

    def __init__(self, wires: Signals) -> None:
        self.wires, self.now, self.eyes, self.gates = wires, 5_000 * MS, 0, 0
        self.stops_ms: list[int] = []
        self.plc = PlcProgram(wires, EPOCH, TRAVEL_MS, 0.0, self.clock)
        self.beat = 0

    def clock(self) -> int:
        """``stops_ms``: for how long the process is stopped before each of the next looks at the clock."""
        self.now += self.stops_ms.pop(0) * MS if self.stops_ms else 0
        return self.now

    def pass_time(self, ms: int, beating: bool = True) -> None:
        for _ in range(ms):
            self.now += MS
            self.wires[Word.ENCODER] = self.now // MS * 10
            if beating and self.now // MS % 50 == 0:
                self.write_vision()
            self.plc.scan()

    def write_vision(self, status: int = 10) -> None:
        self.beat += 1
        assert self.plc.write(0, [self.beat, 5, status, 0, 1, EPOCH, 0, 0])

    def eye(self) -> None:
        self.eyes += 1
        self.wires.put(Ring.EYE, self.eyes, self.now, self.now // MS * 10)
        self.wires[Word.EYE_COUNT] = self.eyes

    def gate(self) -> None:
        self.gates += 1
        self.wires.put(Ring.GATE, self.gates, self.now, self.now // MS * 10)
        self.wires[Word.GATE_COUNT] = self.gates

    def slot(self, trig_id: int, verdict: int = 1) -> None:
        words = [EPOCH, trig_id, verdict, ~verdict & 0xFFFF, 0, 0, 0, trig_id]
        assert self.plc.write(16 + 8 * (trig_id % 16), words)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    Signals.create(tmp_path / "signals")
    wires = Signals(tmp_path / "signals")
    made = Bench(wires)
    made.pass_time(60)
    yield made
    wires.close()


def test_the_slot_is_empty_when_its_id_is_shown(bench: Bench) -> None:
    for trig_id in range(1, 40):
        bench.plc.write(16 + 8 * (trig_id % 16), [9] * 8)
        bench.eye()
        bench.plc.scan()
        assert bench.plc.memory[202] == trig_id
        at = 16 + 8 * (trig_id % 16)
        assert bench.plc.memory[at : at + 8] == [0] * 8


def test_the_pulse_is_for_this_part_and_ends_by_itself(bench: Bench) -> None:
    bench.eye()
    bench.pass_time(1)
    bench.slot(1)
    bench.pass_time(99)
    bench.gate()
    bench.pass_time(1)
    pulse = bench.wires.get(Ring.PASS, 1)
    assert pulse is not None
    assert bench.now < pulse[0] <= bench.now + 250 * MS
    assert bench.wires.get(Ring.PASS, 2) is None
    assert (bench.wires[Word.PASSED], bench.wires[Word.REJECTED]) == (1, 0)


@pytest.mark.parametrize(("silent_ms", "passes"), [(299, True), (300, False)])
def test_the_heartbeat_counts_for_less_than_300_ms(bench: Bench, silent_ms: int, passes: bool) -> None:
    bench.write_vision()
    beat_ns = bench.now
    bench.pass_time(silent_ms - 100, beating=False)
    bench.eye()
    bench.plc.scan()
    bench.slot(1)
    bench.pass_time(100, beating=False)
    assert bench.now - beat_ns == silent_ms * MS
    bench.gate()
    bench.plc.scan()
    assert (bench.wires.get(Ring.PASS, 1) is not None) is passes


def test_a_heartbeat_written_again_unchanged_is_no_heartbeat(bench: Bench) -> None:
    for _ in range(400):
        bench.now += MS
        bench.plc.write(0, [bench.beat, 5, 10, 0, 1, EPOCH, 0, 0])
    bench.eye()
    bench.plc.scan()
    bench.slot(1)
    bench.pass_time(100, beating=False)
    bench.gate()
    bench.plc.scan()
    assert bench.wires.get(Ring.PASS, 1) is None


def test_a_part_the_plc_never_saw_is_rejected_as_untracked(bench: Bench) -> None:
    bench.gate()
    bench.pass_time(1)
    assert bench.wires.get(Ring.PASS, 1) is None
    assert (bench.wires[Word.UNTRACKED], bench.wires[Word.REJECTED]) == (1, 0)


def test_an_untracked_part_does_not_take_the_next_ones_pass(bench: Bench) -> None:
    bench.pass_time(40)
    bench.eye()
    bench.pass_time(1)
    bench.slot(1)
    bench.pass_time(50)
    bench.gate()  # came from before the restart
    bench.pass_time(49)
    bench.gate()
    bench.pass_time(1)
    assert bench.wires.get(Ring.PASS, 1) is None
    assert bench.wires.get(Ring.PASS, 2) is not None


def test_a_part_that_never_reaches_the_gate_is_counted_rejected(bench: Bench) -> None:
    bench.eye()
    bench.pass_time(150)
    counted = [bench.wires[word] for word in (Word.TRIGGERED, Word.PASSED, Word.REJECTED, Word.NO_VERDICT)]
    assert counted == [1, 0, 1, 1]


def test_a_scan_far_too_late_purges_what_was_tracked(bench: Bench) -> None:
    bench.eye()
    bench.pass_time(1)
    bench.slot(1)
    bench.wires[Word.ENCODER] += 990
    bench.eyes += 1
    bench.wires.put(Ring.EYE, bench.eyes, bench.now, bench.wires[Word.ENCODER])
    bench.wires[Word.EYE_COUNT] = bench.eyes
    encoder = bench.wires[Word.ENCODER] + 10
    bench.now += 260 * MS
    bench.write_vision()
    bench.gates += 1
    bench.wires.put(Ring.GATE, 1, bench.now, encoder)
    bench.wires[Word.GATE_COUNT] = 1
    bench.plc.scan()
    assert bench.wires.get(Ring.PASS, 1) is None
    assert bench.wires[Word.TRIGGERED] == 1, "an edge during the standstill was seen by nobody"
    bench.plc.refresh()
    assert bench.plc.memory[205] & 16


def test_a_decision_too_late_for_the_flap_is_a_reject(bench: Bench) -> None:
    bench.eye()
    bench.pass_time(1)
    bench.slot(1)
    bench.pass_time(99)
    bench.gate()
    bench.now += 81 * MS
    bench.plc.scan()
    assert bench.wires.get(Ring.PASS, 1) is None
    assert bench.wires[Word.REJECTED] == 1


@pytest.mark.parametrize(
    ("stopped_ms", "reason"), [(0, GateReason.PASS), (81, GateReason.LATE), (251, GateReason.PURGED)]
)
def test_a_stop_in_the_middle_of_a_scan_makes_no_part_younger(
    bench: Bench, stopped_ms: int, reason: GateReason
) -> None:
    """Its edge is in, the scan has begun, then the process stands still: what counts is when it goes on."""
    bench.eye()
    bench.pass_time(1)
    bench.slot(1)
    bench.pass_time(99)
    bench.write_vision()
    bench.gate()
    bench.stops_ms = [0, stopped_ms]
    bench.plc.scan()
    decided = bench.wires.get(Ring.REASON, 1)
    assert decided is not None
    assert REASONS[decided[0]] is reason
    assert (bench.wires[Word.PASSED], bench.wires[Word.REJECTED]) == ((1, 0) if not stopped_ms else (0, 1))
    assert (bench.wires.get(Ring.PASS, 1) is not None) is (stopped_ms == 0)


def test_an_edge_that_comes_while_the_plc_looks_belongs_to_its_part(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The world is late with the edge, and sets it and the belt's position between two of the PLC's looks at the wires."""
    bench.eye()
    bench.pass_time(1)
    bench.slot(1)
    bench.pass_time(98)
    read = Signals.__getitem__

    def look(wires: Signals, word: Word) -> int:
        value = read(wires, word)
        if word is Word.GATE_COUNT and bench.gates == 0:
            bench.now += MS
            bench.gate()
            bench.now += 10 * MS
            wires[Word.ENCODER] = bench.now // MS * 10
        return value

    monkeypatch.setattr(Signals, "__getitem__", look)
    bench.plc.scan()
    bench.plc.scan()
    assert bench.wires.get(Ring.PASS, 1) is not None
    assert (bench.wires[Word.PASSED], bench.wires[Word.REJECTED], bench.wires[Word.UNTRACKED]) == (1, 0, 0)


def test_only_the_v_registers_are_writable(bench: Bench) -> None:
    before = list(bench.plc.memory)
    for address, words in ((144, [1]), (200, [1]), (201, [5]), (140, [1] * 5), (219, [1]), (-1, [1])):
        assert not bench.plc.write(address, words)
    assert bench.plc.memory == before
    assert bench.plc.write(143, [3])
    assert bench.plc.memory[143] == 3


def test_counters_are_two_registers_high_word_first(bench: Bench) -> None:
    for _ in range(3):
        bench.eye()
    bench.plc.scan()
    bench.plc._counts[Word.TRIGGERED] = 0x0001_FFFE
    bench.eye()
    bench.plc.scan()
    bench.plc.refresh()
    assert bench.plc.memory[210:212] == [1, 0xFFFF]


def test_the_own_heartbeat_moves_every_50_ms(bench: Bench) -> None:
    start = bench.plc.memory[200]
    bench.pass_time(500)
    bench.plc.refresh()
    assert 9 <= bench.plc.memory[200] - start <= 10


def test_epochs_count_on_wrap_past_zero_and_survive_a_broken_file(tmp_path: Path) -> None:
    file = tmp_path / "epoch"
    first = next_epoch(file)
    assert 1 <= first <= 65535
    assert next_epoch(file) == first % 65535 + 1
    file.write_text("65535")
    assert next_epoch(file) == 1
    file.write_text("rubbish")
    assert 1 <= next_epoch(file) <= 65535
