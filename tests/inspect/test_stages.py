"""A part's time, stage by stage: nothing is counted twice, nothing is left out, and what is Linegate's own is told apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate.cameras.frame import Frame
from linegate.inspect.part import Decision, PartKey, Trigger, WireVerdict
from linegate.inspect.partlog.records import Outcome
from linegate.inspect.stages import STAGES, StageTimes
from linegate.inspect.tracking_ports import FinishedPart

from .partlog.partlog_samples import record

INNER = ("queue", "preprocess", "infer", "regions", "verdict")
steps_ns = st.integers(0, 50_000_000)


def part(steps: list[int], inner: list[int], *, wired: bool, log_first: bool) -> FinishedPart:
    """``steps``: at → asked → frame → (inner) … judged → decided → durable → written."""
    ask, deliver, hand, proof, log, write = steps
    at = 1_000_000_000
    frame = at + ask + deliver
    judged = frame + sum(inner) + hand
    decided = judged + proof
    durable = decided + log if log_first else decided + log + write + 1
    written = (durable if log_first else decided) + write
    marks = {"frame": frame, "judged": judged, "decided": decided, "durable": durable, "written": written}
    picture = Frame(np.zeros((2, 2), np.uint8), "top", 1, 1, frame, "Mono8", 0 if wired else at + ask)
    key = PartKey(7, 1)
    trigger = Trigger(key, at, at + 10**9, 0, 0)
    outcome = Outcome(key, WireVerdict.OK, True, 1.0, 1.0)
    stages = dict(zip(INNER, inner, strict=True))
    return FinishedPart(record(1, decision=Decision.OK), outcome, trigger, (picture,), None, marks, stages)  # type: ignore[arg-type]


@given(
    st.lists(steps_ns, min_size=6, max_size=6),
    st.lists(steps_ns, min_size=5, max_size=5),
    st.one_of(st.none(), steps_ns),
    st.booleans(),
    st.booleans(),
)
def test_the_stages_are_the_whole(
    steps: list[int], inner: list[int], fsync_ns: int | None, wired: bool, log_first: bool
) -> None:
    times = StageTimes()
    times.add(part(steps, inner, wired=wired, log_first=log_first), fsync_ns)
    found = {row.stage: row.latency.max for row in times.rows()}
    assert all(found[name] >= 0 for name in STAGES)
    whole = sum(found[name] for name in STAGES)
    assert whole == pytest.approx(found["whole"], abs=0.01)
    ask, deliver, hand, proof, log, write = (step / 1e6 for step in steps)
    queue, preprocess, _infer, regions, verdict = (step / 1e6 for step in inner)
    fsync = min((fsync_ns or 0) / 1e6, log) if log_first else 0.0
    own = hand + proof + write + queue + preprocess + regions + verdict
    own += (0.0 if wired else ask) + (log - fsync if log_first else 0.0)
    assert times.overhead_ms() == [pytest.approx(own, abs=1e-6)]
    assert found["camera"] == pytest.approx(deliver + (ask if wired else 0.0), abs=0.001)
