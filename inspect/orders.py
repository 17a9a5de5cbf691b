"""What people ask of the line, by way of the log: taken one by one, checked, done, answered, audited."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from linegate.cameras.errors import LinegateError
from linegate.inspect.partlog.audit import AuditTrail
from linegate.inspect.partlog.commands import Command, CommandBox
from linegate.inspect.partlog.errors import LogError

POLL_S = 0.05
RETRY_S = 1.0
BUSY_S = 0.25
STALE_S = 15.0
"""A wish is not done when it comes this late: the screens call it off after 10 s, but whoever asked may have closed the page,
and the database may have been away for longer than that."""

SLOW = ("recipe", "promote", "rollback")
"""What loads a network: taken by a thread of its own, so that a stop or an acknowledgement never waits behind it."""
REPORTS = frozenset({"overkill", "escape"})
"""What a person saw stays true however late it comes."""

ROLES: dict[str, frozenset[str]] = {
    "recipe": frozenset({"operator", "lead", "quality", "maintenance", "admin"}),
    "lot": frozenset({"operator", "lead", "quality", "maintenance", "admin"}),
    "stop": frozenset({"operator", "lead", "quality", "maintenance", "admin"}),
    "acknowledge": frozenset({"operator", "lead", "quality", "maintenance", "admin"}),
    "support": frozenset({"operator", "lead", "quality", "maintenance", "admin"}),
    "overkill": frozenset({"operator", "lead", "quality", "maintenance", "admin"}),
    "escape": frozenset({"operator", "lead", "quality", "maintenance", "admin"}),
    "challenge": frozenset({"operator", "lead", "quality", "maintenance", "admin"}),
    "promote": frozenset({"quality", "admin"}),
    "rollback": frozenset({"lead", "quality", "admin"}),
    "shadow": frozenset({"quality", "admin"}),
}
"""Who may ask for what. The screens check too; the line does not take their word for it."""

Handler = Callable[[Command], str]
"""Does it and answers in words; raises LinegateError to refuse in words. Called on the desk's thread."""


class OrderDesk:
    """Two threads, far from the verdict path, with database connections of their own: one for what is done at once, in order,
    and one for what takes long (SLOW)."""

    def __init__(self, box: CommandBox, audit: AuditTrail, handlers: Mapping[str, Handler]) -> None:
        self._box = box
        self._audit = audit
        self._handlers = handlers
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=((), SLOW), name="orders", daemon=True),
            threading.Thread(target=self._run, args=(SLOW, ()), name="orders-slow", daemon=True),
        ]

    def start(self) -> None:
        """Begin to take orders; what was asked of an earlier run is not done now. Raises LogError."""
        self._box.expire_old()
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Finish the orders in hand, then end."""
        self._stop.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout_s)

    @property
    def closing(self) -> bool:
        """Whether the desk is being stopped: who waits in a handler gives up."""
        return self._stop.is_set()

    def _run(self, kinds: tuple[str, ...], other_than: tuple[str, ...]) -> None:
        pause_s = POLL_S
        while not self._stop.wait(pause_s):
            try:
                command = self._box.take(kinds, other_than)
                while command is not None:
                    self._do(command)
                    command = None if self._stop.is_set() else self._box.take(kinds, other_than)
                pause_s = POLL_S
            except (
                LogError
            ):  # the database is busy or gone: people's wishes can wait, and expire when they waited too long
                pause_s = RETRY_S

    def _do(self, command: Command) -> None:
        ok, answer = False, ""
        handler = self._handlers.get(command.kind)
        late_s = (time.time_ns() - command.at_utc_ns) / 1e9
        if late_s > STALE_S and command.kind not in REPORTS:
            answer = f"it was asked {late_s:.0f} s ago and is not done now"
        elif handler is None:
            answer = f"this station does not know {command.kind!r}"
        elif command.role not in ROLES.get(command.kind, frozenset()):
            answer = (
                f"{command.role or 'nobody'} may not do this; it takes {', '.join(sorted(ROLES.get(command.kind, ())))}"
            )
        else:
            try:
                answer, ok = handler(command), True
            except LinegateError as error:
                answer = str(error)
            except (KeyError, TypeError, ValueError) as error:
                answer = f"the order is incomplete: {error}"
            except Exception as error:  # one order that goes wrong must not leave all later ones unanswered
                answer = f"it failed: {type(error).__name__}: {error}"
        detail: dict[str, Any] = {"args": command.args, "ok": ok, "answer": answer, "command": command.id}
        subject = _subject(command)
        self._insist(
            lambda: self._audit.append(
                by=command.by, role=command.role, action=command.kind, subject=subject, detail=detail
            )
        )
        self._insist(lambda: self._box.ack(command.id, ok, answer))

    def _insist(self, write: Callable[[], object]) -> None:
        """What was done is audited and answered, however busy the database is. Raises LogError when the desk is closed."""
        while True:
            try:
                write()
                return
            except LogError:
                if self._stop.wait(BUSY_S):
                    raise


def _subject(command: Command) -> str:
    for name in ("key", "serial", "alarm", "lot", "bundle", "id", "action"):
        if name in command.args:
            return f"{name} {command.args[name]}"
    return ""
