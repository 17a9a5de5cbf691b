"""Settings of one camera, as they stand in station.toml under ``[[cameras]]``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Frozen(BaseModel):
    """Base of all settings: frozen, and a key nobody knows is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Roi(Frozen):
    """The sensor area that is read out, in sensor pixels."""

    x_px: int = Field(0, ge=0)
    y_px: int = Field(0, ge=0)
    width_px: int = Field(gt=0)
    height_px: int = Field(gt=0)


class _Common(Frozen):
    name: str = Field("top", pattern=r"^[a-z0-9_-]{1,32}$")
    """What the rows, the screens and the errors call it."""
    trigger: Literal["plc", "hardware", "software", "free"] = "plc"
    """Who fires it. plc: the line sees the PLC's TRIG_ID rise and triggers by software. hardware: the photo-eye is wired
    to the camera and frames are matched to TRIG_IDs by counting. software: whoever calls ``trigger``. free: nobody, the
    camera runs at its own pace; for aiming and focusing, never for a gate."""
    timeout_s: float = Field(0.5, gt=0, le=60)
    """How long a triggered frame may take before it counts as lost. With trigger = "hardware" it must be here before the next
    part's can be, and a verdict waits that long: until then a second picture could come, and prove nothing."""
    reopen_s: float = Field(0.5, gt=0, le=60)
    """Pause between two attempts to get a lost camera back."""
    calibration: Path | None = None
    """What `linegate calibrate` saved: size of a pixel and lens. Measures in mm rest on it, whatever a recipe's pixel_mm
    says."""


class _Emulated(Frozen):
    """What a camera that only seems to be one needs besides."""

    wire: Path | None = None
    """For trigger = "hardware": the file in which a virtual photo-eye counts its edges (see cameras/wire.py). The virtual line
    fills it in."""


class GenicamFeatures(Frozen):
    """What both GenICam drivers set. None leaves the camera's own value alone."""

    exposure_us: float | None = Field(None, gt=0)
    gain_db: float | None = Field(None, ge=0)
    pixel_format: str | None = None
    """GenICam name: Mono8, Mono10, Mono12, Mono16, BayerRG8…, RGB8, BGR8. Converted once, to grey or RGB."""
    roi: Roi | None = None
    trigger_line: str = "Line1"
    """Input that the photo-eye is wired to, for trigger = "hardware"."""
    features: dict[str, bool | int | float | str] = Field(default_factory=dict)
    """Any further GenICam feature, by name, set in this order after the others."""
    buffers: int = Field(8, ge=2, le=256)
    """Most frames the driver holds: memory is bounded, and an overrun is reported as a gap."""


class PylonSettings(_Common, GenicamFeatures, _Emulated):
    """Basler, over USB3, GigE or pylon's own emulator."""

    driver: Literal["pylon"]
    serial: str = ""
    """Serial number; "" takes the only camera there is."""
    emulate: Path | None = None
    """A folder the emulated camera photographs (no hardware). "stage" in the virtual line is filled in by it."""


class GentlSettings(_Common, GenicamFeatures):
    """Any vendor's camera through its GenTL producer."""

    driver: Literal["gentl"]
    producer: Path
    """The vendor's .cti file."""
    serial: str = ""
    """Device id or serial number; "" takes the only one."""


class ReplaySettings(_Common, _Emulated):
    """Photos from a folder, one a trigger, in name order."""

    driver: Literal["replay"]
    folder: Path
    loop: bool = True


CameraSettings = Annotated[PylonSettings | GentlSettings | ReplaySettings, Field(discriminator="driver")]
