from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_openvino_calls_nobody() -> None:
    """In a process of its own: no telemetry module, no thread, no connection attempt."""
    code = """
import socket, sys, threading
def refuse(*_):
    raise AssertionError("a name was looked up")
socket.getaddrinfo = refuse
from linegate.inspect.runtime.quiet import import_openvino
ov = import_openvino()
assert ov.Core().available_devices
print([t.name for t in threading.enumerate()], [m for m in sys.modules if m.startswith("openvino_telemetry")])
"""
    env = {**os.environ, "PYTHONPATH": str(ROOT / ".src")}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['MainThread'] []"
