"""A PLC in a process of its own, a client that remembers, and the gate rule in words of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from linegate.inspect.plc.link import PlcLink, VisionState
from linegate.inspect.plc.modbus import ModbusPlc
from linegate.inspect.plc.registers import Slot, State, Status
from linegate.inspect.settings import PlcSettings

SERVER = Path(__file__).with_name("plc_process.py")
ALL_OK = Status.TRIGGER_READY | Status.SYNC_OK | Status.CAMERA_OK | Status.LOG_OK | Status.RECIPE_OK


class Plc:
    """The PLC process, as a test holds it."""

    def __init__(self, port=0, registers=220, **state):
        self._process = subprocess.Popen(
            [sys.executable, str(SERVER), str(port), json.dumps(state), str(registers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        ready = self._process.stdout.readline()
        assert ready, "the PLC process did not start"
        self.port = json.loads(ready)["port"]

    def tell(self, **asked):
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return SimpleNamespace(**json.loads(self._process.stdout.readline()))

    def set(self, **state):
        return self.tell(set=state)

    def trigger(self, n=1):
        return self.tell(trigger=n)

    def look(self):
        return self.tell()

    def freeze(self):
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self):
        os.kill(self._process.pid, signal.SIGCONT)

    def kill(self):
        self._process.kill()
        self.close()

    def close(self):
        if self._process.poll() is None:
            self.thaw()
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


class Recorder:
    """A LinkClient that writes everything down."""

    def __init__(self):
        self.triggers, self.epochs, self.links, self.blocks = [], [], [], 0
        self.last = None
        self.said = VisionState(alive=True, state=State.CONTINUOUS_EXECUTION, status=ALL_OK, recipe=1)
        self.threads = set()

    def on_triggers(self, triggers, block):
        self.threads.add(threading.current_thread().name)
        self.triggers.extend(triggers)

    def on_epoch(self, epoch, block):
        self.epochs.append((epoch, block.triggered))

    def on_link(self, up, detail):
        self.links.append((up, detail))

    def on_block(self, block):
        self.blocks += 1
        self.last = block

    def vision(self):
        return self.said

    def sequences(self):
        return [trigger.key.sequence for trigger in self.triggers]


def eventually(what, within_s=8.0):
    """Poll until it holds; a busy machine gets its time."""
    deadline = time.monotonic() + within_s
    while not (found := what()):
        assert time.monotonic() < deadline, f"did not happen within {within_s} s"
        time.sleep(0.002)
    return found


def passes(registers, p, part_id, heartbeat_age_ms, before_commit=True):
    """The design's gate rule, read off the raw registers: would this PLC let the part through?"""
    k = 16 + 8 * (part_id % 16)
    epoch, first, verdict, inverse, _cls, _score, _latency, last = registers[k : k + 8]
    sync_ok, log_ok = registers[2] >> 1 & 1, registers[2] >> 3 & 1
    reasons = {
        "heartbeat": heartbeat_age_ms < 300,
        "sync": sync_ok == 1,
        "log": log_ok == 1,
        "epoch": epoch == p[1],
        "ids": first == last == part_id,
        "complement": verdict + inverse == 65535,
        "ok": verdict == 1,
        "in time": before_commit,
    }
    return all(reasons.values()), [name for name, held in reasons.items() if not held]


def ok_slot(trig_id, epoch=7, verdict=1):
    return Slot(epoch=epoch, trig_id=trig_id, verdict=verdict, defect_class=0, score=12, latency_ms=9)


@pytest.fixture
def tools():
    return SimpleNamespace(eventually=eventually, passes=passes, ok_slot=ok_slot, Recorder=Recorder, ALL_OK=ALL_OK)


@pytest.fixture
def mbpoll():
    """The independent Modbus client; Debian and Ubuntu carry it."""
    found = shutil.which("mbpoll")
    if found is None:
        pytest.skip("mbpoll is not installed: apt-get install mbpoll (README, Run the tests)")
    return found


@pytest.fixture
def plcs():
    """Start PLC processes: ``plcs(epoch=9)``. All are ended."""
    started = []

    def start(**state):
        started.append(Plc(**state))
        return started[-1]

    yield start
    for plc in started:
        plc.close()


@pytest.fixture
def settings():
    def make(plc, **more):
        return PlcSettings(host="127.0.0.1", port=plc.port, **more)

    return make


@pytest.fixture
def driver(settings):
    made = []

    def make(plc, **more):
        made.append(ModbusPlc(settings(plc, **more)))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def links(settings):
    """Start links: ``links(plc)`` gives (link, recorder), connected and up unless ``wait=False``."""
    started = []

    def start(plc, client=None, wait=True, deadline_ms=200.0, **more):
        recorder = client or Recorder()
        its = settings(plc, **more)
        link = PlcLink(ModbusPlc(its), its, recorder, deadline_ms)
        started.append(link)
        link.start()
        if wait:
            eventually(lambda: link.status().up)
        return link, recorder

    yield start
    for link in started:
        link.stop()
