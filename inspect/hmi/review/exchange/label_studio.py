"""Label Studio tasks with brush labels, as its JSON export has them: one result a class."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from linegate.inspect.hmi.review.exchange.picture import (
    Budget,
    LabelledPicture,
    Note,
    Pending,
    Piece,
    check_size,
    compose,
)
from linegate.inspect.hmi.review.exchange.rle import bad, decode_label_studio, encode_label_studio


def write(pictures: Sequence[Pending]) -> Iterator[str]:
    """The JSON text, picture by picture. ``data.image`` is the file's name under Label Studio's local storage."""
    budget = Budget()
    yield "["
    for number, pending in enumerate(pictures, 1):
        yield ("," if number > 1 else "") + json.dumps(_task(number, pending.draw(budget)), ensure_ascii=False)
    yield "]"


def _task(number: int, picture: LabelledPicture) -> dict[str, Any]:
    results = []
    for value, label in enumerate(picture.classes, start=1):
        mask = picture.mask == value
        if mask.any():
            results.append(
                {
                    "id": f"{number}-{value}",
                    "type": "brushlabels",
                    "from_name": "label",
                    "to_name": "image",
                    "original_width": picture.width_px,
                    "original_height": picture.height_px,
                    "image_rotation": 0,
                    "value": {"format": "rle", "rle": encode_label_studio(mask), "brushlabels": [label]},
                }
            )
    size = {"width": picture.width_px, "height": picture.height_px}
    return {
        "id": number,
        "data": {"image": f"/data/local-files/?d=images/{picture.name}", **size},
        "annotations": [{"result": results}],
    }


def read(text: str | bytes, thing: str) -> list[Pending]:
    """All tasks of an export. Raises ExchangeError."""
    try:
        tasks = json.loads(text)
        if not isinstance(tasks, list):
            raise TypeError(f"{type(tasks).__name__} instead of a list of tasks")
        return [_read_task(task, thing) for task in tasks]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise bad("label_studio_broken", thing, "Label Studio's JSON export", f"{error!r:.120}") from error


def _read_task(task: dict[str, Any], thing: str) -> Pending:
    name = _name(str(task["data"]["image"]))
    results = [r for a in task.get("annotations", []) for r in a.get("result", []) if not a.get("was_cancelled")]
    size = (task["data"].get("width"), task["data"].get("height"))
    if results:
        size = (results[0].get("original_width"), results[0].get("original_height"))
    width, height = check_size(name, *size)
    brushes: list[tuple[str, Any]] = []
    for result in results:
        value = result.get("value", {})
        if value.get("format") == "rle" and value.get("brushlabels"):
            brushes.append((str(value["brushlabels"][0]), value["rle"]))
    other = len(results) - len(brushes)
    notes = [Note("other_shapes", {"count": other})] if other else []
    return Pending(
        name, width, height, partial(_draw, name, width, height, brushes, notes, f"{thing}, picture {name!r}")
    )


def _draw(
    name: str, width: int, height: int, brushes: list[tuple[str, Any]], notes: list[Note], where: str, budget: Budget
) -> LabelledPicture:
    pieces = (Piece(label, 0, 0, decode_label_studio(rle, height, width, where)) for label, rle in brushes)
    return compose(name, width, height, pieces, budget, notes)


def _name(url: str) -> str:
    """Label Studio's address of a picture → its file name; uploads carry an 8-digit hash before it."""
    return PurePosixPath(url.split("?d=")[-1]).name
