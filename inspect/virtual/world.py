"""The physical world: belt, parts, photo-eye, gate flap and confirm sensor, and the truth of it all.

A process of its own that needs nobody: with the PLC frozen or dead, parts go on arriving at a gate that rests at reject.
"""

from __future__ import annotations

import heapq
import os
import shutil
import signal
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from linegate.cameras.errors import LinegateError
from linegate.cameras.wire import Wire
from linegate.inspect.virtual.errors import PlantError
from linegate.inspect.virtual.launch import leave_group
from linegate.inspect.virtual.ledger import Ledger
from linegate.inspect.virtual.plc import ENCODER_PER_MS, FLAP_MS, PULSE_MS, REASONS
from linegate.inspect.virtual.signals import Ring, Signals, Word, WorldState
from linegate.inspect.virtual.stage import Stage
from linegate.inspect.virtual.truth import PartTruth

IDLE_S = 0.005
"""Longest sleep of the belt: how soon it notices a command, and how coarse the encoder is between edges."""
CONFIRM_MS = 30
"""From the flap to the confirm sensor."""
SETTLE_MS = 100
"""From the last part's confirm sensor to "finished": the PLC has counted it by then."""


@dataclass(frozen=True, slots=True)
class WorldPlan:
    """What the belt needs to know. ``parts`` None feeds without end; ``pool`` as in PicturePlan."""

    signals: Path
    ledger: Path
    pictures: Path
    stages: tuple[Path, ...]
    rate_parts_per_s: float
    travel_ms: float
    parts: int | None
    pool: int | None
    ahead: int


@dataclass(slots=True)
class _Part:
    number: int
    truth: PartTruth
    eye_ns: int = 0
    eye_utc_ns: int = 0
    late_us: float = 0.0
    encoder: int = 0
    commit_ns: int = 0
    gate: int = 0
    passed: bool = False


@dataclass(slots=True, order=True)
class _Event:
    at_ns: int
    order: int
    kind: str = field(compare=False)
    part: _Part = field(compare=False)


