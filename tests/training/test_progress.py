"""Long work says how far it is where there is no terminal."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from linegate.training import progress
from linegate.training.progress import counting


def test_counting_without_a_terminal_says_how_far_it_is_at_times(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 1000.0
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now_s))
    said = io.StringIO()
    with counting(Console(file=said, width=80), "draw", 200) as tell:
        for done in range(0, 101):
            tell(done)
            now_s += 0.5  # 50 s for 100 of 200
    assert said.getvalue().splitlines() == [
        "draw: 15 %, 1.4 min left",
        "draw: 30 %, 1.2 min left",
        "draw: 45 %, 0.9 min left",
    ]
