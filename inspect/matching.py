"""Pictures to parts where the photo-eye fires camera and PLC alike (trigger = "hardware"): by count and by clock.

The camera numbers its exposures, the PLC its edges. A picture is proven to show a part only when both agree:

* count: the camera was armed at a moment when no part was at the eye, so that its exposure c is the c-th edge after it;
* clock: it came after its part's edge and within the longest time a picture may take, and where other parts and pictures
  came so close that they could be one another's, there were as many of these as of those, and no others.

A late picture has the right count and the wrong time. An exposure that nobody counted, or an edge that the camera missed,
shifts the count, and the clock contradicts it from the next part on: then the camera is armed afresh, and the count begins
again at the next moment at which no part is at the eye. That takes no part to learn from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from linegate.cameras.frame import Frame, FrameLost, LossReason
from linegate.inspect.part import PartKey, Trigger

EDGE_LAG_MS = 10.0
"""A PLC may count an edge so much after it happened: its input filter and a scan."""
MISSES = 3
"""So many parts in a row without a picture in time, and it may be the count that is wrong."""
HELD = 8
"""Most pictures that wait until the PLC shows their part; pictures are large."""
REMEMBERED = 1024
"""Most edges, and most exposures, that are kept in view."""
ANSWER_NS = 500_000_000
"""How long a picture's proof is waited for where the PLC does not answer."""
_LAG_NS = round(EDGE_LAG_MS * 1e6)
_U32 = 1 << 32


@dataclass(frozen=True, slots=True)
class Shown:
    """By all that is known now ``frame`` shows this part; Proven or Refused follows."""

    frame: Frame
    key: PartKey


@dataclass(frozen=True, slots=True)
class Proven:
    """The picture that was Shown for this part is its own."""

    key: PartKey


@dataclass(frozen=True, slots=True)
class Refused:
    """No picture is proven to show this part; ``came``: one came that may."""

    key: PartKey
    text: str
    came: bool


@dataclass(frozen=True, slots=True)
class Missing:
    """This part's picture will not come."""

    key: PartKey
    lost: FrameLost


@dataclass(frozen=True, slots=True)
class Rearm:
    """The camera has to be armed afresh. ``why``: what shook the count, "" where it only has to begin."""

    why: str


News = Shown | Proven | Refused | Missing | Rearm


@dataclass(slots=True, eq=False)
class _Edge:
    key: PartKey
    earliest_ns: int  # no picture of it can have come before
    at_ns: int
    until_ns: int  # and none that counts comes later
    shown: bool = False
    settled: bool = False


@dataclass(slots=True, eq=False)
class _Exposure:
    counter: int
    received_ns: int
    frame: Frame | None  # until it is placed
    lost: FrameLost | None
    placed: bool = False

    @property
    def arrived(self) -> bool:
        """Whether something came at ``received_ns``; a gap is only noticed by what comes after it."""
        return self.lost is None or self.lost.reason is not LossReason.GAP


