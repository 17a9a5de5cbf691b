"""How the plant's processes are started, heard and ended, and where their pictures lie."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from linegate.cameras.errors import LinegateError, SettingsError
from linegate.inspect.plc.registers import SLOT_COUNT
from linegate.inspect.virtual.errors import PlantError, PlantStopped

CONTEXT = multiprocessing.get_context("spawn")
START_S = 120.0
"""Longest wait for a process's first word; a busy machine is slow to start Python."""
WIRES = "wires"
_LOOK_S = 0.1
_END_S = 5.0
_PREFIX = "linegate-plant-"
_SHM = Path("/dev/shm")
_ROOM_BYTES = 512 * 2**20


def start(target: Callable[..., None], name: str, plan: object, *ends: Connection) -> BaseProcess:
    """A process that runs ``target(plan, *ends)``; ``ends`` are closed on this side, so that the other's end means an
    end of file to whoever holds the pipe's other half."""
    process = CONTEXT.Process(target=target, args=(plan, *ends), name=name, daemon=True)
    # A terminal's Ctrl-C reaches the whole group: it must not end a process that is still loading, see leave_group. The
    # resource tracker's own start, inside the first process's, would unblock the signal again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    for end in ends:
        end.close()
    return process


def leave_group() -> None:
    """Called first in each process: Ctrl-C, and a supervisor's SIGTERM to the whole group, are the owner's to handle; it
    stops the plant in order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if os.getpid() != os.getsid(0):
        os.setsid()


def hear(end: Connection, who: str, timeout_s: float, stop: Callable[[], bool] = lambda: False) -> Any:
    """The next word of ``who``. Raises PlantError when none comes or the process ended without one, PlantStopped as soon
    as ``stop`` says so."""
    deadline = time.monotonic() + timeout_s
    try:
        while not end.poll(max(0.0, min(_LOOK_S, deadline - time.monotonic()))):
            if stop():
                raise PlantStopped(
                    "virtual plant",
                    expected="to be set up",
                    found="that its owner asked for the end",
                    remedy="Start it again.",
                )
            if time.monotonic() >= deadline:
                break
        else:
            return end.recv()
        found = f"no word for {timeout_s:g} s"
    except (EOFError, ConnectionResetError):
        found = "that it ended without a word"
    raise PlantError(
        f"virtual plant, {who}", expected="a process that reports ready", found=found, remedy="Start it again."
    )


def wait_drawn(
    world: Connection,
    total: int,
    progress: Callable[[str, int, int], None] | None,
    stop: Callable[[], bool],
) -> None:
    """Until the first ``total`` pictures are drawn; ``progress`` hears (what, done, total). Raises what the world reports
    instead, or as ``hear``."""
    while True:
        news = hear(world, "world", START_S, stop)
        if isinstance(news, LinegateError):
            raise news
        if progress is not None:
            progress("drawing parts", min(news[1], total), total)
        if news[0] == "ready":
            return


def offer_wires(folder: Path, signals: Path) -> None:
    """Let other programs on this machine find the running plant's wires: ``folder``/wires leads to them."""
    withdraw_wires(folder)
    (folder / WIRES).symlink_to(signals)


def withdraw_wires(folder: Path) -> None:
    """The plant is going."""
    (folder / WIRES).unlink(missing_ok=True)


def join(process: BaseProcess) -> None:
    """Wait for a process that was told to end; kill it when it does not."""
    process.join(_END_S)
    if process.is_alive():
        process.kill()
        process.join()
    process.close()


def check_port(host: str, port: int) -> None:
    """Say at once, before anything is started, that ``port`` is taken. Raises PlantError; 0 is never taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise port_taken(host, port, str(error)) from None


def port_taken(host: str, port: int, why: str) -> PlantError:
    """The error for a port that can't be listened on."""
    return PlantError(
        f"virtual PLC, port {port} of {host}",
        expected="a free port",
        found=f"one it can't listen on ({why})",
        remedy="Choose another [plc] port, 0 for any free one, or end the program that holds it.",
    )


def scratch_folder(folder: Path) -> Path:
    """A new folder for pictures and stages: in memory where there is room (so that pictures never compete with the part
    log for the disk), else in ``folder``. What a killed plant left behind is swept first."""
    for base in (_SHM, folder):
        for left in base.glob(f"{_PREFIX}*-*") if base.is_dir() else ():
            pid = left.name.removeprefix(_PREFIX).partition("-")[0]
            if pid.isdigit() and not _alive(int(pid)):
                shutil.rmtree(left, ignore_errors=True)
    roomy = _SHM.is_dir() and os.access(_SHM, os.W_OK) and shutil.disk_usage(_SHM).free > _ROOM_BYTES
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_SHM if roomy else folder)).resolve()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def check_rate(parts_per_s: float, travel_ms: float) -> None:
    """A part's slot is taken again SLOT_COUNT parts later; by then it must have passed the gate. Raises SettingsError."""
    on_the_way = parts_per_s * travel_ms / 1000
    if on_the_way > SLOT_COUNT - 2:
        raise SettingsError(
            f"virtual line, {parts_per_s:g} parts/s",
            expected=f"at most {SLOT_COUNT - 2} parts between camera and gate, the PLC has {SLOT_COUNT} slots",
            found=f"{on_the_way:.1f} with camera_to_gate_ms = {travel_ms:g}",
            remedy=f"Set camera_to_gate_ms to {(SLOT_COUNT - 2) * 1000 / parts_per_s:.0f} or less, or lower the rate.",
        )
