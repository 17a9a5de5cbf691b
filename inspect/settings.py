"""station.toml to frozen settings. An unknown key is an error that names the key, its line and the nearest known one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from linegate.cameras.settings import CameraSettings, Frozen
from linegate.inspect.matching import EDGE_LAG_MS

__all__ = ["Frozen", "StationSettings"]

BUNDLES = "models"
"""The store of bundles in a station's data folder."""
Port = Annotated[int, Field(ge=0, le=65535)]


class PlcSettings(Frozen):
    """The PLC over Modbus TCP. It is the server; Linegate polls it and writes into it in one exchange."""

    driver: Literal["modbus"] = "modbus"
    host: str = "127.0.0.1"
    port: Port = 5020
    """0 lets the virtual plant choose a free one."""
    device_id: int = Field(1, ge=0, le=247)
    poll_ms: float = Field(2.0, ge=0.5, le=100)
    """Time between two exchanges; half of it, on average, is added to each part's latency."""
    timeout_ms: float = Field(150.0, ge=20, le=1000)
    """After this the outcome of an exchange is unknown, the connection is dropped and nothing is replayed."""
    heartbeat_lost_ms: float = Field(300.0, ge=100, le=5000)
    """The PLC counts as frozen when its heartbeat has not moved for this long."""


class PulseSettings(Frozen):
    """The second reject path: a camera's own output pulses for PASS and rests at reject."""

    camera: str
    line: str = "Line2"
    pulse_ms: float = Field(20.0, gt=0, le=1000)


class TimingSettings(Frozen):
    """Deadlines, counted from the photo-eye's edge as Linegate saw it."""

    deadline_ms: float = Field(200.0, gt=1, le=60_000)
    """A verdict later than this is NOT_INSPECTED. Keep it below the time the part takes to the commit point."""
    stop_after_uninspected: int = Field(5, ge=1)
    """Ask the line to stop after this many parts in a row that could not be inspected."""
    min_pitch_ms: float = Field(60.0, gt=1)
    """Shortest time between two parts. A picture that the line triggered itself and that comes later than 60 % of this
    may show the next part, and is not judged."""
    log_reserve_ms: float = Field(20.0, ge=0, le=1000)
    """The part of the deadline kept for the durable row and the PLC exchange."""
    confirm_ms: float = Field(2000.0, gt=0, le=60_000)
    """A rejected part must have passed the confirm sensor within this after the PLC counted it."""

    @model_validator(mode="after")
    def _time_to_judge(self) -> TimingSettings:
        if self.log_reserve_ms >= self.deadline_ms:
            raise ValueError(
                f"log_reserve_ms = {self.log_reserve_ms:g} leaves nothing of deadline_ms = {self.deadline_ms:g} to judge "
                "a part in"
            )
        return self


class ZoneSettings(Frozen):
    """A polygon on the part, in mm from the image's top left corner, at least three corners."""

    name: str
    corners_mm: tuple[tuple[float, float], ...] = Field(min_length=3)


class RuleSettings(Frozen):
    """What a defect of one class has to be, to count, and what then happens. The first rule that fits a region decides.

    A higher score never earns a milder action than a lower one: see ``linegate.inspect.verdict``. A class that no rule names
    is judged by the bundle's thresholds alone.
    """

    defect_class: str = "*"
    """A class of the bundle, or "*" for all."""
    min_score: float | None = Field(None, ge=0, le=1)
    """None takes the bundle's own threshold for the class."""
    min_area_mm2: float = Field(0.0, ge=0)
    min_length_mm: float = Field(0.0, ge=0)
    max_count: int = Field(0, ge=0)
    """So many may be there before the action is taken."""
    zone: str = ""
    """Only regions whose centre lies in this zone; "" for the whole part."""
    action: Literal["reject", "review", "ignore"] = "reject"


