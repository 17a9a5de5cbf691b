"""A station in the hands of the test: it talks to the virtual PLC with a plain Modbus client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusException

SYNC_OK, LOG_OK = 2, 8


class HandStation:
    """Beats, watches TRIG_ID and fills each new part's slot by ``answer(epoch, id) -> eight registers or None``.

    Addresses are written out here, so that a change of the map in the product shows.
    """

    def __init__(self, port: int) -> None:
        self._client = ModbusTcpClient("127.0.0.1", port=port, timeout=0.25, retries=0)
        self.beating = True
        self.status = SYNC_OK | LOG_OK
        self.answer: Callable[[int, int], list[int] | None] = good_slot
        self.block: list[int] = [0] * 20
        self._beat = 0
        self._epoch, self._seen = -1, 0

    def step(self) -> bool:
        """One exchange; False when the PLC does not answer."""
        try:
            if not self._client.connected and not self._client.connect():
                return False
            if self.beating:
                self._beat = (self._beat + 1) & 0xFFFF
            vision = [self._beat, 5, self.status, 0, 1, self.block[1], 0, 0, 0, 0, 0, 0, 0, 0]
            reply = self._client.readwrite_registers(
                read_address=200, read_count=20, write_address=0, values=vision, device_id=1
            )
            assert not reply.isError(), reply
            self.block = list(reply.registers)
            epoch, count = self.block[1], self.block[10] << 16 | self.block[11]
            if epoch != self._epoch:
                self._epoch, self._seen = epoch, count  # parts of before are not ours
            while self._seen < count:
                self._seen += 1
                words = self.answer(epoch, self._seen & 0xFFFF)
                if words is not None:
                    self.write(16 + 8 * (self._seen % 16), words)
        except (ModbusException, OSError):
            self._client.close()
            return False
        return True

    def write(self, address: int, words: list[int]) -> None:
        assert not self._client.write_registers(address, words, device_id=1).isError()

    def until(self, done: Callable[[], Any], timeout_s: float = 20.0) -> None:
        """Step until ``done()``."""
        deadline = time.monotonic() + timeout_s
        while not done():
            assert time.monotonic() < deadline, "not reached in time"
            self.step()
            time.sleep(0.002)

    def close(self) -> None:
        self._client.close()


def good_slot(epoch: int, trig_id: int) -> list[int]:
    return [epoch, trig_id, 1, 0xFFFE, 0, 12, 9, trig_id]


@pytest.fixture
def hand_station() -> Iterator[Callable[[int], HandStation]]:
    made: list[HandStation] = []

    def make(port: int) -> HandStation:
        made.append(HandStation(port))
        return made[-1]

    yield make
    for station in made:
        station.close()
