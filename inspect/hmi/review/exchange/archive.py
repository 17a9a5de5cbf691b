"""Label files as they travel: a zip in Linegate's own training layout, or another tool's file alone or in a zip.

Layout: images/<name>, masks/<stem>.png (8-bit, value = line of classes.txt), classes.txt ("index name"), split.csv. It is
what ``linegate train`` takes.
"""

from __future__ import annotations

import csv
import io
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath
from typing import IO, Literal

import numpy as np

from linegate.inspect.hmi.review.exchange import coco, cvat, label_studio
from linegate.inspect.hmi.review.exchange.picture import Budget, LabelledPicture, Pending, check_size
from linegate.inspect.hmi.review.exchange.rle import ExchangeError, bad
from linegate.inspect.partlog.masks import MOST_PIXELS, MaskError, decode_mask, encode_mask, png_size, values_of

Format = Literal["png", "coco", "cvat", "label-studio"]
FILE_NAMES: dict[str, str] = {
    "coco": "annotations.json",
    "cvat": "annotations.xml",
    "label-studio": "tasks.json",
}
MOST_FILES = 20_000
MOST_TEXT_BYTES = 64_000_000
"""Of one JSON or XML, unpacked; parsed it takes some ten times as much memory."""
MOST_MASK_BYTES = MOST_PIXELS + 2_000_000
"""Of one PNG; one of noise is hardly larger than its pixels."""
_HEAD_BYTES = 64


