"""Labelled images as the trainer sees them: samples with class, group and (maybe) a mask, from a folder.

The folder's layout is ``images/<file>``, ``masks/<stem>.png`` (8-bit, pixel value = class index, 0 = background),
``classes.txt`` (lines of ``index name``) and ``split.csv`` (at least ``file`` and ``label``). Without ``split.csv`` the masks
tell good from defect; without ``classes.txt`` there is one class, ``defect``.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from linegate.cameras import image_file
from linegate.cameras.errors import LinegateError, WrongImage
from linegate.cameras.frame import Image
from linegate.cameras.image_file import SUFFIXES
from linegate.models.preprocess import with_channels

Label = Literal["good", "defect"]
Side = Literal["train", "val", "test", ""]
_SIDES: Mapping[str, Side] = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_BAD_WORDS = frozenset({"defect", "bad", "ng", "nok", "1"})
_GOOD_WORDS = frozenset({"good", "ok", "0"})


class DatasetError(LinegateError):
    """Training data are not what they must be; the message names the file."""


@dataclass(frozen=True, slots=True)
class Outline:
    """One labelled region that came as a polygon or as runs instead of a mask file.

    ``class_index`` counts the sample's ``mask_classes`` from 1. ``points`` are (n, 2) x, y in image pixels; ``runs`` are COCO
    run lengths, column by column, starting with background, for an image of ``size`` (height, width).
    """

    class_index: int
    points: tuple[tuple[float, float], ...] = ()
    runs: tuple[int, ...] = ()
    size: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture of one part.

    Attributes:
        name: unique in the dataset; the file name, or the part's key.
        mask: class-index PNG; None where there is none.
        outlines: regions from COCO, used where ``mask`` is None.
        label: a defect without mask and outlines is "bad, somewhere": it trains the part score only.
        classes: class names on the part, as far as known.
        group: pictures of the same physical part or lot share it; never on two sides.
        known_group: the group as the data name it, alike in every source; "" where only a file name tells parts apart.
        unit: the physical part; "" where every picture is a part of its own.
        whole: the label is the part's: its defect shows on at least one of the unit's pictures, nobody said which.
        inclusion: probability with which this part came to be labelled, 1 where everything was; None where it was looked for,
            so that it says nothing about rates.
        mask_classes: names of the mask's (or the outlines') values 1, 2, …; () where they are the dataset's.
        weight: how often training shows it, for every time it shows another; escapes come more often.
    """

    name: str
    image: Path
    mask: Path | None
    label: Label
    classes: tuple[str, ...] = ()
    group: str = ""
    side: Side = ""
    labeller: str = ""
    inclusion: float | None = 1.0
    outlines: tuple[Outline, ...] = field(default=(), repr=False)
    mask_classes: tuple[str, ...] = ()
    weight: int = 1
    unit: str = ""
    known_group: str = ""
    whole: bool = False

    @property
    def weak(self) -> bool:
        """Known to be bad, not known where."""
        return self.label == "defect" and self.mask is None and not self.outlines


@dataclass(frozen=True, slots=True)
class Lost:
    """A labelled part that can't be used, and why."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """Samples, the class names that mask values 1, 2, … stand for, and the labels for which there is no sample."""

    source: Path
    classes: tuple[str, ...]
    samples: tuple[Sample, ...]
    lost: tuple[Lost, ...] = ()

    def side(self, *sides: Side) -> list[Sample]:
        """Samples on these sides, in order."""
        return [sample for sample in self.samples if sample.side in sides]

    def counts(self) -> dict[str, int]:
        """Good parts and, for each class, parts that show it."""
        found: Counter[str] = Counter()
        for sample in self.samples:
            found.update(["good"] if sample.label == "good" else sample.classes or ["(no class)"])
        return dict(found)

    def with_samples(self, samples: Sequence[Sample]) -> Dataset:
        """The same data with other samples."""
        return replace(self, samples=tuple(samples))


def read_image(path: Path, channels: Literal[1, 3]) -> NDArray[np.uint8]:
    """A picture as (H, W) grey or (H, W, 3) RGB, uint8: read and converted as the line does. Raises DatasetError naming the
    file."""
    return with_channels(_read(path, "image"), channels)


def read_index_mask(path: Path) -> NDArray[np.uint8]:
    """A class-index mask, (H, W) uint8. A palette or colour PNG is refused, because its values aren't class indices."""
    mask = _read(path, "mask")
    if mask.ndim != 2 or mask.dtype != np.uint8:
        raise DatasetError(
            f"mask {path}",
            expected="one 8-bit channel whose values are class indices",
            found=f"an array of shape {mask.shape} and type {mask.dtype}",
            remedy="Export the mask as an 8-bit grey PNG.",
        )
    return np.asarray(mask, np.uint8)


