"""A PLC that is a Modbus TCP server, over pymodbus's synchronous client."""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
import time
from collections.abc import Callable, Sequence
from functools import partial

from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU

from linegate.inspect.plc.driver import PlcError, PlcLost
from linegate.inspect.plc.registers import (
    P_BASE,
    P_BLOCK_LENGTH,
    SLOT_BASE,
    SLOT_COUNT,
    SLOT_LENGTH,
    V_BLOCK_LENGTH,
    V_SPARE,
    PlcBlock,
    Slot,
    VisionBlock,
)
from linegate.inspect.settings import PlcSettings

MAX_WRITE = 120
"""Registers in one write: the protocol allows 123, and slots are never cut."""
_NO_WAIT_S = 0.001
_EXCHANGED = f"registers 0-{V_BLOCK_LENGTH - 1} and {P_BASE}-{P_BASE + P_BLOCK_LENGTH - 1}"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledge",
    6: "device busy",
    10: "gateway path unavailable",
    11: "gateway target did not respond",
}


class ModbusPlc:
    """PlcDriver over Modbus TCP: function 16 for slots, 23 to write the V block and read the P block in one.

    pymodbus is held to one request at a time, without retries. After any failure the socket is thrown away, so nothing
    is sent twice and no late answer of an old request can be read as the answer to a new one: answers travel on the
    socket of their request only. ``timeout_ms`` bounds a whole call, not each of its requests.
    """

    def __init__(self, settings: PlcSettings) -> None:
        self._settings = settings
        self._client: ModbusTcpClient | None = None
        self._end_s = 0.0
        self._peer = f"PLC {settings.host}:{settings.port}"
        # What matters is raised; pymodbus would print each timeout as well.
        logging.getLogger("pymodbus").setLevel(logging.CRITICAL)

    def connect(self) -> None:
        """Open a socket and read the P block once.

        Only a read: a PLC that is frozen keeps what it was sent and would carry out every write of every attempt to
        reconnect when it wakes up.
        """
        self.close()
        self._end_s = time.monotonic() + self._settings.timeout_ms / 1000
        client = ModbusTcpClient(
            self._settings.host,
            port=self._settings.port,
            name="linegate",
            timeout=self._settings.timeout_ms / 1000,
            retries=0,
        )
        client.connect()  # type: ignore[no-untyped-call]
        if client.socket is None:
            raise PlcLost(
                self._peer,
                expected="a Modbus TCP server",
                found=f"no connection within {self._settings.timeout_ms:g} ms",
                remedy="Check the cable, the PLC's power, and [plc] host and port.",
            )
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client = client
        try:
            self._read()
        except PlcError:
            self._drop()
            raise

    def write(self, slots: Sequence[Slot]) -> None:
        """See PlcDriver."""
        client, device = self._begin(), self._settings.device_id
        for address, words in runs(slots):
            last = address + len(words) - 1
            answer = self._ask(
                f"registers {address}-{last}",
                partial(client.write_registers, address, words, device_id=device),
            )
            if (answer.address, answer.count) != (address, len(words)):
                raise self._lost(f"registers {address}-{last}", f"an answer about {answer.count} from {answer.address}")

    def exchange(self, block: VisionBlock) -> PlcBlock:
        """See PlcDriver."""
        client, device = self._begin(), self._settings.device_id
        answer = self._ask(
            _EXCHANGED,
            partial(
                client.readwrite_registers,
                read_address=P_BASE,
                read_count=P_BLOCK_LENGTH,
                write_address=0,
                values=block.words(),
                device_id=device,
            ),
        )
        return self._parse(answer)

    def probe(self) -> PlcBlock:
        """As ``exchange``, with function 23, but writing only the spare register 7, which is always 0: for ``linegate
        check``, which must not speak for a line that may be running."""
        client, device = self._begin(), self._settings.device_id
        self._ask(
            f"registers 0-{MAX_WRITE - 1}",
            partial(client.read_holding_registers, 0, count=MAX_WRITE, device_id=device),
        )
        self._ask(
            f"registers {MAX_WRITE}-{SLOT_BASE + SLOT_LENGTH * SLOT_COUNT - 1}",
            partial(
                client.read_holding_registers,
                MAX_WRITE,
                count=SLOT_BASE + SLOT_LENGTH * SLOT_COUNT - MAX_WRITE,
                device_id=device,
            ),
        )
        answer = self._ask(
            f"register {V_SPARE} and {P_BASE}-{P_BASE + P_BLOCK_LENGTH - 1}",
            partial(
                client.readwrite_registers,
                read_address=P_BASE,
                read_count=P_BLOCK_LENGTH,
                write_address=V_SPARE,
                values=[0],
                device_id=device,
            ),
        )
        return self._parse(answer)

    def close(self) -> None:
        """Let go of the connection. Never raises."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(OSError):
                client.close()  # type: ignore[no-untyped-call]

    def _begin(self) -> ModbusTcpClient:
        """The connection, and from now on ``timeout_ms`` for all that one call asks of it."""
        if self._client is None:
            raise self._lost("nothing was sent", "the connection was lost before")
        self._end_s = time.monotonic() + self._settings.timeout_ms / 1000
        return self._client

    def _drop(self) -> None:
        """Close with a reset: the PLC frees the connection at once, and may forget what it has not carried out yet."""
        if self._client is not None and self._client.socket is not None:
            with contextlib.suppress(OSError):
                self._client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.close()

    def _read(self) -> PlcBlock:
        assert self._client is not None
        client = self._client
        return self._parse(
            self._ask(
                f"registers {P_BASE}-{P_BASE + P_BLOCK_LENGTH - 1}",
                lambda: client.read_holding_registers(P_BASE, count=P_BLOCK_LENGTH, device_id=self._settings.device_id),
            )
        )

    def _parse(self, answer: ModbusPDU) -> PlcBlock:
        read_ns = time.monotonic_ns()
        try:
            return PlcBlock.parse(answer.registers, read_ns)
        except ValueError as error:
            raise self._lost("the P block", str(error)) from None

    def _ask(self, what: str, send: Callable[[], ModbusPDU]) -> ModbusPDU:
        """One request in what is left of the call's time. Raises PlcLost or, for a Modbus exception, PlcError."""
        assert self._client is not None
        left_s = max(_NO_WAIT_S, self._end_s - time.monotonic())
        # pymodbus reads its timeout in two places: the socket's and the transaction's own copy.
        self._client.comm_params.timeout_connect = left_s
        self._client.transaction.comm_params.timeout_connect = left_s
        try:
            answer = send()
        except (ModbusException, OSError, ValueError, IndexError, struct.error) as error:
            raise self._lost(what, f"{type(error).__name__}: {error}") from None
        if answer.isError():
            code = getattr(answer, "exception_code", 0)
            self._drop()
            raise PlcError(
                f"{self._peer}, {what}",
                expected="registers that Linegate may read and write as docs/plc.md says",
                found=f"Modbus exception {code} ({_EXCEPTIONS.get(code, 'unknown')})",
                remedy="Give the PLC's Modbus server holding registers 0 to 219 and [plc] device_id the PLC's own.",
            )
        return answer

    def _lost(self, what: str, found: str) -> PlcLost:
        self._drop()
        return PlcLost(
            f"{self._peer}, {what}",
            expected=f"a whole answer within {self._settings.timeout_ms:g} ms",
            found=found,
            remedy="The outcome is unknown and nothing is sent again; Linegate reconnects by itself.",
        )


def runs(slots: Sequence[Slot]) -> list[tuple[int, list[int]]]:
    """Slots as (address, words) of neighbours, so that one write carries as many as lie side by side."""
    found: list[tuple[int, list[int]]] = []
    for slot in sorted(slots, key=lambda slot: slot.address):
        if found:
            address, words = found[-1]
            if slot.address == address + len(words) and len(words) + SLOT_LENGTH <= MAX_WRITE:
                words.extend(slot.words())
                continue
        found.append((slot.address, slot.words()))
    return found
