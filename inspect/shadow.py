"""A candidate bundle that judges the same pictures on spare time, and whose disagreements with the live one are kept.

It can't delay or change a live verdict: it has a thread and a network of its own at low priority, begins only while the
live inference is idle, and when it falls behind it skips parts and counts them. What it says goes to the log as events,
which the review screen lists; the picture of every disagreement is kept.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from linegate.cameras.calibration import Calibration
from linegate.cameras.errors import LinegateError
from linegate.inspect.judge import Judge
from linegate.inspect.part import Decision, Judgement
from linegate.inspect.partlog.images import ImageStore
from linegate.inspect.partlog.writer import PartLog
from linegate.inspect.priority import stand_back
from linegate.inspect.runtime.engines import open_session
from linegate.inspect.runtime.session import InferenceSession
from linegate.inspect.settings import RecipeSettings, RuntimeSettings, ShadowSettings
from linegate.inspect.shadow_totals import ShadowTotals, totals_path
from linegate.inspect.summary import Latency
from linegate.inspect.tracking_ports import FinishedPart
from linegate.inspect.verdict import combine
from linegate.models.bundle import Bundle

NICENESS = 10
DEPTH = 4
IDLE_WAIT_S = 0.002
SAVE_S = 5.0
"""A station that is killed forgets at most so much of what its shadow has seen."""
KIND = "shadow_disagreement"


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """What a shadow has seen so far, before the last restart too; ``latency`` is since then.
    ``worse``: it rejected what the live bundle accepted; ``milder``: the other way."""

    bundle: str
    judged: int
    skipped: int
    worse: int
    milder: int
    failed: int
    latency: Latency

    def as_dict(self) -> dict[str, Any]:
        """For the live status."""
        return asdict(self)


class Shadow:
    """``offer`` never blocks. ``start`` loads the bundle on the shadow's own thread; what fails there is an event."""

    def __init__(
        self,
        settings: ShadowSettings,
        runtime: RuntimeSettings,
        bundle: Bundle,
        log: PartLog,
        images: ImageStore,
        busy: Callable[[], bool],
        *,
        recipes: Mapping[int, RecipeSettings] = MappingProxyType({}),
        calibrations: Mapping[str, Calibration] = MappingProxyType({}),
        data: Path | None = None,
    ) -> None:
        """``busy``: whether live inference has work; asked before every picture. ``recipes``, by number, and ``calibrations``,
        by camera: the live verdict's own, so that both bundles are asked the same. ``data``: where its totals are kept."""
        self._settings = settings
        self._runtime = runtime
        self._bundle = bundle
        self._log = log
        self._images = images
        self._busy = busy
        self._queue: deque[FinishedPart] = deque()
        self._wake = threading.Event()
        self._stopping = False
        self._due = 0.0
        self._recipes = recipes
        self._calibrations = calibrations
        self._file = totals_path(data, bundle.manifest) if data is not None else None
        self._totals = ShadowTotals.load(self._file) if self._file is not None else ShadowTotals()
        self._saved_s = time.monotonic()
        self._times_ms: deque[float] = deque(maxlen=5000)
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """End; what is queued is not judged any more."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def offer(self, part: FinishedPart) -> None:
        """A part is through. Taken when its share is due and it was judged; skipped when the shadow is behind."""
        if not part.frames or part.record.decision is Decision.NOT_INSPECTED:
            return
        self._due += self._settings.share
        if self._due < 1.0:
            return
        self._due -= 1.0
        if len(self._queue) >= DEPTH:
            self._totals.skipped += 1
            return
        self._queue.append(part)
        self._wake.set()

    def report(self) -> ShadowReport:
        """The figures so far."""
        now = self._totals
        counts = (now.judged, now.skipped, now.worse, now.milder, now.failed)
        return ShadowReport(self._bundle.sha256, *counts, latency=Latency.of(list(self._times_ms)))

    @property
    def sha256(self) -> str:
        """Of the bundle that judges in shadow."""
        return self._bundle.sha256

    def _run(self) -> None:
        # Linux has a niceness per thread, and the engine's own threads inherit it from the one that opens the session.
        stand_back(NICENESS)
        try:
            session = open_session(self._bundle, self._runtime)
        except LinegateError as error:
            self._log.record_event("shadow_failed", "warning", str(error))
            return
        try:
            judges: dict[int, Judge] = {}
            while not self._stopping:
                self._wake.wait(0.2)
                self._wake.clear()
                while self._queue and not self._stopping:
                    if self._busy():
                        time.sleep(IDLE_WAIT_S)
                        continue
                    self._judge(session, judges, self._queue.popleft())
                if time.monotonic() - self._saved_s > SAVE_S:
                    self._save()
        finally:
            session.close()
            self._save()

    def _save(self) -> None:
        self._saved_s = time.monotonic()
        if self._file is not None:
            with contextlib.suppress(OSError):  # a full disk: tried again with the next
                self._totals.save(self._file)

    def _judge(self, session: InferenceSession, judges: dict[int, Judge], part: FinishedPart) -> None:
        began_ns = time.perf_counter_ns()
        number = part.record.recipe_id
        try:
            if number not in judges:
                judges[number] = Judge(
                    self._bundle, session, self._recipes.get(number), calibrations=self._calibrations
                )
            judge = judges[number]
            views = [(frame.camera, judge.judge(frame.image, frame.camera).judgement) for frame in part.frames]
        except LinegateError as error:
            self._totals.failed += 1
            self._log.record_event("shadow_failed", "warning", str(error), part.record.key)
            return
        took_ms = (time.perf_counter_ns() - began_ns) / 1e6
        self._times_ms.append(took_ms)
        self._totals.add_time(took_ms)
        self._totals.judged += 1
        judgement = combine(views)
        passed, would_pass = part.record.decision is Decision.OK, judgement.decision is Decision.OK
        if passed != would_pass:
            if passed:
                self._totals.worse += 1
            else:
                self._totals.milder += 1
            self._tell(part, judgement)

    def _tell(self, part: FinishedPart, judgement: Judgement) -> None:
        record = part.record
        text = f"live {record.decision} ({record.reason}), shadow {judgement.decision} ({judgement.reason})"
        data = {
            "live": record.decision.value,
            "live_score": record.score,
            "live_bundle": record.bundle_sha256,
            "shadow": judgement.decision.value,
            "shadow_score": judgement.score,
            "shadow_bundle": self._bundle.sha256,
            "shadow_reason": judgement.reason,
        }
        self._log.record_event(KIND, "info", text, record.key, data)
        if record.keep_probability is None:  # the others' pictures are kept already
            for frame in part.frames:
                self._images.put(frame.image, record.key, frame.camera, "shadow", 1.0)