def sample_mask(sample: Sample, size: tuple[int, int]) -> NDArray[np.uint8] | None:
    """The sample's (H, W) class-index mask for an image of ``size`` = (H, W); None where the place isn't known."""
    if sample.mask is not None:
        mask = read_index_mask(sample.mask)
        if mask.shape != size:
            raise DatasetError(
                f"mask {sample.mask}",
                expected=f"the image's size, {size[1]} × {size[0]}",
                found=f"{mask.shape[1]} × {mask.shape[0]}",
                remedy="Export the mask at the image's own size.",
            )
        return mask
    if sample.outlines:
        return draw_outlines(sample.outlines, size)
    return np.zeros(size, np.uint8) if sample.label == "good" else None


def draw_outlines(outlines: Sequence[Outline], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Polygons and runs as a (H, W) class-index mask; later outlines lie on top."""
    mask = np.zeros(size, np.uint8)
    for outline in outlines:
        if outline.runs:
            values = np.arange(len(outline.runs)) % 2
            flat = np.repeat(values, outline.runs).astype(bool)
            height, width = outline.size
            mask[flat.reshape(width, height).T[: size[0], : size[1]]] = outline.class_index
        else:
            points = np.round(np.array(outline.points, np.float64)).astype(np.int32)
            cv2.fillPoly(mask, [points], (outline.class_index,))
    return mask


def load_folder(folder: Path) -> Dataset:
    """Read the folder's index; pictures are opened later, by ``linegate.training.checks``. Raises DatasetError."""
    images = folder / "images"
    if not images.is_dir():
        raise DatasetError(
            f"dataset {folder}",
            expected="a folder with images/ in it",
            found="a folder without images/" if folder.is_dir() else "no such folder",
            remedy="Lay the data out as images/, masks/, classes.txt and split.csv.",
        )
    classes = _read_classes(folder / "classes.txt")
    table = folder / "split.csv"
    samples = list(_from_table(folder, table, classes) if table.exists() else _from_masks(folder, classes))
    if not samples:
        raise DatasetError(
            f"dataset {folder}", expected="at least one image", found="none", remedy="Put pictures into images/."
        )
    return Dataset(folder, classes, tuple(samples))


def _read_classes(path: Path) -> tuple[str, ...]:
    if not path.exists():
        return ("defect",)
    found: dict[int, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        index, _, name = line.strip().partition(" ")
        if not index.isdigit() or not name.strip() or int(index) in found:
            raise DatasetError(
                f"{path} line {number}",
                expected="a new index and a name, such as '1 scratch'",
                found=repr(line),
                remedy="Correct the line.",
            )
        found[int(index)] = name.strip()
    found.pop(0, None)
    if not found or sorted(found) != list(range(1, len(found) + 1)) or len(found) > 254:
        raise DatasetError(
            str(path),
            expected="classes 1, 2, … without gaps, at most 254, 0 for background",
            found=f"indices {sorted(found)}" if found else "no defect class",
            remedy="List every class of the masks.",
        )
    return tuple(found[index] for index in sorted(found))


def _from_table(folder: Path, table: Path, classes: tuple[str, ...]) -> Iterator[Sample]:
    with table.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        missing = {"file", "label"} - set(reader.fieldnames or ())
        if missing:
            raise DatasetError(
                str(table),
                expected="columns file and label",
                found=f"no column {', '.join(sorted(missing))}",
                remedy="Add the column.",
            )
        seen: set[str] = set()
        for number, row in enumerate(reader, 2):
            name = (row["file"] or "").strip()
            label = _label(row["label"] or "", table, number)
            named = tuple(word for word in (row.get("classes") or "").replace("|", ";").split(";") if word.strip())
            unknown = [word for word in named if word.strip() not in classes]
            if unknown:
                raise DatasetError(
                    f"{table} line {number} ({name})",
                    expected=f"classes among {', '.join(classes)}",
                    found=unknown[0],
                    remedy="Add the class to classes.txt or correct the row.",
                )
            if name in seen or not name:
                raise DatasetError(
                    f"{table} line {number}",
                    expected="a file named once",
                    found=name or "an empty name",
                    remedy="Delete the row.",
                )
            seen.add(name)
            mask = folder / "masks" / f"{Path(name).stem}.png"
            part = (row.get("part") or "").strip()
            group = (row.get("group") or "").strip() or part
            yield Sample(
                name=name,
                image=folder / "images" / name,
                mask=mask if mask.exists() else None,
                label=label,
                classes=tuple(word.strip() for word in named),
                group=group or Path(name).stem,
                known_group=group,
                unit="/".join(dict.fromkeys(word for word in (group, part) if word)) or name,
                mask_classes=classes,
                side=_SIDES.get((row.get("split") or "").strip().lower(), ""),
                labeller=(row.get("labeller") or "").strip(),
                inclusion=_share(row.get("inclusion") or "1", table, number),
            )


def _label(word: str, table: Path, number: int) -> Label:
    if word.strip().lower() in _BAD_WORDS:
        return "defect"
    if word.strip().lower() in _GOOD_WORDS:
        return "good"
    raise DatasetError(
        f"{table} line {number}", expected="label good or defect", found=repr(word), remedy="Correct the row."
    )


def _share(word: str, table: Path, number: int) -> float:
    try:
        value = float(word)
    except ValueError:
        value = float("nan")
    if 0 < value <= 1:
        return value
    raise DatasetError(
        f"{table} line {number}",
        expected="an inclusion probability above 0, at most 1",
        found=repr(word),
        remedy="Correct it.",
    )


def _from_masks(folder: Path, classes: tuple[str, ...]) -> Iterator[Sample]:
    for image in sorted(path for path in (folder / "images").iterdir() if path.suffix.lower() in SUFFIXES):
        mask = folder / "masks" / f"{image.stem}.png"
        if not mask.exists():
            raise DatasetError(
                f"image {image.name}",
                expected=f"its mask {mask}, since there is no split.csv that says good or defect",
                found="none",
                remedy="Add the mask (all zero for a good part) or a split.csv.",
            )
        values = sorted(set(np.unique(read_index_mask(mask)).tolist()) - {0})
        if values and values[-1] > len(classes):
            if classes == ("defect",):
                yield Sample(image.name, image, mask, "defect", classes, image.stem, mask_classes=classes)
                continue
            raise unknown_value(mask, values[-1], classes)
        yield Sample(
            image.name,
            image,
            mask,
            "defect" if values else "good",
            tuple(classes[value - 1] for value in values),
            image.stem,
            mask_classes=classes,
        )


def unknown_value(mask: Path, value: int, classes: tuple[str, ...]) -> DatasetError:
    """The error for a mask that carries a value no class stands for."""
    return DatasetError(
        f"mask {mask}",
        expected=f"values 0 to {len(classes)} ({', '.join(classes)})",
        found=f"value {value}",
        remedy="Add the class to classes.txt or correct the mask.",
    )


def _read(path: Path, kind: str) -> Image:
    try:
        return image_file.read_image(path)
    except WrongImage as error:
        raise DatasetError(
            f"{kind} {path}",
            expected=error.expected,
            found=error.found,
            remedy="Restore the file, take it out of split.csv, or pass --skip-broken.",
        ) from error
