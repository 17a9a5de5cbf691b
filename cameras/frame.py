"""What a camera delivers: a frame, or the typed news that there is none."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8] | NDArray[np.uint16]
"""Pixels: (H, W) grey or (H, W, 3) RGB; uint8, or uint16 scaled to the full 16-bit range; read-only."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture, as the camera took it.

    Attributes:
        image: (H, W) or (H, W, 3) RGB; uint8 or uint16; not writeable, so that every thread may read it.
        camera: the camera's name in station.toml.
        counter: the camera's own frame number since it was armed, counting every exposure, delivered or not.
        timestamp_ns: the camera's clock at exposure; host clock (``time.monotonic_ns``) where it has none.
        received_ns: host ``time.monotonic_ns`` when the driver handed the frame over.
        pixel_format: GenICam name of the format on the wire, before conversion ("Mono8", "BayerRG12").
        asked_ns: host ``time.monotonic_ns`` when a program fired the exposure, 0 where a wire did.
    """

    image: Image
    camera: str
    counter: int
    timestamp_ns: int
    received_ns: int
    pixel_format: str
    asked_ns: int = 0


class LossReason(StrEnum):
    """Why a frame that should be there is not."""

    GAP = "gap"
    """The camera's counter jumped: exposed, never delivered."""
    FAILED_BUFFER = "failed_buffer"
    """Delivered broken (incomplete transfer, CRC)."""
    TIMEOUT = "timeout"
    """Triggered, and nothing came in time."""
    CAMERA_DOWN = "camera_down"
    """Triggered while the camera was away."""


@dataclass(frozen=True, slots=True)
class FrameLost:
    """``count`` frames of ``camera`` are missing, beginning at ``counter`` where the camera numbered them."""

    camera: str
    reason: LossReason
    count: int
    counter: int | None
    at_ns: int
    detail: str


@dataclass(frozen=True, slots=True)
class CameraDown:
    """The camera is gone; a reopen is under way. Parts triggered from here on are not inspected. ``absent``: no such device
    answers, so that it may be starting yet; else something is wrong with it or its settings."""

    camera: str
    at_ns: int
    detail: str
    absent: bool = False


@dataclass(frozen=True, slots=True)
class CameraArmed:
    """A camera that the photo-eye fires numbers its exposures from 0 again.

    What was exposed before ``began_ns`` is not among them, what was exposed after ``done_ns`` is; of what was exposed in
    between nobody knows. Host ``time.monotonic_ns``.
    """

    camera: str
    began_ns: int
    done_ns: int


@dataclass(frozen=True, slots=True)
class CameraUp:
    """The camera is (back) and armed; its counter starts again."""

    camera: str
    at_ns: int
    detail: str


CameraEvent = Frame | FrameLost | CameraDown | CameraUp | CameraArmed
"""All that an acquisition can report. What was lost is an event, never silence."""
