"""Where the parts' pictures come from: panels drawn ahead, or photos with masks; by a process of low priority."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from linegate.cameras.errors import SettingsError
from linegate.inspect.priority import stand_back
from linegate.inspect.virtual.launch import leave_group
from linegate.inspect.virtual.panel import PanelSpec, draw_panel
from linegate.inspect.virtual.truth import PartTruth

PHOTO_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}


@dataclass(frozen=True, slots=True)
class PicturePlan:
    """Which parts come. ``pool`` pictures are made once and repeated; None makes every part's anew, ``ahead`` in advance."""

    folder: Path
    seed: int
    spec: PanelSpec
    photos: Path | None
    leave_out: frozenset[str]
    """File names of photos that are not shown."""
    pool: int | None
    ahead: int


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo with its mask (None where the folder has none for it: a good part)."""

    image: Path
    mask: Path | None
    lot: str


def find_photos(folder: Path) -> tuple[list[Photo], dict[int, str]]:
    """The photos of ``folder`` in name order, and the class names by mask value.

    ``folder`` has images/ and masks/ (``<stem>.png``, value = class index), and may have classes.txt ("index name" a
    line) and split.csv (columns file and group, which becomes the lot). Raises SettingsError when there is no photo, or one
    of the two files is not text.
    """
    images = folder / "images"
    found = sorted(p for p in images.glob("*") if p.suffix.lower() in PHOTO_SUFFIXES) if images.is_dir() else []
    if not found:
        raise SettingsError(
            f"photos folder {folder}",
            expected="photos in its images/ (and masks in masks/, same stem, .png)",
            found="no images/ folder" if not images.is_dir() else f"no {', '.join(sorted(PHOTO_SUFFIXES))} in images/",
            remedy="Give a folder of that layout in [virtual] photos, or leave photos out to draw panels.",
        )
    lots = {row["file"]: row.get("group") or "" for row in split_rows(folder)}
    names: dict[int, str] = {}
    for line in _text(folder / "classes.txt").splitlines():
        number, _, name = line.strip().partition(" ")
        if number.isascii() and number.isdigit():
            names[int(number)] = name.strip()
    masks = folder / "masks"
    photos = []
    for path in found:
        mask = masks / f"{path.stem}.png"
        photos.append(Photo(path, mask if mask.exists() else None, lots.get(path.name, folder.name)))
    return photos, names


def split_rows(folder: Path) -> list[dict[str, str | None]]:
    """The rows of ``folder``'s split.csv that name a file, as dicts of its columns; [] where there is none. Raises
    SettingsError when it is not a table."""
    path = folder / "split.csv"
    try:
        return [row for row in csv.DictReader(io.StringIO(_text(path), newline="")) if row.get("file")]
    except csv.Error as error:
        raise SettingsError(
            f"file {path}", expected="a table in CSV", found=str(error), remedy="Save it as CSV, or remove it."
        ) from error


def _text(path: Path) -> str:
    """The file's text, "" where there is none; a byte order mark, as spreadsheets write it, is left out."""
    if not path.exists():
        return ""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"file {path}",
            expected="text in UTF-8",
            found=f"byte {error.start} is not" if isinstance(error, UnicodeDecodeError) else str(error.strerror),
            remedy="Save it as UTF-8, or remove it.",
        ) from error


def _photo_truth(photo: Photo, names: dict[int, str], picture: str) -> tuple[NDArray[np.uint8], PartTruth]:
    image = cv2.imread(str(photo.image), cv2.IMREAD_COLOR)
    if image is None:
        raise SettingsError(
            f"photo {photo.image}",
            expected="a readable picture",
            found="an unreadable one",
            remedy="Remove or repair it.",
        )
    if np.array_equal(image[..., 0], image[..., 1]) and np.array_equal(image[..., 1], image[..., 2]):
        image = np.asarray(image[..., 0])
    values: list[int] = []
    pixels = 0
    if photo.mask is not None:
        mask = cv2.imread(str(photo.mask), cv2.IMREAD_GRAYSCALE)
        if mask is None:
            raise SettingsError(
                f"mask {photo.mask}", expected="an 8-bit PNG", found="an unreadable one", remedy="Repair the file."
            )
        values = [int(v) for v in np.unique(mask) if v]
        pixels = int(cv2.countNonZero(mask))
    classes = tuple(names.get(value, f"class {value}") for value in values)
    return np.ascontiguousarray(image, np.uint8), PartTruth(
        picture, photo.image.name, photo.lot, not values, classes, pixels, 0.0
    )


def _parts(plan: PicturePlan) -> Iterator[tuple[NDArray[np.uint8], PartTruth]]:
    """Endless: picture (H, W) or (H, W, 3) BGR uint8, and truth."""
    number = 0
    if plan.photos is not None:
        found, names = find_photos(plan.photos)
        photos = [photo for photo in found if photo.image.name not in plan.leave_out]
        random.Random(plan.seed).shuffle(photos)
        while True:
            yield _photo_truth(photos[number % len(photos)], names, f"{number:08d}.bmp")
            number += 1
    while True:
        panel = draw_panel(plan.seed, number, plan.spec)
        yield (
            panel.image,
            PartTruth(
                picture=f"{number:08d}.bmp",
                source=f"s{plan.seed}_{number:06d}",
                lot=panel.lot,
                good=panel.good,
                classes=panel.classes,
                defect_px=int(cv2.countNonZero(panel.mask)),
                difficulty=max((defect.difficulty for defect in panel.defects), default=0.0),
            ),
        )
        number += 1


def main(plan: PicturePlan, belt: Connection) -> None:
    """Draw until the belt's end closes. Sends a PartTruth for each picture that lies ready, or a LinegateError; takes
    one token (any object) for each picture the belt has used up."""
    leave_group()
    stand_back(10)  # unlike the belt and the PLC, which are machines
    cv2.setNumThreads(1)
    free = plan.ahead
    try:
        for number, (image, truth) in enumerate(_parts(plan)):
            if plan.pool is not None and number >= plan.pool:
                belt.recv()  # nothing more to draw; wait for the end
                return
            while plan.pool is None and (free <= 0 or belt.poll()):
                belt.recv()
                free += 1
            path = plan.folder / truth.picture
            if not cv2.imwrite(str(path), image):
                raise SettingsError(
                    f"picture {path}",
                    expected="room to write it",
                    found="a write that failed",
                    remedy="Free some disk space.",
                )
            belt.send(truth)
            free -= 1
    except SettingsError as error:
        belt.send(error)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
