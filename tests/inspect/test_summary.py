"""The summary says what was counted, and fails the run when the counts disagree."""

from __future__ import annotations

import io
import json
from dataclasses import replace

from rich.console import Console

from linegate.inspect.summary import Latency, RunSummary, Truth

GOOD = RunSummary(
    triggers=10, frames=10, frames_lost=0, rows=10, passed=7, rejected=3, not_inspected=0, review=1, plc_triggered=10,
    plc_passed=7, plc_rejected=3, deadline_misses=0, late_results=0, passed_without_row=0, unwatched=0,
    latency=Latency.of([1.0, 2.0, 3.0]), parts_per_s=9.9, bundle="ab" * 32, recipe="Panel", device="cpu", contradictions=(),
    truth=Truth(3, 7, 0, 0, 0, {"dent": (0, 3)}),
)  # fmt: skip


def test_exit_code() -> None:
    assert GOOD.exit_code == 0
    assert replace(GOOD, contradictions=("the PLC counted 11",)).exit_code == 1
    assert replace(GOOD, passed_without_row=1).exit_code == 1
    assert replace(GOOD, unsaved="2 pictures").exit_code == 1
    assert replace(GOOD, truth=Truth(3, 7, 0, 0, 1)).exit_code == 1


def test_json_is_strict_even_with_nothing_measured() -> None:
    empty = replace(GOOD, latency=Latency.of([]), truth=Truth(0, 0, 0, 0, 0))
    out = json.loads(json.dumps(empty.as_json(), allow_nan=False))
    assert out["latency_ms"] == {"p50": None, "p99": None, "p99_9": None, "max": None}
    wanted = "triggers frames rows passed rejected not_inspected plc_triggered plc_passed plc_rejected deadline_misses"
    assert set(wanted.split()) | {
        "escapes",
        "overkill",
        "defective",
        "good",
        "latency_ms",
        "parts_per_s",
        "bundle",
    } <= set(out)


def test_words_carry_the_bounds() -> None:
    text = io.StringIO()
    GOOD.print(Console(file=text, width=160))
    assert "0 of 3" in text.getvalue() and "at 95 %" in text.getvalue() and "adds up" in text.getvalue()
    text = io.StringIO()
    replace(GOOD, contradictions=("the PLC counted 11 parts",)).print(Console(file=text, width=160))
    assert "the PLC counted 11 parts" in text.getvalue() and "adds up" not in text.getvalue()


def test_percentiles_are_values_that_occurred() -> None:
    assert Latency.of([float(k) for k in range(1, 1001)]) == Latency(500.0, 990.0, 999.0, 1000.0)
