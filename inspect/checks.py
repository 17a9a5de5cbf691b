"""Every cable and file of a station, tried one by one, each finding in words with what to do.

Nothing here speaks for a line that may be running: the PLC is only read (and its spare register written), the log's
transaction is rolled back, and what the station would create is not created.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np

from linegate.cameras.camera import CameraInfo
from linegate.cameras.errors import LinegateError
from linegate.cameras.settings import CameraSettings
from linegate.inspect.checks_camera import check_camera, check_pulse
from linegate.inspect.checks_runtime import check_recipe, check_shadow
from linegate.inspect.checks_virtual import check_belt, check_photos
from linegate.inspect.findings import Finding, attempt
from linegate.inspect.priority import REMEDY, may_go_first
from linegate.inspect.settings import StationSettings

OLDEST_CLOCK = datetime(2026, 1, 1, tzinfo=UTC)
"""A clock before this has lost its battery."""
FSYNCS = 25
HEARTBEAT_WAIT_S = 1.0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to try: what it is about, and the trial."""

    about: str
    run: Callable[[], Finding]


def station_checks(station: StationSettings, base: Path) -> Iterator[Check]:
    """All checks of a station whose file lies in ``base``, quick ones first."""
    yield Check("clock", check_clock)
    if station.runtime.real_time:
        yield Check("priority", check_priority)
    yield Check("disk", lambda: check_disk(station))
    yield Check("fsync", lambda: check_fsync(station))
    yield Check("log", lambda: check_log(station))
    if station.screens.enabled:
        yield Check("screens", lambda: check_port("screens", station.screens.host, station.screens.port, "[screens]"))
    if station.virtual is not None:
        yield Check("plc", lambda: check_port("virtual PLC", "127.0.0.1", station.plc.port, "[plc]"))
        yield Check("virtual line", lambda: check_belt(station))
        if station.virtual.photos is not None:
            yield Check("photos", lambda: check_photos(station, base))
    else:
        yield Check("plc", lambda: check_plc(station))
    seen: dict[str, CameraInfo] = {}
    for camera in station.cameras:
        yield Check(f"camera {camera.name}", partial(_camera, station, camera, seen))
    if station.pulse is not None:
        yield Check("pulse", lambda: check_pulse(station))
    for recipe in station.recipes:
        yield Check(f"recipe {recipe.id}", partial(check_recipe, station, recipe, base, seen))
    if station.shadow is not None:
        yield Check("shadow", lambda: check_shadow(station, base))


def _camera(station: StationSettings, camera: CameraSettings, seen: dict[str, CameraInfo]) -> Finding:
    return check_camera(camera, virtual=station.virtual is not None, seen=lambda info: seen.update({camera.name: info}))


def check_priority() -> Finding:
    """A line without it works, and is late when something else on the machine is busy."""
    if may_go_first():
        return Finding("priority", True, "real-time: the line goes before all else on this machine", "")
    found = "normal: what else runs on this machine can make a verdict late, and its part is rejected"
    return Finding("priority", True, found, f"For a real line, {REMEDY}")


def check_clock() -> Finding:
    """Rows carry UTC: a clock that lost its battery would date them wrongly."""
    now = datetime.now(UTC)
    sane = now >= OLDEST_CLOCK
    return Finding(
        "clock", sane, f"{now:%Y-%m-%d %H:%M:%S} UTC", "" if sane else "Set the clock; let NTP or chrony keep it."
    )


def check_disk(station: StationSettings) -> Finding:
    """Free space where log and pictures go."""
    folder = existing(station.data)
    free_mb = shutil.disk_usage(folder).free / 1e6
    enough = free_mb >= station.log.min_free_mb
    note = f"{free_mb / 1000:.1f} GB free at {station.data}"
    if enough and free_mb < station.images.max_gb * 1000:
        note += f"; pictures may take {station.images.max_gb:g} GB, so lower [images] max_gb or give more"
    remedy = "" if enough else f"Free disk space: below {station.log.min_free_mb:g} MB nothing passes."
    return Finding("disk", enough, note, remedy)