class FrameMatcher:
    """The state of one camera. Called by one thread at a time: facts by the ``on_`` methods, in the order in which they came;
    ``news`` draws the conclusions, and each edge ends in exactly one Proven, Refused or Missing.

    Args:
        camera: its name.
        longest_ns: longest time from the edge to the frame's arrival; a later frame is lost. Where parts follow each other
            faster than that (and EDGE_LAG_MS and a poll), only a gap proves those before it.
    """

    def __init__(self, camera: str, longest_ns: int) -> None:
        self._camera = camera
        self._longest_ns = longest_ns
        self._edges: dict[int, _Edge] = {}  # by sequence, oldest first
        self._exposures: dict[int, _Exposure] = {}  # by counter, oldest first
        self._first: int | None = None  # sequence of the part that exposure 0 shows
        self._armed: tuple[int, int] | None = None  # when arming began and was done, while the count may begin there
        self._down: str | None = "not open yet"
        self._rearming = False
        self._why = ""
        self._next = 0  # counter of the next exposure
        self._misses = 0
        self._since_ns: int | None = None  # all edges since then are known
        self._count = 0  # sequence of the last edge
        self._asked_ns = self._read_ns = 0
        self._news: list[News] = []

    @property
    def tied(self) -> bool:
        """Whether it is known which part the camera's exposure 0 shows."""
        return self._first is not None

    # --- facts -------------------------------------------------------------------------------------------------------

    def on_epoch(self, triggered: int) -> None:
        """A PLC was met, for the first time or after its restart: only what it counts after ``triggered`` is told."""
        for edge in self._edges.values():
            self._settle(edge, Refused(edge.key, "the PLC was restarted", edge.shown))
        self._edges.clear()
        self._count, self._since_ns, self._asked_ns, self._read_ns = triggered, None, 0, 0
        self._untie("")

    def on_triggers(self, triggers: Sequence[Trigger]) -> None:
        """New parts, whatever becomes of them: each edge has fired the camera too."""
        for t in triggers:
            edge = _Edge(t.key, t.earliest_ns - _LAG_NS, t.at_ns, t.at_ns + self._longest_ns)
            self._edges[t.key.sequence] = edge
            self._count = t.key.sequence
            if not t.answerable:
                self._settle(edge, Refused(t.key, "the line and the PLC had lost each other when it came", False))
        if len(self._edges) > REMEMBERED:
            self._untie("")
            for edge in self._edges.values():
                self._settle(edge, Refused(edge.key, "too many parts came at once", edge.shown))
            self._edges.clear()
            self._since_ns = None

    def on_block(self, triggered: int, read_ns: int) -> None:
        """The PLC's count, read at ``read_ns``; the answer was asked for after the one before had come. Its new parts have been
        told before, unless there are more than can be told at once."""
        if triggered == self._count:
            self._asked_ns = self._read_ns
        self._read_ns = read_ns
        if self._since_ns is None:
            self._since_ns = read_ns

    def on_armed(self, began_ns: int, done_ns: int) -> None:
        """See CameraArmed."""
        self._untie("")
        self._armed, self._down, self._rearming = (began_ns, done_ns), None, False
        self._next, self._why = 0, ""

    def on_down(self, detail: str) -> None:
        """The camera is gone."""
        self._untie("")
        self._down = detail

    def on_frame(self, frame: Frame) -> None:
        """A picture."""
        self._next = frame.counter + 1
        self._exposures[frame.counter] = _Exposure(frame.counter, frame.received_ns, frame, None)

    def on_lost(self, lost: FrameLost) -> None:
        """Exposures without a picture."""
        first = self._next if lost.counter is None else lost.counter
        self._next = first + lost.count
        for counter in range(max(first, self._next - REMEMBERED), self._next):
            one = replace(lost, count=1, counter=counter)
            self._exposures[counter] = _Exposure(counter, lost.at_ns, None, one)

    # --- conclusions -------------------------------------------------------------------------------------------------

    def news(self, now_ns: int) -> list[News]:
        """What follows from the facts so far."""
        self._tie()
        for exposure in list(self._exposures.values()):
            if self._first is not None and not exposure.placed:
                self._place(exposure, self._first)
        for edge in self._edges.values():
            if not edge.settled and (now_ns >= edge.until_ns or self._down is not None):
                self._close(edge, now_ns)
        self._forget(now_ns)
        if self._down is None and self._armed is None and self._since_ns is not None and not self._rearming:
            self._rearming = True
            self._news.append(Rearm(self._why))
            self._why = ""
        news, self._news = self._news, []
        return news

    def _tie(self) -> None:
        """Begin to count, if nobody was at the eye while the camera was armed: no edge can have been in between."""
        if self._first is not None or self._armed is None or self._since_ns is None:
            return
        began_ns, done_ns = self._armed
        if self._asked_ns < done_ns + _LAG_NS:
            return  # the PLC may yet show an edge that was before
        after = [edge for edge in self._edges.values() if edge.at_ns > began_ns]
        if began_ns < self._since_ns or any(edge.earliest_ns < done_ns for edge in after):
            self._untie("")
        else:
            self._first = after[0].key.sequence if after else (self._count + 1) % _U32
            self._misses = 0

    def _untie(self, why: str) -> None:
        """Nothing is proven until the camera has been armed afresh."""
        self._first = self._armed = None
        self._exposures.clear()
        self._why = why or self._why

    def _place(self, exposure: _Exposure, first: int) -> None:
        """Compare what the count says of this exposure with the clock."""
        sequence = (first + exposure.counter) % _U32
        edge = self._edges.get(sequence)
        if edge is None:
            if (sequence - self._count - 1) % _U32 < _U32 // 2:  # the PLC has not shown it yet
                if self._asked_ns >= exposure.received_ns + _LAG_NS:
                    self._untie(f"camera {self._camera!r} took a picture for which the PLC counted no part")
                return
            exposure.placed, exposure.frame = True, None  # an edge of long ago
            return
        if exposure.received_ns < edge.earliest_ns:
            self._untie(f"camera {self._camera!r} took a picture before part {edge.key}, which would be its part")
            return
        frame, exposure.frame, exposure.placed = exposure.frame, None, True
        if edge.settled:
            return
        if exposure.lost is not None:
            self._settle(edge, Missing(edge.key, exposure.lost))
        elif frame is not None and exposure.received_ns <= edge.until_ns:
            edge.shown = True
            self._news.append(Shown(frame, edge.key))

    def _close(self, edge: _Edge, now_ns: int) -> None:
        """The longest time a picture of this part may take is over."""
        counter = -1 if self._first is None else (edge.key.sequence - self._first) % _U32
        exposure = self._exposures.get(counter)
        if self._down is not None:
            self._settle(edge, Missing(edge.key, self._loss(LossReason.CAMERA_DOWN, self._down, now_ns)))
        elif counter < 0 or counter >= _U32 // 2:
            text = f"camera {self._camera!r} had not begun to count when this part came"
            self._settle(edge, Refused(edge.key, text, edge.shown))
        elif exposure is None or exposure.received_ns > edge.until_ns:
            detail = f"no picture within {self._longest_ns / 1e6:.0f} ms"
            self._settle(edge, Missing(edge.key, self._loss(LossReason.TIMEOUT, detail, now_ns)))
            self._misses += 1
            if self._misses >= MISSES:
                self._untie(f"camera {self._camera!r}, {MISSES} parts in a row: {detail}")
        else:
            self._prove(edge, now_ns)

    def _prove(self, edge: _Edge, now_ns: int) -> None:
        """By the clock alone: do as many pictures as parts meet here, and are they those that the count says?"""
        edges, exposures = self._meeting(edge)
        answered = all(
            self._asked_ns >= x.received_ns + _LAG_NS for x in exposures
        )  # else another edge may yet be shown
        if not answered or any(now_ns < e.until_ns for e in edges):
            if now_ns >= edge.until_ns + ANSWER_NS:
                self._settle(
                    edge, Refused(edge.key, "it could not be proven in time that the picture shows this part", True)
                )
            return
        assert self._first is not None
        meant = sorted((self._first + x.counter) % _U32 for x in exposures)
        proven = meant == sorted(e.key.sequence for e in edges)
        for one in edges:
            if proven and one.shown:
                self._misses = 0
                self._settle(one, Proven(one.key))
            elif not one.settled:
                text = f"{len(exposures)} pictures came for {len(edges)} parts, and not those that the count says"
                self._settle(one, Refused(one.key, text, one.shown))

    def _settle(self, edge: _Edge, news: Proven | Refused | Missing) -> None:
        if not edge.settled:
            edge.settled = True
            self._news.append(news)

    def _meeting(self, edge: _Edge) -> tuple[list[_Edge], list[_Exposure]]:
        """All parts and pictures that could be one another's by the clock, ``edge`` among them: mostly one of each."""
        edges, exposures = [edge], list[_Exposure]()
        others = [e for e in self._edges.values() if e is not edge]
        arrived = [x for x in self._exposures.values() if x.arrived]
        for one in edges:  # both lists grow meanwhile
            found = [x for x in arrived if one.earliest_ns <= x.received_ns <= one.until_ns]
            exposures += found
            arrived = [x for x in arrived if x not in found]
            met = [e for e in others if any(e.earliest_ns <= x.received_ns <= e.until_ns for x in found)]
            edges += met
            others = [e for e in others if e not in met]
        return edges, exposures

    def _loss(self, reason: LossReason, detail: str, now_ns: int) -> FrameLost:
        return FrameLost(self._camera, reason, 1, None, now_ns, detail)

    def _forget(self, now_ns: int) -> None:
        """Keep what can be needed to prove the picture of a part that is not settled yet, and of pictures that wait a few."""
        old_ns = now_ns - self._longest_ns - 2 * ANSWER_NS
        self._edges = {s: e for s, e in self._edges.items() if not e.settled or e.until_ns >= old_ns}
        kept = [(c, x) for c, x in self._exposures.items() if not x.placed or x.received_ns >= old_ns]
        self._exposures = dict(kept[-REMEMBERED:])
        for exposure in [x for x in self._exposures.values() if x.frame is not None][:-HELD]:
            exposure.frame = None