class World:
    """The belt and all that lies on it; ``turn`` does what is due and says how long nothing will be."""

    def __init__(self, plan: WorldPlan, ledger: Ledger, pictures: Connection) -> None:
        self._plan = plan
        self._wires = Signals(plan.signals)
        self._stages = [Stage(folder) for folder in plan.stages]
        self._eyes = [Wire(stage.wire) for stage in self._stages]
        self._ledger = ledger
        self._pictures = pictures
        self._ready: deque[PartTruth] = deque()
        self._events: list[_Event] = []
        self._order = 0
        self._fed = self._done = self._gates = self._blind = self._done_ns = 0
        self._t0_ns = time.monotonic_ns()
        self._running = False
        self._next_ns = 0
        self._starved_ns = 0
        self._last_turn_ns = self._t0_ns
        self._used: deque[Path] = deque()
        self.period_ns = round(1e9 / plan.rate_parts_per_s)
        self._wires[Word.RATE] = round(1000 * plan.rate_parts_per_s)
        self._wires[Word.TRAVEL_US] = round(1000 * plan.travel_ms)

    def command(self, words: tuple[str, float]) -> None:
        """From the parent: ("run", _), ("pause", _), ("rate", parts_per_s)."""
        kind, value = words
        if kind == "run" and not self._running:
            self._running, self._next_ns = True, time.monotonic_ns() + 20_000_000
        elif kind == "pause":
            self._running = False
        elif kind == "rate":
            last_ns = self._next_ns - self.period_ns
            self.period_ns = round(1e9 / value)
            self._next_ns = max(last_ns + self.period_ns, time.monotonic_ns())
            self._wires[Word.RATE] = round(1000 * value)

    def _see_rate(self) -> None:
        """Somebody outside the plant may want it faster or slower."""
        asked = self._wires[Word.RATE_ASKED]
        if asked:
            self._wires[Word.RATE_ASKED] = 0
            self.command(("rate", asked / 1000))

    def take_pictures(self) -> None:
        """Hear of what the drawer has ready. Raises what the drawer reports."""
        try:
            while self._pictures.poll():
                news = self._pictures.recv()
                if isinstance(news, LinegateError):
                    raise news
                self._ready.append(news)
        except (EOFError, ConnectionResetError):
            raise _drawer_gone() from None

    @property
    def pictures_ready(self) -> int:
        """Pictures that lie drawn."""
        return len(self._ready)

    def lay_first(self) -> None:
        """Put the first picture under the cameras, so that they find one when they open."""
        for stage in self._stages:
            stage.put(self._plan.pictures / self._ready[0].picture)

    def turn(self) -> float:
        """Do all that is due, in order; seconds until the next event, at most IDLE_S."""
        self._see_rate()
        while True:
            now = time.monotonic_ns()
            feed_due = self._feed_ns(now)
            event_ns = self._events[0].at_ns if self._events else None
            if feed_due is not None and feed_due <= now and (event_ns is None or feed_due <= event_ns):
                self._feed(feed_due)
            elif event_ns is not None and event_ns <= now:
                self._happen(heapq.heappop(self._events))
            else:
                break
        self._last_turn_ns = now
        self._ledger.flush()
        due = [at for at in (feed_due, event_ns) if at is not None]
        self._wires[Word.ENCODER] = self._position(now)
        self._wires[Word.STARVED_MS] = self._starved_ns // 1_000_000
        self._wires[Word.FED] = self._fed
        self._wires[Word.WORLD_STATE] = self._state()
        return max(0.0, min(IDLE_S, (min(due) - now) / 1e9)) if due else IDLE_S

    def _state(self) -> WorldState:
        settled = time.monotonic_ns() - self._done_ns > SETTLE_MS * 1_000_000
        if self._plan.parts is not None and self._done >= self._plan.parts and settled:
            return WorldState.FINISHED
        return WorldState.RUNNING if self._running else WorldState.PAUSED

    def _position(self, at_ns: int) -> int:
        return (at_ns - self._t0_ns) * ENCODER_PER_MS // 1_000_000

    def _feed_ns(self, now: int) -> int | None:
        """When the next part is due; None while none is fed."""
        finished = self._plan.parts is not None and self._fed >= self._plan.parts
        if not self._running or finished:
            return None
        if self._wires[Word.LINE_STOP]:
            self._next_ns = now + self.period_ns
            return None
        if not self._ready and self._plan.pool is None:
            self.take_pictures()
        if not self._ready:
            if self._next_ns <= now:
                self._starved_ns += now - max(self._next_ns, self._last_turn_ns)
                self._next_ns = now
            return None
        return self._next_ns

    def _feed(self, due_ns: int) -> None:
        """A part arrives: first it lies under the cameras, then it breaks the photo-eye's beam."""
        truth = self._ready.popleft()
        path = self._plan.pictures / truth.picture
        for stage in self._stages:
            stage.put(path)
        self._fed += 1
        now = time.monotonic_ns()
        part = _Part(self._fed, truth, now, time.time_ns(), (now - due_ns) / 1e3, self._position(now))
        self._wires.put(Ring.EYE, part.number, now, part.encoder)
        self._wires[Word.EYE_COUNT] = part.number
        for eye in self._eyes:
            eye.pulse()
        self._plan_event(now + round(self._plan.travel_ms * 1e6), "commit", part)
        # A belt that fell behind does not send the parts it owes all at once.
        self._next_ns = max(due_ns + self.period_ns, now + self.period_ns // 2)
        if self._plan.pool is not None:
            self._ready.append(truth)
            return
        self._used.append(path)
        if len(self._used) > 2:
            self._used.popleft().unlink(missing_ok=True)
            try:
                self._pictures.send(None)
            except (BrokenPipeError, ConnectionResetError):
                raise _drawer_gone() from None

    def _plan_event(self, at_ns: int, kind: str, part: _Part) -> None:
        self._order += 1
        heapq.heappush(self._events, _Event(at_ns, self._order, kind, part))

    def _happen(self, event: _Event) -> None:
        part, now = event.part, time.monotonic_ns()
        if event.kind == "commit":
            self._gates += 1
            part.gate, part.commit_ns = self._gates, now
            encoder = part.encoder + round(self._plan.travel_ms * ENCODER_PER_MS)
            self._wires.put(Ring.GATE, part.gate, now, encoder)
            self._wires[Word.GATE_COUNT] = part.gate
            self._plan_event(now + FLAP_MS * 1_000_000, "flap", part)
        elif event.kind == "flap":
            pulse = self._wires.get(Ring.PASS, part.gate)
            # By the flap's own moment, not by when this process got to it: a busy machine moves no flap.
            part.passed = pulse is not None and pulse[0] - PULSE_MS * 1_000_000 <= event.at_ns < pulse[0]
            self._plan_event(now + CONFIRM_MS * 1_000_000, "confirm", part)
        else:
            seen = 2 if part.passed else 1
            if not part.passed and self._wires[Word.BLIND_CONFIRM] > self._blind:
                self._blind += 1
                seen = 3
            self._wires.put(Ring.OUTCOME, part.gate, seen)
            self._wires[Word.OUTCOME_COUNT] = part.gate
            self._write(part, "passed" if part.passed else "rejected")
            self._done += 1
            self._done_ns = now

    def _write(self, part: _Part, outcome: str) -> None:
        """One line of truth."""
        reason = self._wires.get(Ring.REASON, part.gate) if part.gate else None
        seen, slot = self._wires.get(Ring.SEEN, part.number), self._wires.get(Ring.SLOT, part.number)
        row = {
            "part": part.number,
            **asdict(part.truth),
            "outcome": outcome,
            "reason": REASONS[reason[0]].value if reason else None,
            "epoch": seen[0] if seen else None,
            "sequence": seen[1] if seen else None,
            "verdict": slot[1] if slot else None,
            "latency_ms": round((slot[0] - part.eye_ns) / 1e6, 4) if slot else None,
            "eye_ns": part.eye_ns,
            "eye_utc_ns": part.eye_utc_ns,
            "eye_late_us": round(part.late_us, 1),
            "commit_ns": part.commit_ns,
        }
        self._ledger.write(row)

    def close(self) -> None:
        """Parts still on the belt are written down as such."""
        for part in sorted({event.part.number: event.part for event in self._events}.values(), key=lambda p: p.number):
            self._write(part, "in_transit")
        self._wires[Word.WORLD_STATE] = WorldState.STOPPED
        self._wires.close()
        for eye in self._eyes:
            eye.close()


def main(plan: WorldPlan, parent: Connection, pictures: Connection) -> None:
    """Run until the parent says ("stop", _) or is gone. Sends ("drawn", n) while pictures are made, ("ready", n) once,
    or the LinegateError that ended it."""
    leave_group()
    ledger = Ledger(plan.ledger)
    world = World(plan, ledger, pictures)
    try:
        _serve(plan, world, parent, pictures)
    except LinegateError as error:
        parent.send(error)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        _end_plc(plan.signals)
        shutil.rmtree(plan.signals.parent, ignore_errors=True)  # the owner can't do it any more
    finally:
        world.close()
        ledger.close()


def _serve(plan: WorldPlan, world: World, parent: Connection, pictures: Connection) -> None:
    wanted = plan.pool if plan.pool is not None else min(plan.ahead // 2, plan.parts or plan.ahead)
    reported = -1
    while world.pictures_ready < wanted:
        if pictures.poll(0.05):
            world.take_pictures()
        if world.pictures_ready != reported:
            reported = world.pictures_ready
            parent.send(("drawn", reported))
        if parent.poll() and parent.recv()[0] == "stop":
            return
    world.lay_first()
    parent.send(("ready", wanted))
    while True:
        time.sleep(world.turn())  # finer than a timeout of poll, which counts whole milliseconds
        while parent.poll():
            words = parent.recv()
            if words[0] == "stop":
                return
            world.command(words)


def _drawer_gone() -> PlantError:
    return PlantError(
        "virtual plant",
        expected="a process that draws the parts' pictures",
        found="that it has ended",
        remedy="Look for the reason above this line; then start the plant again.",
    )


def _end_plc(signals: Path) -> None:
    """The parent died without a word: end its PLC too, which may be frozen and can't end by itself."""
    wires = Signals(signals)
    pid = wires[Word.PLC_PID]
    wires.close()
    if pid:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
