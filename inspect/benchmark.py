"""Measurements of the line: each stage alone (the floor), then the whole line under load, in the same run."""

from __future__ import annotations

import contextlib
import math
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression

from linegate.cameras.errors import LinegateError
from linegate.cameras.factory import open_camera
from linegate.cameras.frame import Frame
from linegate.inspect.interpreter import settle
from linegate.inspect.runtime.engines import open_session
from linegate.inspect.runtime.proven import open_proven
from linegate.inspect.runtime.session import InferenceSession
from linegate.inspect.settings import RuntimeSettings, StationSettings
from linegate.inspect.stages import StageRow
from linegate.inspect.station import Station
from linegate.inspect.summary import Latency, RunSummary
from linegate.inspect.virtual.plant import VirtualPlant
from linegate.inspect.virtual_overrides import at_plant, known_truth, shown_photos
from linegate.models.bundle import Bundle
from linegate.models.preprocess import Preprocessor

ALONE_RUNS = 200
ENGINES = (("openvino", "accuracy"), ("openvino", "bf16"), ("onnxruntime", "fp32"))
CAMERAS_S = 5.0
READY_S = 60.0
SAMPLE_S = 1.0
SUSTAINED_SHARE = 0.95
"""A line that saw fewer of the parts asked for in its time has not kept up, or the plant has not."""
SETTLED_SHARE = 0.25
"""What the first part of a run allocates for good is no growth."""
LEAST_TREND_S = 120.0
MOST_MB_PER_MIN = 5.0
"""Memory that grows faster is not flat; judged from LEAST_TREND_S on, before that it is noise."""


@dataclass(frozen=True, slots=True)
class Floor:
    """What can't be had cheaper on this machine: each step alone, nothing else of Linegate running, in ms."""

    camera: Latency
    infer: Latency
    fsync: Latency

    @property
    def p50_ms(self) -> float:
        """Sum of the medians."""
        return self.camera.p50 + self.infer.p50 + self.fsync.p50


@dataclass(frozen=True, slots=True)
class LineResult:
    """The line under load."""

    rate_parts_per_s: float
    summary: RunSummary
    stages: list[StageRow]
    overhead: Latency
    floor: Floor
    memory_mb: list[tuple[float, float]]
    """Seconds since the start, resident memory of the line process without the pictures held for recall, which are bounded
    by [images] recall_mb and only fill it."""
    starved_ms: int = 0
    """How long the plant's belt waited for pictures."""

    @property
    def memory_mb_per_min(self) -> float:
        """Trend over the settled part of the run, by least squares; NaN for too few samples."""
        last_s = self.memory_mb[-1][0]
        settled = [(at_s / 60, mb) for at_s, mb in self.memory_mb if at_s >= SETTLED_SHARE * last_s]
        if len(settled) < 3:
            return math.nan
        return linear_regression(*zip(*settled, strict=True)).slope

    def failures(self) -> list[str]:
        """Why this run does not count as passed, in words; [] when it does."""
        summary, found = self.summary, []
        if summary.deadline_misses:
            found.append(f"{summary.deadline_misses} deadline misses")
        if summary.not_inspected:
            found.append(f"{summary.not_inspected} parts not inspected")
        if summary.exit_code:
            found.append("the counts do not add up, see above")
        if summary.parts_per_s < SUSTAINED_SHARE * self.rate_parts_per_s:
            whose = f"; the plant waited {self.starved_ms / 1000:.1f} s for pictures" if self.starved_ms else ""
            found.append(f"{summary.parts_per_s:.1f} parts/s of {self.rate_parts_per_s:g} asked for{whose}")
        if self.memory_mb[-1][0] >= LEAST_TREND_S and self.memory_mb_per_min > MOST_MB_PER_MIN:
            found.append(f"memory grows by {self.memory_mb_per_min:.1f} MB/min, more than {MOST_MB_PER_MIN:g}")
        return found


def bench_line(
    settings: StationSettings, data: Path, base: Path, seconds: float, pool: int, tell: Callable[[str, float], None]
) -> LineResult:
    """Measure the floor, then run the virtual line for ``seconds``. ``tell`` hears (what, share done)."""
    if settings.virtual is None:
        raise LinegateError(
            "linegate bench",
            expected="a station with a [virtual] section",
            found="a real line",
            remedy="Measure on the shipped station.toml; the real line's own figures stand in the part log.",
        )
    rate = settings.virtual.rate_parts_per_s
    parts = max(1, round(rate * seconds))
    tell("drawing parts", 0.0)
    with _plant(settings, data, base, parts, pool) as plant:
        settings = at_plant(settings, plant)
        tell("each step alone", 0.0)
        frame = _frame(settings)
        camera = _camera_alone(settings)
        fsync = _fsync_alone(data)
        station = Station(settings, data, base)
        try:
            bundle = station.tracker.active.bundle
            floor = Floor(camera, _infer_alone(open_proven(bundle, settings.runtime).session, bundle, frame), fsync)
            station.start()
            _wait_ready(station)
            settle()
            plant.run_belt()
            memory = _watch(plant, station, parts, tell)
            station.finish()
            summary = station.summary(*known_truth(plant))
            starved_ms = plant.report().starved_ms
            rows, overhead = station.stages.rows(), Latency.of(station.stages.overhead_ms())
        finally:
            station.stop()
    return LineResult(rate, summary, rows, overhead, floor, memory, starved_ms)


