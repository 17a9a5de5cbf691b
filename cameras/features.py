"""GenICam features by name, the same for pylon and GenTL: SFNC 1 and 2 names, and errors that say what is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from linegate.cameras.errors import CameraError
from linegate.cameras.settings import GenicamFeatures

Value = bool | int | float | str

EXPOSURE = ("ExposureTimeAbs", "ExposureTime")
GAIN = ("Gain", "GainAbs")
FRAME_TRIGGERS = ("FrameStart", "AcquisitionStart", "FrameBurstStart")


class Nodes(Protocol):
    """A driver's view of its SDK's node map. Called on the acquisition thread; any exception of the SDK may come out."""

    def has(self, name: str) -> bool:
        """True when the camera has the feature and it is available now."""
        ...

    def read(self, name: str) -> Value:
        """Its value; a symbol for an enumeration."""
        ...

    def write(self, name: str, value: Value) -> None:
        """Set it."""
        ...

    def execute(self, name: str) -> None:
        """Run a command."""
        ...

    def symbols(self, name: str) -> tuple[str, ...]:
        """What an enumeration can be set to; empty for everything else."""
        ...

    def limits(self, name: str) -> tuple[float, float] | None:
        """The smallest and largest value of a number, now; None for everything else."""
        ...


class Features:
    """A camera's features with errors a person can act on."""

    def __init__(self, camera: str, nodes: Nodes) -> None:
        self._camera = camera
        self.nodes = nodes

    def first(self, names: Sequence[str]) -> str | None:
        """The first of ``names`` that this camera has."""
        return next((name for name in names if self.nodes.has(name)), None)

    def allowed(self, name: str) -> str:
        """What ``name`` may be set to, in words."""
        symbols = self.nodes.symbols(name)
        if symbols:
            return "one of " + ", ".join(symbols)
        limits = self.nodes.limits(name)
        return f"{limits[0]:.10g} to {limits[1]:.10g}" if limits is not None else "a value of the feature's type"

    def put(self, name: str, value: Value) -> None:
        """Set a feature. Raises CameraError naming it, the value and what is allowed."""
        if not self.nodes.has(name):
            raise CameraError(
                f"camera {self._camera!r}, feature {name}",
                expected=f"a camera that has it, to set it to {value}",
                found="no such feature, or not available with the present settings",
                remedy="Take it out of station.toml, or check the camera's manual for its name.",
            )
        try:
            self.nodes.write(name, value)
        except Exception as error:  # each SDK has its own tree, and none says what would be right
            raise CameraError(
                f"camera {self._camera!r}, feature {name}",
                expected=self._allowed_or_unknown(name),
                found=f"{value} ({_first_line(error)})",
                remedy="Change the value in station.toml.",
            ) from error

    def put_first(self, names: Sequence[str], value: Value, remedy: str) -> None:
        """Set the first of ``names`` that the camera has. Raises CameraError when it has none."""
        name = self.first(names)
        if name is None:
            raise CameraError(
                f"camera {self._camera!r}, feature {names[0]}",
                expected=f"one of the features {', '.join(names)}, to set it to {value}",
                found="a camera that has none of them",
                remedy=remedy,
            )
        self.put(name, value)

    def _allowed_or_unknown(self, name: str) -> str:
        try:
            return self.allowed(name)
        except Exception:  # the range may depend on a feature that is not available either
            return "a value the camera takes"


def configure(features: Features, settings: GenicamFeatures) -> None:
    """Set what station.toml asks for, in the order in which one feature limits the next. Raises CameraError."""
    nodes = features.nodes
    if settings.pixel_format is not None:
        features.put("PixelFormat", _spelling(nodes, settings.pixel_format))
    if settings.roi is not None:
        roi = settings.roi
        for offset in ("OffsetX", "OffsetY"):
            if nodes.has(offset):
                features.put(offset, 0)  # an old offset limits the new width
        features.put("Width", roi.width_px)
        features.put("Height", roi.height_px)
        for offset, value in (("OffsetX", roi.x_px), ("OffsetY", roi.y_px)):
            if value or nodes.has(offset):
                features.put(offset, value)
    if settings.exposure_us is not None:
        if nodes.has("ExposureAuto"):
            features.put("ExposureAuto", "Off")
        features.put_first(EXPOSURE, settings.exposure_us, "Take exposure_us out of station.toml.")
    if settings.gain_db is not None:
        if nodes.has("GainAuto"):
            features.put("GainAuto", "Off")
        raw = (
            f" This camera's gain has steps of its own: set features.GainRaw, {features.allowed('GainRaw')}."
            if (nodes.has("GainRaw"))
            else ""
        )
        features.put_first(GAIN, settings.gain_db, "Take gain_db out of station.toml." + raw)


def configure_trigger(features: Features, camera: str, mode: str, line: str) -> None:
    """Software, hardware (``line``) or free running, frame after frame. Raises CameraError when the camera can't be triggered
    like that."""
    nodes = features.nodes
    if nodes.has("AcquisitionMode") and nodes.read("AcquisitionMode") != "Continuous":
        features.put("AcquisitionMode", "Continuous")  # a user set may hold SingleFrame, and one frame would be all
    if not nodes.has("TriggerMode"):
        if mode == "free":
            return
        raise CameraError(
            f"camera {camera!r}, feature TriggerMode",
            expected=f"a camera that can be triggered (trigger = {mode!r})",
            found="a camera that only runs freely",
            remedy='Take a camera with a trigger, or set trigger = "free" to look at its pictures.',
        )
    selectors = nodes.symbols("TriggerSelector") if nodes.has("TriggerSelector") else ()
    for selector in selectors:
        features.put("TriggerSelector", selector)
        if nodes.has("TriggerMode"):
            features.put("TriggerMode", "Off")
    if mode == "free":
        return
    if selectors:
        wanted = next((name for name in FRAME_TRIGGERS if name in selectors), FRAME_TRIGGERS[0])
        features.put("TriggerSelector", wanted)
    features.put("TriggerSource", line if mode == "hardware" else "Software")
    features.put("TriggerMode", "On")


def _spelling(nodes: Nodes, wanted: str) -> str:
    """The camera's own spelling: SFNC 1 says RGB8Packed where SFNC 2 says RGB8."""
    symbols = nodes.symbols("PixelFormat")
    if wanted in symbols:
        return wanted
    plain = wanted.lower().removesuffix("packed")
    if plain.startswith(("rgb", "bgr")):
        return next((symbol for symbol in symbols if symbol.lower().removesuffix("packed") == plain), wanted)
    return wanted


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].split(" : ")[0].rstrip(". ")
