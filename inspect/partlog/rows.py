"""Records to rows and back. Pure, so that it runs before the transaction and a bad record is found there."""

from __future__ import annotations

import hashlib
import json
import math
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linegate.inspect.part import Cause, Decision, GateResult
from linegate.inspect.partlog.records import ImageRecord, Outcome, PartRecord, ViewRecord

Row = dict[str, Any]


@dataclass(slots=True)
class PartRows:
    """One record, ready to be inserted; ``part["id"]`` and the children's ``part_id`` are set with ``number``."""

    part: Row
    views: list[Row] = field(default_factory=list)
    regions: list[Row] = field(default_factory=list)
    thresholds: str = ""

    def number(self, part_id: int) -> None:
        """Give the row its id."""
        self.part["id"] = part_id
        for child in (*self.views, *self.regions):
            child["part_id"] = part_id


def sha256_text(value: str) -> str:
    """Hex sha256 of a text's UTF-8 bytes."""
    return hashlib.sha256(value.encode()).hexdigest()


def clean(value: str) -> str:
    """Text both databases take: no NUL, no lone surrogate. Scanners and drivers deliver both."""
    return value.replace("\0", "").encode("utf-8", "replace").decode()


def dumps(value: Any) -> str:
    """JSON in one fixed form: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def part_rows(
    record: PartRecord, token: int, outcome: Outcome | None, gate: GateResult | None, *, late: bool
) -> PartRows:
    """All rows of one record, with what is known by now of its outcome and at the gate.

    ``late``: the first attempt to store it failed, so the line has not passed the part: an OK becomes NOT_INSPECTED with
    the cause LOG_FAILED, and ``judged`` keeps the OK. Raises ValueError, TypeError or OverflowError for a record that no
    database can take.
    """
    rows = PartRows(_part_row(record, token, late=late), thresholds=clean(record.thresholds))
    rows.part["thresholds_sha256"] = sha256_text(rows.thresholds)
    rows.part.update(_later_values(outcome, gate))
    for number, view in enumerate(record.views):
        rows.views.append(_view_row(number, view))
        for index, region in enumerate(view.regions):
            x, y, width, height = (int(v) for v in region.box_px)
            rows.regions.append(
                {
                    "view_number": number,
                    "number": index,
                    "defect_class": clean(region.defect_class),
                    "score": _real(region.score) or 0.0,
                    "area_mm2": _real(region.area_mm2) or 0.0,
                    "length_mm": _real(region.length_mm) or 0.0,
                    "x_mm": _real(region.x_mm) or 0.0,
                    "y_mm": _real(region.y_mm) or 0.0,
                    "box_x_px": x,
                    "box_y_px": y,
                    "box_width_px": width,
                    "box_height_px": height,
                    "outline": pack_outline(region.outline_px),
                }
            )
    return rows


def bare_rows(record: PartRecord, token: int, outcome: Outcome | None, gate: GateResult | None, why: str) -> PartRows:
    """The least that can be said of a record that can't be stored whole: it was triggered, and it is not passed."""
    part = _part_row(record, token, late=True)
    part["reason"] = clean(f"{record.reason} [views left out: {why}]")
    part["thresholds_sha256"] = sha256_text("")
    part["score"] = None
    part["encoder"] = int(record.encoder) & 0xFFFFFFFF
    part.update(_later_values(outcome, gate))
    return PartRows(part)


def _later_values(outcome: Outcome | None, gate: GateResult | None) -> Row:
    values = {} if outcome is None else outcome_values(outcome)
    return values if gate is None else {**values, "gate": str(gate)}


def _part_row(record: PartRecord, token: int, *, late: bool) -> Row:
    downgraded = late and record.decision is Decision.OK
    return {
        "epoch": int(record.key.epoch),
        "sequence": int(record.key.sequence),
        "token": token,
        "triggered_utc_ns": int(record.triggered_utc_ns),
        "logged_utc_ns": time.time_ns(),
        "recipe_id": int(record.recipe_id),
        "recipe_name": clean(record.recipe_name)[:64],
        "bundle_sha256": clean(record.bundle_sha256)[:64],
        "lot": clean(record.lot),
        "serial": clean(record.serial),
        "decision": str(Decision.NOT_INSPECTED if downgraded else record.decision),
        "judged": str(record.decision),
        "cause": str(Cause.LOG_FAILED if downgraded else record.cause),
        "reason": clean(record.reason),
        "score": _real(record.score),
        "defect_class": clean(record.defect_class),
        "keep_probability": _real(record.keep_probability),
        "challenge": bool(record.challenge),
        "encoder": int(record.encoder),
        "wire_verdict": None,
        "wire_written": None,
        "latency_ms": None,
        "slack_ms": None,
        "outcome_note": None,
        "gate": None,
    }


def _view_row(number: int, view: ViewRecord) -> Row:
    return {
        "number": number,
        "camera": clean(view.camera)[:32],
        "frame_counter": None if view.frame_counter is None else int(view.frame_counter),
        "frame_timestamp_ns": None if view.frame_timestamp_ns is None else int(view.frame_timestamp_ns),
        "width_px": int(view.width_px),
        "height_px": int(view.height_px),
        "decision": str(view.decision),
        "score": _real(view.score),
        "reason": clean(view.reason),
        "embedding": None if view.embedding is None else pack_embedding(view.embedding),
    }


def image_row(image: ImageRecord) -> Row:
    """A stored picture's columns."""
    row: Row = {name: getattr(image, name) for name in ImageRecord.__slots__ if name != "key"}
    return row | {"epoch": image.key.epoch, "sequence": image.key.sequence, "deleted_utc_ns": None}


def outcome_values(outcome: Outcome) -> Row:
    """The columns an outcome fills."""
    return {
        "wire_verdict": int(outcome.wire_verdict),
        "wire_written": bool(outcome.written),
        "latency_ms": _real(outcome.latency_ms),
        "slack_ms": _real(outcome.slack_ms),
        "outcome_note": clean(outcome.note),
    }


def _real(value: float | None) -> float | None:
    """A finite float, else None: databases disagree about NaN."""
    if value is None:
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def pack_outline(outline_px: NDArray[np.int32]) -> bytes:
    """(n, 2) int32 → little-endian uint16 pairs. Raises ValueError for another shape or a coordinate outside 0..65535."""
    points = np.asarray(outline_px)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"an outline is (n, 2), got {points.shape}")
    if points.size and (points.min() < 0 or points.max() > 0xFFFF):
        raise ValueError(f"outline coordinates are 0..65535, got {points.min()}..{points.max()}")
    return points.astype("<u2").tobytes()


def unpack_outline(data: bytes) -> NDArray[np.int32]:
    """The inverse of ``pack_outline``: (n, 2) int32."""
    return np.frombuffer(data, dtype="<u2").reshape(-1, 2).astype(np.int32)


def pack_embedding(embedding: NDArray[np.float32]) -> bytes:
    """(D,) float32 → little-endian float16, clipped to its range; half the size, and enough to find neighbours."""
    limit = float(np.finfo(np.float16).max)
    return np.clip(np.ravel(embedding), -limit, limit).astype("<f2").tobytes()


def unpack_embedding(data: bytes) -> NDArray[np.float32]:
    """(D,) float32."""
    return np.frombuffer(data, dtype="<f2").astype(np.float32)
