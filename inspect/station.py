"""The composition root: settings to running rooms, and the order in which they start and stop.

Start: log → pictures → inference → news → cameras → orders → PLC link, so that the PLC hears "ready" last.
Stop: PLC link → cameras → inference → log …, so that no PASS can follow and every row that is owed gets written.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from linegate.cameras.acquisition import Acquisition
from linegate.cameras.calibration import Calibration
from linegate.cameras.camera import PulseOutput
from linegate.cameras.errors import CameraError
from linegate.cameras.factory import open_camera
from linegate.inspect.actions import Actions
from linegate.inspect.backfill import Backfilled, backfill
from linegate.inspect.challenge import ChallengePast
from linegate.inspect.gate import GateWatch
from linegate.inspect.line import Line
from linegate.inspect.live import LiveWriter
from linegate.inspect.lots import begin_lot, resume_lot
from linegate.inspect.marks import mark_part
from linegate.inspect.news import KeepRule, NewsDesk
from linegate.inspect.orders import OrderDesk
from linegate.inspect.overview import overview
from linegate.inspect.part import Cause, PartKey
from linegate.inspect.partlog import queries
from linegate.inspect.partlog.audit import AuditTrail
from linegate.inspect.partlog.commands import CommandBox
from linegate.inspect.partlog.errors import LogError
from linegate.inspect.partlog.images import ImageStore
from linegate.inspect.partlog.labels import LabelStore
from linegate.inspect.partlog.quarantine import last_challenge
from linegate.inspect.partlog.writer import PartLog
from linegate.inspect.pipeline import Pipeline
from linegate.inspect.plc.link import PlcLink
from linegate.inspect.plc.modbus import ModbusPlc
from linegate.inspect.pulse import PulseGate
from linegate.inspect.recipes import ActiveRecipe, RecipeBook
from linegate.inspect.reconcile import Reconciler, Stored
from linegate.inspect.settings import BUNDLES, StationSettings
from linegate.inspect.shadow_desk import ShadowDesk
from linegate.inspect.stages import StageTimes
from linegate.inspect.summary import Latency, RunSummary, Truth
from linegate.inspect.supervisor import Deeds, Supervisor, Watched
from linegate.inspect.tracking import Tracker
from linegate.inspect.tracking_ports import Counts, TrackerSettings
from linegate.models.bundle import Bundle
from linegate.models.certificate import why_uncertified
from linegate.models.store import BundleStore, Change, resolve_bundle

FRAME_WINDOW_SHARE = 0.6
FRAME_GUARD_MS = 2.0
QUEUE_PER_CAMERA = 16
NOBODY_THERE_S = 20.0


class Station:
    """One station, from opened to stopped. Raises LinegateError while it is built or started; what was opened by then
    is closed again. ``start``, ``finish`` and ``stop`` are called by one thread, the rest by any."""

    def __init__(self, settings: StationSettings, data: Path, base: Path) -> None:
        self.settings = settings
        self.data = data
        self._base = base
        self._loading = threading.Lock()
        self._stopped_since_s: float | None = None
        self._closers = contextlib.ExitStack()
        try:
            self._build()
        except BaseException:
            self._closers.close()
            raise

    def _build(self) -> None:
        settings = self.settings
        self.log = PartLog.open(settings.log, self.data)
        self._closers.callback(self.log.close)
        self.rows_before = self.log.count()
        self.store = BundleStore(self.data / BUNDLES)
        calibrations = {
            camera.name: Calibration.load(camera.calibration)
            for camera in settings.cameras
            if camera.calibration is not None
        }
        self.book = RecipeBook(settings.recipes, settings.runtime, self.find_bundle, calibrations)
        active = self.book.load(settings.recipe)
        self._closers.callback(lambda: self.tracker.active.close())
        requested = tuple(camera.name for camera in settings.cameras if camera.trigger != "hardware")
        wired = {
            camera.name: round(camera.timeout_s * 1e9) for camera in settings.cameras if camera.trigger == "hardware"
        }
        window_ns = round(settings.timing.min_pitch_ms * FRAME_WINDOW_SHARE * 1e6)
        self.line = Line(wired)
        tracker_settings = TrackerSettings(
            cameras=tuple(camera.name for camera in settings.cameras),
            requests=requested,
            deadline_ns=round(settings.timing.deadline_ms * 1e6),
            frame_window_ns=window_ns,
            frame_guard_ns=round(FRAME_GUARD_MS * 1e6),
            pass_requires_log=settings.log.pass_requires_log,
            log_reserve_ns=round(settings.timing.log_reserve_ms * 1e6),
        )
        self.tracker = self.line.tracker = Tracker(tracker_settings, self.line, active)
        self.tracker.set_keep(KeepRule(settings.images))
        self.stages = StageTimes()
        self.images = ImageStore(self.data, settings.images, self.log, views=len(settings.cameras))
        self.live = LiveWriter(self.data)
        self._closers.callback(self.live.close)
        watched = Watched(settings, self.tracker, self.line, self.log, self.stages, self.rows_before, self.store)
        deeds = Deeds(self.change_recipe, self._add_missing_rows, self.reload_bundle, self.begin_lot)
        with queries.Reading(self.log.reader) as connection:
            past = ChallengePast(*last_challenge(connection))
        self.supervisor = self.line.watch = Supervisor(watched, deeds, past)
        resume_lot(self.log, self.supervisor.lots, self.tracker)
        self.line.gate = GateWatch(settings.plc.poll_ms)
        self.pipeline = self.line.pipeline = Pipeline(
            self.tracker,
            depth=QUEUE_PER_CAMERA * len(settings.cameras),
            reserve_ns=round(settings.timing.log_reserve_ms * 1e6),
            beat=self.supervisor.beat,
        )
        self.line.part_log = self.log
        self.shadows = ShadowDesk(self, calibrations)
        self.news = self.line.news = NewsDesk(
            self.live, self.images, settings.timing.deadline_ms, lambda: overview(self)
        )
        self.link = self.line.link = PlcLink(
            ModbusPlc(settings.plc), settings.plc, self.line, settings.timing.deadline_ms
        )
        for camera_settings in settings.cameras:
            camera = open_camera(camera_settings)
            name = camera_settings.name
            acquisition = Acquisition(camera, camera_settings, partial(self.line.on_camera, name))
            self.line.cameras[name] = acquisition
            if settings.pulse is not None and settings.pulse.camera == name:
                self.line.pulse = self._pulse_gate(camera)
        self.box = CommandBox.open(settings.log, self.data)
        self._closers.callback(self.box.close)
        self.audit = AuditTrail(self.log.writer_engine)
        self.labels = LabelStore(self.log.writer_engine, self.log.reader, self.data)
        self.line.accepted = self._accepted
        self.orders = OrderDesk(self.box, self.audit, Actions(self).handlers())

    def find_bundle(self, name: str) -> Bundle:
        """By folder beside station.toml or by name; "" is the live one. Raises BundleError."""
        here = self._base / name
        return resolve_bundle(str(here) if name and here.is_dir() else name, self.store)

    def _pulse_gate(self, camera: object) -> PulseGate:
        assert self.settings.pulse is not None
        if not isinstance(camera, PulseOutput):
            raise CameraError(
                f"camera {self.settings.pulse.camera!r}",
                expected="a camera with a timer output, for [pulse]",
                found=f"driver without one ({type(camera).__name__})",
                remedy='Use driver = "pylon" for it, or remove [pulse] from station.toml.',
            )
        return PulseGate(
            camera,
            self.settings.pulse,
            lambda key, error: self.log.record_event("pulse_failed", "alarm", str(error), key),
        )

    # --- life --------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start every room. Cameras and PLC may come later; until they do, the station is not ready and says so."""
        self.log.start()
        self.images.start()
        self._register_active()
        self.pipeline.start()
        if self.line.pulse is not None:
            self.line.pulse.start()
        self.shadows.follow()
        for acquisition in self.line.cameras.values():
            acquisition.start()
        self.orders.start()
        self.supervisor.start()
        self.news.start()
        self.link.start()

    def wait_ready(self, timeout_s: float, stop: threading.Event) -> bool:
        """Wait until parts can be inspected; False when they can't within ``timeout_s`` or ``stop`` was set."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and not stop.is_set():
            if self.supervisor.view.ready:
                return True
            time.sleep(0.02)
        return self.supervisor.view.ready

    def absent_cameras(self) -> list[str]:
        """What was last said of cameras that have never been there, and may be starting yet."""
        return self.supervisor.never_up(absent=True)

    def require_cameras(self, *, may_start_yet: bool = False) -> None:
        """Raises CameraError for cameras that were tried and have never been up; once up, a camera may go and come back.
        ``may_start_yet``: only for those that no waiting will bring."""
        wrong, absent = self.supervisor.never_up(absent=False), self.absent_cameras()
        missing = wrong + absent
        if wrong or (absent and not may_start_yet):
            raise CameraError(
                f"station {self.settings.name!r}",
                expected="every camera of station.toml",
                found="; ".join(missing),
                remedy="Connect it or correct its table under [[cameras]]; `linegate check` tests everything that is named.",
            )

    def finish(self, timeout_s: float = 5.0) -> None:
        """Wait until nothing is under way any more: no part without a verdict, no row, counter or late picture to come."""
        deadline = time.monotonic() + timeout_s
        while self._under_way() and time.monotonic() < deadline:
            time.sleep(0.02)

    def _under_way(self) -> bool:
        tally = self.supervisor.tally()
        owed = tally.in_flight or tally.rows_due or tally.rows < tally.triggers + tally.unwatched
        owed = owed or tally.frames + tally.frames_lost < tally.views_due
        return bool(owed or self.line.totals.now().in_transit)

    def stop(self) -> None:
        """Stop every room, in order; may be called more than once. Every part that was triggered has its row after it."""
        self.supervisor.expect_end()
        self.link.stop()
        for acquisition in self.line.cameras.values():
            acquisition.stop()
        self.pipeline.stop()
        self.tracker.abandon(Cause.NOT_READY, "the station was stopped while the part was under way")
        if self.line.pulse is not None:
            self.line.pulse.stop()
        self.shadows.stop()
        self.orders.stop()
        self.supervisor.stop()
        self.news.stop()
        try:
            self.images.close()
        finally:  # pictures that a full disk did not take must not keep the log's rows from being saved
            self._closers.close()

    # --- what others ask ---------------------------------------------------------------------------------------------

    def counts(self) -> Counts:
        """The line's own counts since start."""
        return self.tracker.counts

    def change_recipe(self, recipe_id: int) -> None:
        """Load a recipe and use it from the next part on; parts under way keep the one they came under. Takes a moment.
        Raises SettingsError, BundleError or RuntimeFailed, and then everything stays as it was."""
        with self._loading:
            self._use(self.book.load(recipe_id))

    def reload_bundle(self) -> bool:
        """The store's live bundle may be another one now: use it from the next part on; its shadow too. Whether the live one
        was another. Raises BundleError or RuntimeFailed, and then the old one stays."""
        self.shadows.follow()
        with self._loading:  # an order and the clock may both have noticed
            active = self.tracker.active
            if self.find_bundle(active.recipe.bundle).sha256 == active.bundle.sha256:
                return False
            self._use(self.book.load(active.recipe.id))
            return True

    def go_live(self, bundle: Bundle, move: Callable[[], Change]) -> Change:
        """Load ``bundle``, then let ``move`` make it the store's live one, then judge with it from the next part on. Raises
        what loading or ``move`` raises; then neither the store nor the line has changed, and a restart finds what runs now."""
        with self._loading:
            loaded = self.book.ready(bundle, self.tracker.active.recipe.id)
            try:
                change = move()
            except BaseException:
                if loaded is not None:
                    loaded.close()
                raise
            if loaded is not None and not self.tracker.active.recipe.bundle:
                self._use(loaded)
            elif loaded is not None:
                loaded.close()
        self.shadows.follow()  # what went live judges in shadow no more
        return change

    def begin_lot(self, lot: str, by: str, serial: str = "") -> int:
        """Parts triggered from now on belong to this lot, ``serial`` to the next. How many it has: one begun again goes on."""
        return begin_lot(self.log, self.supervisor.lots, self.tracker, lot, by, serial)

    def find_serial(self, serial: str) -> PartKey:
        """The latest part with this serial number. Raises LogError when there is none."""
        with queries.Reading(self.log.reader) as connection:
            found = queries.parts_page(connection, queries.PartFilter(serial=serial), limit=1) if serial else []
        if not found:
            raise LogError(
                f"serial number {serial!r}",
                expected="a part of this log",
                found="none",
                remedy="Scan it again, or use its key.",
            )
        return PartKey(int(found[0]["epoch"]), int(found[0]["sequence"]))

    def mark(self, kind: str, key: PartKey, by: str, data: Mapping[str, object]) -> str:
        """A person says that a verdict was wrong; what there is to say of the part's pictures, see ``mark_part``."""
        return mark_part(self.labels, self.images, kind, key, by, data)

    def _accepted(self, key: PartKey) -> None:
        """A challenge part was accepted: an escape whose truth is known, and a case for the release gate."""

        def keep() -> None:
            try:
                self.mark("escape", key, "challenge", {})
            except LogError:  # the log is busy or gone; the case is kept once it is back
                self.supervisor.chores.do(what, keep, when=lambda: self.log.ok)
                raise

        what = f"keep the accepted challenge part {key} as a case"
        self.supervisor.chores.do(what, keep)

    def _use(self, active: ActiveRecipe) -> None:
        old = self.tracker.active
        self.tracker.set_active(active)
        self._register_active()
        self.supervisor.chores.do("free the old network", old.close, when=lambda: not self.tracker.uses(old))

    def _register_active(self) -> None:
        active = self.tracker.active
        manifest = active.bundle.manifest
        self.log.register_bundle(active.bundle.sha256, manifest.name, manifest.version, manifest.model_dump_json())
        self.log.register_recipe(active.recipe.id, active.recipe.name, active.thresholds_json)
        if words := self.uncertified():
            self.log.record_event("uncertified", "warning", words)

    def uncertified(self) -> str:
        """That the bundle in use has not passed the release gate, in words; "" where it has."""
        bundle = self.tracker.active.bundle
        why = why_uncertified(bundle)
        return f"bundle {bundle.label} judges parts without having passed the release gate: {why}" if why else ""

    def _add_missing_rows(self, epoch: int, triggered: int, cause: Cause, left: Sequence[range] | None) -> Backfilled:
        return backfill(self.log, epoch, triggered, self.tracker.active, cause, left)

    def complaints(self) -> list[str]:
        """Why the station is not ready, in words; [] when it is."""
        return list(self.supervisor.view.reasons)

    def held_up(self) -> str:
        """Why the line has been asked to stop, for so long that nobody seems to be there to acknowledge; "" if it has not."""
        view = self.supervisor.view
        if not view.stop:
            self._stopped_since_s = None
            return ""
        now_s = time.monotonic()
        self._stopped_since_s = self._stopped_since_s or now_s
        return "; ".join(view.reasons) if now_s - self._stopped_since_s >= NOBODY_THERE_S else ""

    def summary(self, truth: Truth | None = None, gate_latency: Latency | None = None, stopped: str = "") -> RunSummary:
        """The run's summary; call it after ``finish`` and before ``stop``. A virtual line adds what it knows of the parts
        themselves and when verdicts reached its PLC."""
        counts, totals = self.tracker.counts, self.line.totals.now()
        tally = self.supervisor.tally()
        unread: list[str] = []
        try:
            stored = self._stored()
        except LogError as error:
            stored, unread = Stored(tally.rows, {}), [f"the rows can't be counted: {error}"]
        unbacked = [key for key in self.tracker.unbacked if unread or not stored.has(key)]
        active = self.tracker.active
        return RunSummary(
            triggers=counts.triggers,
            frames=self.line.frames,
            frames_lost=self.line.frames_lost,
            rows=stored.rows,
            passed=counts.passes_written,
            rejected=counts.kept_back,
            not_inspected=counts.not_inspected,
            review=counts.review,
            plc_triggered=totals.triggered,
            plc_passed=totals.passed,
            plc_rejected=totals.rejected,
            deadline_misses=counts.deadline_misses,
            late_results=counts.late,
            passed_without_row=len(unbacked),
            unwatched=tally.unwatched,
            latency=Latency.of(list(self.line.latencies_ms)),
            parts_per_s=self.line.rate_parts_per_s(),
            bundle=active.bundle.sha256,
            recipe=active.recipe.name,
            device=active.session.device,
            contradictions=(*Reconciler.final(tally, totals, stored), *unread),
            truth=truth,
            gate_latency=gate_latency,
            stopped=stopped,
        )

    def _stored(self) -> Stored:
        """What the database says of this run. Raises LogError."""
        missing = {life.epoch: self.log.missing(life.epoch, life.upto, life.after) for life in self.line.totals.lives()}
        return Stored(self.log.count() - self.supervisor.unwatched.rows_before, missing)
