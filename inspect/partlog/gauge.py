"""How the writer is doing: latencies, disk, and whether LogOK may be shown to the PLC."""

from __future__ import annotations

import shutil
import time
from collections import OrderedDict, deque
from collections.abc import Iterable
from pathlib import Path

from linegate.inspect.part import PartKey
from linegate.inspect.partlog.records import LogStatus
from linegate.inspect.settings import LogSettings

SAMPLES = 1000


class LogGauge:
    """Written by the writer thread; read by any thread without a lock (each field is replaced in one step)."""

    def __init__(self, settings: LogSettings) -> None:
        self._min_free_mb = settings.min_free_mb
        self._stall_ns = round(2e6 * settings.busy_timeout_ms) + 500_000_000
        self._commit_ms: deque[float] = deque(maxlen=SAMPLES)
        self._durable_ms: deque[float] = deque(maxlen=SAMPLES)
        self._fsync_ns: OrderedDict[PartKey, int] = OrderedDict()
        self._busy_since_ns = 0
        self._failing_since_ns = 0
        self._told = False
        self._overflowing = False
        self.rows = 0
        self.free_mb = 0.0
        self.overflowed = 0
        self.last_error = ""

    @property
    def working(self) -> bool:
        """The last attempt succeeded, or there was none."""
        return self._failing_since_ns == 0

    def look_at_disk(self, folder: Path) -> None:
        """How much room there is."""
        try:
            self.free_mb = shutil.disk_usage(folder).free / 1e6
        except OSError as error:
            self.free_mb = 0.0
            self.last_error = f"data folder {folder}: {error}"

    def begin(self, since_ns: int) -> None:
        """An attempt begins; the oldest part in it waits since ``since_ns``."""
        self._busy_since_ns = since_ns

    def committed(self, began_ns: int, now_ns: int, waited_since_ns: Iterable[int], rows: int) -> float | None:
        """An attempt succeeded; returns for how many seconds the log had failed, None when it had not, or nobody was told."""
        self._busy_since_ns = 0
        self._commit_ms.append((now_ns - began_ns) / 1e6)
        self._durable_ms.extend((now_ns - since) / 1e6 for since in waited_since_ns)
        self.rows += rows
        self.last_error = ""
        self._overflowing = False
        failing, self._failing_since_ns = self._failing_since_ns, 0
        told, self._told = self._told, False
        return (now_ns - failing) / 1e9 if told else None

    def fsynced(self, keys: Iterable[PartKey], took_ns: int) -> None:
        """These parts' rows became durable in one COMMIT that took so long."""
        for key in keys:
            self._fsync_ns[key] = took_ns
        while len(self._fsync_ns) > SAMPLES:
            self._fsync_ns.popitem(last=False)

    def fsync_ns(self, key: PartKey) -> int | None:
        """How long the COMMIT of this part's row took; None before it, and when SAMPLES more have come."""
        return self._fsync_ns.get(key)

    def failed(self, error: str, *, quiet: bool) -> bool:
        """An attempt failed; True for the first of a row of failures that is not ``quiet``."""
        self._busy_since_ns = 0
        self.last_error = error
        self._failing_since_ns = self._failing_since_ns or time.monotonic_ns()
        first = not quiet and not self._told
        self._told = self._told or first
        return first

    def overflow(self) -> bool:
        """Something was not kept; True for the first time since the last commit."""
        self.overflowed += 1
        first, self._overflowing = not self._overflowing, True
        return first

    def ok(self, waiting_since_ns: int, *, failed: bool) -> bool:
        """``waiting_since_ns``: since when the oldest queued part waits, 0 for none. ``failed``: kept rows are unsaved."""
        oldest = min((since for since in (waiting_since_ns, self._busy_since_ns) if since), default=0)
        stalled = oldest and time.monotonic_ns() - oldest > self._stall_ns
        return (
            self.working and not failed and not stalled and not self._overflowing and self.free_mb >= self._min_free_mb
        )

    def status(self, *, ok: bool, backlog: int, failed: int) -> LogStatus:
        """A snapshot."""
        commit, durable = sorted(self._commit_ms.copy()), sorted(self._durable_ms.copy())
        return LogStatus(
            ok=ok,
            rows=self.rows,
            backlog=backlog,
            failed=failed,
            commit_ms_p50=_at(commit, 0.5),
            commit_ms_p99=_at(commit, 0.99),
            durable_ms_p50=_at(durable, 0.5),
            durable_ms_p99=_at(durable, 0.99),
            free_mb=self.free_mb,
            overflowed=self.overflowed,
            last_error=self.last_error,
        )


def _at(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
