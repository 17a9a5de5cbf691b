"""Everything around a tracker, held still: each step is the test's to take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from linegate.cameras.errors import LinegateError
from linegate.cameras.frame import Frame
from linegate.inspect.part import Decision, Judgement, PartKey, Trigger
from linegate.inspect.partlog.records import Outcome, PartRecord, ViewRecord
from linegate.inspect.plc.registers import PLC_NOTHING, PlcBlock, Slot
from linegate.inspect.tracking import Tracker
from linegate.inspect.tracking_ports import FinishedPart, TrackerSettings

MS = 1_000_000
GUARD_NS, WINDOW_NS, DEADLINE_NS, RESERVE_NS = 2 * MS, 20 * MS, 100 * MS, 10 * MS
IMAGE = np.zeros((2, 2), np.uint8)
ACTIVE: Any = SimpleNamespace(
    recipe=SimpleNamespace(id=1, name="Panel"),
    bundle=SimpleNamespace(sha256="0" * 64),
    thresholds_json="{}",
    class_number=lambda name: 1 if name else 0,
)


@dataclass
class World:
    """Everything around the tracker, held still: each step is the test's to take."""

    now: int = 1_000 * MS
    requests: list[tuple[str, PartKey]] = field(default_factory=list)
    to_judge: list[tuple[PartKey, int, Frame]] = field(default_factory=list)
    to_log: list[tuple[PartRecord, Callable[[LinegateError | None], None]]] = field(default_factory=list)
    log_until: dict[PartKey, int] = field(default_factory=dict)
    to_send: list[tuple[Slot, int, Callable[[bool, int], None]]] = field(default_factory=list)
    rows: dict[PartKey, list[PartRecord]] = field(default_factory=dict)
    durable: set[PartKey] = field(default_factory=set)
    outcomes: dict[PartKey, list[Outcome]] = field(default_factory=dict)
    done: list[FinishedPart] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    queue_full: bool = False

    def now_ns(self) -> int:
        return self.now

    def request_frame(self, camera: str, key: PartKey) -> None:
        self.requests.append((camera, key))

    def judge(self, key: PartKey, deadline_ns: int, frame: Frame, active: Any) -> bool:
        if not self.queue_full:
            self.to_judge.append((key, deadline_ns, frame))
        return not self.queue_full

    def log(self, record: PartRecord, until_ns: int, done: Callable[[LinegateError | None], None]) -> None:
        self.log_until[record.key] = until_ns
        self.rows.setdefault(record.key, []).append(record)
        self.to_log.append((record, done))

    def log_outcome(self, outcome: Outcome) -> None:
        self.outcomes.setdefault(outcome.key, []).append(outcome)

    def submit(self, slot: Slot, deadline_ns: int, done: Callable[[bool, int], None]) -> None:
        self.to_send.append((slot, deadline_ns, done))

    def event(self, kind: str, severity: str, text: str, key: PartKey | None) -> None:
        self.events.append(kind)

    def finished(self, part: FinishedPart) -> None:
        self.done.append(part)


def make(
    cameras: tuple[str, ...] = ("top",), *, wired: tuple[str, ...] = (), requires_log: bool = True
) -> tuple[Tracker, World]:
    world = World()
    requests = tuple(camera for camera in cameras if camera not in wired)
    options = TrackerSettings(cameras, requests, DEADLINE_NS, WINDOW_NS, GUARD_NS, requires_log, RESERVE_NS)
    tracker = Tracker(options, world, ACTIVE)
    tracker.on_epoch(7)
    return tracker, world


def block(sequence: int, read_ns: int) -> PlcBlock:
    return replace(PLC_NOTHING, epoch=7, triggered=sequence, read_ns=read_ns)


def trigger(world: World, sequence: int, epoch: int = 7) -> Trigger:
    return Trigger(PartKey(epoch, sequence), world.now, world.now + DEADLINE_NS, 1, 0)


def view(camera: str, decision: Decision) -> tuple[ViewRecord, Judgement]:
    judgement = Judgement(decision, 0.9 if decision is Decision.NG else 0.1, "", decision.value, ())
    return ViewRecord(camera, 1, 1, 2, 2, decision, judgement.score, judgement.reason, (), None), judgement


def frame(world: World, camera: str = "top") -> Frame:
    return Frame(IMAGE, camera, 1, world.now, world.now, "Mono8")


def photograph(tracker: Tracker, world: World, sequence: int) -> None:
    tracker.on_triggers([trigger(world, sequence)], True)
    world.now += 3 * MS
    tracker.on_frame(frame(world), PartKey(7, sequence))


def prove(tracker: Tracker, world: World, sequence: int) -> None:
    for _ in range(2):
        world.now += 3 * MS
        tracker.on_block(block(sequence, world.now))
