"""The screens' process is killed while parts come: the line loses nothing, and the screens come back by themselves."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from .command import begin, write_station
from .test_run_command import count_rows, query


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def screens_of(parent: int) -> int | None:
    """The process that serves the screens among ``parent``'s children."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                above = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if above == parent and b"screens" in words:
                return int(folder.name)
    return None


def answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/static/core/icon.svg", timeout=2).close()
    except (urllib.error.URLError, OSError):
        return False
    return True


def until(what: str, done: Callable[[], bool], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_the_line_loses_nothing_when_its_screens_are_killed(tmp_path: Path, blobs: Path, plates: Path) -> None:
    pytest.importorskip("gradio")  # the screens' extra
    port, data = free_port(), tmp_path / "data"
    slower = ("rate_parts_per_s = 7.0", "rate_parts_per_s = 4.0")  # screens that start take most of two cores
    station = write_station(tmp_path, blobs, plates, ("enabled = false", f"enabled = true\nport = {port}"), slower)
    with begin(station, "--json", "--screens") as process:
        try:
            until("rows", lambda: (data / "linegate.db").exists() and answers(port) and count_rows(data) >= 5)
            first = screens_of(process.pid)
            assert first is not None
            before = count_rows(data)
            os.kill(first, signal.SIGKILL)
            until("the screens are gone", lambda: not answers(port))
            until("parts go on without them", lambda: count_rows(data) >= before + 5)
            until("the screens are back", lambda: answers(port))
            second = screens_of(process.pid)
            assert second not in (None, first)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, err
    said = json.loads(out)
    assert said["reconciled"]
    assert said["passed_without_row"] == said["uninspected_passed"] == said["escapes"] == 0
    assert said["triggers"] == said["rows"] == said["plc_triggered"] == count_rows(data) >= before + 5
    assert said["plc_passed"] + said["plc_rejected"] == said["triggers"]
    sequences = [sequence for (sequence,) in query(data, "SELECT sequence FROM part ORDER BY sequence")]
    assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))
    assert "the screens ended with code -9" in err and err.count(f"http://127.0.0.1:{port}/") == 2
    until("no screens are left behind", lambda: not answers(port), 10.0)
