"""The screens' process is watched, restarted, and never holds the line up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from linegate.inspect.screens_child import NICENESS, ScreensChild

STATION = """
[station]
data = "data"
[[cameras]]
driver = "replay"
folder = "photos"
[[recipes]]
id = 1
name = "one"
"""


def until(what: object, condition: object, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_a_killed_screen_comes_back(tmp_path: Path) -> None:
    pytest.importorskip("gradio")
    station = tmp_path / "station.toml"
    station.write_text(STATION)
    said: list[str] = []
    child = ScreensChild(
        ["--station", str(station), "--data", str(tmp_path / "data"), "--port", "0"], tmp_path / "log", said.append
    )
    child.start()
    until("an address", lambda: any("http://127.0.0.1" in text for text in said))
    first = child.pid
    assert first is not None
    group = Path(f"/proc/{first}/autogroup")  # the session's own niceness, where the kernel groups by sessions
    if group.exists():
        assert group.read_text().split()[-1] == str(NICENESS)
    os.kill(first, signal.SIGKILL)
    until("a second address", lambda: sum("http://127.0.0.1" in text for text in said) == 2)
    assert child.pid not in (None, first)
    child.stop()
    assert child.pid is None


LINE = """
import sys, time
from pathlib import Path
from linegate.inspect.screens_child import ScreensChild

arguments = ["--station", "station.toml", "--data", "data", "--port", "0"]
ScreensChild(arguments, Path("log"), lambda text: print(text, flush=True)).start()
time.sleep(120)
"""


def test_a_line_that_is_killed_takes_its_screens_along(tmp_path: Path) -> None:
    """Else they would keep the port from those of the next one."""
    pytest.importorskip("gradio")
    (tmp_path / "station.toml").write_text(STATION)
    with subprocess.Popen([sys.executable, "-c", LINE], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as line:
        try:
            assert line.stdout is not None
            url = line.stdout.readline().split()[-1]
            urllib.request.urlopen(f"{url}static/core/icon.svg", timeout=10).close()
        finally:
            line.kill()

    def gone() -> bool:
        try:
            urllib.request.urlopen(f"{url}static/core/icon.svg", timeout=2).close()
        except urllib.error.URLError as error:
            return isinstance(error.reason, ConnectionRefusedError)
        return False

    until("nobody listens any more", gone, 15.0)


def test_one_that_can_not_start_says_why_and_is_not_tried_for_ever(tmp_path: Path) -> None:
    said: list[str] = []
    child = ScreensChild(["--station", str(tmp_path / "none.toml")], tmp_path / "log", said.append)
    began = time.monotonic()
    child.start()
    assert time.monotonic() - began < 1, "starting the screens held the line up"
    until("a reason", lambda: said)
    assert "none.toml" in said[0] or "code" in said[0]
    child.stop()
