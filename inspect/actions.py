"""What the line does when people ask: one method an order, each answers in words or refuses in words."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from linegate.cameras.errors import LinegateError
from linegate.inspect.orders import Handler
from linegate.inspect.part import PartKey
from linegate.inspect.partlog.commands import Command
from linegate.inspect.plc.recipe_change import Step
from linegate.inspect.plc.registers import Status

if TYPE_CHECKING:
    from linegate.inspect.station import Station


POLL_S = 0.02
RECIPE_S = 120.0
"""The longest that loading a recipe is waited for; an engine that is built anew takes a minute."""
TOLD_S = 1.0
EXCHANGES = 2
"""After so many more exchanges the PLC has what stood in the snapshot before them."""
PLACE = ("camera", "x_px", "y_px")
"""Where on which picture a person pointed."""


class Refused(LinegateError):
    """An order that can't be carried out."""


class Actions:
    """Called on the order desk's threads. "Done" is said of what has taken effect, not of what was only asked for."""

    def __init__(self, station: Station) -> None:
        self._station = station

    def handlers(self) -> Mapping[str, Handler]:
        """Order kind to what does it."""
        return {
            "recipe": self._recipe,
            "lot": self._lot,
            "stop": self._stop,
            "acknowledge": self._acknowledge,
            "support": self._support,
            "overkill": self._mark,
            "escape": self._mark,
            "challenge": self._challenge,
            "promote": self._promote,
            "rollback": self._rollback,
            "shadow": self._shadow,
        }

    def _recipe(self, command: Command) -> str:
        number, supervisor = int(command.args["id"]), self._station.supervisor
        taken, words = supervisor.ask_recipe(number, command.by)
        if not taken:
            raise Refused("recipe", expected="one that may be chosen here", found=words, remedy="Choose another.")
        until_s = time.monotonic() + RECIPE_S
        while not self._station.orders.closing and time.monotonic() < until_s:
            step, active, why = supervisor.recipe()
            if step is Step.SETTLED and active == number:
                return f"recipe {number} judges from the next part on"
            if step in (Step.SETTLED, Step.REFUSED):
                found = why or f"another one was asked for meanwhile, recipe {active} judges"
                raise Refused(f"recipe {number}", expected="to judge the next part", found=found, remedy="Look again.")
            time.sleep(POLL_S)
        raise Refused(
            f"recipe {number}",
            expected="to judge the next part",
            found="it is still being loaded",
            remedy="The screen names the product that judges; look there before parts come.",
        )

    def _lot(self, command: Command) -> str:
        lot = str(command.args["lot"]).strip()
        if not lot or len(lot) > 64:
            raise Refused("lot", expected="1 to 64 characters", found=repr(lot), remedy="Scan the lot's label again.")
        known = self._station.begin_lot(lot, command.by, str(command.args.get("serial", "")))
        return f"lot {lot} goes on, with the {known} parts it has" if known else f"lot {lot} has begun"

    def _stop(self, command: Command) -> str:
        supervisor, link = self._station.supervisor, self._station.link
        supervisor.request_stop(command.by, str(command.args.get("reason", "")))
        until_s, seen = time.monotonic() + TOLD_S, None
        while time.monotonic() < until_s:
            now = link.status()
            if now.up and Status.STOP_REQUEST in supervisor.vision(self._station.line.block).status:
                seen = now.exchanges if seen is None else seen
                if now.exchanges - seen >= EXCHANGES:
                    return "the PLC was told to stop the line"
            time.sleep(POLL_S)
        raise Refused(
            "stop",
            expected="a PLC that hears it",
            found=link.status().detail or "no answer",
            remedy="Stop the line at its own button; the PLC is told as soon as it answers.",
        )

    def _acknowledge(self, command: Command) -> str:
        wanted = str(command.args["alarm"])
        number = int(wanted.rsplit("-", 1)[-1])
        alarm = self._station.supervisor.acknowledge(number, command.by)
        if alarm is None:
            raise Refused(
                f"alarm {wanted}", expected="an open alarm", found="none of this number", remedy="Look again."
            )
        text = alarm.text
        return f"acknowledged: {text}"

    def _support(self, command: Command) -> str:
        text = f"{command.by} calls for support: {command.args.get('text', '')}".rstrip(": ")
        self._station.log.record_event("support", "alarm", text)
        return "support has been called"

    def _mark(self, command: Command) -> str:
        args: Mapping[str, object] = command.args
        key = _key(str(args["key"])) if "key" in args else self._station.find_serial(str(args["serial"]))
        data: dict[str, object] = {}
        for name in PLACE:
            if name in args:
                data[name] = args[name]
        words = {"overkill": "a good part was rejected", "escape": "a bad part slipped through"}[command.kind]
        pictures = self._station.mark(command.kind, key, command.by, data)
        self._station.log.record_event(f"{command.kind}_reported", "warning", f"{command.by}: {words}", key, data)
        said = {
            "overkill": f"part {key}: a good part was rejected; it waits for review",
            "escape": f"part {key}: a bad part slipped through; it waits for review",
        }[command.kind]
        return f"{said}; {pictures}" if pictures else said

    def _challenge(self, command: Command) -> str:
        challenge, action = self._station.supervisor.challenge, str(command.args["action"])
        if action == "start" and challenge.active:
            raise Refused("challenge", expected="no round under way", found="one", remedy="Go on with it, or end it.")
        if action == "start":
            return challenge.start(self._station.tracker.active.bundle.manifest.classes)
        if action == "next":
            step = command.args.get("step")
            try:
                return challenge.arm(None if step is None else int(step))
            except ValueError as error:
                raise Refused(
                    "challenge", expected="the part that the round waits for", found=str(error), remedy="Look again."
                ) from error
        if action == "abort":
            return challenge.abort()
        raise ValueError(f"challenge knows start, next and abort, not {action!r}")

    def _promote(self, command: Command) -> str:
        store, why = self._station.store, str(command.args.get("why", ""))
        name = str(command.args["bundle"])
        change = self._station.go_live(store.certified(name), lambda: store.promote(name, command.by, why))
        return f"bundle {change.bundle} is live{self._pinned()}"

    def _rollback(self, command: Command) -> str:
        store, why = self._station.store, str(command.args.get("why", ""))
        name = store.before()
        change = self._station.go_live(store.released(name), lambda: store.rollback(command.by, why, name))
        return f"rolled back to {change.bundle or 'the packaged release'}{self._pinned()}"

    def _shadow(self, command: Command) -> str:
        store, name = self._station.store, str(command.args["bundle"])
        if not name and not store.pointers().shadow:
            raise Refused(
                "shadow",
                expected="a bundle that was put into the shadow here",
                found="station.toml's own" if self._station.settings.shadow is not None else "none",
                remedy="Remove [shadow] from station.toml to end it for good.",
            )
        if name:  # else it could judge no part by those recipes, and only an event would tell
            self._station.book.check_fits(store.stored(name))
        store.set_shadow(name, command.by, str(command.args.get("why", "")))
        self._station.shadows.follow()
        return f"bundle {name} judges in shadow" if name else "the shadow is over"

    def _pinned(self) -> str:
        recipe = self._station.tracker.active.recipe
        if not recipe.bundle:
            return ""
        return (
            f" for recipes that take the live bundle; recipe {recipe.id} ({recipe.name}) keeps its own, {recipe.bundle}"
        )


def _key(text: str) -> PartKey:
    epoch, _, sequence = text.partition("-")
    return PartKey(int(epoch, 16), int(sequence))
