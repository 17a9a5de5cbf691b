"""A PLC of its own process for these tests: a Modbus server with the P block, slots, and faults on request.

Commands come as JSON lines on stdin, each is answered by a JSON line. It knows nothing of Linegate's code: the
addresses are written out from the table in docs/plc.md.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

state = {
    "epoch": 7,
    "triggered": 0,
    "passed": 0,
    "rejected": 0,
    "confirmed": 0,
    "no_verdict": 0,
    "encoder": 0,
    "control": 3,
    "command": 0,
    "recipe_asked": 0,
    "faults": 0,
    "beating": True,
    "delay_ms": 0,
    "refuse": {},  # function code -> exception code
    "torn": 0,  # so many reads show a TRIG_ID that is one ahead of the count
    "short": 0,  # registers missing at the end of an answer
}
started = time.monotonic()
beat = {"value": 0}
writes: list[dict] = []
registers: list[int] = []


def heartbeat() -> int:
    if state["beating"]:
        beat["value"] = int((time.monotonic() - started) / 0.05) & 0xFFFF
    return beat["value"]


def p_block() -> list[int]:
    block = [heartbeat(), state["epoch"], state["triggered"] & 0xFFFF]
    if state["torn"]:
        state["torn"] -= 1
        block[2] = (block[2] + 1) & 0xFFFF
    block += divmod(state["encoder"], 65536)
    block += [state["control"], state["command"], state["recipe_asked"], state["faults"], 0]
    for name in ("triggered", "passed", "rejected", "confirmed", "no_verdict"):
        block += divmod(state[name], 65536)
    return block


async def action(function, start, address, count, current, values):
    global registers
    registers = current
    if values is not None:
        if state["delay_ms"]:
            await asyncio.sleep(state["delay_ms"] / 1000)
        if str(function) in state["refuse"]:
            return ExcCodes(state["refuse"][str(function)])
        if address >= 16:
            writes.append({"address": address, "words": list(values), "ns": time.monotonic_ns()})
    else:
        current[200:220] = p_block()
    return None


def shorten(sending: bool, pdu):
    if sending and state["short"] and pdu.function_code == 23 and not pdu.isError():
        pdu.registers = pdu.registers[: -state["short"]]
    return pdu


def command(asked: dict) -> dict:
    for name, value in asked.get("set", {}).items():
        assert name in state, name
        state[name] = value
    for _ in range(asked.get("trigger", 0)):
        state["triggered"] = (state["triggered"] + 1) % (1 << 32)
        if registers:
            slot = 16 + 8 * (state["triggered"] % 16)
            registers[slot : slot + 8] = [0] * 8
    if asked.get("zero"):
        registers[0:200] = [0] * 200
    return {"registers": list(registers[0:144]), "p": p_block(), "writes": list(writes), "ns": time.monotonic_ns()}


async def main() -> None:
    port = int(sys.argv[1])
    state.update(json.loads(sys.argv[2]))
    blocks = [SimData(0, count=int(sys.argv[3]), values=0, datatype=DataType.REGISTERS)]
    server = ModbusTcpServer(
        SimDevice(id=1, simdata=blocks, action=action), address=("127.0.0.1", port), trace_pdu=shorten
    )
    await server.serve_forever(background=True)
    port = server.transport.sockets[0].getsockname()[1]
    print(json.dumps({"port": port}), flush=True)
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()

    def answer(line: str) -> None:
        print(json.dumps(command(json.loads(line))), flush=True)

    def listen() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(answer, line)
        loop.call_soon_threadsafe(gone.set)

    threading.Thread(target=listen, daemon=True).start()
    await gone.wait()
    await server.shutdown()


asyncio.run(main())
