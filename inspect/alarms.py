"""Alarms that stay until a person has seen them and their cause is gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from linegate.inspect.plc.registers import ErrorCode


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm. Times are host ``time.monotonic_ns``; None: not yet.

    Attributes:
        id: what ``acknowledge`` takes; grows with each alarm raised.
        key: its cause; a cause has one open alarm at most.
        text: what happened, as a sentence; remedy: what to do.
        stop: whether the line is asked to stop while it is open.
    """

    id: int
    key: str
    code: ErrorCode
    text: str
    remedy: str
    stop: bool
    raised_ns: int
    cleared_ns: int | None = None
    acknowledged_ns: int | None = None
    acknowledged_by: str = ""

    @property
    def open(self) -> bool:
        """Until it is acknowledged and its cause is gone, in whichever order."""
        return self.cleared_ns is None or self.acknowledged_ns is None

    def told(self) -> tuple[str, str]:
        """(severity, text) of its latest change, for the log's events."""
        if self.acknowledged_ns is not None and self.cleared_ns is None:
            return "info", f"acknowledged by {self.acknowledged_by}: {self.text}"
        if self.cleared_ns is not None:
            return "info", f"cleared: {self.text}"
        return "alarm" if self.stop else "warning", self.text


class AlarmBook:
    """All open alarms. One thread at a time. ``on_change`` hears of each alarm raised, cleared, acknowledged or closed."""

    def __init__(self, on_change: Callable[[Alarm], None] | None = None) -> None:
        self._open: dict[str, Alarm] = {}
        self._next = 1
        self._on_change = on_change

    def open(self) -> tuple[Alarm, ...]:
        """Oldest first."""
        return tuple(sorted(self._open.values(), key=lambda alarm: alarm.id))

    def active(self, key: str) -> bool:
        """Whether the cause is there now."""
        alarm = self._open.get(key)
        return alarm is not None and alarm.cleared_ns is None

    def raise_(self, key: str, code: ErrorCode, text: str, remedy: str, now_ns: int, *, stop: bool) -> None:
        """The cause is there. Raising it again while it is there changes nothing; raising it again after it had cleared
        takes an acknowledgement back, because that was given for the time before. One that was acknowledged, or stops the line,
        comes back under a new number: a hand that is still on its way to the old one has not seen this."""
        old = self._open.get(key)
        if old is not None and old.cleared_ns is None:
            if stop and not old.stop:
                self._put(replace(old, stop=True, text=text))
            return
        if old is not None:
            again = replace(
                old, text=text, cleared_ns=None, acknowledged_ns=None, acknowledged_by="", stop=stop or old.stop
            )
            if again.stop or old.acknowledged_ns is not None:
                again = replace(again, id=self._number(), raised_ns=now_ns)
            self._put(again)
            return
        self._put(Alarm(self._number(), key, code, text, remedy, stop, now_ns))

    def _number(self) -> int:
        self._next += 1
        return self._next - 1

    def clear(self, key: str, now_ns: int) -> None:
        """The cause is gone."""
        alarm = self._open.get(key)
        if alarm is not None and alarm.cleared_ns is None:
            self._put(replace(alarm, cleared_ns=now_ns))

    def acknowledge(self, alarm_id: int, who: str, now_ns: int) -> Alarm | None:
        """A person has seen it. The alarm, or None when no open one has this id. Raises ValueError for an empty name."""
        if not who.strip():
            raise ValueError("an acknowledgement needs the name of a person")
        for alarm in self._open.values():
            if alarm.id == alarm_id:
                if alarm.acknowledged_ns is None:
                    alarm = replace(alarm, acknowledged_ns=now_ns, acknowledged_by=who.strip())
                    self._put(alarm)
                return alarm
        return None

    def _put(self, alarm: Alarm) -> None:
        if alarm.open:
            self._open[alarm.key] = alarm
        else:
            self._open.pop(alarm.key, None)
        if self._on_change is not None:
            self._on_change(alarm)
