"""What the command line changes of station.toml, and how a station is joined to the virtual plant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from linegate.cameras.errors import SettingsError
from linegate.cameras.settings import CameraSettings, PylonSettings, ReplaySettings, Roi
from linegate.inspect.bundles import station_bundle
from linegate.inspect.settings import RuleSettings, StationSettings
from linegate.inspect.summary import Latency, Truth
from linegate.inspect.virtual.stage import Stage

if TYPE_CHECKING:
    from linegate.inspect.virtual.held_out import PhotoSides
    from linegate.inspect.virtual.plant import VirtualPlant

OPTIONS = {
    "rate_parts_per_s": "--rate",
    "seed": "--seed",
    "photos": "--photos",
    "defects": "--defects",
    "all_photos": "--all-photos",
}
PITCH_SHARE = 0.9
"""Parts of the virtual line come at least this share of 1 / rate apart."""


@dataclass(frozen=True, slots=True)
class Overrides:
    """The command line's wishes; None and "" leave the file's word alone."""

    rate: float | None = None
    seed: int | None = None
    data: Path | None = None
    photos: Path | None = None
    all_photos: bool | None = None
    bundle: str = ""
    screens: bool | None = None
    defects: tuple[str, ...] | None = None

    def apply(self, settings: StationSettings, base: Path = Path()) -> StationSettings:
        """The settings with the wishes in them; ``base`` is the station file's folder. Raises SettingsError when they concern
        a virtual line that isn't there, or don't agree with the file's other settings."""
        wishes = {
            "rate_parts_per_s": self.rate,
            "seed": self.seed,
            "photos": self.photos,
            "all_photos": self.all_photos,
            "defects": self.defects,
        }
        asked = {name: value for name, value in wishes.items() if value is not None}
        changed: dict[str, object] = {}
        if asked:
            if settings.virtual is None:
                raise SettingsError(
                    ", ".join(OPTIONS[name] for name in asked),
                    expected="a station with a [virtual] section",
                    found="a station with a real line",
                    remedy="Leave the option out, or add [virtual] to station.toml.",
                )
            changed["virtual"] = settings.virtual.model_copy(update=asked)
            if self.rate is not None:
                if not 0 < self.rate <= 200:
                    raise SettingsError(
                        "--rate",
                        expected="more than 0 and at most 200 parts/s",
                        found=str(self.rate),
                        remedy="Choose another.",
                    )
                pitch_ms = PITCH_SHARE * 1000 / self.rate
                changed["timing"] = settings.timing.model_copy(update={"min_pitch_ms": min(1000.0, max(2.0, pitch_ms))})
        if self.data is not None:
            changed["data"] = self.data.resolve()
        of_recipe: dict[str, object] = {}
        if self.bundle:
            name = str(Path(self.bundle).resolve()) if Path(self.bundle).exists() else self.bundle
            bundle = station_bundle(name, base, self.data or settings.data)
            rules = (RuleSettings(),)  # the file's rules name the classes of the bundle they were written for
            of_recipe = {"bundle": name, "rules": rules, "zones": (), "pixel_mm": None, "channels": None}
            if settings.virtual is not None:
                channels = bundle.manifest.input.channels
                changed["cameras"] = tuple(_deliver(camera, channels) for camera in settings.cameras)
        if self.bundle or self.photos is not None:  # other pictures, or a bundle for them, have other sizes
            of_recipe["size_px"] = None
        if of_recipe:
            changed["recipes"] = tuple(recipe.model_copy(update=of_recipe) for recipe in settings.recipes)
        if self.screens is not None:
            changed["screens"] = settings.screens.model_copy(update={"enabled": self.screens})
        return _agreed(settings.model_copy(update=changed))


def _agreed(settings: StationSettings) -> StationSettings:
    """The settings, looked at as a whole once more: options change one at a time. Raises SettingsError."""
    try:
        return StationSettings.model_validate(dict(settings))
    except ValidationError as error:
        words = "; ".join(detail["msg"].removeprefix("Value error, ") for detail in error.errors(include_url=False))
        raise SettingsError(
            "the options given",
            expected="settings that agree with each other and with station.toml",
            found=words,
            remedy="Choose other options, or correct station.toml.",
        ) from None


def _deliver(camera: CameraSettings, channels: int) -> CameraSettings:
    """An emulated camera delivers what the bundle takes."""
    if isinstance(camera, PylonSettings) and camera.emulate is not None:
        return camera.model_copy(update={"pixel_format": "RGB8" if channels == 3 else "Mono8"})
    return camera


def at_plant(settings: StationSettings, plant: VirtualPlant) -> StationSettings:
    """The settings with the plant's port, in front of each camera the plant's stage, and its photo-eye wired to those that
    it fires."""
    cameras: list[PylonSettings | ReplaySettings] = []
    sensor = _sensor(settings)
    for camera in settings.cameras:
        eye = {"wire": Stage(plant.stage(camera.name)).wire} if camera.trigger == "hardware" else {}
        if isinstance(camera, PylonSettings):
            stage: dict[str, object] = {"emulate": plant.stage(camera.name), **eye}
            cameras.append(camera.model_copy(update=stage | ({"roi": sensor} if sensor and camera.roi is None else {})))
        elif isinstance(camera, ReplaySettings):
            cameras.append(camera.model_copy(update={"folder": plant.stage(camera.name), **eye}))
        else:
            raise SettingsError(
                f"camera {camera.name!r}",
                expected='driver = "pylon" or "replay", which can look at the virtual line',
                found=f'driver = "{camera.driver}"',
                remedy="Change the driver, or remove [virtual] from station.toml.",
            )
    plc = settings.plc.model_copy(update={"port": plant.plc_port, "host": "127.0.0.1"})
    return settings.model_copy(update={"cameras": tuple(cameras), "plc": plc})


def shown_photos(settings: StationSettings, data: Path, base: Path) -> PhotoSides | None:
    """What the bundle that judges at the start has seen of the photos; None where panels are drawn."""
    if settings.virtual is None or settings.virtual.photos is None:
        return None
    from linegate.inspect.virtual.held_out import photo_sides

    recipe = next(recipe for recipe in settings.recipes if recipe.id == settings.recipe)
    bundle = station_bundle(recipe.bundle, base, data)
    return photo_sides(settings.virtual.photos, bundle, data, all_photos=settings.virtual.all_photos)


def _sensor(settings: StationSettings) -> Roi | None:
    """A sensor that holds the largest photo: the emulator cuts off what is larger, and delivers smaller ones as they are."""
    if settings.virtual is None or settings.virtual.photos is None:
        return None
    from linegate.inspect.virtual.photo_size import largest_px

    width_px, height_px = largest_px(settings.virtual.photos)
    return Roi(x_px=0, y_px=0, width_px=width_px, height_px=height_px)


def known_truth(plant: VirtualPlant) -> tuple[Truth, Latency]:
    """What the plant knows: the truth of the parts that went through, and photo-eye to verdict by its own clock."""
    report = plant.report()
    by_class = {name: (truth.escapes, truth.parts) for name, truth in report.classes.items()}
    truth = Truth(
        defective=report.defective,
        good=report.good,
        escapes=report.escapes.count,
        overkill=report.overkill.count,
        uninspected_passed=report.uninspected_passed,
        missed_by_class=by_class,
    )
    return truth, Latency.of(report.latency_ms)