def check_fsync(station: StationSettings) -> Finding:
    """How long a durable write takes: it is part of every PASS."""
    folder = existing(station.data)

    def trial() -> Finding:
        times_ms = []
        with tempfile.TemporaryFile(dir=folder) as file:
            for _ in range(FSYNCS):
                file.write(b"\0" * 4096)
                file.flush()
                begin = time.perf_counter()
                os.fsync(file.fileno())
                times_ms.append((time.perf_counter() - begin) * 1000)
        p50, worst = float(np.median(times_ms)), max(times_ms)
        fits = p50 <= station.timing.log_reserve_ms
        remedy = "" if fits else "Put data on a local SSD; log_reserve_ms under [timing] is what a row may take."
        return Finding("fsync", fits, f"{p50:.1f} ms, worst of {FSYNCS} {worst:.1f} ms", remedy)

    return attempt("fsync", trial, f"Make {folder} writeable for the user that runs Linegate.")


def check_log(station: StationSettings) -> Finding:
    """The part log's database opens and takes a write."""
    from sqlalchemy import text
    from sqlalchemy.exc import SQLAlchemyError

    from linegate.inspect.partlog.database import explain, log_url, make_engine, place

    def trial() -> Finding:
        url = log_url(station.log, station.data)
        new = url.get_backend_name() == "sqlite" and not Path(str(url.database)).exists()
        if new:
            # Asking for a lock on a database that is not there would create it.
            with tempfile.TemporaryFile(dir=existing(Path(str(url.database)).parent)):
                return Finding("log", True, f"{url.database} will be created at the first start", "")
        engine = make_engine(url, access="write")
        try:
            begin = time.perf_counter()
            with engine.connect() as connection:  # "write" takes the write lock at BEGIN
                durable = "on"
                if engine.dialect.name == "postgresql":
                    durable = str(connection.execute(text("SHOW fsync")).scalar_one())
                else:
                    connection.execute(text("SELECT 1"))
                connection.rollback()
            took_ms = (time.perf_counter() - begin) * 1000
            if durable != "on":
                found = (
                    f"{place(engine)} runs with fsync = {durable}: a power cut takes rows back that a PASS rested on"
                )
                return Finding("log", False, found, "Set fsync = on in the server's postgresql.conf.")
            return Finding("log", True, f"{place(engine)} opens and can be written ({took_ms:.0f} ms)", "")
        except (SQLAlchemyError, OSError) as error:
            raise explain(error, engine) from error
        finally:
            engine.dispose()

    return attempt("log", trial, "Make the data folder writeable for the user that runs Linegate.")


def check_port(name: str, host: str, port: int, table: str) -> Finding:
    """A port that the station will listen on is free."""

    def trial() -> Finding:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
        return Finding(name, True, f"port {port} on {host} is free" if port else "takes any free port", "")

    return attempt(name, trial, f"Port {port}: end what listens there, perhaps this station itself, or change {table}.")


def check_plc(station: StationSettings) -> Finding:
    """Connect, read the whole map, see the heartbeat move."""
    from linegate.inspect.plc.modbus import ModbusPlc

    def trial() -> Finding:
        driver = ModbusPlc(station.plc)
        driver.connect()
        try:
            first = driver.probe()
            deadline = time.monotonic() + HEARTBEAT_WAIT_S
            while (block := driver.probe()).heartbeat == first.heartbeat and time.monotonic() < deadline:
                time.sleep(0.02)
        finally:
            driver.close()
        where = f"{station.plc.host}:{station.plc.port}"
        if block.heartbeat == first.heartbeat:
            return Finding(
                "plc",
                False,
                f"{where} answers, but its heartbeat (register 200) stood still for {HEARTBEAT_WAIT_S:g} s",
                "Set the PLC to RUN, and let its program count register 200 up.",
            )
        if block.trig_id != block.triggered & 0xFFFF:
            return Finding(
                "plc",
                False,
                f"TRIG_ID (202) is {block.trig_id}, the trigger count (210) {block.triggered}",
                "Register 202 must be the low word of the count; update both in one scan (docs/plc.md).",
            )
        found = f"{where} answers, map readable, heartbeat moves, epoch {block.epoch}, {block.triggered} parts counted"
        return Finding("plc", True, found, "")

    return attempt("plc", trial, "")


def existing(folder: Path) -> Path:
    """``folder``, or the nearest folder above it that exists."""
    folder = folder.absolute()
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return folder


def settings_finding(path: Path, load: Callable[[Path], StationSettings]) -> tuple[StationSettings | None, Finding]:
    """The first check: the file itself."""
    try:
        station = load(path)
    except LinegateError as error:
        return None, Finding("settings", False, f"{error.thing}: {error.found}", error.remedy)
    kind = "the virtual line" if station.virtual is not None else "a real line"
    cameras = ", ".join(camera.name for camera in station.cameras)
    return station, Finding("settings", True, f"{path}: {station.name}, {kind}, cameras {cameras}", "")
