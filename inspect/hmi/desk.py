"""The screens' pen: commands to the line, and the audit of what people do at the screens."""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from linegate.inspect.hmi.errors import ScreenError
from linegate.inspect.hmi.roles import Role
from linegate.inspect.partlog.audit import AuditTrail
from linegate.inspect.partlog.commands import CommandBox, CommandState

EXPIRE_S = 10.0
"""A command nobody took for so long is called off, so that it isn't done later by surprise."""
REPORTS = {"overkill", "escape"}
"""These are heard by the review screen from the command's own row, whether the line answers or not."""
NOBODY = "not signed in"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of command: who may send it (None: anybody at the panel), and the type of each argument."""

    role: Role | None
    args: dict[str, type | tuple[type, ...]]
    needed: frozenset[str] = frozenset()


_PLACE: dict[str, type | tuple[type, ...]] = {
    "key": str,
    "serial": str,
    "camera": str,
    "x_px": int,
    "y_px": int,
}
KINDS = {
    "recipe": Kind(Role.LEAD, {"id": int}, frozenset({"id"})),
    "lot": Kind(Role.OPERATOR, {"lot": str, "serial": str}, frozenset({"lot"})),
    "stop": Kind(None, {"reason": str}),
    "support": Kind(None, {"text": str}, frozenset({"text"})),
    "acknowledge": Kind(Role.OPERATOR, {"alarm": (str, int)}, frozenset({"alarm"})),
    "overkill": Kind(Role.OPERATOR, _PLACE, frozenset({"key"})),
    "escape": Kind(Role.OPERATOR, _PLACE),
    "challenge": Kind(Role.OPERATOR, {"action": str, "step": int}, frozenset({"action"})),
    "promote": Kind(Role.QUALITY, {"bundle": str, "why": str}, frozenset({"bundle", "why"})),
    "rollback": Kind(Role.QUALITY, {"why": str}, frozenset({"why"})),
}
LONGEST_TEXT = 200
SENT_KEPT = 1000
KEY = re.compile(r"^[0-9a-f]{4,8}-\d{1,10}$")


def check_args(kind: str, args: dict[str, Any]) -> None:
    """Refuse arguments that the kind does not have, lacks, or that are of the wrong type or size."""
    known = KINDS[kind]
    for name, value in args.items():
        expected = known.args.get(name)
        right = expected is not None and isinstance(value, expected) and not isinstance(value, bool)
        if not right or (isinstance(value, str) and not (value.isprintable() and len(value) <= LONGEST_TEXT)):
            raise ScreenError("operator.error.malformed", 422, detail=name)
    missing = sorted(known.needed - args.keys()) or (
        ["key"] if kind == "escape" and not {"key", "serial"} & args.keys() else []
    )
    if missing:
        raise ScreenError("operator.error.malformed", 422, detail=", ".join(missing))
    if "key" in args and not KEY.match(args["key"]):
        raise ScreenError("operator.error.malformed", 422, detail="key")


class Desk:
    """Writes into the log what people want and did. Each call blocks on the database: for worker threads."""

    def __init__(self, box: CommandBox, audit: AuditTrail) -> None:
        self._box = box
        self._audit = audit
        self._sent: OrderedDict[int, float] = OrderedDict()

    def send(self, kind: str, args: dict[str, Any], *, by: str, role: str) -> int:
        """Audit the wish, then write the command; its id. Raises LogError, and then nothing was sent."""
        self._audit.append(by=by, role=role, action=f"ask {kind}", detail=args)
        command_id = self._box.send(kind, args, by=by, role=role)
        self._sent[command_id] = time.monotonic()
        while len(self._sent) > SENT_KEPT:
            self._sent.popitem(last=False)
        return command_id

    def answer(self, command_id: int) -> dict[str, Any]:
        """What became of it. One that still waits after EXPIRE_S, or was sent by an earlier run of the screens, is called
        off."""
        found = self._box.answer(command_id)
        if found.state is CommandState.WAITING and time.monotonic() - self._sent.get(command_id, 0.0) > EXPIRE_S:
            found = self._box.wait(command_id, 0.0)
        return {"id": found.id, "state": str(found.state), "ok": found.ok, "answer": found.answer}

    def note(self, action: str, *, by: str, role: str = "", subject: str = "", **detail: Any) -> None:
        """Add to the audit. Raises LogError."""
        self._audit.append(by=by, role=role, action=action, subject=subject, detail=detail)
