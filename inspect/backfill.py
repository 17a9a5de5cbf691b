"""Rows for parts that came while nobody watched: the PLC counted them, no row tells of them.

After kill -9, a power cut or a lost connection the PLC's count is ahead of the log. Each such part was rejected (the gate
rests there), and gets its row all the same: NOT_INSPECTED, with the cause.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from linegate.cameras.errors import LinegateError
from linegate.inspect.part import Cause, Decision, PartKey, WireVerdict
from linegate.inspect.partlog.records import Outcome, PartRecord
from linegate.inspect.partlog.writer import PartLog
from linegate.inspect.recipes import ActiveRecipe

MOST_ROWS = 10_000
"""A first meeting with a PLC that has counted for weeks is no loss of millions of parts."""


@dataclass(frozen=True, slots=True)
class Backfilled:
    """``rows`` were handed to the log, which takes no more for now where some are ``left``."""

    rows: int
    left: tuple[range, ...]


def backfill(
    log: PartLog, epoch: int, triggered: int, active: ActiveRecipe, cause: Cause, left: Sequence[range] | None = None
) -> Backfilled:
    """Write the rows that are missing of parts 1 to ``triggered`` of ``epoch``, or those ``left`` by the call before.
    ``cause``: CRASH where the station was away, PLC_LOST where the PLC restarted and counted before the two had met again.
    Raises LogError.

    In an epoch that the log knows nothing of, at most the last MOST_ROWS are written, and an event names the rest.
    """
    spans = list(_missing(log, epoch, triggered) if left is None else left)
    written = 0
    while spans and (taken := _put(log, epoch, spans[0], active, cause)):
        written += taken
        spans[0] = spans[0][taken:]
        if not spans[0]:
            spans.pop(0)
    if written:
        text = f"{written} parts of epoch {epoch} came while nobody watched; each has a row, none was passed by this station"
        log.record_event("backfill", "warning", text, None, {"epoch": epoch, "rows": written})
    return Backfilled(written, tuple(spans))


def _missing(log: PartLog, epoch: int, triggered: int) -> list[range]:
    missing = log.missing(epoch, triggered)
    skipped = sum(len(span) for span in missing) - MOST_ROWS
    if skipped <= 0 or log.known(epoch).count:
        return missing
    text = f"first contact with a PLC that has counted {triggered} parts; the first {skipped} get no row"
    log.record_event("first_contact", "warning", text, None, {"epoch": epoch, "triggered": triggered})
    return [range(triggered - MOST_ROWS + 1, triggered + 1)]


def _put(log: PartLog, epoch: int, span: range, active: ActiveRecipe, cause: Cause) -> int:
    """How many of the span the log took, from its beginning."""
    for taken, sequence in enumerate(span):
        key = PartKey(epoch, sequence)
        if not log.put(_record(key, active, cause), _later):
            return taken
        log.put_outcome(Outcome(key, WireVerdict.EMPTY, False, None, None, "nobody watched; the gate rests at reject"))
    return len(span)


def _record(key: PartKey, active: ActiveRecipe, cause: Cause) -> PartRecord:
    return PartRecord(
        key=key,
        triggered_utc_ns=time.time_ns(),
        recipe_id=active.recipe.id,
        recipe_name=active.recipe.name,
        bundle_sha256="",
        thresholds="{}",
        lot="",
        serial="",
        decision=Decision.NOT_INSPECTED,
        cause=cause,
        reason="the PLC counted this part while the station was not watching; time unknown, the row was added later",
        score=1.0,
        defect_class="",
        keep_probability=None,
        challenge=False,
        encoder=0,
        views=(),
    )


def _later(_error: LinegateError | None) -> None:
    """A row that was taken and could not be stored at once stays in the writer's backlog until it is."""
