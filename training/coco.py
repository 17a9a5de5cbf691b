"""COCO instance annotations (images, annotations, categories): polygons and run lengths, plain and compressed.

A picture without annotations is a good part. A picture may carry ``group`` (pictures of one part share it) and ``split``;
without a group each picture is its own.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from linegate.training.dataset import Dataset, DatasetError, Outline, Sample, Side


def load_coco(path: Path) -> Dataset:
    """Read ``path``; pictures are looked for beside it and in ``images/``. Raises DatasetError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        images, annotations = content["images"], content["annotations"]
        categories = sorted(content["categories"], key=lambda category: int(category["id"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"COCO file {path}",
            expected="JSON with images, annotations and categories",
            found=f"{type(error).__name__}: {error}",
            remedy="Export the annotations as COCO instances.",
        ) from None
    index_of = {category["id"]: index for index, category in enumerate(categories, 1)}
    names = tuple(str(category["name"]) for category in categories)
    if not names:
        raise DatasetError(f"COCO file {path}", expected="a category", found="none", remedy="Name the defect classes.")
    outlines: defaultdict[Any, list[Outline]] = defaultdict(list)
    known = {image["id"] for image in images}
    for annotation in annotations:
        _check(path, annotation, index_of, known)
        outlines[annotation["image_id"]].extend(_outlines(path, annotation, index_of[annotation["category_id"]]))
    samples = []
    for image in images:
        own = tuple(outlines[image["id"]])
        shown = tuple(dict.fromkeys(names[outline.class_index - 1] for outline in own))
        file = str(image["file_name"])
        group = str(image.get("group") or "")
        side: Side = image.get("split", "") if image.get("split") in ("train", "val", "test") else ""
        samples.append(
            Sample(
                name=file,
                image=_find(path.parent, file),
                mask=None,
                label="defect" if own else "good",
                classes=shown,
                group=group or Path(file).stem,
                known_group=group,
                unit=group or file,
                side=side,
                outlines=own,
                mask_classes=names,
            )
        )
    if not samples:
        raise DatasetError(f"COCO file {path}", expected="at least one image", found="none", remedy="Add images.")
    return Dataset(path, names, tuple(samples))


def decode_counts(text: str) -> tuple[int, ...]:
    """COCO's compressed run lengths: 5 bits a character from '0', bit 6 says more, lengths from the third on are
    differences to the one two before (the format of cocodataset/cocoapi, ``rleFrString``)."""
    counts: list[int] = []
    value, shift = 0, 0
    for character in text:
        code = ord(character) - 48
        value |= (code & 0x1F) << shift
        shift += 5
        if code & 0x20:
            continue
        if code & 0x10:
            value -= 1 << shift
        if len(counts) > 2:
            value += counts[-2]
        counts.append(value)
        value, shift = 0, 0
    return tuple(counts)


def _check(path: Path, annotation: dict[str, Any], index_of: dict[Any, int], known: set[Any]) -> None:
    for key, values, words in (("category_id", index_of, "categories"), ("image_id", known, "images")):
        if annotation.get(key) not in values:
            raise DatasetError(
                f"COCO file {path}, annotation {annotation.get('id')}",
                expected=f"a {key} of {words}",
                found=repr(annotation.get(key)),
                remedy="Correct the annotation.",
            )


def _outlines(path: Path, annotation: dict[str, Any], index: int) -> list[Outline]:
    segmentation = annotation.get("segmentation")
    try:
        if isinstance(segmentation, dict):
            height, width = (int(v) for v in segmentation["size"])
            counts = segmentation["counts"]
            runs = decode_counts(counts) if isinstance(counts, str) else tuple(int(v) for v in counts)
            if sum(runs) != height * width or min(runs, default=0) < 0:
                raise ValueError(f"runs cover {sum(runs)} of {height * width} pixels")
            return [Outline(index, runs=runs, size=(height, width))]
        if segmentation:
            return [
                Outline(index, points=tuple(zip(map(float, polygon[::2]), map(float, polygon[1::2]), strict=True)))
                for polygon in segmentation
            ]
        x, y, width_px, height_px = (float(v) for v in annotation["bbox"])
    except (ValueError, TypeError, KeyError) as error:
        raise DatasetError(
            f"COCO file {path}, annotation {annotation.get('id')}",
            expected="a segmentation (polygons or run lengths) or a bbox",
            found=f"{type(error).__name__}: {error}",
            remedy="Correct the annotation.",
        ) from None
    corners = ((x, y), (x + width_px, y), (x + width_px, y + height_px), (x, y + height_px))
    return [Outline(index, points=corners)]


def _find(folder: Path, file: str) -> Path:
    beside = folder / file
    return beside if beside.exists() else folder / "images" / file
