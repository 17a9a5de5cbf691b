"""What the line hands to the log: one record per part, and later what became of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from linegate.inspect.part import Cause, Decision, PartKey, Region, WireVerdict


@dataclass(frozen=True, slots=True, eq=False)
class ViewRecord:
    """One camera's picture of a part and what was seen in it.

    Attributes:
        camera: name in station.toml.
        frame_counter: the camera's own frame number, None where no frame came.
        frame_timestamp_ns: the camera's clock at exposure, None where no frame came.
        width_px, height_px: size of the picture, 0 where no frame came.
        score: 0..1, higher = worse.
        embedding: (D,) float32, kept as float16, or None where the bundle has none.
    """

    camera: str
    frame_counter: int | None
    frame_timestamp_ns: int | None
    width_px: int
    height_px: int
    decision: Decision
    score: float
    reason: str
    regions: tuple[Region, ...] = ()
    embedding: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class PartRecord:
    """One part as it was judged, complete before anything goes to the PLC.

    Attributes:
        triggered_utc_ns: ``time.time_ns`` at the photo-eye's edge.
        bundle_sha256: the bundle that judged it, "" where none did.
        thresholds: JSON of the thresholds and rules that applied.
        score: 0..1, higher = worse.
        defect_class: the worst region's class, "" where there is none.
        keep_probability: chance the part had of having its picture kept at random; None where that was not drawn.
        challenge: a known bad part was presented on purpose.
        encoder: belt position in counts, u32.
    """

    key: PartKey
    triggered_utc_ns: int
    recipe_id: int
    recipe_name: str
    bundle_sha256: str
    thresholds: str
    lot: str
    serial: str
    decision: Decision
    cause: Cause
    reason: str
    score: float
    defect_class: str
    keep_probability: float | None
    challenge: bool
    encoder: int
    views: tuple[ViewRecord, ...] = ()

    @property
    def keep_reason(self) -> str:
        """What a picture of it is kept as."""
        return "challenge" if self.challenge else self.decision.value


@dataclass(frozen=True, slots=True)
class Outcome:
    """What really went to the PLC, known only after the row was durable.

    Attributes:
        wire_verdict: what stood, or would have stood, in the slot.
        written: the PLC confirmed the write; False means "unknown or not sent".
        latency_ms: trigger seen → verdict written; None where nothing was written.
        slack_ms: time left to the deadline at that moment, negative when missed.
    """

    key: PartKey
    wire_verdict: WireVerdict
    written: bool
    latency_ms: float | None
    slack_ms: float | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One stored picture. ``probability`` is the chance it had of being kept, 1.0 for one kept on purpose."""

    key: PartKey
    camera: str
    sha256: str
    width_px: int
    height_px: int
    channels: int
    bits: int
    size_bytes: int
    reason: str
    probability: float
    stored_utc_ns: int


@dataclass(frozen=True, slots=True)
class LogStatus:
    """The writer's health at one moment.

    Attributes:
        rows: part rows in the log.
        backlog: parts whose row is not durable yet, waiting and failed ones together.
        failed: those of them that failed at least once.
        commit_ms_p50, commit_ms_p99: of the last 1,000 commits; 0 before the first.
        durable_ms_p50, durable_ms_p99: ``put`` to durable, of the last 1,000 parts.
        overflowed: records refused because the backlog was full, since start.
        last_error: the latest failure in words, "" when the last attempt succeeded.
    """

    ok: bool
    rows: int
    backlog: int
    failed: int
    commit_ms_p50: float
    commit_ms_p99: float
    durable_ms_p50: float
    durable_ms_p99: float
    free_mb: float
    overflowed: int
    last_error: str


@dataclass(frozen=True, slots=True)
class KnownParts:
    """What the log has of one epoch: ``count`` rows, of which ``last`` is the highest sequence (0 where there is none)."""

    epoch: int
    count: int
    last: int
