"""The Modbus driver against a real server in another process, healthy and not."""

from __future__ import annotations

import socket
import subprocess
import threading
import time

import pytest

from linegate.inspect.plc.driver import PlcDriver, PlcError, PlcLost
from linegate.inspect.plc.modbus import ModbusPlc, runs
from linegate.inspect.plc.registers import ErrorCode, State, Status, VisionBlock
from linegate.inspect.settings import PlcSettings

BLOCK = VisionBlock(
    heartbeat=4711,
    state=State.CONTINUOUS_EXECUTION,
    status=Status.SYNC_OK | Status.LOG_OK,
    error=ErrorCode.NONE,
    recipe=3,
    epoch_echo=7,
    command_ack=2,
    inspected=70_000,
    ng=65_536,
    not_inspected=5,
)


def test_exchange_writes_and_reads_the_map(plcs, driver, tools):
    plc = plcs(epoch=513, triggered=70_001, encoder=123_456, faults=9, recipe_asked=2)
    modbus = driver(plc)
    assert isinstance(modbus, PlcDriver)
    modbus.connect()
    modbus.write([tools.ok_slot(70_001 & 0xFFFF, 513), tools.ok_slot(70_000 & 0xFFFF, 513, verdict=2)])
    assert plc.look().registers[24:32] == [513, 4465, 1, 0xFFFE, 0, 12, 9, 4465]  # there already
    block = modbus.exchange(BLOCK)
    assert (block.epoch, block.triggered, block.trig_id, block.encoder) == (513, 70_001, 70_001 & 0xFFFF, 123_456)
    assert (int(block.faults), block.recipe_asked) == (9, 2)
    seen = plc.look().registers
    assert seen[:14] == [4711, 5, 10, 0, 3, 7, 2, 0, 1, 4464, 1, 0, 0, 5]
    assert seen[24:32] == [513, 4465, 1, 0xFFFE, 0, 12, 9, 4465]
    assert seen[16:24] == [513, 4464, 2, 0xFFFD, 0, 12, 9, 4464]


def test_mbpoll_reads_what_was_written(plcs, driver, tools, mbpoll):
    plc = plcs(epoch=513)
    modbus = driver(plc)
    modbus.connect()
    modbus.write([tools.ok_slot(1, 513)])
    modbus.exchange(BLOCK)
    out = subprocess.run(
        [mbpoll, "-0", "-1", "-q", "-t", "4", "-r", "0", "-c", "32", "-p", str(plc.port), "127.0.0.1"],
        capture_output=True, text=True, timeout=20, check=True,
    ).stdout  # fmt: skip
    words = {}
    for line in out.splitlines():
        if line.startswith("["):
            address, value = line[1:].split("]:")
            words[int(address)] = int(value.split()[0]) & 0xFFFF
    assert [words[i] for i in range(14)] == [4711, 5, 10, 0, 3, 7, 2, 0, 1, 4464, 1, 0, 0, 5]
    assert [words[i] for i in range(24, 32)] == [513, 1, 1, 0xFFFE, 0, 12, 9, 1]


def test_neighbouring_slots_share_a_write(tools):
    found = runs([tools.ok_slot(i) for i in (15, 3, 4, 16, 5)])
    assert [(address, len(words)) for address, words in found] == [(16, 8), (40, 24), (136, 8)]
    assert max(len(words) for _, words in runs([tools.ok_slot(i) for i in range(16)])) <= 123


@pytest.mark.parametrize(("function", "named"), [("16", "24-31"), ("23", "0-13 and 200-219")])
def test_an_exception_is_raised_and_names_the_registers(plcs, driver, tools, function, named):
    plc = plcs(refuse={function: 2})
    modbus = driver(plc)
    modbus.connect()
    with pytest.raises(PlcError, match="illegal data address") as raised:
        modbus.write([tools.ok_slot(1)])
        modbus.exchange(BLOCK)
    assert not isinstance(raised.value, PlcLost)
    assert named in raised.value.thing


def test_connect_names_a_server_without_the_map(plcs, driver):
    with pytest.raises(PlcError, match="registers 200-219") as raised:
        driver(plcs(registers=100)).connect()
    assert not isinstance(raised.value, PlcLost)


def test_nobody_listens(driver, plcs):
    plc = plcs()
    modbus = driver(plc)
    plc.kill()
    with pytest.raises(PlcLost, match="no connection"):
        modbus.connect()


def test_a_slow_answer_is_lost_bounded_and_never_taken_for_the_next(plcs, driver, tools):
    plc = plcs(delay_ms=400)
    modbus = driver(plc, timeout_ms=100)
    modbus.connect()
    begin = time.monotonic()
    with pytest.raises(PlcLost):
        modbus.write([tools.ok_slot(1), tools.ok_slot(3)])
    took = time.monotonic() - begin
    assert took < 3.0  # pymodbus with its defaults needs 12 s
    with pytest.raises(PlcLost, match="was lost before"):
        modbus.exchange(BLOCK)
    plc.set(delay_ms=0, epoch=8, triggered=5)
    modbus.connect()
    for _ in range(50):
        assert modbus.exchange(BLOCK).epoch == 8
    # The slot that timed out was carried out late, once, and nothing sent it again.
    tools.eventually(lambda: len(plc.look().writes) >= 1)
    assert [w["address"] for w in plc.look().writes] == [24]


def test_frozen_then_thawed(plcs, driver, tools):
    plc = plcs()
    modbus = driver(plc, timeout_ms=100)
    modbus.connect()
    plc.freeze()
    with pytest.raises(PlcLost):
        modbus.exchange(BLOCK)
    with pytest.raises(PlcLost):  # the kernel accepts for the frozen process; only an answer counts
        modbus.connect()
    plc.thaw()
    tools.eventually(lambda: _connects(modbus))
    assert modbus.exchange(BLOCK).epoch == 7


def _connects(modbus):
    try:
        modbus.connect()
    except PlcLost:
        return False
    return True


def test_a_short_answer_is_lost(plcs, driver):
    plc = plcs()
    modbus = driver(plc)
    modbus.connect()
    plc.set(short=3)
    with pytest.raises(PlcLost, match="17"):
        modbus.exchange(BLOCK)


@pytest.mark.parametrize(
    "answer",
    [
        b"",  # half open: accepts, never answers
        b"\x00\x01\x00\x00\x00\x2b\x01\x03\x28\x00",  # half an answer
        b"HTTP/1.1 400 Bad Request\r\n\r\n",  # something else listens there
        b"\x7f\xff\x00\x00\x00\x2b\x01\x03\x28" + b"\x00" * 40,  # the answer to another request
    ],
)
def test_what_is_no_answer_is_lost(answer):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held = []

        def serve():
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            held.append(peer)
            peer.recv(100)
            peer.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        modbus = ModbusPlc(PlcSettings(port=listener.getsockname()[1], timeout_ms=60))
        with pytest.raises(PlcLost):
            modbus.connect()
        thread.join(5)
        for peer in held:
            peer.close()
        modbus.close()
