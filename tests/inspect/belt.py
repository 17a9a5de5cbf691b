"""A belt in simulated time: photo-eye, PLC, link and a camera that the same edges fire, in front of a real matcher."""

from __future__ import annotations

from dataclasses import replace
from heapq import heappop, heappush
from typing import Any

import numpy as np

from linegate.cameras.frame import Frame, FrameLost, LossReason
from linegate.inspect.matching import FrameMatcher, Proven, Rearm, Shown
from linegate.inspect.part import PartKey
from linegate.inspect.plc.counting import Seen, TriggerCounter
from linegate.inspect.plc.registers import PLC_NOTHING

MS = 1_000_000
IMAGE = np.zeros((1, 1), np.uint8)
NOBODY = -1
"""What a picture shows that no edge asked for."""


class Belt:
    """A photo-eye, a PLC that counts its edges, a link that polls it, and a camera that the same edges fire.

    Time only moves in ``run``. Times are in ns; a part is known by the number of its edge.
    """

    def __init__(self, longest_ms: float, latency_ms: float, poll_ms: float, arm_ms: float = 3.0) -> None:
        self.now = 10**12
        self.latency_ns, self.poll_ns, self.arm_ns = (round(ms * MS) for ms in (latency_ms, poll_ms, arm_ms))
        self.longest_ns = round(longest_ms * MS)
        self.matcher = FrameMatcher("top", self.longest_ns)
        self.counter = TriggerCounter(1000.0)
        self.epoch, self.edges, self.counted = 1, 0, 0
        self.key_of: dict[PartKey, int] = {}  # which edge the PLC counted as this part
        self.linked = True
        self.frames: dict[int, int] = {}  # id of a frame → edge that it shows
        self.kept: list[Frame] = []
        self.shown: dict[PartKey, Frame] = {}
        self.ends: dict[PartKey, Any] = {}
        self.told: set[PartKey] = set()
        self.rearms: list[str] = []
        self.exposures = 0
        self.generation = 0
        self.ready_ns: int | None = None  # when arming is done
        self.armed = False
        self.uncounted = False  # an exposure since arming that the PLC has not counted
        self.overlook = 0
        self._due: list[tuple[int, int, str, Any]] = []
        self._order = 0
        self._at(self.now, "poll")
        self._at(self.now, "tick")

    def _at(self, when_ns: int, what: str, about: Any = None) -> None:
        self._order += 1
        heappush(self._due, (when_ns, self._order, what, about))

    def run(self, ms: float) -> None:
        """Let time pass."""
        until = self.now + round(ms * MS)
        while self._due and self._due[0][0] <= until:
            self.now, _, what, about = heappop(self._due)
            getattr(self, f"_{what}")(about)
        self.now = until
        self._hear()

    def before_poll(self, ms: float) -> None:
        """Let time pass until the PLC will be asked ``ms`` from now."""
        self.run((self.poll_ns - (self.now - 10**12 + round(ms * MS)) % self.poll_ns) / MS)

    # --- what happens ------------------------------------------------------------------------------------------------

    def edge(self, lag_ms: float = 0.0, **picture: Any) -> int:
        """A part at the eye now; the PLC counts it ``lag_ms`` later. ``picture``: see ``_expose``."""
        self.edges += 1
        self._at(self.now + round(lag_ms * MS), "count", (self.epoch, self.edges))
        self._expose(self.edges, **picture)
        return self.edges

    def noise(self) -> None:
        """The camera is fired once more, by nothing. What follows until it is armed afresh comes in time: a second fault on
        its heels (a picture late by a part, lost, or an edge missed) is beyond what counting can tell."""
        self.overlook = 0
        self._expose(NOBODY)

    def _expose(self, edge: int, late_ms: float = 0.0, lost: bool = False, broken: bool = False) -> None:
        """The camera takes a picture if it is armed. ``late_ms`` more than usual; ``lost``: numbered and never delivered."""
        if not self.armed:
            return
        if edge != NOBODY and self.overlook:
            self.overlook -= 1
            return
        self.uncounted |= edge == NOBODY
        takes_ns = self.latency_ns + round(late_ms * MS)
        if self.uncounted:
            takes_ns, lost = min(self.latency_ns, self.longest_ns), False
        number, self.exposures = self.exposures, self.exposures + 1
        arrives_ns = self.now + takes_ns
        self._at(arrives_ns, "arrive", (self.generation, number, edge, lost, broken))

    def _arrive(self, about: tuple[int, int, int, bool, bool]) -> None:
        generation, number, edge, lost, broken = about
        if generation != self.generation or not self.armed or lost:
            return
        if number > self._next:
            self.matcher.on_lost(FrameLost("top", LossReason.GAP, number - self._next, self._next, self.now, "gap"))
        if number < self._next:
            return  # frames come in order; one that others have overtaken is gone
        self._next = number + 1
        if broken:
            self.matcher.on_lost(FrameLost("top", LossReason.FAILED_BUFFER, 1, None, self.now, "broken"))
        else:
            frame = Frame(IMAGE, "top", number, self.now, self.now, "Mono8")
            self.frames[id(frame)] = edge
            self.kept.append(frame)
            self.matcher.on_frame(frame)
        self._hear()

    def _count(self, about: tuple[int, int]) -> None:
        epoch, edge = about
        if epoch == self.epoch:
            self.counted += 1
            self.key_of[PartKey(epoch, self.counted)] = edge

    def _tick(self, _: None) -> None:
        self._at(self.now + 20 * MS, "tick")
        self._hear()

    def _poll(self, _: None) -> None:
        self._at(self.now + self.poll_ns, "poll")
        if self.linked:
            self._at(self.now + self.poll_ns // 3, "answer", (self.now, self.epoch, self.counted))

    def _answer(self, about: tuple[int, int, int]) -> None:
        sent_ns, epoch, counted = about
        block = replace(PLC_NOTHING, epoch=epoch, triggered=counted, trig_id=counted & 0xFFFF, read_ns=self.now)
        seen, triggers = self.counter.see(block, sent_ns)
        ended = self.counter.take_ended()
        if ended is not None:
            self.matcher.on_epoch(ended.triggered)
            self.matcher.on_block(ended.triggered, ended.read_ns)
        if seen is Seen.SETTLING:
            return
        if seen is Seen.NEW_EPOCH:
            self.matcher.on_epoch(counted)
        elif triggers:
            self.told |= {t.key for t in triggers}
            self.matcher.on_triggers(triggers)
        self.matcher.on_block(counted, self.now)
        self._hear()

    def arm(self) -> None:
        """The camera begins to number from 0; some milliseconds of it are in nobody's hands."""
        self.armed = False
        self.generation += 1
        self._at(self.now + self.arm_ns, "armed", (self.generation, self.now))

    def _armed(self, about: tuple[int, int]) -> None:
        generation, began_ns = about
        if generation == self.generation:
            self.armed, self.exposures, self._next, self.uncounted = True, 0, 0, False
            self.matcher.on_armed(began_ns, self.now)
            self._hear()

    def unplug(self) -> None:
        """The camera is gone."""
        self.armed = False
        self.generation += 1
        self.matcher.on_down("unplugged")
        self._hear()

    def restart_plc(self, counted: int = 0) -> None:
        """A new epoch."""
        self.epoch, self.counted = self.epoch + 1, counted

    def cut(self) -> None:
        """The cable to the PLC."""
        self.linked = False
        self.counter.interrupt()

    # --- what follows ------------------------------------------------------------------------------------------------

    def _hear(self) -> None:
        for news in self.matcher.news(self.now):
            if isinstance(news, Rearm):
                self.rearms.append(news.why)
                self.arm()
            elif isinstance(news, Shown):
                assert news.key not in self.shown and news.key not in self.ends
                self.shown[news.key] = news.frame
            else:
                assert news.key not in self.ends, "settled twice"
                self.ends[news.key] = news

    def proven(self) -> list[int]:
        """The edges whose picture was proven."""
        return [self.key_of[key] for key, end in self.ends.items() if isinstance(end, Proven)]

    def check(self) -> None:
        """No picture was proven to show another part than its own."""
        for key, end in self.ends.items():
            if isinstance(end, Proven):
                assert self.frames[id(self.shown[key])] == self.key_of[key], (key, self.rearms)

    def end_of(self, edge: int) -> Any:
        (key,) = [key for key, counted in self.key_of.items() if counted == edge]
        return self.ends[key]


def ready(**times: float) -> Belt:
    """A belt whose camera has been armed with nobody at the eye."""
    belt = Belt(**{"longest_ms": 40, "latency_ms": 15, "poll_ms": 2, **times})
    belt.arm()
    belt.run(200)
    assert belt.matcher.tied
    belt.rearms.clear()
    return belt


def feed(belt: Belt, count: int, pitch_ms: float = 60.0, **how: Any) -> list[int]:
    numbers = []
    for _ in range(count):
        numbers.append(belt.edge(**how))
        belt.run(pitch_ms)
    return numbers
