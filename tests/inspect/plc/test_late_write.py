"""The known bad case: stuck write, PLC restart, reused id, late write. Without the epoch a bad part would pass."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest

FAR = 10_000_000_000


class StuckNetwork:
    """A relay between Linegate and the PLC that can keep the slots Linegate sent, and deliver them much later."""

    def __init__(self, port):
        self.target = port
        self.holding = threading.Event()
        self.held: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._start(self._accept)

    def _start(self, what, *about):
        thread = threading.Thread(target=what, args=about)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.target), 2)
            except OSError:
                near.close()
                continue
            self._sockets += [near, far]
            self._start(self._pump, near, far, True)
            self._start(self._pump, far, near, False)

    def _pump(self, source, sink, towards_plc):
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                if towards_plc and data[7] == 16 and self.holding.is_set():
                    self.held.append(data)
                else:
                    sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def deliver(self):
        """What was held reaches whoever is the PLC now."""
        with socket.create_connection(("127.0.0.1", self.target), 2) as late:
            late.settimeout(2)
            for data in self.held:
                late.sendall(data)
                late.recv(512)

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join(5)
        for end in self._sockets:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for end in self._sockets:
            end.close()


@pytest.fixture
def network():
    made = []

    def make(port):
        made.append(StuckNetwork(port))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_late_write_after_restart_does_not_pass(plcs, links, tools, network):
    plc = plcs(epoch=7, triggered=4)
    wire = network(plc.port)
    link, client = links(wire, timeout_ms=80)
    plc.trigger()  # a good part, number 5
    tools.eventually(lambda: client.triggers)

    wire.holding.set()
    answers = []
    link.submit(tools.ok_slot(5, epoch=7), time.monotonic_ns() + FAR, lambda *told: answers.append(told[0]))
    tools.eventually(lambda: answers)
    assert len(wire.held) == 1
    plc.kill()
    assert answers == [False]

    again = plcs(port=plc.port, epoch=8, triggered=4)
    wire.holding.clear()
    tools.eventually(lambda: client.links[-1][0] is True and client.epochs[-1] == (8, 4))
    again.trigger()  # a defective part that gets the same number 5; it is not judged yet
    tools.eventually(lambda: (8, 5) in [(t.key.epoch, t.key.sequence) for t in client.triggers])
    wire.deliver()

    tools.eventually(lambda: again.look().registers[5] == 8)
    seen = again.look()
    assert seen.registers[57:59] == [5, 1], "the late OK stands in the slot of the new part 5"
    assert tools.passes(seen.registers, seen.p, 5, heartbeat_age_ms=0) == (False, ["epoch"])
    assert seen.registers[61] == 12
    # The epoch is the only thing that keeps it out: on the old PLC the same words would have passed.
    assert tools.passes(seen.registers, [seen.p[0], 7, *seen.p[2:]], 5, heartbeat_age_ms=0) == (True, [])


def test_what_each_word_of_the_slot_is_for(plcs, links, tools):
    plc = plcs()
    link, client = links(plc)
    plc.trigger()
    tools.eventually(lambda: client.triggers)
    answers = []
    link.submit(tools.ok_slot(1), time.monotonic_ns() + FAR, lambda *told: answers.append(told[0]))
    tools.eventually(lambda: answers)
    seen = plc.look()
    for address in (24, 25, 26, 27, 31):
        broken = list(seen.registers)
        broken[address] ^= 1
        assert not tools.passes(broken, seen.p, 1, 0)[0], address
    assert not tools.passes(seen.registers, seen.p, 17, 0)[0]
    assert not tools.passes(seen.registers, seen.p, 1, 300)[0]
    plc.trigger(16)  # part 17 takes the slot over: cleared, so rejected
    seen = plc.look()
    assert tools.passes(seen.registers, seen.p, 17, 0)[0] is False
