"""The line's state in one place: what works, what the PLC is told, when the line has to stop, and which alarms are open.

Pure logic: the time is passed in, nothing is started. One thread at a time; the station holds the lock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from linegate.inspect.alarms import Alarm, AlarmBook
from linegate.inspect.confirm import ConfirmWatch
from linegate.inspect.plc.recipe_change import RecipeView
from linegate.inspect.plc.registers import Control, ErrorCode, Fault, PlcBlock, State, Status
from linegate.inspect.watchdog import Watchdog

LOG_LASTS_MS = 1000.0
"""The line is asked to stop once rows could not be written for so long. Other programs hold the database for milliseconds
when they save a row, for some hundred in a backup's last step; LogOK is 0 all that time and the gate rejects, but nobody
needs to come for it. Whatever takes a second does not end by itself."""
MACHINE = {
    Fault.BIN_FULL: ("binfull", "the reject bin is full", "Empty it, count what was in it, then acknowledge."),
    Fault.BIN_OPEN: ("binopen", "the reject bin is open", "Close and lock it; nothing may be taken out unseen."),
    Fault.AIR_LOW: (
        "airlow",
        "the air at the gate is too low",
        "Bring the pressure back; try the gate; then acknowledge.",
    ),
}
"""What the PLC reports of its own: alarm key, what it is, remedy. With each of them a rejected part may stay on the line, or
come back to it."""


class Component(Enum):
    """What must work before a part may pass, in the order in which failures are told to the PLC."""

    LOG = ("log", ErrorCode.LOG, "Free disk space or unlock the database; nothing passes until rows are durable.")
    DISK = ("disk", ErrorCode.LOG, "Free disk space on the data folder.")
    CAMERA = ("camera", ErrorCode.CAMERA, "Check its cable and power; it is reopened by itself.")
    RUNTIME = ("runtime", ErrorCode.RUNTIME, "See the message; roll back to the last bundle or restart the station.")
    SYNC = (
        "sync",
        ErrorCode.SYNC,
        "Leave a gap between two parts: the camera begins to count when nothing is at the photo-eye.",
    )
    PLC = ("plc", ErrorCode.SYNC, "Check the PLC, its cable and [plc] in station.toml; Linegate reconnects by itself.")

    def __init__(self, word: str, code: ErrorCode, remedy: str) -> None:
        self.word = word
        self.code = code
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class HealthView:
    """What follows from it all. ``state``, ``status`` and ``error`` are the V block's; ``reasons`` are sentences."""

    alive: bool
    ready: bool
    state: State
    status: Status
    error: ErrorCode
    stop: bool
    reasons: tuple[str, ...]
    alarms: tuple[Alarm, ...]


@dataclass(slots=True)
class _Report:
    ok: bool = False
    detail: str = "not reported yet"
    known: bool = False
    bad_since_ns: int = 0


