"""``linegate cameras``: what is connected, and a test image of it."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from linegate.cameras.errors import CameraError, CameraNotFound
from linegate.cameras.factory import ConnectedCamera, list_cameras, open_camera
from linegate.cameras.frame import Frame, FrameLost
from linegate.cameras.settings import CameraSettings, GentlSettings, PylonSettings

WAIT_S = 5.0


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("cameras")
    def cameras(
        emulated: Annotated[bool, typer.Option("--emulated", help="Also list pylon's emulated cameras.")] = False,
        producer: Annotated[
            Path | None, typer.Option(help="Also list the devices of this GenTL producer (.cti).")
        ] = None,
        save: Annotated[Path | None, typer.Option(help="Save a test image of each camera in this folder.")] = None,
        serial: Annotated[str, typer.Option(help="Only this camera.")] = "",
        photos: Annotated[Path | None, typer.Option(help="Photos that the emulated camera shows with --save.")] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
    ) -> None:
        """List the cameras that are connected; with --save, take a picture with each."""
        found = list_cameras(emulated=emulated or photos is not None, producer=producer)
        if serial:
            chosen = [camera for camera in found if camera.id == serial]
            if not chosen:
                raise CameraNotFound(
                    f"camera {serial}",
                    expected="a connected camera with that serial",
                    found=", ".join(camera.id for camera in found) or "no camera",
                    remedy="Check power and cable, or leave --serial out to see all.",
                )
            found = chosen
        if save is not None:
            if not found:
                raise CameraNotFound(
                    "cameras",
                    expected="at least one connected camera, to save its picture",
                    found="none",
                    remedy="Check power and cable, or give --producer for a camera of another vendor.",
                )
            if not serial:
                # Sixteen emulated cameras all show the same folder: one picture is enough.
                virtual = [camera for camera in found if camera.link == "emulated"]
                found = [camera for camera in found if camera not in virtual[1:]]
        rows = [
            asdict(camera) | (_take(camera, save, producer, photos) if save is not None else {}) for camera in found
        ]
        if as_json:
            typer.echo(json.dumps(rows, indent=2))
        elif not rows:
            typer.echo("No camera connected. --emulated lists pylon's emulated cameras, --producer another vendor's.")
        else:
            for row in rows:
                image = (
                    f"  {row['width_px']} x {row['height_px']} {row['pixel_format']} -> {row['image']}" if save else ""
                )
                typer.echo(f"{row['driver']:6} {row['id']:20} {row['vendor']} {row['model']}, {row['link']}{image}")


def _take(camera: ConnectedCamera, folder: Path, producer: Path | None, photos: Path | None) -> dict[str, Any]:
    """One picture, saved as PNG. Raises CameraError when none comes or it can't be written."""
    import cv2

    device = open_camera(_settings(camera, producer, photos))
    try:
        device.open()
        device.arm()
        frame = None
        until = time.monotonic() + WAIT_S
        while not isinstance(frame, Frame) and time.monotonic() < until:
            frame = device.fetch(0.5)
    finally:
        device.close()
    if not isinstance(frame, Frame):
        raise CameraError(
            f"camera {camera.id}",
            expected=f"a picture within {WAIT_S:.0f} s",
            found=frame.detail if isinstance(frame, FrameLost) else "none",
            remedy="Check link, packet size and exposure.",
        )
    path = folder / f"{camera.driver}-{camera.id}.png"
    pixels = frame.image if frame.image.ndim == 2 else cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    except OSError as error:
        raise CameraError(
            f"image {path}",
            expected="a folder that can be written",
            found=error.strerror or str(error),
            remedy="Give --save another folder, or free space.",
        ) from error
    return {
        "image": str(path),
        "width_px": frame.image.shape[1],
        "height_px": frame.image.shape[0],
        "pixel_format": frame.pixel_format,
    }


def _settings(camera: ConnectedCamera, producer: Path | None, photos: Path | None) -> CameraSettings:
    """Free running: a test picture must not wait for a photo-eye."""
    if camera.driver == "gentl":
        assert producer is not None
        return GentlSettings(driver="gentl", name="test", trigger="free", producer=producer, serial=camera.id)
    emulate = photos if camera.link == "emulated" else None
    return PylonSettings(driver="pylon", name="test", trigger="free", serial=camera.id, emulate=emulate)
