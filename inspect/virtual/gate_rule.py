"""The gate rule, as the virtual PLC applies it at the commit point. Pure: all it may look at are its arguments.

PASS only if Linegate's heartbeat moved less than 300 ms ago by the PLC's own clock, SyncOK and LogOK are set, the slot's
epoch and both its ids match, the complement matches and the verdict is 1. Everything else is rejected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from linegate.inspect.part import WireVerdict
from linegate.inspect.plc.registers import HEARTBEAT_FRESH_MS, SLOT_LENGTH, Status


class GateReason(StrEnum):
    """What decided at the gate; all but PASS mean reject."""

    PASS = "pass"
    UNTRACKED = "untracked"
    """The PLC does not know this part: it restarted, or missed the photo-eye."""
    PURGED = "purged"
    """It was between camera and gate when the PLC stood still or was told to purge."""
    LATE = "late"
    """The scan came too long after the commit point to move the flap."""
    HEARTBEAT = "heartbeat"
    SYNC = "sync"
    LOG = "log"
    SLOT_EPOCH = "slot_epoch"
    ID = "id"
    COMPLEMENT = "complement"
    NG = "ng"
    NOT_INSPECTED = "not_inspected"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class VisionSide:
    """What the PLC knows of Linegate at this moment. ``heartbeat_age_ns`` is None until the heartbeat moved once."""

    heartbeat_age_ns: int | None
    status: int


def gate_rule(vision: VisionSide, slot: Sequence[int], epoch: int, trig_id: int) -> GateReason:
    """Decide on the part ``trig_id`` of ``epoch`` by its slot's eight registers. Only PASS opens the gate."""
    if len(slot) != SLOT_LENGTH:
        raise ValueError(f"a slot has {SLOT_LENGTH} registers, got {len(slot)}")
    if vision.heartbeat_age_ns is None or vision.heartbeat_age_ns >= HEARTBEAT_FRESH_MS * 1_000_000:
        return GateReason.HEARTBEAT
    if not vision.status & Status.SYNC_OK:
        return GateReason.SYNC
    if not vision.status & Status.LOG_OK:
        return GateReason.LOG
    if not any(slot):
        return GateReason.EMPTY
    if slot[0] != epoch:
        return GateReason.SLOT_EPOCH
    if slot[1] != trig_id or slot[7] != trig_id:
        return GateReason.ID
    if slot[2] ^ slot[3] != 0xFFFF:
        return GateReason.COMPLEMENT
    if slot[2] == WireVerdict.OK:
        return GateReason.PASS
    if slot[2] == WireVerdict.NG:
        return GateReason.NG
    return GateReason.NOT_INSPECTED if slot[2] == WireVerdict.NOT_INSPECTED else GateReason.EMPTY


def slot_verdict(slot: Sequence[int], epoch: int, trig_id: int) -> int:
    """The verdict of a complete and matching slot, else 0 (WireVerdict.EMPTY)."""
    whole = slot[0] == epoch and slot[1] == slot[7] == trig_id and slot[2] ^ slot[3] == 0xFFFF
    return slot[2] if whole else 0
