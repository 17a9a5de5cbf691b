"""`linegate run` as a person starts it: a process, a station file, an exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

STATION = """
[station]
data = "data"

[[cameras]]
driver = "pylon"
name = "top"
emulate = "stage"
pixel_format = "Mono8"

[[recipes]]
id = 1
name = "plates"
bundle = "{bundle}"

[plc]
port = 0
timeout_ms = 300.0

[timing]
deadline_ms = 800.0
min_pitch_ms = 140.0
stop_after_uninspected = 1000

[runtime]
real_time = false

[log]
min_free_mb = 1.0

[screens]
enabled = false

[virtual]
rate_parts_per_s = 7.0
camera_to_gate_ms = 1000.0
photos = "{photos}"
"""


def write_station(folder: Path, bundle: Path, photos: Path, *changes: tuple[str, str]) -> Path:
    """station.toml in ``folder``; ``changes`` are (old text, new text), each of which must occur."""
    text = STATION.format(bundle=bundle, photos=photos)
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    path = folder / "station.toml"
    path.write_text(text, encoding="utf-8")
    return path


def begin(station: Path, *options: str, start_new_session: bool = False) -> subprocess.Popen[str]:
    """Start `linegate run`; wide, so that no message is wrapped."""
    return subprocess.Popen(
        [sys.executable, "-m", "linegate.inspect.cli", "run", "--station", str(station), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=station.parent,
        env={**os.environ, "COLUMNS": "2000"},
        start_new_session=start_new_session,
    )


def run(station: Path, *options: str, timeout_s: float = 120.0) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of `linegate run`."""
    with begin(station, *options) as process:
        try:
            out, err = process.communicate(timeout=timeout_s)
        finally:
            process.kill()
    return process.returncode, out, err
