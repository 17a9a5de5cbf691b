"""The belt of a running virtual line, faster and slower at somebody's word."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest
from typer.testing import CliRunner

from linegate.cameras.errors import LinegateError
from linegate.inspect.cli import app
from linegate.inspect.settings import VirtualSettings
from linegate.inspect.virtual.ledger import read_ledger
from linegate.inspect.virtual.plant import VirtualPlant
from linegate.inspect.virtual.remote import ask_rate


def rate(folder: Path, *words: str) -> str:
    result = CliRunner().invoke(app, ["plant", "rate", *words, "--folder", str(folder)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def test_the_belt_speeds_up_and_slows_down_on_request(tmp_path: Path) -> None:
    settings = VirtualSettings(rate_parts_per_s=2, camera_to_gate_ms=60)
    with VirtualPlant.start(settings, tmp_path, parts=16, pool=2) as plant:
        assert rate(tmp_path) == "2 parts/s"
        assert rate(tmp_path, "20") == "2 → 20 parts/s"
        plant.run_belt()
        assert plant.wait_finished(60)
        assert rate(tmp_path, "0.5") == "20 → 0.5 parts/s"
        with pytest.raises(LinegateError, match="at most 14 parts between camera and gate"):
            ask_rate(tmp_path, 2000.0)
        plant.set_rate(4)
        assert plant.wait_finished(5)
    eyes = [row["eye_ns"] for row in read_ledger(plant.ledger)]
    assert median(b - a for a, b in pairwise(eyes)) < 250e6, "less than half of what the slow belt takes"


def test_without_a_running_plant_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(LinegateError, match=r"found none.*linegate run"):
        rate(tmp_path, "20")
    with VirtualPlant.start(VirtualSettings(camera_to_gate_ms=60), tmp_path, parts=1, pool=1):
        assert (tmp_path / "wires").is_symlink()
    assert not (tmp_path / "wires").is_symlink()
    with pytest.raises(LinegateError, match=r"found none.*linegate run"):
        rate(tmp_path, "20")
