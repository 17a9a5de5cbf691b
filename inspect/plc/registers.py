"""The register map: the words between Linegate and the PLC, the same for every driver.

Holding registers, 0-based, 16 bit; a u32 is two registers, high word first. "V" is written by Linegate (the vision
side), "P" by the PLC. docs/plc.md is the same table for controls engineers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag

# V: one block, written in every exchange.
V_HEARTBEAT = 0
V_STATE = 1
V_STATUS = 2
V_ERROR = 3
V_RECIPE = 4
V_EPOCH_ECHO = 5
V_COMMAND_ACK = 6
V_SPARE = 7
V_INSPECTED = 8
V_NG = 10
V_NOT_INSPECTED = 12
V_BLOCK_LENGTH = 14

# V: the result slots.
SLOT_BASE = 16
SLOT_LENGTH = 8
SLOT_COUNT = 16

# P: one block, read in every exchange.
P_BASE = 200
P_HEARTBEAT = 200
P_EPOCH = 201
P_TRIG_ID = 202
P_ENCODER = 203
P_CONTROL = 205
P_COMMAND = 206
P_RECIPE_ASKED = 207
P_FAULTS = 208
P_TRIGGERED = 210
P_PASSED = 212
P_REJECTED = 214
P_CONFIRMED = 216
P_NO_VERDICT = 218
P_BLOCK_LENGTH = 20

MAP_LENGTH = 220
HEARTBEAT_PERIOD_MS = 50
HEARTBEAT_FRESH_MS = 300


class State(IntEnum):
    """V_STATE, with the names of OPC 40100-1."""

    PREOPERATIONAL = 0
    HALTED = 1
    ERROR = 2
    READY = 3
    SINGLE_EXECUTION = 4
    CONTINUOUS_EXECUTION = 5


class Status(IntFlag):
    """V_STATUS."""

    TRIGGER_READY = 1
    SYNC_OK = 2
    CAMERA_OK = 4
    LOG_OK = 8
    RECIPE_OK = 16
    CHALLENGE = 32
    OVERRUN = 64
    STOP_REQUEST = 128


class Control(IntFlag):
    """P_CONTROL."""

    TRIGGER_ENABLE = 1
    RUN = 2
    RESET_ERROR = 4
    CHALLENGE_ARM = 8
    PURGE = 16


class Command(IntEnum):
    """P_COMMAND: what the PLC may ask for; 0 is nothing. V_COMMAND_ACK shows it once it was carried out."""

    NEW_BATCH = 1
    ACKNOWLEDGE = 2


class Fault(IntFlag):
    """P_FAULTS."""

    BIN_FULL = 1
    BIN_OPEN = 2
    AIR_LOW = 4
    CONFIRM_FAULT = 8
    LINE_STOPPED = 16


class ErrorCode(IntEnum):
    """V_ERROR: the most pressing reason the station is not ready."""

    NONE = 0
    CAMERA = 1
    RUNTIME = 2
    LOG = 3
    RECIPE = 4
    SYNC = 5
    OVERRUN = 6
    CONFIRM = 7
    CHALLENGE = 8
    UNINSPECTED = 9
    MACHINE = 10
    """What the PLC itself reports: its reject bin or its air."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One part's result. ``score`` is 0..1000 (per mille), ``latency_ms`` saturates at 65535."""

    epoch: int
    trig_id: int
    verdict: int
    defect_class: int
    score: int
    latency_ms: int

    @property
    def address(self) -> int:
        """Where the slot begins: the id picks it."""
        return SLOT_BASE + SLOT_LENGTH * (self.trig_id % SLOT_COUNT)

    def words(self) -> list[int]:
        """The eight registers; the id stands at both ends, so that a half-written slot can't be read as whole."""
        return [
            self.epoch & 0xFFFF,
            self.trig_id & 0xFFFF,
            self.verdict & 0xFFFF,
            ~self.verdict & 0xFFFF,
            self.defect_class & 0xFFFF,
            max(0, min(1000, self.score)),
            max(0, min(0xFFFF, self.latency_ms)),
            self.trig_id & 0xFFFF,
        ]


@dataclass(frozen=True, slots=True)
class VisionBlock:
    """The V block, as Linegate sends it."""

    heartbeat: int
    state: State
    status: Status
    error: ErrorCode
    recipe: int
    epoch_echo: int
    command_ack: int
    inspected: int
    ng: int
    not_inspected: int

    def words(self) -> list[int]:
        """The block's registers from 0."""
        return [
            self.heartbeat & 0xFFFF,
            int(self.state),
            int(self.status),
            int(self.error),
            self.recipe,
            self.epoch_echo,
            self.command_ack,
            0,
            *split_u32(self.inspected),
            *split_u32(self.ng),
            *split_u32(self.not_inspected),
        ]


@dataclass(frozen=True, slots=True)
class PlcBlock:
    """The P block, as Linegate reads it. ``read_ns`` is host ``time.monotonic_ns`` when the answer was in."""

    heartbeat: int
    epoch: int
    trig_id: int
    encoder: int
    control: Control
    command: int
    recipe_asked: int
    faults: Fault
    triggered: int
    passed: int
    rejected: int
    confirmed: int
    no_verdict: int
    read_ns: int

    @classmethod
    def parse(cls, words: Sequence[int], read_ns: int) -> PlcBlock:
        """From the registers 200 to 219. Raises ValueError when there are not P_BLOCK_LENGTH of them."""
        if len(words) != P_BLOCK_LENGTH:
            raise ValueError(f"the P block has {P_BLOCK_LENGTH} registers, got {len(words)}")
        at = {address: words[address - P_BASE] for address in range(P_BASE, P_BASE + P_BLOCK_LENGTH)}

        def u32(address: int) -> int:
            return join_u32(at[address], at[address + 1])

        return cls(
            heartbeat=at[P_HEARTBEAT],
            epoch=at[P_EPOCH],
            trig_id=at[P_TRIG_ID],
            encoder=u32(P_ENCODER),
            control=Control(at[P_CONTROL] & 0x1F),
            command=at[P_COMMAND],
            recipe_asked=at[P_RECIPE_ASKED],
            faults=Fault(at[P_FAULTS] & 0x1F),
            triggered=u32(P_TRIGGERED),
            passed=u32(P_PASSED),
            rejected=u32(P_REJECTED),
            confirmed=u32(P_CONFIRMED),
            no_verdict=u32(P_NO_VERDICT),
            read_ns=read_ns,
        )


PLC_NOTHING = PlcBlock(0, 0, 0, 0, Control(0), 0, 0, Fault(0), 0, 0, 0, 0, 0, 0)
"""What is known of a PLC before the first exchange."""


def split_u32(value: int) -> tuple[int, int]:
    """High word, low word."""
    return (value >> 16) & 0xFFFF, value & 0xFFFF


def join_u32(high: int, low: int) -> int:
    """The inverse of split_u32."""
    return (high << 16) | low


def difference_u32(later: int, earlier: int) -> int:
    """``later - earlier`` of two u32 counters, over a wrap too: from -2**31 up to 2**31 - 1."""
    return (later - earlier + (1 << 31)) % (1 << 32) - (1 << 31)
