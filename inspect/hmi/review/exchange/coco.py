"""COCO instance annotations: one RLE a connected piece. Other tools' polygons are read too, with a note: not exact."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from functools import partial
from typing import Any

import cv2
import numpy as np

from linegate.inspect.hmi.review.exchange.picture import (
    Budget,
    LabelledPicture,
    Note,
    Pending,
    Piece,
    blobs,
    check_size,
    compose,
)
from linegate.inspect.hmi.review.exchange.rle import bad, decode_coco, encode_coco_at

_INEXACT = Note("polygons")
_FARTHEST_PX = 1e6


def write(pictures: Sequence[Pending]) -> Iterator[str]:
    """The JSON text, picture by picture."""
    names = list(dict.fromkeys(name for picture in pictures for name in picture.classes))
    head = {
        "info": {"description": "Linegate labels", "version": "1"},
        "licenses": [],
        "categories": [{"id": k, "name": name, "supercategory": "defect"} for k, name in enumerate(names, 1)],
        "images": [
            {"id": number, "file_name": p.name, "width": p.width_px, "height": p.height_px}
            for number, p in enumerate(pictures, start=1)
        ],
    }
    yield json.dumps(head, ensure_ascii=False)[:-1] + ', "annotations": ['
    budget, count = Budget(), 0
    for number, pending in enumerate(pictures, start=1):
        for piece in blobs(pending.draw(budget)):
            count += 1
            yield ("," if count > 1 else "") + json.dumps(_annotation(count, number, names, pending, piece))
    yield "]}"


def _annotation(count: int, image: int, names: list[str], picture: Pending, piece: Piece) -> dict[str, Any]:
    (h, w), height, width = piece.crop.shape, picture.height_px, picture.width_px
    return {
        "id": count,
        "image_id": image,
        "category_id": names.index(piece.label) + 1,
        "segmentation": {
            "size": [height, width],
            "counts": encode_coco_at(piece.crop, piece.x, piece.y, height, width),
        },
        "area": int(piece.crop.sum()),
        "bbox": [piece.x, piece.y, w, h],
        "iscrowd": 0,
    }


def read(text: str | bytes, thing: str) -> list[Pending]:
    """All pictures of a COCO file. Raises ExchangeError."""
    try:
        data = json.loads(text)
        names = {c["id"]: str(c["name"]) for c in data["categories"]}
        images = {i["id"]: (str(i["file_name"]), i.get("width"), i.get("height")) for i in data["images"]}
        rows = list(data["annotations"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise bad(
            "coco_broken", thing, "COCO JSON with images, categories and annotations", f"{error!r:.120}"
        ) from error
    of_image: dict[Hashable, list[tuple[str, str, Any]]] = defaultdict(list)
    for row in rows:
        try:
            images[row["image_id"]]
            where = f"{thing}, annotation {row.get('id')!s:.40}"
            of_image[row["image_id"]].append((where, names[row["category_id"]], row["segmentation"]))
        except (KeyError, TypeError, AttributeError) as error:
            wanted = "annotations whose image, category and segmentation exist"
            raise bad("coco_refers", thing, wanted, f"{error!r:.120}") from error
    found = []
    for number, (name, *size) in images.items():
        width, height = check_size(name, *size)
        found.append(Pending(name, width, height, partial(_draw, name, width, height, of_image[number])))
    return found


def _draw(name: str, width: int, height: int, rows: list[tuple[str, str, Any]], budget: Budget) -> LabelledPicture:
    notes = [_INEXACT] if any(isinstance(shape, list) for _, _, shape in rows) else []
    pieces = (_piece(where, label, shape, height, width) for where, label, shape in rows)
    return compose(name, width, height, pieces, budget, notes)


def _piece(where: str, label: str, shape: Any, height: int, width: int) -> Piece:
    if not isinstance(shape, dict):
        return _polygons(where, label, shape, height, width)
    if shape.get("size") != [height, width]:
        raise bad("coco_size", where, f"segmentation of size {[height, width]}", f"{shape.get('size')!r:.60}")
    x, crop = decode_coco(shape.get("counts"), height, width, where)
    return Piece(label, x, 0, crop)


def _polygons(where: str, label: str, shape: Any, height: int, width: int) -> Piece:
    try:
        rings = [np.asarray(ring, np.float64).reshape(-1, 2) for ring in shape]
        corners = np.concatenate(rings)
        if not np.all(np.abs(corners) <= _FARTHEST_PX):  # NaN is none of them either
            raise ValueError("corners far outside the picture")
    except (ValueError, TypeError, OverflowError) as error:
        raise bad("polygons_broken", where, "polygons as lists of x, y", f"{error!s:.80}") from error
    # Only the box that the polygons lie in is drawn.
    left, top = (int(n) for n in np.clip(np.floor(corners.min(axis=0)) - 1, 0, [width - 1, height - 1]))
    right, bottom = (int(n) for n in np.clip(np.ceil(corners.max(axis=0)) + 2, [left + 1, top + 1], [width, height]))
    mask = np.zeros((bottom - top, right - left), np.uint8)
    # Coordinates name pixel corners in COCO and pixel centres in fillPoly; 8 bits of fraction.
    shifted = [np.round((ring - 0.5 - [left, top]) * 256).astype(np.int32) for ring in rings]
    cv2.fillPoly(mask, shifted, 1, shift=8)
    return Piece(label, left, top, mask.astype(np.bool_))
