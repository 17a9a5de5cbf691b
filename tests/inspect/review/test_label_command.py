"""`linegate log label` on a machine without the screens: it needs nothing that the ``hmi`` extra brings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from review_feed import SIZE, Past

from linegate.inspect.hmi.review.exchange.archive import write_zip
from linegate.inspect.hmi.review.exchange.picture import LabelledPicture, Pending
from linegate.inspect.part import Decision
from linegate.inspect.partlog.labels import LabelStore

HMI = ("gradio", "fastapi", "starlette", "uvicorn", "argon2")
"""What pip brings with the extra and with nothing else."""
COMMAND = f"""
import sys
for name in {HMI!r}:
    sys.modules[name] = None  # importing it fails, as where it is not installed
from linegate.inspect.cli import main
main()
"""


def test_labels_are_imported_where_the_screens_are_not_installed(
    past: Past, labels: LabelStore, tmp_path: Path
) -> None:
    key = past.part(Decision.OK, keep=1.0)
    past.settle()
    mask = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    mask[100:120, 200:260] = 1
    file = tmp_path / "labels.zip"
    with file.open("wb") as stream:
        write_zip(stream, "png", [Pending.of(LabelledPicture(f"{key}_top.png", mask, ("burr",)))])
    words = [sys.executable, "-c", COMMAND, "log", "label", str(file), "--data", str(past.data), "--by", "Quinn"]
    refused = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert (refused.returncode, "--new-classes" in refused.stderr) == (2, True), refused.stderr
    done = subprocess.run([*words, "--new-classes"], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "1 labels saved, 0 were there already\n"), done.stderr
    assert [label.by for label in labels.history(key)] == ["Quinn"]
    with file.open("wb") as stream:
        write_zip(stream, "png", [Pending.of(LabelledPicture(f"{key}_top.png", mask, ("Burr",)))])
    twin = subprocess.run([*words, "--new-classes"], capture_output=True, text=True, timeout=120)
    assert twin.returncode == 2
    assert "'burr'" in twin.stderr and "differ in more than capitals" in twin.stderr
    assert len(labels.history(key)) == 1
