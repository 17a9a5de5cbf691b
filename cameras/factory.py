"""From settings to a camera, and what is connected at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from linegate.cameras.camera import Camera
from linegate.cameras.settings import CameraSettings, GentlSettings, PylonSettings, ReplaySettings


@dataclass(frozen=True, slots=True)
class ConnectedCamera:
    """A device that a driver sees; ``id`` is what ``serial`` in station.toml takes."""

    driver: str
    id: str
    vendor: str
    model: str
    link: str


def open_camera(settings: CameraSettings) -> Camera:
    """The driver for ``settings``, not connected yet: ``Camera.open`` does that, on the acquisition thread."""
    match settings:
        case PylonSettings():
            from linegate.cameras.pylon import PylonCamera

            return PylonCamera(settings)
        case GentlSettings():
            from linegate.cameras.gentl import GentlCamera

            return GentlCamera(settings)
        case ReplaySettings():
            from linegate.cameras.replay import ReplayCamera

            return ReplayCamera(settings)
        case _:
            assert_never(settings)


def list_cameras(*, emulated: bool = False, producer: Path | None = None) -> list[ConnectedCamera]:
    """Every camera that pylon sees (its emulated ones only when asked for) and, with ``producer``, every device of that
    GenTL producer. Opens none of them. Raises CameraError when the producer can't be used."""
    from linegate.cameras import pylon_nodes

    with pylon_nodes.ENUMERATION:
        if emulated:
            pylon_nodes.offer_emulated()
        found = [
            ConnectedCamera("pylon", d.serial, d.vendor, d.model, d.link)
            for d in pylon_nodes.devices()
            if emulated or not d.emulated
        ]
    if producer is not None:
        from linegate.cameras import gentl_producer

        harvester = gentl_producer.load(producer)
        try:
            found += [
                ConnectedCamera("gentl", d.id, d.vendor, d.model, d.link) for d in gentl_producer.devices(harvester)
            ]
        finally:
            gentl_producer.let_go(producer)
    return found