class RecipeSettings(Frozen):
    """One product: which bundle judges it, by which rules."""

    id: int = Field(ge=1, le=65535)
    """The number the PLC asks for."""
    name: str = Field(min_length=1, max_length=64)
    bundle: str = ""
    """A bundle's folder or its name in the store; "" takes the store's live one."""
    pixel_mm: float | None = Field(None, gt=0)
    """Size of an image pixel on the part; None takes the bundle's."""
    channels: Literal[1, 3] | None = None
    """What the camera must deliver; None takes the bundle's."""
    size_px: tuple[int, int] | None = None
    """Width and height the camera must deliver; None takes any."""
    part_score: Literal["reject", "review", "ignore"] = "reject"
    """The worst that the part's own score may do. It knows nothing of the rules' limits: set it to ignore where the rules
    allow small defects, and mind that the part score sees some defects that the mask misses."""
    zones: tuple[ZoneSettings, ...] = ()
    rules: tuple[RuleSettings, ...] = (RuleSettings(),)

    @model_validator(mode="after")
    def _zones_exist(self) -> RecipeSettings:
        known = {zone.name for zone in self.zones}
        for rule in self.rules:
            if rule.zone and rule.zone not in known:
                raise ValueError(
                    f"rule for {rule.defect_class!r} names zone {rule.zone!r}; this recipe has {sorted(known)}"
                )
        return self


class RuntimeSettings(Frozen):
    """What runs the bundle's network."""

    engine: Literal["openvino", "onnxruntime", "tensorrt", "cuda"] = "openvino"
    precision: Literal["accuracy", "fp32", "bf16", "fp16"] = "bf16"
    """As released: the release gate checks that it flips no verdict. accuracy is the reference."""
    threads: int = Field(1, ge=1, le=256)
    warmup: int = Field(3, ge=1, le=100)
    real_time: bool = True
    """Whether the line asks for real-time priority; where that is not allowed, it says so and runs without."""


class LogSettings(Frozen):
    """Where every part's row goes."""

    url: str = ""
    """SQLAlchemy URL; "" is SQLite in the data folder. postgresql+pg8000://… works too."""
    pass_requires_log: bool = True
    """A PASS goes to the PLC only after its row is durable."""
    group_commit_ms: float = Field(0.0, ge=0, le=50)
    """How long the writer waits for more rows to share one commit; rows that arrive meanwhile always share it."""
    busy_timeout_ms: float = Field(100.0, ge=0, le=10_000)
    min_free_mb: float = Field(50.0, ge=0)
    """LogOK falls below this much free disk."""


class ImageSettings(Frozen):
    """Which pictures are kept. A labelled picture is never deleted."""

    ok_share: float = Field(0.02, ge=0, le=1)
    """Share of OK parts whose pictures are kept, chosen at random; the share is kept in the row."""
    max_age_days: float = Field(90.0, gt=0)
    max_gb: float = Field(20.0, gt=0)
    recall_mb: float = Field(512.0, ge=0)
    """Memory for the pictures of the last passed parts. Whoever marks one of them as bad still gets its pictures kept."""
    queue: int = Field(64, ge=1, le=4096)
    """Most pictures waiting to be written; beyond it a picture is dropped and an event says so, the row stays."""


class ScreenSettings(Frozen):
    """The screens. Nothing listens beyond this machine unless host says so."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: Port = 7860
    language: Literal["en", "zh", "de"] = "en"
    sign_out_s: float = Field(300.0, gt=0)
    shifts: tuple[Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")], ...] = ("06:00", "14:00", "22:00")
    """When shifts begin, in this machine's time zone."""

    @model_validator(mode="after")
    def _check_shifts(self) -> ScreenSettings:
        if list(self.shifts) != sorted(set(self.shifts)):
            raise ValueError(f"shifts must rise, found {list(self.shifts)}")
        return self


class ShadowSettings(Frozen):
    """A candidate bundle that judges on spare time; it never delays or changes a live verdict."""

    bundle: str
    share: float = Field(1.0, gt=0, le=1)


class VirtualSettings(Frozen):
    """The virtual plant: conveyor, PLC, gate and parts of known truth, for a station without hardware."""

    seed: int = Field(1, ge=0)
    rate_parts_per_s: float = Field(10.0, gt=0, le=200)
    defect_share: float = Field(0.2, ge=0, le=1)
    defects: tuple[str, ...] = ()
    """Kinds of defect that come; () is the default mix, which weld_spatter is not in."""
    picture_px: Literal[256, 512, 1024] = 1024
    """Width and height of a drawn panel's picture."""
    camera_to_gate_ms: float = Field(400.0, gt=10)
    """Time from the photo-eye to the commit point at the gate."""
    photos: Path | None = None
    """A folder of photos with masks (images/, masks/, split.csv) instead of drawn panels."""
    all_photos: bool = False
    """Also show those that the bundle was trained on, which flatter it."""