def write_zip(
    target: IO[bytes],
    kind: Format,
    pictures: Sequence[Pending],
    images: Iterable[tuple[str, bytes]] = (),
    groups: Sequence[str] = (),
) -> None:
    """One zip of labels, and of the pictures themselves where given (name, file content). ``groups``: lot of each picture.
    One mask is in memory at a time. Raises ExchangeError, MaskError, OSError."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        if kind == "png":
            _write_folder(archive, pictures, groups)
        else:
            writer = {"coco": coco.write, "cvat": cvat.write, "label-studio": label_studio.write}[kind]
            with archive.open(FILE_NAMES[kind], "w", force_zip64=True) as file:
                for text in writer(pictures):
                    file.write(text.encode())
        for name, content in images:
            archive.writestr(f"images/{name}", content, zipfile.ZIP_STORED)


def _write_folder(archive: zipfile.ZipFile, pictures: Sequence[Pending], groups: Sequence[str]) -> None:
    names = tuple(dict.fromkeys(name for picture in pictures for name in picture.classes))
    if len(names) > 254:
        raise bad("picture_classes", "export", "at most 254 classes", str(len(names)), "Narrow the filters.")
    table, budget = io.StringIO(), Budget()
    rows = csv.writer(table)
    rows.writerow(["file", "split", "label", "classes", "group", "width", "height", "defect_px"])
    for number, pending in enumerate(pictures):
        picture = renamed(pending.draw(budget), names)
        path = f"masks/{PurePosixPath(picture.name).stem}.png"
        archive.writestr(path, encode_mask(picture.mask), zipfile.ZIP_STORED)
        kind = "defect" if picture.used else "good"
        group = groups[number] if groups else ""
        size = [picture.width_px, picture.height_px, int(np.count_nonzero(picture.mask))]
        rows.writerow([picture.name, "dev", kind, " ".join(picture.used), group, *size])
    archive.writestr("classes.txt", "".join(f"{k} {name}\n" for k, name in enumerate(["background", *names])))
    archive.writestr("split.csv", table.getvalue())


def read_upload(file: IO[bytes], name: str) -> list[Pending]:
    """The pictures in whatever was uploaded; the kind is seen from the content. ``file`` stays open until the last of them
    was drawn. Raises ExchangeError."""
    file.seek(0)
    head = file.read(512)
    file.seek(0)
    start = head.lstrip()
    if head.startswith(b"PK\x03\x04"):
        return _read_zip(file, name)
    if head.startswith(b"\x89PNG"):
        width, height, _ = png_size(head)
        check_size(name, width, height)
        found = "a single PNG"
        raise bad(
            "upload_single_png", name, "a zip with masks/ and classes.txt", found, "A mask alone names no classes."
        )
    if start.startswith((b"<?xml", b"<annotations", b"\xef\xbb\xbf<", b"[", b"{")):
        return _read_text(file.read(MOST_TEXT_BYTES + 1), name)
    wanted = "COCO JSON, CVAT XML, Label Studio JSON, or a zip with one of them or with masks/ and classes.txt"
    raise bad("upload_unknown", name, wanted, "none of these")


def _read_text(text: bytes, name: str) -> list[Pending]:
    if len(text) > MOST_TEXT_BYTES:
        raise _too_large(name, len(text), MOST_TEXT_BYTES)
    start = text[:512].lstrip()
    if start.startswith(b"["):
        return label_studio.read(text, name)
    if start.startswith(b"{"):
        return coco.read(text, name)
    return cvat.read(text, name)


def _too_large(thing: str, size_bytes: int, most_bytes: int) -> ExchangeError:
    mb, most_mb = f"{size_bytes / 1e6:.0f}", f"{most_bytes / 1e6:.0f}"
    return bad("upload_too_large", thing, f"at most {most_mb} MB", f"{mb} MB", "Split it.", mb=mb, most_mb=most_mb)


def _read_zip(file: IO[bytes], name: str) -> list[Pending]:
    try:
        archive = zipfile.ZipFile(file)
        entries = [e for e in archive.infolist() if not e.is_dir()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise bad("upload_zip_broken", name, "a complete zip file", f"{error!s:.120}") from error
    if len(entries) > MOST_FILES:
        raise bad("upload_too_many", name, f"at most {MOST_FILES} files", str(len(entries)), "Split it into several.")
    by_name = {PurePosixPath(e.filename).name: e for e in entries}
    for file_name in FILE_NAMES.values():
        if file_name in by_name:
            return _read_text(_content(archive, by_name[file_name], name, MOST_TEXT_BYTES), f"{name}, {file_name}")
    if "classes.txt" in by_name:
        return _read_folder(archive, entries, by_name["classes.txt"], name)
    wanted = ", ".join([*FILE_NAMES.values(), "or masks/ with classes.txt"])
    raise bad("upload_zip_other", name, wanted, f"{len(entries)} other files")


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str, most_bytes: int, only: int = -1) -> bytes:
    """An entry unpacked, or its first ``only`` bytes."""
    thing = f"{name}, {entry.filename:.200}"
    if entry.file_size > most_bytes:
        raise _too_large(thing, entry.file_size, most_bytes)
    try:
        with archive.open(entry) as file:  # gives no more than the size that the zip's directory states
            return file.read(only)
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, RuntimeError, zlib.error) as error:
        raise bad("upload_entry_broken", thing, "a readable entry", f"{error!s:.120}") from error


def _read_folder(
    archive: zipfile.ZipFile, entries: Sequence[zipfile.ZipInfo], listing: zipfile.ZipInfo, name: str
) -> list[Pending]:
    classes = _classes(_content(archive, listing, name, MOST_TEXT_BYTES), name)
    paths = {e.filename: PurePosixPath(e.filename) for e in entries}
    stems = {path.stem: path.name for path in paths.values() if "images" in path.parts}
    found = []
    for entry in sorted(entries, key=lambda e: e.filename):
        path = paths[entry.filename]
        if path.suffix.lower() != ".png" or "masks" not in path.parts:
            continue
        thing = f"{name}, {entry.filename:.200}"
        try:
            width, height, _ = png_size(_content(archive, entry, name, MOST_MASK_BYTES, _HEAD_BYTES))
        except MaskError as error:
            raise _as_exchange(error, thing) from error
        check_size(thing, width, height)
        picture = stems.get(path.stem, path.name)
        found.append(Pending(picture, width, height, partial(_draw, archive, entry, name, picture, classes)))
    return found


def _classes(listing: bytes, name: str) -> tuple[str, ...]:
    classes: dict[int, str] = {}
    for line in listing.decode("utf-8", "replace").splitlines():
        index, _, label = line.strip().partition(" ")
        if not line.strip():
            continue
        if not (index.isascii() and index.isdigit() and len(index) < 4 and int(index) <= 254 and label):
            raise bad("classes_txt", f"{name}, classes.txt", "lines of 'index name'", f"{line!r:.80}")
        classes[int(index)] = label.strip()
    return tuple(classes.get(k, f"class {k}") for k in range(1, max(classes, default=0) + 1))


def _draw(
    archive: zipfile.ZipFile,
    entry: zipfile.ZipInfo,
    name: str,
    picture: str,
    classes: tuple[str, ...],
    budget: Budget,
) -> LabelledPicture:
    thing = f"{name}, {entry.filename:.200}"
    png = _content(archive, entry, name, MOST_MASK_BYTES)
    try:
        width, height, _ = png_size(png)
        budget.spend(width * height, thing)
        mask = decode_mask(png, thing)
    except MaskError as error:
        raise _as_exchange(error, thing) from error
    highest = max(values_of(mask), default=0)
    if highest > len(classes):
        raise bad("mask_value", thing, f"values 0 to {len(classes)}, as classes.txt names them", str(highest))
    return LabelledPicture(picture, mask, classes)


def _as_exchange(error: MaskError, thing: str) -> ExchangeError:
    return bad(error.code, thing, error.expected, error.found, error.remedy, **error.values)


def renamed(picture: LabelledPicture, classes: tuple[str, ...]) -> LabelledPicture:
    """The same label with values numbered by ``classes``; every class it uses must be among them."""
    lut = np.zeros(256, np.uint8)
    for value, label in enumerate(picture.classes, start=1):
        if label in classes:
            lut[value] = classes.index(label) + 1
    return replace(picture, mask=lut[picture.mask], classes=classes)
