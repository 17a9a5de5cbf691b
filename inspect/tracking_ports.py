"""What surrounds the tracker: the ports it hands work to, how it is set, what it counts, what it says at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from linegate.cameras.errors import LinegateError
from linegate.cameras.frame import Frame
from linegate.inspect.part import Decision, PartKey, Trigger
from linegate.inspect.partlog.records import Outcome, PartRecord
from linegate.inspect.plc.registers import Slot
from linegate.inspect.recipes import ActiveRecipe


class Ports(Protocol):
    """What the tracker hands work to. Every call returns at once and never calls back into the tracker synchronously
    with another lock held; ``done`` callbacks come later, on the thread of whoever finished."""

    def now_ns(self) -> int:
        """time.monotonic_ns."""
        ...

    def request_frame(self, camera: str, key: PartKey) -> None:
        """Have the camera photograph this part now."""
        ...

    def judge(self, key: PartKey, deadline_ns: int, frame: Frame, active: ActiveRecipe) -> bool:
        """Queue a frame for inference; False when the queue is full."""
        ...

    def log(self, record: PartRecord, until_ns: int, done: Callable[[LinegateError | None], None]) -> None:
        """Make the row durable, then call ``done``; with an error at ``until_ns`` at the latest, as long as the log is only
        busy."""
        ...

    def log_outcome(self, outcome: Outcome) -> None:
        """Add to the row what went to the PLC."""
        ...

    def submit(self, slot: Slot, deadline_ns: int, done: Callable[[bool, int], None]) -> None:
        """Write a slot; ``done(written, at_ns)``."""
        ...

    def event(self, kind: str, severity: str, text: str, key: PartKey | None) -> None:
        """Add a line to the log's events."""
        ...

    def finished(self, part: FinishedPart) -> None:
        """A part is through: pictures, screens and alarms follow from here."""
        ...


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    """How the tracker judges time.

    Attributes:
        cameras: views a part needs.
        requests: of these, the ones the line triggers itself at the PLC's word; the others have their own photo-eye.
        deadline_ns: from the trigger to the written slot.
        frame_window_ns: longest time from trigger to frame that can't yet be the next part's.
        frame_guard_ns: a frame counts as its part's only when the PLC, asked this much later, still shows that part.
        pass_requires_log: no PASS before the row is durable.
        log_reserve_ns: so long before its deadline a part that still waits for its row is given up, in time for the PLC to
            hear of it.
    """

    cameras: tuple[str, ...]
    requests: tuple[str, ...]
    deadline_ns: int
    frame_window_ns: int
    frame_guard_ns: int
    pass_requires_log: bool
    log_reserve_ns: int


@dataclass(frozen=True, slots=True)
class FinishedPart:
    """All there is to say about a part once nothing more will happen to it.

    ``marks_ns``: host time.monotonic_ns of what it went through: frame, judged, decided, durable, written.
    ``stages_ns``: what inference spent its time on.
    """

    record: PartRecord
    outcome: Outcome
    trigger: Trigger
    frames: tuple[Frame, ...]
    active: ActiveRecipe
    marks_ns: Mapping[str, int]
    stages_ns: Mapping[str, int]


@dataclass(slots=True)
class Counts:
    """What the line itself has seen since start."""

    triggers: int = 0
    frames: int = 0
    ok: int = 0
    ng: int = 0
    review: int = 0
    not_inspected: int = 0
    deadline_misses: int = 0
    late: int = 0
    passes_written: int = 0
    passes_unproven: int = 0
    kept_back: int = 0
    """Parts that are through and were not released; counted where a part ends, not from the others."""

    def add(self, decision: Decision, *, passed: bool) -> None:
        """One part is through."""
        if decision is Decision.OK:
            self.ok += 1
        elif decision is Decision.NG:
            self.ng += 1
        elif decision is Decision.REVIEW:
            self.review += 1
        else:
            self.not_inspected += 1
        if passed:
            self.passes_written += 1
        else:
            self.kept_back += 1

    @property
    def inspected(self) -> int:
        """Parts with a judgement."""
        return self.ok + self.ng + self.review
