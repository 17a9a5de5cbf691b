"""The virtual PLC as a process: the program's scan and a Modbus TCP server on one event loop."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from linegate.inspect.plc import registers as reg
from linegate.inspect.virtual.launch import leave_group
from linegate.inspect.virtual.plc import PlcProgram
from linegate.inspect.virtual.signals import Signals, Word

SCAN_S = 0.0015
"""Pause between two scans; the event loop adds its own rounding. A Modbus read scans for itself."""


@dataclass(frozen=True, slots=True)
class PlcPlan:
    """What one life of the PLC needs to know. ``port`` 0 takes a free one."""

    signals: Path
    epoch_file: Path
    host: str
    port: int
    device_id: int
    travel_ms: float
    stop_delay_ms: float
    checks_confirm: bool


def next_epoch(file: Path) -> int:
    """1 to 65535, never the previous life's; kept in ``file``, as a PLC keeps it in its retentive memory."""
    try:
        last = int(file.read_text())
    except (FileNotFoundError, ValueError):
        last = random.SystemRandom().randrange(0xFFFF)
    epoch = last % 0xFFFF + 1
    kept = os.open(file, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.pwrite(kept, f"{epoch:05d}".encode(), 0)  # in place, one write: a full disk does not stop a PLC
        os.ftruncate(kept, 5)
    finally:
        os.close(kept)
    return epoch


def main(plan: PlcPlan, parent: Connection) -> None:
    """Run until ``parent`` closes its end. Sends ("port", number) when it listens, or ("error", words)."""
    leave_group()
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)
    asyncio.run(_run(plan, parent))


async def _run(plan: PlcPlan, parent: Connection) -> None:
    signals = Signals(plan.signals)
    program = PlcProgram(
        signals,
        next_epoch(plan.epoch_file),
        plan.travel_ms,
        plan.stop_delay_ms,
        time.monotonic_ns,
        checks_confirm=plan.checks_confirm,
    )

    async def access(
        _function_code: int,
        _start_address: int,
        address: int,
        count: int,
        current_registers: list[int],
        set_values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        """The inputs are read at once for every request, so that what a client reads is never a scan old."""
        if set_values is None:
            program.scan()
            program.refresh()
        elif not program.write(address, [int(value) for value in set_values]):
            return ExcCodes.ILLEGAL_ADDRESS
        current_registers[address : address + count] = program.memory[address : address + count]
        return None

    block = SimData(0, count=reg.MAP_LENGTH, values=0, datatype=DataType.REGISTERS)
    device = SimDevice(id=plan.device_id, simdata=[block], action=access)
    server = ModbusTcpServer(device, address=(plan.host, plan.port))
    try:
        await server.serve_forever(background=True)
    except (RuntimeError, OSError) as error:
        parent.send(("error", str(error)))
        return
    listening = server.transport
    assert isinstance(listening, asyncio.Server)
    signals[Word.PLC_PID] = os.getpid()
    parent.send(("port", listening.sockets[0].getsockname()[1]))
    over = asyncio.Event()
    asyncio.get_running_loop().add_reader(parent.fileno(), over.set)
    while not over.is_set():
        program.scan()
        await asyncio.sleep(SCAN_S)
    await server.shutdown()  # type: ignore[no-untyped-call]
