from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from linegate.training.bakeoff import BakeOff, bake_off
from linegate.training.dataset import load_folder
from linegate.training.fit import FitSettings
from linegate.training.latency import Timing
from linegate.training.network import NetSpec
from linegate.training.record import PartScore, RunRecord
from linegate.training.yardstick import Comparison, Run, Subset, decide, figures
from linegate.training.yardstick_report import markdown, scatter, verdict_lines

MakeFolder = Callable[..., Path]
Linegate = Callable[..., tuple[int, str]]
RECIPE = {"minutes": 12.0, "share": 0.3, "pretrained": False}


def test_two_data_sets_are_compared_in_one_command(
    plates: Path, make_folder: MakeFolder, linegate: Linegate, tmp_path: Path
) -> None:
    spots = make_folder(name="spots", good=12, spot=8, line=0)
    (spots / "classes.txt").write_text("0 background\n1 spot\n")
    out = tmp_path / "bakeoff"
    command = (
        "train",
        "bakeoff",
        plates,
        spots,
        "--steps",
        1,
        "--threads",
        1,
        "--out",
        out,
        "--subset",
        "marks=spot+line",
    )
    code, words = linegate(*command, "--networks", "line,fastscnn")
    assert code == 0, words
    results = json.loads((out / "results.json").read_text())["data"]
    assert [data["name"] for data in results] == ["data", "spots"]
    assert [(r["network"], r["seed"]) for r in results[0]["runs"]] == [("line", 0), ("fastscnn", 0)]
    assert set(results[0]["runs"][0]["figures"]) == {"all", "spot", "line", "marks"}
    assert results[0]["runs"][0]["figures"]["marks"] == results[0]["runs"][0]["figures"]["all"]  # it is all there is
    assert set(results[1]["runs"][0]["figures"]) == {"all", "spot"}  # lines are unknown there
    assert all(timing["median_ms"] > 0 for timing in results[0]["latency"].values())
    assert results[0]["verdict"]["best"] == "fastscnn"
    page = (out / "results.md").read_text()
    assert page in words
    assert "marks (spot+line)" in page
    assert "![Accuracy and speed on data](data.svg)" in page
    assert (out / "data.svg").read_text().count("<circle") == 2
    made = _bundles(out)
    assert len(made) == 4
    assert small(plates, out, steps=1) == []  # what is there isn't fitted again
    assert small(plates, out, steps=2) == ["line, seed 0"]  # another budget is another result; the first one's stays
    later = _bundles(out)
    assert len(later) == 5
    assert made.items() <= later.items()


def _bundles(out: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in out.glob("*/*/bundle/manifest.json")}


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--networks", "yolo", "fastscnn"),
        ("--subset", "marks", "name and classes"),
        ("--subset", "marks=spot+rust", "spot, line"),
    ],
)
def test_a_wrong_option_is_said(
    plates: Path, linegate: Linegate, tmp_path: Path, option: str, value: str, words: str
) -> None:
    code, said = linegate("train", "bakeoff", plates, "--steps", 1, "--out", tmp_path / "out", option, value)
    assert code == 2
    assert words in said


STEPS = 20
KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_bakeoff
test_bakeoff.small(Path(sys.argv[2]), Path(sys.argv[3]), test_bakeoff.STEPS, seeds=2)
"""


def small(folder: Path, out: Path, steps: int, seeds: int = 1) -> list[str]:
    """A bake-off of Linegate's network; returns which fits it began."""
    said = StringIO()
    settings = FitSettings(steps=steps, minutes=None, threads=1, checkpoint_s=0)
    plan = BakeOff(tuple(("line", seed) for seed in range(seeds)), settings)
    bake_off([load_folder(folder)], plan, out, Console(file=said, width=200), rounds=1)
    return re.findall(r"line, seed \d+", said.getvalue())