@dataclass(slots=True)
class Health:
    """Collects reports; ``view`` draws the conclusions.

    Args:
        cameras: names of all cameras; each must report.
        stop_after_uninspected: parts in a row that were not inspected before the line is asked to stop.
        confirm_ms: longest way of a rejected part from the gate's decision past the confirm sensor.
        watchdog: the threads whose standstill stops the heartbeat.
        on_alarm: hears of every change of an alarm, for the log.
    """

    cameras: Sequence[str]
    stop_after_uninspected: int
    confirm_ms: float
    watchdog: Watchdog
    on_alarm: Callable[[Alarm], None] | None = None
    _parts: dict[tuple[Component, str], _Report] = field(init=False)
    _book: AlarmBook = field(init=False)
    _uninspected: int = field(init=False, default=0)
    _control: Control = field(init=False, default=Control(0))
    _faults: Fault = field(init=False, default=Fault(0))
    _confirm: ConfirmWatch = field(init=False)
    _challenge: bool = field(init=False, default=False)
    _overrun_ns: int | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        singles = [c for c in Component if c is not Component.CAMERA]
        keys = [*((Component.CAMERA, name) for name in self.cameras), *((c, "") for c in singles)]
        self._parts = {key: _Report() for key in keys}
        self._book = AlarmBook(self.on_alarm)
        self._confirm = ConfirmWatch(self.confirm_ms)

    # --- reports -----------------------------------------------------------------------------------------------------

    def report(self, component: Component, ok: bool, detail: str, now_ns: int, name: str = "") -> None:
        """A component works, or does not and ``detail`` says why. ``name`` is the camera's. KeyError for an unknown one.

        A disk without room asks the line to stop at once, a log that fails when it has failed for LOG_LASTS_MS; the others do
        when too many parts go uninspected.
        """
        part = self._parts[component, name]
        if not ok and (part.ok or not part.known):
            part.bad_since_ns = now_ns
        part.ok, part.detail, part.known = ok, detail, True
        key = f"{component.word} {name}".strip()
        if ok:
            self._book.clear(key, now_ns)
        elif component is not Component.LOG or now_ns - part.bad_since_ns >= LOG_LASTS_MS * 1e6:
            stop = component in (Component.LOG, Component.DISK)
            self._book.raise_(key, component.code, f"{key}: {detail}", component.remedy, now_ns, stop=stop)

    def part(self, inspected: bool, now_ns: int) -> None:
        """A part is through."""
        if inspected:
            self._uninspected = 0
            self._book.clear("uninspected", now_ns)
            return
        self._uninspected += 1
        if self._uninspected >= self.stop_after_uninspected:
            self._book.raise_(
                "uninspected",
                ErrorCode.UNINSPECTED,
                f"{self.stop_after_uninspected} parts in a row could not be inspected",
                "Their causes stand in the log; correct the first of them, acknowledge, then start the line.",
                now_ns,
                stop=True,
            )

    def overrun(self, now_ns: int) -> None:
        """A part came while the one before was not through; the bit stays for a second."""
        self._overrun_ns = now_ns

    def block(self, block: PlcBlock, now_ns: int) -> None:
        """The PLC's word: faults, control bits and the confirm sensor's count against the gate's."""
        self._control, self._faults = block.control, block.faults
        self._challenge = Control.CHALLENGE_ARM in block.control
        for fault, (key, text, remedy) in MACHINE.items():
            if fault in block.faults:
                self._book.raise_(key, ErrorCode.MACHINE, f"the PLC reports: {text}", remedy, now_ns, stop=True)
            else:
                self._book.clear(key, now_ns)
        self._confirm.see(block)
        if Fault.CONFIRM_FAULT in block.faults or self._confirm.missing:
            found = (
                f"the gate counts {block.rejected} rejected parts, the confirm sensor {block.confirmed}"
                if self._confirm.missing
                else "the PLC reports that the confirm sensor disagrees with the gate"
            )
            self._book.raise_(
                "confirm",
                ErrorCode.CONFIRM,
                found,
                "Look for a rejected part that stayed on the line; check gate and sensor; then acknowledge.",
                now_ns,
                stop=True,
            )
        else:
            self._book.clear("confirm", now_ns)

    def challenge(self, passed: bool, detail: str, now_ns: int) -> None:
        """A challenge part ran: after a failed one the line stands until a person has acknowledged it, and nothing but
        challenge parts is judged until one was caught. The belt has to move for that, so the acknowledged alarm stops it no
        longer."""
        if passed:
            self._book.clear("challenge", now_ns)
        else:
            self._book.raise_(
                "challenge",
                ErrorCode.CHALLENGE,
                f"a challenge part was not rejected: {detail}",
                "Quarantine everything since the last good challenge; find the cause; run the challenge again.",
                now_ns,
                stop=True,
            )

    def request_stop(self, who: str, reason: str, now_ns: int) -> None:
        """A person asks the line to stop; it stays stopped until somebody acknowledges."""
        text = f"{who} asked for a stop" + (f": {reason}" if reason else "")
        self._book.raise_("stop", ErrorCode.NONE, text, "Acknowledge when the line may run again.", now_ns, stop=True)
        self._book.clear(
            "stop", now_ns
        )  # the wish is the whole cause; what holds the line is that nobody acknowledged it

    def acknowledge(self, alarm_id: int, who: str, now_ns: int) -> Alarm | None:
        """A person has seen an alarm. Acknowledging a lasting difference of the confirm counters takes it as the new zero."""
        alarm = self._book.acknowledge(alarm_id, who, now_ns)
        if alarm is not None and alarm.key == "confirm":
            self._confirm.accept()
        if alarm is not None and alarm.key == "uninspected":
            # Nothing runs while the line stands, so no part could prove it well: the count begins again.
            self._uninspected = 0
            self._book.clear("uninspected", now_ns)
        return alarm

    # --- conclusions -------------------------------------------------------------------------------------------------

    @property
    def challenge_due(self) -> bool:
        """Whether a challenge part was accepted and none was caught since: what the station says of other parts is worth
        nothing."""
        return self._book.active("challenge")

    def view(self, recipe: RecipeView, now_ns: int) -> HealthView:
        """The state now."""
        stalls = self.watchdog.stalls(now_ns)
        alarms = self._book.open()
        bad = [(key, part) for key, part in self._parts.items() if not part.ok]
        bad.sort(key=lambda entry: list(Component).index(entry[0][0]))
        reasons = [f"{key[0].word} {key[1]}".strip() + f": {part.detail}" for key, part in bad]
        reasons += [str(stall) for stall in stalls]
        reasons += [alarm.text for alarm in alarms if alarm.stop and alarm.text not in reasons]
        if not recipe.recipe_ok:
            reasons.append("the recipe that was asked for is not active")
        enabled = Control.TRIGGER_ENABLE in self._control
        if not enabled and self._ok(Component.PLC):
            reasons.append("the PLC has not set TriggerEnable")
        if Fault.LINE_STOPPED in self._faults:
            reasons.append("the PLC has stopped the line; start it there when its cause is gone")
        stop = any(alarm.stop and not _challenge_to_come(alarm) for alarm in alarms)
        able = not bad and not stalls and not stop and recipe.recipe_ok and not self.challenge_due
        return HealthView(
            alive=not stalls,
            ready=able and enabled,
            state=self._state(able),
            status=self._status(recipe, able and enabled, stop, now_ns),
            error=self._error(bad, alarms, recipe, bool(stalls)),
            stop=stop,
            reasons=tuple(reasons),
            alarms=alarms,
        )

    def _state(self, able: bool) -> State:
        """READY does not wait for TriggerEnable: a PLC may wait for READY to set it."""
        if any(not part.known for part in self._parts.values()):
            return State.PREOPERATIONAL
        if any(not part.ok for part in self._parts.values()):
            return State.ERROR
        if not able:
            return State.HALTED
        runs = Control.RUN | Control.TRIGGER_ENABLE in self._control and Fault.LINE_STOPPED not in self._faults
        return State.CONTINUOUS_EXECUTION if runs else State.READY

    def _ok(self, *components: Component) -> bool:
        return all(part.ok for key, part in self._parts.items() if key[0] in components)

    def _status(self, recipe: RecipeView, ready: bool, stop: bool, now_ns: int) -> Status:
        bits = {
            Status.TRIGGER_READY: ready,
            Status.SYNC_OK: self._ok(Component.SYNC, Component.PLC),
            Status.CAMERA_OK: self._ok(Component.CAMERA),
            Status.LOG_OK: self._ok(Component.LOG, Component.DISK),
            Status.RECIPE_OK: recipe.recipe_ok,
            Status.CHALLENGE: self._challenge,
            Status.OVERRUN: self._overrun_ns is not None and now_ns - self._overrun_ns < 1_000_000_000,
            Status.STOP_REQUEST: stop,
        }
        status = Status(0)
        for bit, held in bits.items():
            status |= bit if held else Status(0)
        return status

    def _error(
        self,
        bad: Sequence[tuple[tuple[Component, str], _Report]],
        alarms: Sequence[Alarm],
        recipe: RecipeView,
        stalled: bool,
    ) -> ErrorCode:
        stops = [alarm.code for alarm in alarms if alarm.stop]
        for code in (ErrorCode.CONFIRM, ErrorCode.CHALLENGE):
            if code in stops:
                return code
        known = [key[0].code for key, part in bad if part.known]
        if known:
            return known[0]
        if stalled:
            return ErrorCode.RUNTIME
        return stops[0] if stops else recipe.error


def _challenge_to_come(alarm: Alarm) -> bool:
    return alarm.key == "challenge" and alarm.acknowledged_ns is not None
