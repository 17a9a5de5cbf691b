from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from linegate.training.bench import Speed, bench_training
from linegate.training.dataset import load_folder
from linegate.training.fit import FitSettings

Linegate = Callable[..., tuple[int, str]]


def test_bench_tells_how_fast_this_machine_trains(plates: Path, linegate: Linegate) -> None:
    settings = FitSettings(threads=1, device="cpu", precision="fp32")
    said: list[str] = []
    (speed,) = bench_training(load_folder(plates), settings, 1.0, said.append)
    assert said == ["cpu fp32"]
    assert speed.device == "cpu, 1 threads, fp32"
    assert speed.batch == 4
    assert speed.crops_per_s > 0
    assert speed.wholes_per_s > 0
    assert 0 <= speed.waited <= 1
    code, words = linegate("train", "bench", plates, "--seconds", 1, "--device", "cpu", "--pictures", 77)
    assert code == 0, words
    assert "cpu fp32" in words
    assert "crops/s" in words
    assert "for 77" in " ".join(words.split())


def test_a_runs_time_is_that_of_its_crops_and_whole_pictures() -> None:
    speed = Speed("cpu", 4, crops_per_s=100.0, wholes_per_s=20.0, waited=0.0)
    # Of 10 s, 7 go to crops and 3 to whole pictures.
    assert speed.minutes_for(7 * 100 + 3 * 20, whole_from=0.7) == pytest.approx(10 / 60)


def test_a_device_that_is_not_there_is_said(plates: Path, linegate: Linegate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    code, words = linegate("train", "bench", plates, "--seconds", 1, "--device", "cuda")
    assert code == 2
    assert "a CUDA device" in words
