"""Where a part's time goes: from the photo-eye's edge to the verdict in the PLC, stage by stage."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from linegate.inspect.part import Decision
from linegate.inspect.summary import Latency
from linegate.inspect.tracking_ports import FinishedPart

KEPT = 50_000
STAGES = (
    "ask",
    "camera",
    "queue",
    "preprocess",
    "infer",
    "regions",
    "verdict",
    "hand over",
    "proof",
    "log",
    "fsync",
    "PLC write",
)
"""In the order a good part goes through them.

ask: the photo-eye's edge seen → the camera fired. camera: fired → frame delivered (with a wired photo-eye, both together).
proof: waiting for the PLC to confirm whose picture it is, as far as inference did not cover it. log: the row's way to the
database and the news of it back. fsync: the COMMIT that makes it durable.
"""
GIVEN = ("camera", "infer", "fsync")
"""What this machine, its camera, its disk and the network ask for; all the rest is Linegate's own."""


@dataclass(frozen=True, slots=True)
class StageRow:
    """One stage's times over all parts, and its share of the whole by the means."""

    stage: str
    latency: Latency
    share: float


class StageTimes:
    """Collects the stage times of passed parts. ``add`` is called by the line, ``rows`` by whoever prints."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names = (*STAGES, "whole")
        self._ms = np.full((KEPT, len(self._names)), np.nan)  # all of it from the start: memory stays flat
        self._count = 0

    def add(self, part: FinishedPart, fsync_ns: int | None) -> None:
        """A part that went all the way; of several views, the last one's inference counts. ``fsync_ns``: the COMMIT of its
        row, None where that is not known, which then counts as Linegate's own time."""
        marks = part.marks_ns
        if part.record.decision is not Decision.OK or not part.outcome.written:
            return
        start, decided, written = part.trigger.at_ns, marks["decided"], marks["written"]
        asked = max((frame.asked_ns for frame in part.frames if frame.received_ns == marks["frame"]), default=0)
        inner = {name: part.stages_ns.get(name, 0) for name in ("queue", "preprocess", "infer", "regions", "verdict")}
        durable = marks.get("durable", decided)
        if durable > written:  # pass_requires_log = false: the row came in its own time
            durable, fsync_ns = decided, 0
        fsync = min(fsync_ns or 0, durable - decided)
        times = {
            "ask": max(0, asked - start),
            "camera": marks["frame"] - max(start, asked),
            **inner,
            "hand over": marks["judged"] - marks["frame"] - sum(inner.values()),
            "proof": decided - marks["judged"],
            "log": durable - decided - fsync,
            "fsync": fsync,
            "PLC write": written - durable,
            "whole": written - start,
        }
        row = [times[name] / 1e6 for name in self._names]
        with self._lock:
            self._ms[self._count % KEPT] = row
            self._count += 1

    def rows(self) -> list[StageRow]:
        """The table, the whole last."""
        kept = self._kept()
        sums = kept.sum(axis=0)
        whole = float(sums[-1]) or 1.0
        return [
            StageRow(name, Latency.of(kept[:, column].tolist()), float(sums[column]) / whole)
            for column, name in enumerate(self._names)
        ]

    def overhead_ms(self) -> list[float]:
        """Of each part, all that is not ``GIVEN``."""
        kept = self._kept()
        given = [self._names.index(name) for name in GIVEN]
        found: list[float] = (kept[:, -1] - kept[:, given].sum(axis=1)).tolist()
        return found

    def _kept(self) -> NDArray[np.float64]:
        with self._lock:
            return self._ms[: min(self._count, KEPT)].copy()
