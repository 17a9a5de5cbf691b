"""The bench measures the line it claims to measure: every stage is there, and they add up to the whole."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from linegate.cameras.errors import CameraError
from linegate.cameras.frame import Frame
from linegate.inspect import bench_phases, benchmark
from linegate.inspect.bench_shadow import bench_shadow
from linegate.inspect.benchmark import LineResult, bench_engines, bench_line
from linegate.inspect.cli import app
from linegate.inspect.stages import GIVEN, STAGES
from linegate.models.certificate import certify

from ..models.tiny import bundle, findings
from .command import write_station
from .rig import settings


def test_stages_add_up_and_the_verdict_is_honest(tmp_path: Path, plates: Path, blobs: Path) -> None:
    heard: list[str] = []
    wanted = settings(plates, blobs, rate=6.0)
    result = bench_line(wanted, tmp_path, tmp_path, 3.0, 12, lambda what, _share: heard.append(what))
    assert [row.stage for row in result.stages] == [*STAGES, "whole"]
    assert sum(row.share for row in result.stages[:-1]) == pytest.approx(1.0, abs=0.02)
    assert result.summary.triggers == 18 and result.summary.exit_code == 0
    assert 0 < result.floor.p50_ms < result.stages[-1].latency.p50
    assert any("18 parts" in what for what in heard)
    assert not list(tmp_path.glob("fsync.db*"))
    by_name = {row.stage: row.latency for row in result.stages}
    assert 0 < by_name["fsync"].p50 < by_name["whole"].p50
    assert 0 < by_name["camera"].p50 < by_name["whole"].p50
    own = [name for name in STAGES if name not in GIVEN]
    assert result.overhead.max >= max(by_name[name].max for name in own), "none of Linegate's own stages is left out"
    assert len(result.memory_mb) >= 3 and all(mb > 20 for _, mb in result.memory_mb)
    _judge(result)


def _judge(result: LineResult) -> None:
    """What fails a run, on the figures of a real one."""
    memory = [(10.0 * k, 400.0) for k in range(61)]
    well = replace(
        result,
        summary=replace(result.summary, deadline_misses=0, not_inspected=0, contradictions=(), parts_per_s=5.9),
        memory_mb=memory,
    )
    assert well.failures() == []
    for change, words in (
        ({"deadline_misses": 2}, "2 deadline misses"),
        ({"not_inspected": 1}, "1 parts not inspected"),
        ({"contradictions": ("rows",)}, "do not add up"),
        ({"passed_without_row": 1}, "do not add up"),
        ({"parts_per_s": 5.0}, "5.0 parts/s of 6"),
    ):
        (failure,) = replace(well, summary=replace(well.summary, **change)).failures()
        assert words in failure
    grows = replace(well, memory_mb=[(at_s, mb + at_s / 60 * 6) for at_s, mb in memory])
    assert grows.memory_mb_per_min == pytest.approx(6.0)
    assert "grows by 6.0 MB/min" in grows.failures()[0]
    begins = replace(well, memory_mb=[(at_s, mb + min(at_s, 100)) for at_s, mb in memory])
    assert begins.failures() == [], "what is allocated once at the start is no growth"


def test_a_run_with_misses_exits_with_1(tmp_path: Path, plates: Path, blobs: Path) -> None:
    hurried = ("deadline_ms = 800.0", "deadline_ms = 20.6\nlog_reserve_ms = 20.5")
    station = write_station(tmp_path, blobs, plates, hurried)
    options = ["--rate", "6", "--seconds", "1", "--pool", "3", "--data", str(tmp_path / "bench"), "--json"]
    done = CliRunner().invoke(app, ["bench", "--station", str(station), *options])
    assert done.exit_code == 1, done.output
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["run"]["not_inspected"] == 6, said["run"]
    assert "6 parts not inspected" in said["failures"]


def test_a_station_that_is_not_ready_is_no_measurement(
    tmp_path: Path, plates: Path, blobs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = settings(plates, blobs, rate=6.0)
    (camera,) = wanted.cameras
    away = wanted.model_copy(update={"cameras": (camera.model_copy(update={"serial": "12345678"}),)})
    monkeypatch.setattr(benchmark, "CAMERAS_S", 1.0)
    monkeypatch.setattr(benchmark, "_camera_alone", lambda _settings: None)
    monkeypatch.setattr(benchmark, "_frame", lambda _settings: None)
    monkeypatch.setattr(benchmark, "_infer_alone", lambda *_: None)
    with pytest.raises(CameraError, match="12345678"):
        bench_line(away, tmp_path, tmp_path, 1.0, 3, lambda _what, _share: None)


def test_engines_are_ranked_as_they_are_whatever_the_gate_has_tried(tmp_path: Path) -> None:
    one = bundle(tmp_path / "b")
    released = certify(one, findings(one, parity=[]), "Ada", "it was content", tmp_path / "released")
    spec = released.manifest.input
    image = np.zeros((spec.height_px, spec.width_px), np.uint8)
    ranked = bench_engines(released, Frame(image, "top", 0, 0, 0, "Mono8"), 1)
    names = [name for name, latency, _ in ranked if latency is not None]
    assert names[0] == "openvino CPU accuracy, 1 thread"
    assert names[1] in ("openvino CPU bf16, 1 thread", "openvino CPU fp32, 1 thread")  # as the processor computes
    assert len(set(names)) == 3


def test_what_a_shadow_costs_is_measured_with_a_shadow_that_judges(
    tmp_path: Path, plates: Path, blobs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_phases, "SETTLE_S", 0.5)
    candidate = tmp_path / "candidate"
    shutil.copytree(blobs, candidate)
    manifest = json.loads((candidate / "manifest.json").read_text())
    (candidate / "manifest.json").write_text(json.dumps(manifest | {"version": "2"}))
    heard: list[str] = []
    wanted = settings(plates, blobs, rate=6.0)
    console = Console(file=io.StringIO())
    data = tmp_path / "data"
    data.mkdir()
    result = bench_shadow(console, wanted, str(candidate), data, tmp_path, 4.0, 12, heard.append, phase_s=1.0)
    assert result["judged"] > 0
    assert result["without"]["parts"] > 0 and result["beside"]["parts"] > 0
    assert [what for what in heard if what.startswith("phase")] == [
        f"phase {n} of 4, shadow {state}" for n, state in ((1, "off"), (2, "on"), (3, "on"), (4, "off"))
    ]
