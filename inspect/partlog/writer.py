"""The one writer of part rows: a thread, a queue, group commit, and a memory for what could not be stored yet."""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from linegate.inspect.part import GateResult, PartKey
from linegate.inspect.partlog import batch, queries
from linegate.inspect.partlog.batch import Done, Extras, Pending
from linegate.inspect.partlog.committer import Committer
from linegate.inspect.partlog.database import (
    DATABASE_TROUBLE,
    explain,
    hold_writer_lock,
    log_url,
    make_engine,
    migrate,
    place,
)
from linegate.inspect.partlog.errors import BacklogFull, DuplicatePart, LogBusy, LogError
from linegate.inspect.partlog.gauge import LogGauge
from linegate.inspect.partlog.records import ImageRecord, KnownParts, LogStatus, Outcome, PartRecord
from linegate.inspect.partlog.riders import Riders
from linegate.inspect.settings import LogSettings

MAX_BACKLOG = 100_000
GROUP = 256
RETRY_NS = 50_000_000
TICK_NS = 500_000_000
"""How often the free disk space is looked at."""
ATTEMPT_MS = 20.0
"""Longest wait of one attempt for a locked database; between two, the writer sees whose time is over."""
AGAIN_NS = 5_000_000
"""From an attempt that found the database busy to the next one."""


