"""Part, Region, Verdict: the words all rooms speak."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

import numpy as np
from numpy.typing import NDArray


class Decision(StrEnum):
    """What the station says about a part. Only OK may pass; REVIEW is rejected and a person looks again."""

    OK = "OK"
    NG = "NG"
    REVIEW = "REVIEW"
    NOT_INSPECTED = "NOT_INSPECTED"


class WireVerdict(IntEnum):
    """The verdict as it stands in a PLC slot; 0 is an empty slot."""

    EMPTY = 0
    OK = 1
    NG = 2
    NOT_INSPECTED = 3

    @staticmethod
    def of(decision: Decision) -> WireVerdict:
        """REVIEW travels as NG: whatever is not proven good leaves the line."""
        if decision is Decision.OK:
            return WireVerdict.OK
        if decision is Decision.NOT_INSPECTED:
            return WireVerdict.NOT_INSPECTED
        return WireVerdict.NG


class Cause(StrEnum):
    """Why a part was not passed (or, for JUDGED, that nothing kept it from being judged)."""

    JUDGED = "judged"
    FRAME_GAP = "frame_gap"
    FRAME_BROKEN = "frame_broken"
    FRAME_TIMEOUT = "frame_timeout"
    FRAME_MISMATCH = "frame_mismatch"
    CAMERA_DOWN = "camera_down"
    DEADLINE = "deadline"
    INFERENCE_FAILED = "inference_failed"
    LOG_FAILED = "log_failed"
    PLC_LOST = "plc_lost"
    PURGED = "purged"
    """The PLC emptied the zone from camera to gate while the part was under way."""
    OVERRUN = "overrun"
    NOT_READY = "not_ready"
    CRASH = "crash"
    """Found at start: the PLC had counted it, no row told of it."""


class GateResult(StrEnum):
    """What the PLC's counters later proved about a part; UNKNOWN where they could not."""

    PASSED = "passed"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class PartKey:
    """A part's identity: the PLC's epoch (new at every PLC start) and its count of triggers since, from 1.

    ``trig_id`` is what the PLC's 16-bit registers show of it.
    """

    epoch: int
    sequence: int

    @property
    def trig_id(self) -> int:
        """The sequence as the 16-bit TRIG_ID register carries it."""
        return self.sequence & 0xFFFF

    @classmethod
    def parse(cls, text: str) -> PartKey:
        """The inverse of ``str``. Raises ValueError."""
        epoch, _, sequence = text.partition("-")
        return cls(int(epoch, 16), int(sequence))

    def __str__(self) -> str:
        return f"{self.epoch:04x}-{self.sequence}"


@dataclass(frozen=True, slots=True)
class Trigger:
    """The photo-eye's edge, as the PLC counted it. ``at_ns`` and ``deadline_ns`` are host ``time.monotonic_ns``;
    ``utc_ns`` is ``time.time_ns`` at the same moment; ``encoder`` is the belt position in counts (u32). A trigger that is
    not ``answerable`` was seen too late (an outage, or more parts than slots at once): it needs its row, and no picture.
    The PLC counted the edge between ``earliest_ns`` and ``at_ns``; 0 where nobody knows since when."""

    key: PartKey
    at_ns: int
    deadline_ns: int
    utc_ns: int
    encoder: int
    answerable: bool = True
    earliest_ns: int = 0


@dataclass(frozen=True, slots=True)
class Region:
    """One connected defect in one view.

    Attributes:
        defect_class: class name from the bundle.
        score: 0..1, the region's peak probability of its class.
        area_mm2: its area; length_mm: longest side of its smallest enclosing rectangle.
        x_mm, y_mm: centre, from the image's top left corner.
        box_px: x, y, width, height in image pixels.
        outline_px: (n, 2) int32, the outer contour in image pixels.
    """

    defect_class: str
    score: float
    area_mm2: float
    length_mm: float
    x_mm: float
    y_mm: float
    box_px: tuple[int, int, int, int]
    outline_px: NDArray[np.int32] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Judgement:
    """One view's (or one part's) verdict with its reason in words.

    ``score`` is 0..1, higher = worse: the score that the verdict stands on. ``defect_class`` is the worst region's
    class, or "" where there is none.
    """

    decision: Decision
    score: float
    defect_class: str
    reason: str
    regions: tuple[Region, ...]
