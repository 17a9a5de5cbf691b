"""Which photos a bundle has learned from: figures on those would flatter it, so they are not shown to the line.

Training leaves its snapshot in the bundle, and beside older ones; its hash stands in the bundle's manifest, and it names every
picture by its content and its side. Without it the folder's own split.csv is believed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linegate.cameras.errors import SettingsError
from linegate.cameras.image_file import pixels_sha256
from linegate.inspect.virtual.pictures import find_photos, split_rows
from linegate.models.bundle import Bundle

SNAPSHOT = "snapshot.json"
_CONTENT = ("image", "pixels")
"""What a snapshot knows a picture by: the hash of its file, and of what it shows."""
TRAIN = "train"
TUNE = frozenset({"val", "valid", "validation"})


@dataclass(frozen=True, slots=True)
class PhotoSides:
    """``folder``'s photos by file name.

    Attributes:
        source: "snapshot", "split.csv", or "" where nothing tells whether the bundle has seen them.
        trained: those that the network learned from.
        tuned: those that its thresholds were chosen on.
        left_out: those that are not shown.
    """

    folder: Path
    total: int
    source: str
    trained: frozenset[str]
    tuned: frozenset[str]
    left_out: frozenset[str]

    @property
    def shown(self) -> int:
        """Photos that come under the camera."""
        return self.total - len(self.left_out)

    def words(self) -> str:
        """What a reader of the figures has to know."""
        if not self.source:
            return (
                f"{self.total} photos; whether the bundle was trained on them is not known (no {SNAPSHOT} in it, no "
                "training side in split.csv): the figures may flatter it"
            )
        if not self.trained:
            return f"{self.total} photos, none of which the bundle was trained on"
        if not self.left_out:
            return (
                f"{self.total} photos, {len(self.trained)} of which the bundle was trained on: the figures flatter it "
                "(without --all-photos those are left out)"
            )
        tuned = f"; on {len(self.tuned)} of them its thresholds were chosen" if self.tuned else ""
        return (
            f"{self.shown} of {self.total} photos: {len(self.left_out)} on the training side, by the {self.source}, are "
            f"left out{tuned}"
        )

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "folder": str(self.folder),
            "total": self.total,
            "shown": self.shown,
            "source": self.source or None,
            "trained": len(self.trained),
            "tuned": len(self.tuned),
        }


def photo_sides(folder: Path, bundle: Bundle, data: Path, *, all_photos: bool = False) -> PhotoSides:
    """What ``bundle`` has seen of the photos in ``folder``. ``data``: the station's data folder, where training jobs leave
    their snapshots. ``all_photos``: leave none out. Raises SettingsError when nothing would be left, or as find_photos."""
    photos = [photo.image for photo in find_photos(folder)[0]]
    snapshot = _snapshot(bundle, data)
    sides: dict[str, str] = {}
    if snapshot is not None:
        by_content = {str(row[key]): str(row["split"]) for row in snapshot["parts"] for key in _CONTENT if row.get(key)}
        sides = {path.name: _side(path, by_content) for path in photos}
    else:
        table = {row["file"]: (row.get("split") or "").strip().lower() for row in split_rows(folder)}
        sides = {path.name: table.get(path.name, "") for path in photos}
    trained = frozenset(name for name, side in sides.items() if side == TRAIN)
    tuned = frozenset(name for name, side in sides.items() if side in TUNE)
    source = "snapshot" if snapshot is not None else "split.csv" if trained else ""
    left_out: frozenset[str] = frozenset() if all_photos else trained
    if len(left_out) == len(photos):
        raise SettingsError(
            f"photos folder {folder}",
            expected="photos that the bundle was not trained on",
            found=f"{len(photos)}, all of them on the training side",
            remedy="Give other photos, or --all-photos to show these all the same.",
        )
    return PhotoSides(folder, len(photos), source, trained, tuned, left_out)


def _side(path: Path, by_content: dict[str, str]) -> str:
    """Also of a photo that the log keeps in another format since it was labelled."""
    side = by_content.get(hashlib.sha256(path.read_bytes()).hexdigest())
    return by_content.get(pixels_sha256(path), "") if side is None else side


def _snapshot(bundle: Bundle, data: Path) -> dict[str, Any] | None:
    """The training's own record, if it is at hand and is the one that the manifest names."""
    for path in _places(bundle.folder, data):
        if path.is_file():
            document = path.read_bytes()
            if hashlib.sha256(document).hexdigest() == bundle.manifest.provenance.data_sha256:
                found: dict[str, Any] = json.loads(document)
                return found
    return None


def _places(folder: Path, data: Path) -> Iterator[Path]:
    yield folder / SNAPSHOT
    yield folder.with_name(f"{folder.name}.train") / SNAPSHOT
    yield folder.parent / SNAPSHOT
    yield from sorted((data / "jobs").glob(f"*/{SNAPSHOT}"))