def test_a_killed_bake_off_goes_on_in_the_middle_of_a_fit(plates: Path, tmp_path: Path) -> None:
    args = (Path(__file__).parent, plates, tmp_path)
    process = subprocess.Popen([sys.executable, "-c", KILLED, *map(str, args)], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    try:
        while not list(tmp_path.glob("*/line-1-*/bundle.train/checkpoint.pt")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    kept = _bundles(tmp_path)
    assert len(kept) == 1
    assert small(plates, tmp_path, STEPS, seeds=2) == ["line, seed 1"]
    assert kept.items() <= _bundles(tmp_path).items()


def _parts(scores: dict[str, list[float]]) -> tuple[PartScore, ...]:
    """Parts by class, "good" for good ones."""
    return tuple(
        PartScore(
            name=f"{kind}{number}",
            group=f"{kind}{number}",
            bad=kind != "good",
            classes=() if kind == "good" else (kind,),
            score=score,
            decision="OK",
        )
        for kind, own in scores.items()
        for number, score in enumerate(own)
    )


def _run(network: str, seed: int, scores: dict[str, list[float]]) -> Run:
    record = RunRecord(
        net=NetSpec(classes=2),
        steps=100,
        minutes=12,
        device="cpu",
        commit="abc",
        iou={"pit": 0.5, "crack": None},
        region_recall=0.75,
        parts=_parts(scores),
    )
    return Run(network, seed, record, 0.5)


PERFECT = {"good": [0.1, 0.2], "pit": [0.8], "crack": [0.9]}
CRACK_MISSED = {"good": [0.1, 0.2], "pit": [0.8], "crack": [0.15]}  # precision 1 and 2/3
PIT_MISSED = {"good": [0.1, 0.2], "pit": [0.15], "crack": [0.9]}


def _comparison(own_ms: float, own: dict[str, list[float]]) -> Comparison:
    runs = (
        _run("line", 0, PERFECT),
        _run("line", 1, own),
        _run("lraspp", 0, CRACK_MISSED),
        _run("unet-resnet18", 0, PERFECT),
    )
    timings = {"line": own_ms, "lraspp": 30.0, "unet-resnet18": 60.0}
    return Comparison(
        "plates",
        "0" * 64,
        (Subset("sharp", ("pit", "crack")), Subset("thin", ("crack",))),
        runs,
        {name: Timing(ms, ms - 1, ms + 1, "openvino CPU bf16, 1 thread") for name, ms in timings.items()},
    )


def test_figures_are_of_good_parts_against_the_classes_asked_for() -> None:
    parts = _parts(CRACK_MISSED)
    assert figures(parts).ap == pytest.approx((1 + 2 / 3) / 2)
    assert figures(parts).escape_at_2 == 0.5
    assert figures(parts).overkill_at_0 == 0.5
    assert figures(parts, ("pit",)).ap == 1
    assert figures(parts, ("crack",)).ap == 0.5
    assert math.isnan(figures(parts, ("rust",)).ap)
    assert math.isnan(figures(_parts({"pit": [0.5]})).escape_at_2)


def test_the_table_carries_means_deviations_and_subsets() -> None:
    page = markdown([_comparison(10.0, CRACK_MISSED)], RECIPE)
    # APs 1 and 5/6: mean 0.917, standard deviation of a sample of two 0.118
    row = next(line for line in page.splitlines() if line.startswith("| line | 2 |")).split(" | ")
    assert [row[i] for i in (2, 4, 5, 6)] == ["0.917 ± 0.118", "25.0 % ± 35.4 %", "25.0 % ± 35.4 %", "0.500 ± 0.000"]
    assert "| network | pit, 1 group | crack, 1 group | sharp (pit+crack), 2 groups | thin (crack), 1 group |" in page
    assert "| lraspp | 1.000 | 0.500 | 0.833 | 0.500 |" in page
    assert "12 minutes for each run, from scratch, on cpu; commit abc." in page


@pytest.mark.parametrize(
    ("own", "own_ms", "ap", "latency"),
    [
        (PERFECT, 20.0, "holds", "holds"),
        (PERFECT, 20.1, "holds", "FAILS"),
        (PIT_MISSED, 5.0, "FAILS", "holds"),
    ],
)
def test_it_says_whether_the_own_network_holds(
    own: dict[str, list[float]], own_ms: float, ap: str, latency: str
) -> None:
    comparison = _comparison(own_ms, own)
    verdict = decide(comparison)
    assert verdict is not None
    assert verdict.best == "unet-resnet18"  # the highest AP, not the fastest
    lines = verdict_lines(comparison)
    assert f"baseline's: {ap}." in lines[0]
    assert f"baseline's: {latency}." in lines[1]
    assert lines[0].endswith("too few groups to say how sure.")
    assert all(line in markdown([comparison], RECIPE) for line in lines)


def test_data_without_good_parts_make_a_page_that_says_nothing_of_ap() -> None:
    comparison = Comparison("steel", "", (), (_run("line", 0, {"pit": [0.8]}),), {"line": Timing(4, 4, 4, "")})
    assert "| line | 1 | – | – | – | – |" in markdown([comparison], RECIPE)
    assert "nan" not in scatter(comparison)


def test_without_a_baseline_there_is_nothing_to_decide() -> None:
    alone = Comparison("plates", "", (), (_run("line", 0, PERFECT),), {"line": Timing(1, 1, 1, "")})
    assert decide(alone) is None
    assert verdict_lines(alone) == []