class StationSettings(Frozen):
    """One station."""

    name: str = Field("Press 1, panel gate", min_length=1, max_length=64)
    data: Path = Path("data")
    """Folder of the log, the pictures and the live status; relative to station.toml."""
    recipe: int = Field(1, ge=1, le=65535)
    """The recipe at start."""
    cameras: tuple[CameraSettings, ...] = Field(min_length=1)
    recipes: tuple[RecipeSettings, ...] = Field(min_length=1)
    plc: PlcSettings = PlcSettings()
    pulse: PulseSettings | None = None
    timing: TimingSettings = TimingSettings()
    runtime: RuntimeSettings = RuntimeSettings()
    log: LogSettings = LogSettings()
    images: ImageSettings = ImageSettings()
    screens: ScreenSettings = ScreenSettings()
    shadow: ShadowSettings | None = None
    virtual: VirtualSettings | None = None

    @model_validator(mode="after")
    def _names_agree(self) -> StationSettings:
        names = [camera.name for camera in self.cameras]
        if len(set(names)) != len(names):
            raise ValueError(f"camera names must differ, found {names}")
        free = [camera.name for camera in self.cameras if camera.trigger == "free"]
        if free:
            raise ValueError(f'camera {free[0]!r}: a gate can\'t use trigger = "free", which ties no frame to a part')
        ids = [recipe.id for recipe in self.recipes]
        if len(set(ids)) != len(ids):
            raise ValueError(f"recipe ids must differ, found {ids}")
        if self.recipe not in ids:
            raise ValueError(f"recipe = {self.recipe} is asked for at start, known are {ids}")
        if self.pulse is not None and self.pulse.camera not in names:
            raise ValueError(f"pulse.camera = {self.pulse.camera!r}, cameras are {names}")
        return self

    @model_validator(mode="after")
    def _pictures_come_before_the_next_part(self) -> StationSettings:
        """Where the photo-eye fires the camera, a picture is proven by the time at which it comes (see inspect/matching.py)."""
        between_parts_ms = self.timing.min_pitch_ms - self.plc.poll_ms - EDGE_LAG_MS
        before_deadline_ms = self.timing.deadline_ms - self.timing.log_reserve_ms
        longest_ms = max(0.0, min(between_parts_ms, before_deadline_ms))
        for camera in self.cameras:
            if camera.trigger == "hardware" and camera.timeout_s * 1000 > longest_ms:
                raise ValueError(
                    f"camera {camera.name!r}, which the photo-eye fires: timeout_s = {camera.timeout_s:g} is longer than the "
                    f"{longest_ms:g} ms that a picture has: {between_parts_ms:g} ms after its edge the next part can be meant "
                    f"(min_pitch_ms, less poll_ms, less {EDGE_LAG_MS:g} ms for the PLC), and a verdict has "
                    f"{before_deadline_ms:g} ms (deadline_ms, less log_reserve_ms)"
                )
        return self

    @model_validator(mode="after")
    def _times_agree(self) -> StationSettings:
        """Settings that are each in their range, and yet no part could pass with all of them."""
        pitch_ms, poll_ms = self.timing.min_pitch_ms, self.plc.poll_ms
        if 2 * poll_ms >= pitch_ms and any(camera.trigger != "hardware" for camera in self.cameras):
            raise ValueError(
                f"plc.poll_ms = {poll_ms:g} is too long for timing.min_pitch_ms = {pitch_ms:g}: two exchanges have to fit "
                "between two parts, one to see the part and one to prove that its picture is not the next one's"
            )
        if self.virtual is None:
            return self
        rate, travel_ms = self.virtual.rate_parts_per_s, self.virtual.camera_to_gate_ms
        if pitch_ms > 1000 / rate:
            raise ValueError(
                f"virtual.rate_parts_per_s = {rate:g} brings a part every {1000 / rate:.1f} ms, and timing.min_pitch_ms = "
                f"{pitch_ms:g} says that none comes sooner than that after another"
            )
        if self.timing.deadline_ms >= travel_ms:
            raise ValueError(
                f"timing.deadline_ms = {self.timing.deadline_ms:g} must be shorter than virtual.camera_to_gate_ms = "
                f"{travel_ms:g}: a verdict in time for the one would come too late for the gate"
            )
        if self.screens.enabled and self.plc.port and self.plc.port == self.screens.port:
            raise ValueError(f"plc.port and screens.port are both {self.plc.port}; the virtual PLC listens on its own")
        return self
