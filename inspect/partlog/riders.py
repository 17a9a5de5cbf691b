"""What needs no commit of its own at once: outcomes, gate results, pictures, events, and things to remember once."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from linegate.inspect.part import GateResult, PartKey
from linegate.inspect.partlog.batch import Extras
from linegate.inspect.partlog.gauge import LogGauge
from linegate.inspect.partlog.records import ImageRecord, Outcome
from linegate.inspect.partlog.rows import Row, clean, dumps, image_row, outcome_values, sha256_text
from linegate.inspect.partlog.schema import bundle, lot, recipe

MAX_RIDERS = 100_000
LAZY_NS = 30_000_000
"""They wait this long for company and are then written, by themselves where they can: in a part's commit they would lengthen
that part's way to its verdict."""


class Riders:
    """Filled by any thread, emptied by the writer thread; ``wake`` is the writer's (reentrant) condition."""

    def __init__(self, wake: threading.Condition, gauge: LogGauge) -> None:
        self._wake = wake
        self._gauge = gauge
        self._extras = Extras()
        self._since_ns = 0

    def __len__(self) -> int:
        return len(self._extras)

    def outcome(self, outcome: Outcome) -> None:
        """What went to the PLC."""
        with self._wake:
            self._add(self._extras.outcomes, {**_key_columns(outcome.key), **outcome_values(outcome)})

    def gate(self, key: PartKey, result: GateResult) -> None:
        """What the PLC's counters proved."""
        with self._wake:
            self._add(self._extras.gates, {**_key_columns(key), "gate": str(result)})

    def image(self, image: ImageRecord) -> None:
        """A stored picture."""
        row = image_row(image)
        with self._wake:
            self._add(self._extras.images, row)

    def event(self, kind: str, severity: str, text: str, key: PartKey | None, data: Mapping[str, Any] | None) -> None:
        """Something happened."""
        row = {
            "at_utc_ns": time.time_ns(),
            "kind": kind[:48],
            "severity": severity[:16],
            "text": clean(text),
            "epoch": None if key is None else key.epoch,
            "sequence": None if key is None else key.sequence,
            "data": None if data is None else clean(dumps(data)),
        }
        with self._wake:
            self._add(self._extras.events, row)

    def bundle(self, sha256: str, name: str, version: str, manifest: str) -> None:
        """A bundle that judges parts."""
        self._once(
            bundle, sha256=sha256, name=name, version=version, manifest=manifest, first_used_utc_ns=time.time_ns()
        )

    def recipe(self, recipe_id: int, name: str, settings: str) -> None:
        """A recipe's present wording."""
        row: Row = {"recipe_id": recipe_id, "name": name, "settings": settings, "first_used_utc_ns": time.time_ns()}
        self._once(recipe, sha256=sha256_text(settings), **row)

    def lot(self, lot_id: str, by: str, note: str) -> None:
        """A lot's beginning."""
        self._once(lot, id=clean(lot_id), started_by=clean(by), note=clean(note), started_utc_ns=time.time_ns())

    def due_ns(self) -> int | None:
        """When they want a commit of their own, None when there are none."""
        return self._since_ns + LAZY_NS if len(self._extras) else None

    def take(self) -> Extras:
        """All of them; the caller stores them or puts them back."""
        with self._wake:
            taken, self._extras = self._extras, Extras()
            return taken

    def put_back(self, extras: Extras) -> None:
        """Not stored: they come first again, after another wait."""
        with self._wake:
            extras.append(self._extras)
            self._extras, self._since_ns = extras, time.monotonic_ns()

    def _once(self, table: Any, **row: Any) -> None:
        with self._wake:
            self._add(self._extras.once, (table, row))

    def _add(self, rows: list[Any], row: Any) -> None:
        if len(self._extras) >= MAX_RIDERS:
            self._gauge.overflow()
            return
        if not len(self._extras):
            self._since_ns = time.monotonic_ns()
            self._wake.notify()
        rows.append(row)


def _key_columns(key: PartKey) -> Row:
    return {"k_epoch": key.epoch, "k_sequence": key.sequence}