class PartLog:
    """Rows of all parts, durable before anyone is told so.

    ``put`` and its sisters may be called from any thread and never block; all database work happens on the writer thread.
    A record that can't be stored is answered with the error, kept, and retried until it is stored, then as NOT_INSPECTED where
    it had been OK: the line has not passed that part. While the database is only busy, a record has until its ``until_ns``
    before it is answered; LogOK is 0 meanwhile. Each (epoch, sequence) has at most one row.
    """

    def __init__(self, engine: Engine, reader: Engine, settings: LogSettings, data: Path) -> None:
        self._engine, self._reader, self._settings, self._data = engine, reader, settings, data
        self._release = hold_writer_lock(engine)
        self._wake = threading.Condition()
        self._new: deque[Pending] = deque()
        self._failed: deque[Pending] = deque()
        self._known: dict[PartKey, Pending] = {}
        self._closing = False
        self._give_up_ns = 0
        self._thread: threading.Thread | None = None
        self._attempt_ms = min(ATTEMPT_MS, settings.busy_timeout_ms)
        self._committer = Committer(engine, downgrade_late=settings.pass_requires_log, busy_timeout_ms=self._attempt_ms)
        self._gauge = LogGauge(settings)
        self.fsync_ns = self._gauge.fsync_ns
        self._riders = Riders(self._wake, self._gauge)

    @classmethod
    def open(cls, settings: LogSettings, data: Path) -> PartLog:
        """Open, migrate and try a write. Raises LogError that names the file and the remedy: locked, read-only, full,
        made by a newer version, or already written by another line."""
        url = log_url(settings, data)
        try:
            data.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LogError(
                f"data folder {data}",
                expected="a folder that can be written",
                found=str(error.strerror or error),
                remedy="Correct data in station.toml (or --data), or the folder's rights.",
            ) from error
        engine = make_engine(url, access="write", busy_timeout_ms=settings.busy_timeout_ms)
        reader = make_engine(url, access="read", busy_timeout_ms=1000.0)
        log: PartLog | None = None
        try:
            migrate(engine)
            log = cls(engine, reader, settings, data)
            with engine.begin() as connection:
                queries.set_state(connection, "log.opened", str(time.time_ns()))
            log._gauge.rows = log.count()
        except BaseException as error:
            if log is not None:
                log._release()
            engine.dispose()
            reader.dispose()
            if isinstance(error, DATABASE_TROUBLE):
                raise explain(error, engine) from error
            raise
        log._gauge.look_at_disk(data)
        return log

    def start(self) -> None:
        """Start the writer thread."""
        self._thread = threading.Thread(target=self._run, name="partlog-writer", daemon=True)
        self._thread.start()

    def put(self, record: PartRecord, done: Done, until_ns: int = 0) -> bool:
        """Hand one part over; whether it was taken. ``done`` is called once, on the writer thread: with None when its row is
        durable, with the error when an attempt failed that was not to be repeated before ``until_ns`` (host monotonic). A part
        that is not taken (full backlog, closed log, second record) is answered at once, here."""
        pending = Pending(record, done, secrets.randbits(62), time.monotonic_ns(), until_ns)
        refusal: LogError | None = None
        with self._wake:
            if self._closing:
                refusal = LogError(
                    place(self._engine), expected="an open log", found="closed", remedy="Restart the line."
                )
            elif len(self._new) + len(self._failed) >= MAX_BACKLOG:
                refusal = BacklogFull(
                    place(self._engine),
                    expected=f"at most {MAX_BACKLOG} rows waiting",
                    found="one more",
                    remedy="Bring the log's disk or server back; the parts since then are added at the next start.",
                )
                if self._gauge.overflow():
                    self._riders.event("log_overflow", "alarm", str(refusal), record.key, None)
            elif record.key in self._known:
                refusal = self._duplicate(record.key)
            else:
                self._new.append(pending)
                self._known[record.key] = pending
                self._wake.notify()
        if refusal is not None:
            done(refusal)
        return refusal is None

    def put_outcome(self, outcome: Outcome) -> None:
        """Add what went to the PLC to the part's row; rides in the next commit."""
        with self._wake:
            pending = self._known.get(outcome.key)
            if pending is not None and pending.outcome is None:
                pending.outcome = outcome
            self._riders.outcome(outcome)

    def put_gate_result(self, key: PartKey, result: GateResult) -> None:
        """Add what the PLC's counters proved about the part."""
        with self._wake:
            pending = self._known.get(key)
            if pending is not None:
                pending.gate = result
            self._riders.gate(key, result)

    def put_image(self, image: ImageRecord) -> None:
        """Add a stored picture's row; the file must be durable already."""
        self._riders.image(image)

    def record_event(
        self, kind: str, severity: str, text: str, key: PartKey | None = None, data: Mapping[str, Any] | None = None
    ) -> None:
        """Add an event. ``severity``: info, warning or alarm; an alarm wants to be acknowledged."""
        self._riders.event(kind, severity, text, key, data)

    def register_bundle(self, sha256: str, name: str, version: str, manifest: str) -> None:
        """Remember a bundle that judges parts; known ones stay as they are."""
        self._riders.bundle(sha256, name, version, manifest)

    def register_recipe(self, recipe_id: int, name: str, settings: str) -> None:
        """Remember a recipe's present wording, by the hash of ``settings`` (JSON)."""
        self._riders.recipe(recipe_id, name, settings)

    def start_lot(self, lot_id: str, by: str, note: str = "") -> None:
        """Remember when a lot began and who began it; a lot that is taken up again keeps its first start."""
        self._riders.lot(lot_id, by, note)

    @property
    def ok(self) -> bool:
        """LogOK: the last commit succeeded, the disk has room, nothing waits too long. Never blocks."""
        thread = self._thread
        if thread is None or not thread.is_alive():
            return False
        try:
            waiting_since_ns = self._new[0].since_ns
        except IndexError:
            waiting_since_ns = 0
        return self._gauge.ok(waiting_since_ns, failed=bool(self._failed))

    def status(self) -> LogStatus:
        """The writer's health, for screens and summaries."""
        return self._gauge.status(ok=self.ok, backlog=len(self._known), failed=len(self._failed))

    def known(self, epoch: int) -> KnownParts:
        """What durable rows there are of this epoch. Raises LogError."""
        with self._reading() as connection:
            return queries.known_parts(connection, epoch)

    def missing(self, epoch: int, upto: int, after: int = 0) -> list[range]:
        """Sequences after + 1 to upto of this epoch without a durable row, as ranges. Raises LogError."""
        with self._reading() as connection:
            return queries.missing_parts(connection, epoch, upto, after)

    def count(self) -> int:
        """Durable part rows. Raises LogError."""
        with self._reading() as connection:
            return queries.count_parts(connection)

    @property
    def reader(self) -> Engine:
        """A read-only engine, for queries next to the line."""
        return self._reader

    @property
    def writer_engine(self) -> Engine:
        """For the rows that are not parts (commands, retention marks); never use it on the verdict path."""
        return self._engine

    def close(self, timeout_s: float = 10.0) -> None:
        """Store what waits, then stop. Raises LogError when rows are still unsaved after ``timeout_s``."""
        with self._wake:
            self._closing = True
            self._give_up_ns = time.monotonic_ns() + round(timeout_s * 1e9)
            self._wake.notify()
        if self._thread is not None:
            self._thread.join(timeout_s + 2.0 * self._settings.busy_timeout_ms / 1000.0 + 1.0)
        unsaved, error = len(self._known), self._gauge.last_error
        self._engine.dispose()
        self._reader.dispose()
        self._release()
        if unsaved:
            raise LogError(
                place(self._engine),
                expected="all rows saved at the end",
                found=f"{unsaved} rows that could not be: {error or 'the writer hangs'}",
                remedy="Bring the log back; at the next start these parts are added as NOT_INSPECTED.",
            )

    def _duplicate(self, key: PartKey) -> LogError:
        error = DuplicatePart(
            f"part {key}",
            expected="one row per trigger",
            found="a second record for it",
            remedy="The first one stands. If the PLC was restarted without a new epoch, correct its program.",
        )
        self._riders.event("duplicate_part", "alarm", str(error), key, None)
        return error

    def _reading(self) -> queries.Reading:
        return queries.Reading(self._reader)

    # -- the writer thread ------------------------------------------------------------------------------------------

    def _run(self) -> None:
        looked_ns = 0
        while True:
            now = time.monotonic_ns()
            if now - looked_ns >= TICK_NS:
                looked_ns = now
                self._gauge.look_at_disk(self._data)
            taken = self._take()
            if taken is None:
                break
            pendings, extras = taken
            if pendings or len(extras):
                self._store(pendings, extras)
        self._committer.drop()

    def _take(self) -> tuple[list[Pending], Extras] | None:
        """Wait for work, at most a tick. New parts first, so that an old backlog never delays a verdict."""
        with self._wake:
            now = time.monotonic_ns()
            due = now + TICK_NS
            if self._new or (self._closing and self._gauge.working):
                due = now if self._gauge.working else now + AGAIN_NS
            elif (riders_due := self._riders.due_ns()) is not None:
                due = min(due, riders_due)
            if self._failed:
                due = min(due, now + (0 if self._gauge.working else RETRY_NS))
            if due > now:
                self._wake.wait((due - now) / 1e9)
            now = time.monotonic_ns()
            if self._new and self._settings.group_commit_ms > 0 and not self._closing:
                self._wake.wait_for(lambda: len(self._new) >= GROUP, self._settings.group_commit_ms / 1000.0)
            if self._closing and ((not self._known and not len(self._riders)) or now > self._give_up_ns):
                return None
            pendings = [self._new.popleft() for _ in range(min(GROUP, len(self._new)))]
            old = GROUP if self._gauge.working else 1  # while it fails, one old row is enough of a probe
            pendings += [self._failed.popleft() for _ in range(min(old, len(self._failed)))]
            riders_due = self._riders.due_ns()
            ride = riders_due is not None and (self._closing or now >= riders_due)
            extras = self._riders.take() if ride else Extras()
            if pendings or len(extras):
                self._gauge.begin(min((p.since_ns for p in pendings if not p.answered), default=now))
            return pendings, extras

    def _store(self, pendings: list[Pending], extras: Extras) -> None:
        """One commit with all of it, or none of it."""
        began_ns = time.monotonic_ns()
        for pending in pendings:
            pending.refused, pending.has_row = None, True
        try:
            orphans = self._committer.commit(pendings, extras)
        except Exception as error:
            if batch.is_trouble(error):
                self._keep(pendings, extras, explain(error, self._engine))
            else:
                self._store_apart(pendings, extras)
            return
        self._stored(pendings, orphans, began_ns)

    def _store_apart(self, pendings: list[Pending], extras: Extras) -> None:
        """The group was refused, not failed: store each part alone, then the rest."""
        began_ns = time.monotonic_ns()

        def refuse(pending: Pending, why: str, has_row: bool) -> None:
            pending.has_row = has_row
            if why == "duplicate":
                with self._wake:
                    pending.refused = self._duplicate(pending.record.key)
                return
            pending.refused = LogError(
                f"part {pending.record.key}",
                expected="a record the log can store",
                found=why,
                remedy="Report this: a part's record has values outside their range. The part counts as not inspected.",
            )
            self.record_event("row_refused", "alarm", str(pending.refused), pending.record.key)

        try:
            self._committer.commit_one_by_one(pendings, refuse)
        except Exception as error:
            self._keep(pendings, extras, explain(error, self._engine))
            return
        self._stored(pendings, [], began_ns)
        self._store_extras_apart(extras)

    def _store_extras_apart(self, extras: Extras) -> None:
        """Each alone; one that is refused becomes an event, one that failed goes back to the queue."""
        singles = extras.singles()
        for number, single in enumerate(singles):
            try:
                orphans = self._committer.commit([], single)
            except Exception as error:
                if batch.is_trouble(error):
                    for left in singles[number:]:
                        self._keep([], left, explain(error, self._engine))
                    return
                if not single.events:
                    self.record_event("row_refused", "warning", f"not stored: {explain(error, self._engine).found}")
                continue
            self._stored([], orphans, time.monotonic_ns())

    def _stored(self, pendings: list[Pending], orphans: list[PartKey], began_ns: int) -> None:
        """Durable: count it, tell everyone, and tell of outcomes that found no row."""
        now = time.monotonic_ns()
        stored = [p for p in pendings if p.has_row]
        self._gauge.fsynced((p.record.key for p in stored), self._committer.fsync_ns)
        with self._wake:
            for pending in pendings:
                self._known.pop(pending.record.key, None)
            for key in orphans:
                if key not in self._known:
                    self._riders.event(
                        "outcome_without_row", "warning", f"part {key} has an outcome and no row", key, None
                    )
            down_s = self._gauge.committed(began_ns, now, [p.since_ns for p in stored if not p.answered], len(stored))
            if down_s is not None:
                text = f"rows can be written again after {down_s:.1f} s"
                self._riders.event("log_recovered", "info", text, None, {"seconds": down_s, "kept": len(self._failed)})
        for pending in pendings:
            if not pending.answered:
                self._answer(pending, pending.refused)

    def _keep(self, pendings: list[Pending], extras: Extras, error: LogError) -> None:
        """Not stored: keep everything for the next attempt, and tell those who can't wait for it."""
        busy = isinstance(error, LogBusy)
        next_ns = time.monotonic_ns() + round(self._attempt_ms * 1e6)  # when the next attempt may have failed, too
        waiting = [p for p in pendings if busy and not p.answered and next_ns < p.until_ns]
        over = [p for p in pendings if not busy or p.answered or next_ns >= p.until_ns]
        unheard = [p for p in over if not p.answered]
        with self._wake:
            self._new.extendleft(reversed(waiting))
            self._failed.extendleft(reversed(over))
            self._riders.put_back(extras)
            if self._gauge.failed(str(error), quiet=busy and not unheard):
                self._riders.event("log_failed", "alarm", str(error), None, None)
        for pending in unheard:
            self._answer(pending, error)

    def _answer(self, pending: Pending, error: LogError | None) -> None:
        pending.answered = True
        try:
            pending.done(error)
        except Exception as failure:  # a caller's mistake must not stop the log
            self.record_event(
                "done_failed", "alarm", f"after part {pending.record.key}: {failure!r}", pending.record.key
            )
