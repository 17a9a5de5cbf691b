"""The line's real-time priority: all its threads have it, what stands behind it has not; without the right it says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from linegate.inspect.priority import behind

PROGRAM = """
import json, os, subprocess, sys, threading
from linegate.inspect.priority import behind, go_first, may_go_first, stand_back
if sys.argv[1] == "nobody" and os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
held = threading.Event()
threading.Thread(target=held.wait, daemon=True).start()
ask = "import os; print(os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0))"
may = may_go_first()
words = go_first()
def policies():
    return sorted({os.sched_getscheduler(int(t)) for t in os.listdir("/proc/self/task")})
all_threads = policies()
later = []
thread = threading.Thread(target=lambda: later.append(os.sched_getscheduler(0)))
thread.start(); thread.join()
def back():
    stand_back(7)
    later.append((os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)))
thread = threading.Thread(target=back)
thread.start(); thread.join()
child = []
if sys.argv[1] != "nobody":  # who may not run this interpreter
    child = subprocess.check_output([*behind(5), sys.executable, "-c", ask], text=True).split()
held.set()
print(json.dumps({"may": may, "words": words, "all": all_threads, "later": later, "child": child}))
"""


def told(who: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, who], capture_output=True, text=True, check=True, timeout=60, cwd="/"
    )
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(os.getuid() != 0, reason="needs the right to real-time priority")
def test_all_threads_go_first_and_what_stands_behind_does_not() -> None:
    found = told("root")
    if not found["may"]:
        pytest.skip("this machine grants no real-time priority, not even to root")
    assert found["words"] == ""
    assert found["all"] == [os.SCHED_RR]
    assert found["later"] == [os.SCHED_RR, [os.SCHED_OTHER, 7]]
    assert found["child"] == [str(os.SCHED_OTHER), "5"]


def test_where_chrt_is_missing_a_command_still_runs_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert behind(5) == ["nice", "-n", "5"]


def test_without_the_right_it_says_so_and_runs_on() -> None:
    found = told("nobody")
    if found["may"]:
        pytest.skip("this machine grants real-time priority to everybody")
    assert "no real-time priority" in str(found["words"])
    assert "LimitRTPRIO" in str(found["words"])
    assert found["all"] == [os.SCHED_OTHER]
