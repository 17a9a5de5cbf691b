"""What every test shares: proof that it leaks no thread, process or connection."""

from __future__ import annotations

import gc
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# On a shared machine a deadline would measure other people's load. The same examples every time: what fails, fails again;
# `pytest --hypothesis-profile=explore` looks for new ones.
settings.register_profile("same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", deadline=None, max_examples=1000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same")

LONG = ("tests/line/test_loop.py",)
"""Files that take long for how few tests they hold."""
LEAK_GRACE_S = 3.0
# Threads of libraries that live as long as the process by design, once they have been used.
LIBRARY_THREADS = ("AnyIO", "pymp-", "asyncio_", "QueueFeederThread", "ThreadPoolExecutor-gradio")


def _threads() -> set[threading.Thread]:
    return {t for t in threading.enumerate() if t.is_alive() and not t.name.startswith(LIBRARY_THREADS)}


def _read(path: Path) -> bytes:
    """Of a process that has ended meanwhile, nothing."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _children_of(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:  # it has ended meanwhile
        return []
    return [int(child) for task in tasks for child in _read(task / "children").split()]


def _children() -> set[tuple[int, str]]:
    """Living descendants and their commands, from /proc: walking all processes of the machine takes 60 times as long."""
    alive: set[tuple[int, str]] = set()
    parents = [os.getpid()]
    while parents:
        for pid in _children_of(parents.pop()):
            parents.append(pid)
            command = _read(Path(f"/proc/{pid}/cmdline"))  # empty for a zombie
            # Chromium's own helpers (--type=…) come and go with the browser that the session's tests share.
            helper = b"resource_tracker" in command or (b"/chromium" in command and b"--type=" in command)
            if command and not helper:
                alive.add((pid, command.replace(b"\0", b" ").decode(errors="replace")[:200]))
    return alive


def _sockets() -> set[str]:
    links = set()
    for entry in Path("/proc/self/fd").iterdir() if Path("/proc/self/fd").exists() else ():
        try:
            target = os.readlink(entry)
        except OSError:
            continue
        if target.startswith("socket:"):
            links.add(target)
    return links


@pytest.fixture(autouse=True)
def no_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail any test that leaves a thread, a child process or a socket behind."""
    before = (_threads(), _children(), _sockets())
    yield
    if request.node.get_closest_marker("browser") is not None:
        return  # the browser is shared by the session; its own fixture checks pages and contexts
    deadline = time.monotonic() + LEAK_GRACE_S
    while True:
        multiprocessing.active_children()  # reaps the finished
        left = (_threads() - before[0], _children() - before[1], _sockets() - before[2])
        if not any(left):
            return
        if time.monotonic() > deadline:
            pytest.fail(
                f"leaked: threads {sorted(t.name for t in left[0])}, processes {sorted(left[1])}, sockets {sorted(left[2])}"
            )
        gc.collect()  # only where something is left: with all libraries loaded it takes a third of a second
        time.sleep(0.02)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Files with the most tests first, as xdist has it, but the LONG ones before them: begun last, one would run alone."""
    from xdist.scheduler import LoadFileScheduling

    class LongFirst(LoadFileScheduling):
        def _assign_work_unit(self, node: Any) -> None:
            for file in LONG:
                if file in self.workqueue:
                    self.workqueue.move_to_end(file, last=False)
                    break
            super()._assign_work_unit(node)

    return LongFirst(config, log) if config.getvalue("dist") == "loadfile" else None
