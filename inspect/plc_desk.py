"""Carries out what the PLC asks of the station: its reset button and the commands of docs/plc.md."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime
from functools import partial

from linegate.inspect.chores import Chores
from linegate.inspect.plc.registers import Command, Control

BUTTON = "the PLC's reset button"
THE_PLC = "the PLC"


class PlcDesk:
    """``hear`` and ``on_epoch`` are called by the link's thread, ``do`` by the station's clock.

    ``ack`` is the command that was carried out and still stands in the PLC's register, else 0: what was refused, failed or
    is still being done is not acknowledged.
    """

    def __init__(
        self,
        acknowledge_all: Callable[[str], None],
        begin_lot: Callable[[str, str], object],
        chores: Chores,
        event: Callable[[str, str, str], None],
    ) -> None:
        """``acknowledge_all`` takes who does it, ``begin_lot`` the lot's name and who begins it (on the chores thread, where it
        may take its time or raise LinegateError), ``event`` kind, severity and text."""
        self._acknowledge_all = acknowledge_all
        self._begin_lot = begin_lot
        self._chores = chores
        self._event = event
        self._heard: deque[tuple[Control, int | None]] = deque()
        self._lock = threading.Lock()
        self._turn = 0
        self.ack = 0

    def hear(self, risen: Control, command: int | None) -> None:
        """Control bits that rose, and the command register where it changed."""
        self._heard.append((risen, command))

    def on_epoch(self) -> None:
        """The PLC was restarted: it asks for nothing any more."""
        self._heard.append((Control(0), 0))

    def do(self) -> None:
        """Do what was heard since the last call, in order."""
        while self._heard:
            risen, command = self._heard.popleft()
            if Control.RESET_ERROR in risen:
                self._acknowledge_all(BUTTON)
            if command is not None:
                self._take(command)

    def _take(self, command: int) -> None:
        with self._lock:
            self._turn, self.ack = self._turn + 1, 0
        if command == Command.ACKNOWLEDGE:
            self._acknowledge_all(THE_PLC)
            self._done(self._turn, command, "acknowledged all alarms")
        elif command == Command.NEW_BATCH:
            self._chores.do("begin the batch that the PLC asked for", partial(self._new_batch, self._turn))
        elif command:
            known = ", ".join(f"{each.value} {each.name.lower().replace('_', ' ')}" for each in Command)
            text = f"the PLC asked for command {command}, which does not exist; there are: {known}"
            self._event("plc_command", "warning", text)

    def _new_batch(self, turn: int) -> None:
        lot = f"{datetime.now():%Y%m%d-%H%M%S}"  # noqa: DTZ005 - as the clock on the wall shows it, like the screen's suggestion
        self._begin_lot(lot, THE_PLC)
        self._done(turn, Command.NEW_BATCH, f"began batch {lot}")

    def _done(self, turn: int, command: int, what: str) -> None:
        self._event("plc_command", "info", f"the PLC {what}")
        with self._lock:
            if self._turn == turn:  # else the PLC has taken it back meanwhile, or asks for something else
                self.ack = command
