"""The screens as a child process of the line: started, watched and forgotten; the line never waits for them."""

from __future__ import annotations

import contextlib
import importlib.util
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from linegate.inspect.priority import behind

STARTS_PER_MINUTE = 5
NICENESS = 15
"""The verdict path shares the cores, and goes first."""


def screens_installed() -> bool:
    """Whether the ``hmi`` extra is there."""
    return importlib.util.find_spec("gradio") is not None


def step_back(pid: int, niceness: int) -> None:
    """Let the line go before a whole session of processes. Where the kernel groups processes by session (sched_autogroup),
    a process's own niceness counts only within its session, and one with a session of its own gets as much as the line."""
    with contextlib.suppress(OSError):  # no such grouping here, or the process has ended
        Path(f"/proc/{pid}/autogroup").write_text(str(niceness))


class ScreensChild:
    """Runs ``linegate screens`` and starts it again when it dies, at most STARTS_PER_MINUTE times a minute.

    Args:
        arguments: of ``linegate screens``.
        log_file: where its complaints go.
        say: hears, on the watching thread, the address once it answers, and why it ended when it did.
    """

    def __init__(self, arguments: list[str], log_file: Path, say: Callable[[str], None]) -> None:
        self._command = [
            *behind(NICENESS),
            *(sys.executable, "-m", "linegate.inspect.cli", "screens", "--while-input", *arguments),
        ]
        self._log_file = log_file
        self._say = say
        self._process: subprocess.Popen[str] | None = None
        self._starts: list[float] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="screens-child", daemon=True)

    def start(self) -> None:
        """Start the screens and the thread that watches them; returns at once."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """End both."""
        self._stopping.set()
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    @property
    def pid(self) -> int | None:
        """The running child's process id."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def _watch(self) -> None:
        said = ""
        while not self._stopping.is_set():
            now_s = time.monotonic()
            self._starts = [at for at in self._starts if now_s - at < 60]
            if len(self._starts) >= STARTS_PER_MINUTE:
                self._stopping.wait(1.0)
                continue
            self._starts.append(now_s)
            code = self._run_once()
            if not self._stopping.is_set():
                why = f"the screens ended with code {code}: {self._last_words()}; see {self._log_file}"
                if why != said:
                    self._say(why)
                said = why

    def _run_once(self) -> int:
        with self._log_file.open("a", encoding="utf-8") as log:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,  # ends with this process, even by kill -9, and the screens with it: see --while-input
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C is for the line, which ends its screens itself
            )
        self._process = process
        step_back(process.pid, NICENESS)
        if self._stopping.is_set():  # stop() looked before there was a process
            process.terminate()
        assert process.stdin is not None
        assert process.stdout is not None
        with process.stdin, process.stdout:
            for line in process.stdout:  # ends with the process
                self._say(line.strip())
        return process.wait()

    def _last_words(self) -> str:
        try:
            lines = self._log_file.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return "no words"
        return lines[-1] if lines else "no words"
