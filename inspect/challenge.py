"""The challenge round ("red rabbit"): known bad parts, presented one by one, each of which the station has to reject."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from linegate.inspect.part import Decision, PartKey


@dataclass(frozen=True, slots=True)
class ChallengePast:
    """What the log knows of challenges before this start. ``last_good``: the part with which the last one was passed;
    ``accepted``: a challenge part that was judged good, with none caught since."""

    last_good: PartKey | None = None
    accepted: PartKey | None = None


class ChallengeRound:
    """One round at a time: as many steps as there are challenge parts. Thread-safe.

    A person starts it, says of each part that it comes next, and the line tells how it was judged. A part that could not
    be inspected proves nothing and is presented again. ``expect(n)`` is told how many of the next parts are challenge parts.
    A part that came before the round began, for one that was ended or by the PLC's key, doesn't count for it.
    """

    def __init__(
        self,
        expect: Callable[[int], None],
        last_good: PartKey | None = None,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """``now_ns``: the clock of ``Trigger.at_ns``."""
        self._expect = expect
        self._now_ns = now_ns
        self._since_ns = 0
        self._lock = threading.Lock()
        self._steps: list[dict[str, Any]] = []
        self._at = 0
        self._armed = False
        self._result = ""
        self.last_good = last_good

    @property
    def active(self) -> bool:
        """Whether a round is under way."""
        return self._at < len(self._steps)

    def start(self, names: tuple[str, ...]) -> str:
        """Begin a round with these parts, one for each defect class."""
        with self._lock:
            self._steps = [{"name": name, "result": ""} for name in names]
            self._at, self._result = 0, ""
            self._arm(False)
            self._since_ns = self._now_ns()  # only now: whatever the old round had armed was triggered before this
            defect = names[0]
            return f"present the challenge part with {defect}"

    def arm(self, step: int | None = None) -> str:
        """The present step's part comes next. Raises ValueError when no round is under way, when it is not at ``step`` (the one
        that the person saw, from 0), or when its part is expected already: armed twice, the good part after it would count."""
        with self._lock:
            if not self.active:
                raise ValueError("no challenge round is under way")
            if step is not None and step != self._at:
                raise ValueError(
                    f"the round is at part {self._at + 1} by now, {self._steps[self._at]['name']}: look again"
                )
            if self._armed:
                raise ValueError(f"the part with {self._steps[self._at]['name']} is expected already")
            self._arm(True)
            defect = self._steps[self._at]["name"]
            return f"the next part counts as the challenge part with {defect}"

    def abort(self) -> str:
        """End the round without a result; the part that was expected is one like any other."""
        with self._lock:
            self._steps, self._at, self._result = [], 0, "aborted"
            self._arm(False)
            return "the challenge round was ended without a result"

    def _arm(self, armed: bool) -> None:
        self._armed = armed
        self._expect(int(armed))

    def on_part(self, key: PartKey, triggered_ns: int, decision: Decision, defect_class: str) -> str:
        """A challenge part that was triggered at ``triggered_ns`` came; in words, what that means."""
        with self._lock:
            earlier = self.active and triggered_ns < self._since_ns
            if earlier or not self.active:
                if decision not in (Decision.OK, Decision.NOT_INSPECTED):
                    self.last_good = key
                words = "; it came before this round began and does not count for it" if earlier else ""
                return f"challenge part {key}: {decision}{words}"
            step = self._steps[self._at]
            self._armed = False
            if decision is Decision.NOT_INSPECTED:
                step["result"] = "again"
                return f"challenge part {key} could not be inspected: present {step['name']} again"
            step["result"] = "caught" if decision is not Decision.OK else "missed"
            step["found"] = defect_class
            self._at += 1
            if not self.active:
                missed = [s["name"] for s in self._steps if s["result"] == "missed"]
                self._result = f"missed {', '.join(missed)}" if missed else "all caught"
                if not missed:
                    self.last_good = key
                return f"challenge round ended: {self._result}"
            return f"challenge part with {step['name']}: {step['result']}; next is {self._steps[self._at]['name']}"

    def as_dict(self) -> dict[str, Any]:
        """As the live status carries it."""
        with self._lock:
            steps = [dict(step) for step in self._steps]
            return {
                "active": self.active,
                "step": self._at,
                "steps": steps,
                "armed": self._armed,
                "result": self._result,
                "last_good": str(self.last_good or "never"),
            }
