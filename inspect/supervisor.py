"""The station's clock: every 20 ms it looks at all rooms, concludes how well the station is, and sees to what is due.

It runs beside the verdict path. What that path needs of it (may parts come? what is the PLC told?) lies ready in one
immutable snapshot. What takes long (loading a recipe, adding rows) goes to the chores thread.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from linegate.cameras.frame import CameraDown, CameraUp
from linegate.inspect.alarms import Alarm
from linegate.inspect.challenge import ChallengePast, ChallengeRound
from linegate.inspect.chores import Chores
from linegate.inspect.health import Component, Health, HealthView
from linegate.inspect.lots import LotCounts
from linegate.inspect.part import Cause, Decision, GateResult, PartKey
from linegate.inspect.partlog.quarantine import CHALLENGE, FAILED, challenge_data
from linegate.inspect.plc.link import VisionState
from linegate.inspect.plc.recipe_change import RecipeChange, Step
from linegate.inspect.plc.registers import Control, ErrorCode, PlcBlock, State, Status
from linegate.inspect.plc_desk import PlcDesk
from linegate.inspect.reconcile import Reconciler, Tally
from linegate.inspect.settings import StationSettings
from linegate.inspect.tracking_ports import FinishedPart
from linegate.inspect.unwatched import AddRows, Unwatched
from linegate.inspect.watchdog import Watchdog

if TYPE_CHECKING:
    from linegate.inspect.line import Line
    from linegate.inspect.partlog.records import LogStatus
    from linegate.inspect.partlog.writer import PartLog
    from linegate.inspect.stages import StageTimes
    from linegate.inspect.tracking import Tracker
    from linegate.models.store import BundleStore

PERIOD_S = 0.02
STORE_LOOK_NS = 1_000_000_000
STALL_MS = 1500.0
MAX_IN_TRANSIT = 64


@dataclass(frozen=True, slots=True)
class Watched:
    """The rooms a supervisor looks at."""

    settings: StationSettings
    tracker: Tracker
    line: Line
    log: PartLog
    stages: StageTimes
    rows_before: int
    store: BundleStore


@dataclass(frozen=True, slots=True)
class Deeds:
    """What the station does when the supervisor says so; all are called on the chores thread and may take their time.

    Attributes:
        load_recipe: use this recipe from the next part on.
        add_rows: add the rows of parts that nobody watched.
        reload: the store's live bundle may be another one now; whether it was.
        begin_lot: a new lot by this name, begun by whom.
    """

    load_recipe: Callable[[int], None]
    add_rows: AddRows
    reload: Callable[[], bool]
    begin_lot: Callable[[str, str], object]


class Supervisor:
    """Implements the line's Watch. ``start`` and ``stop`` belong to the station, the rest is thread-safe."""

    def __init__(self, watched: Watched, deeds: Deeds, past: ChallengePast) -> None:
        settings = watched.settings
        self._watched = watched
        self._deeds = deeds
        self._lock = threading.Lock()
        now_ns = time.monotonic_ns()
        self._watchdog = Watchdog({"inference": STALL_MS, "supervisor": STALL_MS}, now_ns)
        self._health = Health(
            cameras=[camera.name for camera in settings.cameras],
            stop_after_uninspected=settings.timing.stop_after_uninspected,
            confirm_ms=settings.timing.confirm_ms,
            watchdog=self._watchdog,
            on_alarm=self._on_alarm,
        )
        self._health.report(Component.RUNTIME, True, "loaded", now_ns)
        self._store_stamp, self._store_due_ns = watched.store.stamp(), 0
        self._recipes = RecipeChange({recipe.id: recipe.name for recipe in settings.recipes}, settings.recipe)
        self.challenge = ChallengeRound(watched.tracker.arm_challenge, past.last_good)
        if past.accepted is not None:
            detail = f"part {past.accepted}, and none was caught before the station was started again"
            self._health.challenge(False, detail, now_ns)
        self.lots = LotCounts()
        self.chores = Chores(self._on_chore_failed)
        self.unwatched = Unwatched(watched.log, self.chores, deeds.add_rows, watched.rows_before)
        self._plc_desk = PlcDesk(self._acknowledge_all, deeds.begin_lot, self.chores, watched.log.record_event)
        self._reconciler = Reconciler(MAX_IN_TRANSIT)
        self._contradictions: tuple[str, ...] = ()
        self._ending = self._counted = False
        self._cameras = {camera.name: (False, "not open yet") for camera in settings.cameras}
        self._tried: set[str] = set()
        self._been_up: set[str] = set()
        self._absent: set[str] = set()
        self._finished: deque[FinishedPart] = deque()
        self._view = self._health.view(self._recipes.view(), now_ns)
        self._snapshot = VisionState(alive=True, state=State.PREOPERATIONAL)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    # --- life --------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to look."""
        self.chores.start()
        self._thread.start()

    def expect_end(self) -> None:
        """The station is being stopped: what goes now went on purpose, and is no alarm."""
        self._ending = True

    def stop(self) -> None:
        """End both threads; chores in hand are finished."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(5)
        self.chores.stop()

    def _run(self) -> None:
        while not self._stopping.wait(PERIOD_S):
            self._watchdog.beat("supervisor", time.monotonic_ns())
            self._watched.line.tick()
            self._look()

    # --- Watch, called by the line's threads -------------------------------------------------------------------------

    def beat(self) -> None:
        """The inference thread turns."""
        self._watchdog.beat("inference", time.monotonic_ns())

    def ready(self) -> bool:
        """Whether a part that comes now is inspected: the recipe asked for is the one that judges, and the PLC wants it so."""
        return self._recipes.view().recipe_ok and Control.TRIGGER_ENABLE in self._watched.line.block.control

    def challenge_due(self) -> bool:
        """See Watch."""
        return self._health.challenge_due

    def vision(self, block: PlcBlock) -> VisionState:
        """The snapshot, with the watchdog asked anew: the heartbeat has to prove that the verdict path lives."""
        snapshot = self._snapshot
        if not self._watchdog.alive(time.monotonic_ns()):
            return VisionState(alive=False, state=State.ERROR, error=ErrorCode.RUNTIME, recipe=snapshot.recipe)
        return snapshot

    def on_finished(self, part: FinishedPart) -> None:
        """A part is through; it is looked at on the clock's thread, the verdict path goes on."""
        self._finished.append(part)

    def _see_finished(self, part: FinishedPart, now_ns: int) -> None:
        record = part.record
        self.lots.add(part)
        self._watched.stages.add(part, self._watched.log.fsync_ns(record.key))
        with self._lock:
            self._health.part(record.decision is not Decision.NOT_INSPECTED, now_ns)
            if record.cause is Cause.INFERENCE_FAILED:
                self._health.report(Component.RUNTIME, False, record.reason, now_ns)
            elif record.decision is not Decision.NOT_INSPECTED:
                self._health.report(Component.RUNTIME, True, "", now_ns)
            if record.cause is Cause.OVERRUN:
                self._health.overrun(now_ns)
            if record.challenge and record.decision is not Decision.NOT_INSPECTED:
                caught = record.decision is not Decision.OK
                self._health.challenge(caught, f"part {record.key} was judged {record.decision}", now_ns)
        if record.challenge:
            self._tell_challenge(part)

    def _tell_challenge(self, part: FinishedPart) -> None:
        record = part.record
        verdict = self.challenge.on_part(record.key, part.trigger.at_ns, record.decision, record.defect_class)
        since = self.challenge.last_good
        kind, severity = CHALLENGE, "info"
        if record.decision is Decision.OK:
            kind, severity = FAILED, "alarm"
            verdict = (
                f"challenge part {record.key} was accepted: quarantine everything since the last good challenge "
                f"({since or 'never'}); `linegate log quarantine` lists it"
            )
        self._watched.log.record_event(kind, severity, verdict, record.key, challenge_data(since, record.decision))

    def on_camera(self, event: CameraUp | CameraDown) -> None:
        """A camera came or went."""
        up = isinstance(event, CameraUp)
        with self._lock:
            self._cameras[event.camera] = (up, event.detail)
            (self._been_up if up else self._tried).add(event.camera)
            self._absent.discard(event.camera)
            if isinstance(event, CameraDown) and event.absent:
                self._absent.add(event.camera)
            self._health.report(Component.CAMERA, up, event.detail, event.at_ns, name=event.camera)
        self._watched.log.record_event("camera_up" if up else "camera_down", "info" if up else "warning", event.detail)

    def on_link(self, up: bool, detail: str) -> None:
        """The PLC came or went."""
        if self._ending:
            return
        with self._lock:
            self._health.report(Component.PLC, up, detail, time.monotonic_ns())
        self._watched.log.record_event("plc_up" if up else "plc_down", "info" if up else "warning", detail)

    def on_epoch(self, epoch: int, block: PlcBlock) -> None:
        """A PLC was met."""
        self._plc_desk.on_epoch()
        self.unwatched.on_epoch(epoch, block.triggered)

    def on_gate(self, key: PartKey, result: GateResult) -> None:
        """What became of a part at the gate."""
        self.unwatched.on_gate(key, result)

    def on_wish(self, risen: Control, command: int | None) -> None:
        """The PLC wants something."""
        self._plc_desk.hear(risen, command)

    # --- people ------------------------------------------------------------------------------------------------------

    def acknowledge(self, alarm_id: int, who: str) -> Alarm | None:
        """A person has seen an alarm; None when there is no such open alarm."""
        with self._lock:
            return self._health.acknowledge(alarm_id, who, time.monotonic_ns())

    def _acknowledge_all(self, who: str) -> None:
        for alarm in self._view.alarms:
            self.acknowledge(alarm.id, who)

    def request_stop(self, who: str, reason: str) -> None:
        """Ask the line to stop until somebody acknowledges."""
        with self._lock:
            self._health.request_stop(who, reason, time.monotonic_ns())

    def ask_recipe(self, number: int, who: str) -> tuple[bool, str]:
        """The operator wants another recipe; whether it was taken, and in words what happens."""
        with self._lock:
            taken = self._recipes.operator_asks(number, who)
            words = self._recipes.events()
        for text in words:
            self._watched.log.record_event("recipe", "info", text)
        return taken, "; ".join(words) or f"recipe {number} is active already"

    def recipe(self) -> tuple[Step, int, str]:
        """Where a change stands, the recipe that judges, and why the one asked for can't."""
        with self._lock:
            return self._recipes.step, self._recipes.view().active, self._recipes.failure

    # --- the clock's thread ------------------------------------------------------------------------------------------

    def _see_releases(self, now_ns: int) -> None:
        """The command line releases bundles too, in a process of its own."""
        if now_ns < self._store_due_ns:
            return
        self._store_due_ns = now_ns + STORE_LOOK_NS
        stamp = self._watched.store.stamp()
        if stamp != self._store_stamp:
            self._store_stamp = stamp
            self.chores.do("use the bundle that was released", lambda: self._tell_reload(self._deeds.reload()))

    def _tell_reload(self, changed: bool) -> None:
        if changed:
            bundle = self._watched.tracker.active.bundle
            self._watched.log.record_event("bundle", "info", f"bundle {bundle.label} judges from the next part on")

    def _look(self) -> None:
        now_ns = time.monotonic_ns()
        self._see_releases(now_ns)
        self._plc_desk.do()
        block = self._watched.line.block
        while self._finished:
            self._see_finished(self._finished.popleft(), now_ns)
        log_status = self._watched.log.status()
        with self._lock:
            self._report_log(log_status, now_ns)
            self._report_sync(now_ns)
            self._see_block(block, now_ns)
            number = self._recipes.begin()
            words = self._recipes.events()
            recipe = self._recipes.view()
            view = self._health.view(recipe, now_ns)
        if number is not None:
            self.chores.do(f"load recipe {number}", lambda: self._change_recipe(number))
        for text in words:
            self._watched.log.record_event("recipe", "info", text)
        self._contradictions = tuple(self._reconciler.check(self.tally(), self._watched.line.totals.now(), now_ns))
        counts = self._watched.tracker.counts
        self._view = view
        self._snapshot = VisionState(
            alive=view.alive,
            state=view.state,
            status=view.status | (Status.CHALLENGE if self.challenge.active else Status(0)),
            error=view.error,
            recipe=recipe.active,
            command_ack=self._plc_desk.ack,
            inspected=counts.inspected,
            ng=counts.ng + counts.review,
            not_inspected=counts.not_inspected,
        )

    def _report_log(self, status: LogStatus, now_ns: int) -> None:
        settings = self._watched.settings.log
        room = status.free_mb >= settings.min_free_mb
        self._health.report(
            Component.DISK, room, f"{status.free_mb:.0f} MB free, {settings.min_free_mb:.0f} MB needed", now_ns
        )
        ok = status.ok or not room  # a full disk is told once, as that
        self._health.report(Component.LOG, ok, status.last_error or "a row has been waiting too long", now_ns)

    def _report_sync(self, now_ns: int) -> None:
        unproven = self._watched.line.unproven()
        self._counted = self._counted or not unproven
        if self._counted:  # that it has not begun yet is no alarm
            detail = f"the count of camera {', '.join(unproven)} does not say which part a picture shows"
            self._health.report(Component.SYNC, not unproven, detail, now_ns)

    def _see_block(self, block: PlcBlock, now_ns: int) -> None:
        if block.read_ns == 0:
            return
        self._health.block(block, now_ns)
        self._recipes.plc_asks(block.recipe_asked)

    def _change_recipe(self, number: int) -> None:
        try:
            self._deeds.load_recipe(number)
        except Exception as error:
            with self._lock:
                self._recipes.failed(number, str(error))
            raise
        with self._lock:
            self._recipes.loaded(number)

    def _on_alarm(self, alarm: Alarm) -> None:
        severity, what = alarm.told()
        data = {"alarm": alarm.id, "code": int(alarm.code), "remedy": alarm.remedy, "by": alarm.acknowledged_by}
        self._watched.log.record_event("alarm", severity, what, None, data)

    def _on_chore_failed(self, name: str, error: Exception) -> None:
        self._watched.log.record_event("chore_failed", "alarm", f"{name}: {error}")

    # --- what others ask ---------------------------------------------------------------------------------------------

    @property
    def view(self) -> HealthView:
        """The latest conclusions."""
        return self._view

    @property
    def contradictions(self) -> tuple[str, ...]:
        """What does not add up, and has not for a while."""
        return self._contradictions

    def cameras(self) -> list[tuple[str, bool, str]]:
        """Each camera's name, whether it is up, and what was last said of it."""
        with self._lock:
            return [(name, *self._cameras[name]) for name in self._cameras]

    def never_up(self, *, absent: bool) -> list[str]:
        """Of each camera that was tried and has never been up, what was last said: of those that are not there and may be
        starting yet, or of the others."""
        with self._lock:
            missing = self._tried - self._been_up
            return [self._cameras[n][1] for n in self._cameras if n in missing and (n in self._absent) == absent]

    @property
    def running(self) -> bool:
        """Whether the thread turns and nobody has asked it to end."""
        return self._thread.is_alive() and not self._stopping.is_set()

    def tally(self) -> Tally:
        """The line's counts now."""
        line, counts, log = self._watched.line, self._watched.tracker.counts, self._watched.log.status()
        return Tally(
            triggers=counts.triggers,
            frames=line.frames,
            frames_lost=line.frames_lost,
            views_due=line.views_due,
            rows=log.rows - self.unwatched.rows_before,
            rows_due=log.backlog + self._watched.tracker.undecided,
            passes_written=counts.passes_written,
            passes_unproven=counts.passes_unproven,
            passes_withheld=line.gate.withheld,
            passes_unreleased=line.gate.unreleased,
            kept_back=counts.kept_back,
            in_flight=self._watched.tracker.in_flight,
            unwatched=self.unwatched.count,
        )