def _plant(settings: StationSettings, data: Path, base: Path, parts: int, pool: int) -> VirtualPlant:
    assert settings.virtual is not None
    photos = shown_photos(settings, data, base)
    return VirtualPlant.start(
        settings.virtual,
        data / "plant",
        plc_port=0,
        views=tuple(camera.name for camera in settings.cameras),
        parts=parts,
        pool=min(pool, parts),
        leave_out=photos.left_out if photos is not None else frozenset(),
    )


@contextlib.contextmanager
def under_load(
    settings: StationSettings, data: Path, base: Path, parts: int, pool: int, tell: Callable[[str, float], None]
) -> Iterator[tuple[VirtualPlant, Station]]:
    """The virtual line with its belt running, stopped at the end whether it has run empty or not."""
    tell("drawing parts", 0.0)
    with _plant(settings, data, base, parts, pool) as plant:
        station = Station(at_plant(settings, plant), data, base)
        try:
            station.start()
            _wait_ready(station)
            settle()
            plant.run_belt()
            yield plant, station
            plant.pause()
            station.finish()
        finally:
            station.stop()


def bench_engines(bundle: Bundle, frame: Frame, threads: int) -> list[tuple[str, Latency | None, str]]:
    """The bundle's network on each CPU engine: device in words, times, and why not where it can't run."""
    results: list[tuple[str, Latency | None, str]] = []
    for engine, precision in ENGINES:
        settings = RuntimeSettings.model_validate({"engine": engine, "precision": precision, "threads": threads})
        try:
            session = open_session(bundle, settings)  # proven or not: how fast it would be
            results.append((session.device, _infer_alone(session, bundle, frame), ""))
        except LinegateError as error:
            results.append((f"{engine} {precision}", None, str(error)))
    return results


def example_frame(settings: StationSettings, data: Path) -> Frame:
    """One picture of the virtual line."""
    assert settings.virtual is not None
    views = tuple(camera.name for camera in settings.cameras)
    with VirtualPlant.start(settings.virtual, data / "plant", plc_port=0, views=views, parts=1, pool=1) as plant:
        return _frame(at_plant(settings, plant))


def _wait_ready(station: Station) -> None:
    if station.wait_ready(CAMERAS_S, threading.Event()):
        return
    station.require_cameras()
    if not station.wait_ready(READY_S, threading.Event()):
        raise LinegateError(
            "the line under load",
            expected=f"a station that is ready within {READY_S:g} s",
            found="; ".join(station.complaints()) or "one that is not",
            remedy="Run `linegate check`.",
        )


def resident_mb() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def _watch(
    plant: VirtualPlant, station: Station, parts: int, tell: Callable[[str, float], None]
) -> list[tuple[float, float]]:
    began, memory = time.monotonic(), [(0.0, _own_mb(station))]
    while not plant.wait_finished(SAMPLE_S / 2):
        held_up = station.held_up()
        if held_up:
            raise LinegateError(
                "the line under load",
                expected="parts inspected without a stop",
                found=held_up,
                remedy="Lower --rate, or free the machine: its load average stands in the output.",
            )
        done = station.counts().triggers
        tell(f"the line under load, {done} of {parts} parts", done / parts)
        now = time.monotonic() - began
        if now - memory[-1][0] >= SAMPLE_S:
            memory.append((now, _own_mb(station)))
    memory.append((time.monotonic() - began, _own_mb(station)))
    return memory


def _own_mb(station: Station) -> float:
    return resident_mb() - station.images.status().recall_mb


def _frame(settings: StationSettings) -> Frame:
    camera = open_camera(settings.cameras[0])
    camera.open()
    try:
        camera.arm()
        camera.trigger(5.0)
        frame = camera.fetch(5.0)
        if not isinstance(frame, Frame):
            raise LinegateError(
                f"camera {camera.name!r}", expected="a frame", found=str(frame), remedy="Run `linegate check`."
            )
        return frame
    finally:
        camera.close()


def _camera_alone(settings: StationSettings) -> Latency:
    camera = open_camera(settings.cameras[0])
    camera.open()
    try:
        camera.arm()
        times = []
        for _ in range(ALONE_RUNS):
            began = time.perf_counter()
            camera.trigger(5.0)
            if isinstance(camera.fetch(5.0), Frame):
                times.append((time.perf_counter() - began) * 1e3)
        return Latency.of(times)
    finally:
        camera.close()


def _infer_alone(session: InferenceSession, bundle: Bundle, frame: Frame) -> Latency:
    """Closes ``session``."""
    try:
        tensor = Preprocessor(bundle.manifest.input).prepare(frame.image).tensors[0]
        times = []
        for _ in range(ALONE_RUNS):
            began = time.perf_counter()
            session.infer(tensor)
            times.append((time.perf_counter() - began) * 1e3)
        return Latency.of(times)
    finally:
        session.close()


def _fsync_alone(data: Path) -> Latency:
    """One small row a commit, as durable as the part log: WAL, synchronous=FULL."""
    path = data / "fsync.db"
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)")
        times = []
        for k in range(ALONE_RUNS):
            began = time.perf_counter()
            connection.execute("INSERT INTO t VALUES (?, ?)", (k, "x" * 500))
            times.append((time.perf_counter() - began) * 1e3)
        return Latency.of(times)
    finally:
        connection.close()
        for end in ("", "-wal", "-shm"):
            path.with_name(path.name + end).unlink(missing_ok=True)
