"""A recipe change, asked for by the PLC or the operator: request, load between two parts, confirm.

    settled ──asked──→ waiting ──begin──→ loading ──loaded──→ settled
       ↑                  │                   └──failed──→ refused ──asked for another──→ waiting
       └──── asked back ──┴── unknown number ───────────────→ refused

Pure state; the station calls it from one thread and does the loading.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from linegate.inspect.plc.registers import ErrorCode


class Step(Enum):
    """Where a change stands."""

    SETTLED = "settled"
    WAITING = "waiting"
    LOADING = "loading"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class RecipeView:
    """What the V block says of the recipe: V_RECIPE, RecipeOK and, where it holds, the error code."""

    active: int
    recipe_ok: bool
    error: ErrorCode


class RecipeChange:
    """RecipeOK is 1 only while the recipe that was asked for is the one that judges.

    A number in the PLC's register 207 rules; the operator may choose while the PLC asks for none (0) or for the same.
    """

    def __init__(self, known: Mapping[int, str], active: int) -> None:
        self._known = dict(known)
        self._active = active
        self._wanted = active
        self._plc_asked = 0
        self._step = Step.SETTLED
        self._events: list[str] = []
        self.failure = ""
        """Why the recipe that was asked for last could not be loaded; "" where nothing is known against it."""

    @property
    def step(self) -> Step:
        """Where the change stands."""
        return self._step

    def view(self) -> RecipeView:
        """For the next V block."""
        refused = self._step is Step.REFUSED
        return RecipeView(
            active=self._active,
            recipe_ok=self._step is Step.SETTLED,
            error=ErrorCode.RECIPE if refused else ErrorCode.NONE,
        )

    def events(self) -> list[str]:
        """What happened since the last call, in words, for the log."""
        events, self._events = self._events, []
        return events

    def plc_asks(self, number: int) -> None:
        """P_RECIPE_ASKED of a block; 0 asks for nothing. Repeating a number changes nothing."""
        if number == self._plc_asked:
            return
        self._plc_asked = number
        if number:
            self._want(number, "the PLC")

    def operator_asks(self, number: int, who: str) -> bool:
        """Whether the wish was taken; if not, an event says why."""
        if self._plc_asked not in (0, number):
            self._events.append(
                f"{who} asked for recipe {number}; the PLC asks for {self._plc_asked} and has the say: change it there"
            )
            return False
        self._want(number, who)
        return self._step is not Step.REFUSED

    def begin(self) -> int | None:
        """Called between two parts: the number to load now, or None. ``loaded`` or ``failed`` must follow."""
        if self._step is not Step.WAITING:
            return None
        self._step = Step.LOADING
        return self._wanted

    def loaded(self, number: int) -> None:
        """Recipe ``number`` judges from the next part on."""
        self._active = number
        self._events.append(f"recipe {number}, {self._known.get(number, '?')}, is active")
        # Meanwhile another one may have been asked for.
        if self._wanted == number:
            self._step = Step.SETTLED
        elif self._step is Step.LOADING:
            self._step = Step.WAITING if self._wanted in self._known else Step.REFUSED

    def failed(self, number: int, reason: str) -> None:
        """Recipe ``number`` could not be loaded; the old one stays in force and RecipeOK stays 0."""
        self._events.append(f"recipe {number} could not be loaded: {reason}")
        self.failure = reason if self._wanted == number else ""
        if self._wanted == number:
            self._step = Step.REFUSED
        elif self._step is Step.LOADING:
            self._settle_or_wait()

    def _want(self, number: int, who: str) -> None:
        self._wanted, self.failure = number, ""
        if number in self._known and number != self._active:
            self._events.append(f"{who} asked for recipe {number}, {self._known[number]}")
        if number not in self._known:
            self._events.append(
                f"{who} asked for recipe {number}, which station.toml does not know; known: "
                + ", ".join(f"{id_} {name}" for id_, name in sorted(self._known.items()))
            )
        if self._step is not Step.LOADING:
            self._settle_or_wait()

    def _settle_or_wait(self) -> None:
        if self._wanted not in self._known:
            self._step = Step.REFUSED
        else:
            self._step = Step.SETTLED if self._wanted == self._active else Step.WAITING
