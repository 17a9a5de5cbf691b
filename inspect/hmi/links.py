"""Whether the log can be read from here: asked twice a second on a thread of its own, so that nothing waits for it."""

from __future__ import annotations

import threading
import time
from typing import Any

from sqlalchemy import Engine, text

from linegate.inspect.partlog.errors import LogError
from linegate.inspect.partlog.queries import Reading

PERIOD_S = 0.5
GONE_S = 1.0


class LogProbe:
    """``state()`` is cheap and says what the last probe found; a probe that hangs counts as a log that is gone."""

    def __init__(self, reader: Engine) -> None:
        self._reader = reader
        self._stop = threading.Event()
        self._good_s = time.monotonic()
        self._detail = ""
        self._thread = threading.Thread(target=self._run, name="log-probe", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Stop asking."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(5.0)

    def state(self) -> dict[str, Any]:
        """``{"database": {"ok", "detail"}}``."""
        ok = time.monotonic() - self._good_s <= PERIOD_S + GONE_S
        return {"database": {"ok": ok, "detail": "" if ok else self._detail or "no answer"}}

    def _run(self) -> None:
        while not self._stop.wait(PERIOD_S):
            try:
                with Reading(self._reader) as connection:
                    connection.execute(text("SELECT max(id) FROM part"))
                self._good_s, self._detail = time.monotonic(), ""
            except LogError as error:
                self._detail = str(error)
