"""Work that takes its time, done one by one on a thread of its own: loading recipes, adding rows, freeing networks."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

LOOK_S = 0.25


@dataclass(frozen=True, slots=True)
class _Chore:
    name: str
    work: Callable[[], None]
    when: Callable[[], bool] | None = None


class Chores:
    """``do`` never blocks. A failing chore is reported to ``on_failed`` (on the chores thread) and the next one is done."""

    def __init__(self, on_failed: Callable[[str, Exception], None]) -> None:
        self._on_failed = on_failed
        self._queue: queue.SimpleQueue[_Chore | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="chores", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout_s: float = 30.0) -> None:
        """Finish what is queued and due, then end. What waits for a condition is done now: nothing runs any more."""
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def do(self, name: str, work: Callable[[], None], *, when: Callable[[], bool] | None = None) -> None:
        """Do ``work``, as soon as ``when`` says so."""
        self._queue.put(_Chore(name, work, when))

    def _run(self) -> None:
        waiting: list[_Chore] = []
        while True:
            try:
                chore = self._queue.get(timeout=LOOK_S)
            except queue.Empty:
                due = [c for c in waiting if c.when is not None and c.when()]
                waiting = [c for c in waiting if c not in due]
                for c in due:
                    self._do(c)
                continue
            if chore is None:
                for c in waiting:
                    self._do(c)
                return
            if chore.when is None:
                self._do(chore)
            else:
                waiting.append(chore)

    def _do(self, chore: _Chore) -> None:
        try:
            chore.work()
        except Exception as error:  # a chore must not take the thread with it
            self._on_failed(chore.name, error)
