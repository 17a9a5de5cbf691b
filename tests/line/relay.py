"""The cable between station and PLC: a TCP relay that a test can cut, stall or slow down."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time

CHUNK = 65536


class Cable:
    """Listens on ``port`` and carries bytes to and from ``target_port``. One thread."""

    def __init__(self, target_port: int) -> None:
        self._target = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._cut = threading.Event()
        self._stalled = threading.Event()
        self._ending = threading.Event()
        self.delay_s = 0.0
        self._thread = threading.Thread(target=self._run, name="cable", daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Unplug: connections end, new ones are refused at once."""
        self._cut.set()

    def mend(self) -> None:
        """Plug in again; what a stalled cable held is delivered late."""
        self._cut.clear()
        self._stalled.clear()

    def stall(self) -> None:
        """A dead switch: connections stay, no byte moves, and none is lost."""
        self._stalled.set()

    def close(self) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ending.is_set():
            if self._cut.is_set():
                self._drop_all()
            if self._stalled.is_set():
                time.sleep(0.01)
                continue
            readable, _, _ = select.select([self._listener, *self._pairs], [], [], 0.02)
            for end in readable:
                if end is self._listener:
                    self._accept()
                elif end in self._pairs:
                    self._carry(end)
        self._drop_all()
        self._listener.close()

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        if self._cut.is_set():
            near.close()
            return
        try:
            far = socket.create_connection(("127.0.0.1", self._target), timeout=1.0)
        except OSError:
            near.close()
            return
        self._pairs[near], self._pairs[far] = far, near

    def _carry(self, end: socket.socket) -> None:
        try:
            data = end.recv(CHUNK)
            if data:
                time.sleep(self.delay_s)
                self._pairs[end].sendall(data)
                return
        except OSError:
            pass
        self._drop(end)

    def _drop(self, end: socket.socket) -> None:
        for each in (end, self._pairs.pop(end)):
            self._pairs.pop(each, None)
            with contextlib.suppress(OSError):
                each.close()

    def _drop_all(self) -> None:
        while self._pairs:
            self._drop(next(iter(self._pairs)))
