"""A frozen, content-addressed record of what was trained on: every picture and mask by its sha256, one hash for all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linegate.cameras.image_file import pixels_sha256
from linegate.models.manifest import SNAPSHOT_FILE
from linegate.training.dataset import Dataset, DatasetError, Outline, Sample

MANIFEST = SNAPSHOT_FILE
_CHUNK = 1 << 20
_THREADS = min(4, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The manifest's bytes and their hash. Paths are not in it: the same content has the same hash anywhere."""

    sha256: str
    document: bytes

    @staticmethod
    def of(dataset: Dataset) -> Snapshot:
        """Hash every file of ``dataset`` as it is now. Raises DatasetError naming a file that can't be read."""
        with ThreadPoolExecutor(_THREADS) as threads:  # hashing and decoding both let go of the GIL
            parts = sorted(threads.map(_row, dataset.samples), key=lambda row: str(row["part"]))
        content = {"format": 1, "classes": list(dataset.classes), "parts": parts}
        document = (json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n").encode()
        return Snapshot.read(document)

    @staticmethod
    def read(document: bytes) -> Snapshot:
        """Of the manifest's bytes."""
        return Snapshot(hashlib.sha256(document).hexdigest(), document)

    def rows(self) -> list[Mapping[str, Any]]:
        """The parts' rows: part, image, pixels, mask, label, classes, group, known_group, split and more, as ``Sample``."""
        rows: list[Mapping[str, Any]] = json.loads(self.document)["parts"]
        return rows

    def pixels(self) -> dict[str, str]:
        """Hash of each part's decoded picture, which a copy in another format shares; "" where it doesn't decode."""
        return {str(row["part"]): str(row.get("pixels", "")) for row in self.rows()}


def freeze(dataset: Dataset, folder: Path) -> Snapshot:
    """Copy every file to ``folder``/objects/<first two>/<sha256> and write the manifest last.

    A folder that has the manifest is complete. Objects that are there already are kept, so that freezing a grown dataset into
    the same folder stores only what is new; its manifests lie side by side under manifests/<sha256>.json.
    """
    snapshot = Snapshot.of(dataset)
    for row, sample in zip(snapshot.rows(), sorted(dataset.samples, key=lambda s: s.name), strict=True):
        for key, path in (("image", sample.image), ("mask", sample.mask)):
            if path is not None and row[key]:
                _store(folder, str(row[key]), path)
    target = folder / "manifests" / f"{snapshot.sha256}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    _write(target, snapshot.document)
    _write(folder / MANIFEST, snapshot.document)
    return snapshot


def thaw(folder: Path, sha256: str | None = None) -> Dataset:
    """The dataset of a frozen folder, every object hashed again: what is trained on is what was frozen.

    Raises:
        DatasetError: the manifest or an object is missing or changed.
    """
    path = folder / MANIFEST if sha256 is None else folder / "manifests" / f"{sha256}.json"
    try:
        document = path.read_bytes()
    except OSError as error:
        raise DatasetError(
            f"snapshot {path}",
            expected="a snapshot's manifest",
            found=error.strerror or str(error),
            remedy="Freeze the data with linegate train freeze.",
        ) from None
    if sha256 is not None and hashlib.sha256(document).hexdigest() != sha256:
        raise DatasetError(
            f"snapshot {path}",
            expected=f"sha256 {sha256}",
            found="another",
            remedy="Restore the folder from its backup.",
        )
    content = json.loads(document)
    samples = []
    for row in content["parts"]:
        image, mask = (_object(folder, row[key]) if row[key] else None for key in ("image", "mask"))
        assert image is not None
        samples.append(
            Sample(
                name=row["part"],
                image=image,
                mask=mask,
                label=row["label"],
                classes=tuple(row["classes"]),
                group=row["group"],
                side=row["split"],
                labeller=row["labeller"],
                inclusion=row["inclusion"],
                mask_classes=tuple(row["mask_classes"]),
                weight=row["weight"],
                unit=row.get("unit", ""),
                known_group=row.get("known_group", ""),
                whole=row.get("whole", False),
                outlines=tuple(
                    Outline(o[0], tuple((x, y) for x, y in o[1]), tuple(o[2]), (o[3][0], o[3][1]))
                    for o in row["outlines"]
                ),
            )
        )
    return Dataset(folder, tuple(content["classes"]), tuple(samples))


def _row(sample: Sample) -> dict[str, Any]:
    return {
        "part": sample.name,
        "image": file_sha256(sample.image),
        "pixels": pixels_sha256(sample.image),
        "mask": file_sha256(sample.mask) if sample.mask is not None else "",
        "label": sample.label,
        "classes": list(sample.classes),
        "group": sample.group,
        "split": sample.side,
        "labeller": sample.labeller,
        "inclusion": sample.inclusion,
        "mask_classes": list(sample.mask_classes),
        "weight": sample.weight,
        "unit": sample.unit,
        "known_group": sample.known_group,
        "whole": sample.whole,
        "outlines": [[o.class_index, [list(p) for p in o.points], list(o.runs), list(o.size)] for o in sample.outlines],
    }


def file_sha256(path: Path) -> str:
    """Hash of a file. Raises DatasetError naming it when it can't be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise DatasetError(
            f"file {path}",
            expected="a readable file",
            found=error.strerror or str(error),
            remedy="Restore it, or take its row out of split.csv.",
        ) from None
    return digest.hexdigest()


def _object(folder: Path, sha256: str) -> Path:
    path = folder / "objects" / sha256[:2] / sha256
    found = file_sha256(path)
    if found != sha256:
        raise DatasetError(
            f"snapshot object {path}",
            expected=f"sha256 {sha256}",
            found=found,
            remedy="Restore the folder from its backup.",
        )
    return path


def _store(folder: Path, sha256: str, source: Path) -> None:
    target = folder / "objects" / sha256[:2] / sha256
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_suffix(".new")
    try:
        # A copy, not a link: whoever edits the original in place must not change what was frozen.
        shutil.copyfile(source, temporary)
        temporary.replace(target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise DatasetError(
            f"snapshot {folder}",
            expected="room on the disk",
            found=error.strerror or str(error),
            remedy="Free some disk and freeze again; what is stored already is kept.",
        ) from error


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(".new")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
