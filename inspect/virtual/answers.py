"""What is true of the parts of a run, as masks under the names that the part log knows them by: the virtual line's stand-in for
a person who looks at the parts and draws."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from sqlalchemy import Engine, select

from linegate.cameras.errors import SettingsError
from linegate.inspect.part import Decision, PartKey
from linegate.inspect.partlog.database import open_reader
from linegate.inspect.partlog.queries import Reading
from linegate.inspect.partlog.schema import part
from linegate.inspect.settings import LogSettings, VirtualSettings
from linegate.inspect.virtual.dataset import class_numbers
from linegate.inspect.virtual.ledger import read_ledger
from linegate.inspect.virtual.panel import draw_panel
from linegate.inspect.virtual.pictures import find_photos
from linegate.inspect.virtual.plant import LEDGER, PARTS
from linegate.inspect.virtual.spec import drawn

Mask = NDArray[np.uint8]


def write_answers(data: Path, log: LogSettings, cameras: Sequence[str], out: Path, *, escapes: bool = False) -> int:
    """Write a mask of each part of the last run to ``out``, a zip that ``linegate log label`` and the review screen read; good
    parts' are empty. ``escapes``: only of bad parts that the line judged OK. Returns how many.

    Raises:
        SettingsError: no virtual line ran here, or ``out`` can't be written. LogError: the log.
    """
    folder = data / "plant"
    settings = _settings(folder / PARTS)
    engine = open_reader(log, data)
    try:
        decisions = _decisions(engine)
    finally:
        engine.dispose()
    draw, classes = _drawer(settings)
    count = 0
    try:
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("classes.txt", "".join(f"{number} {name}\n" for number, name in classes.items()))
            for row in read_ledger(folder / LEDGER):
                key = PartKey(row["epoch"], row["sequence"]) if row["epoch"] is not None else None
                if key not in decisions or (escapes and (row["good"] or decisions[key] is not Decision.OK)):
                    continue
                png = cv2.imencode(".png", draw(row))[1].tobytes()
                for camera in cameras:
                    archive.writestr(f"masks/{key}_{camera}.png", png)
                    count += 1
    except OSError as error:
        raise SettingsError(
            f"file {out}",
            expected="a file that can be written",
            found=error.strerror or str(error),
            remedy="Choose another place, or free some disk.",
        ) from error
    return count


def _settings(path: Path) -> VirtualSettings:
    try:
        return VirtualSettings.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise SettingsError(
            f"file {path}",
            expected="what the virtual line's last run was made of",
            found=str(error).splitlines()[0],
            remedy="Run the virtual line with this data folder first.",
        ) from error


def _decisions(engine: Engine) -> dict[PartKey | None, Decision]:
    with Reading(engine) as connection:
        rows = connection.execute(select(part.c.epoch, part.c.sequence, part.c.decision)).all()
    return {PartKey(int(row.epoch), int(row.sequence)): Decision(row.decision) for row in rows}


def _drawer(settings: VirtualSettings) -> tuple[Callable[[Mapping[str, Any]], Mask], dict[int, str]]:
    """From a ledger's row to the part's mask, and the classes by value."""
    if settings.photos is not None:
        photos, names = find_photos(settings.photos)
        by_name = {photo.image.name: photo for photo in photos}
        return lambda row: _photo_mask(by_name[row["source"]].image, by_name[row["source"]].mask), names
    spec = drawn(settings)
    numbers = class_numbers(spec)

    def draw(row: Mapping[str, Any]) -> Mask:
        seed, _, index = str(row["source"]).removeprefix("s").partition("_")
        return np.asarray(numbers[draw_panel(int(seed), int(index), spec).mask], np.uint8)

    return draw, dict(enumerate(spec.classes))


def _photo_mask(image: Path, mask: Path | None) -> Mask:
    found = cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE) if mask is not None else None
    if found is not None:
        return np.asarray(found, np.uint8)
    picture = cv2.imread(str(image), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise SettingsError(f"photo {image}", expected="a picture", found="none", remedy="Restore it.")
    return np.zeros(picture.shape[:2], np.uint8)
