"""Labels out of the store into pictures that formats can carry, and back in as new versions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import and_, select, tuple_

from linegate.inspect.hmi.review.classes import class_name
from linegate.inspect.hmi.review.exchange.archive import renamed
from linegate.inspect.hmi.review.exchange.picture import Budget, LabelledPicture, Note, Pending
from linegate.inspect.hmi.review.exchange.rle import bad
from linegate.inspect.hmi.review.queues import Filters, key_of, narrowed
from linegate.inspect.part import Decision, PartKey
from linegate.inspect.partlog.audit import Act
from linegate.inspect.partlog.labels import Label, LabelStore, NewLabel
from linegate.inspect.partlog.masks import decode_mask, encode_mask
from linegate.inspect.partlog.queries import Reading
from linegate.inspect.partlog.schema import image, part, view

_NAME = re.compile(r"(?:^|[-_/])([0-9a-f]{4,8}-[0-9]{1,12})_([A-Za-z0-9 ._-]+)$")
_AT_A_TIME = 400


def picture_name(key: PartKey, camera: str) -> str:
    """The name a picture has in other tools; it leads back to the part."""
    return f"{key}_{camera}.png"


def parse_name(name: str) -> tuple[PartKey, str] | None:
    """The part and camera of a name, also behind what a tool put before it; None for a foreign picture."""
    stem = name.rsplit(".", 1)[0] if "." in name else name
    found = _NAME.search(stem)
    key = key_of(found[1]) if found else None
    return (key, found[2]) if found and key is not None else None


@dataclass(frozen=True, slots=True)
class Exported:
    """One label on its way out. ``image_sha256``: the stored picture, None where it is gone. ``group``: its lot."""

    picture: Pending
    image_sha256: str | None
    group: str


def export(store: LabelStore, filters: Filters) -> Iterator[Exported]:
    """The labels that count, of the parts that the filters leave; good parts with an empty mask. Raises LogError."""
    labels = list(store.all_newest())
    for start in range(0, len(labels), _AT_A_TIME):
        some = labels[start : start + _AT_A_TIME]
        views = _views(store, filters, {label.key for label in some})
        for label in some:
            row = views.get((label.key, label.camera))
            if row is None or (label.mask_sha256 is None and label.decision is Decision.NG):
                continue  # bad without a mask: a segmentation format can't say that
            yield Exported(_pending(store, label, row.height_px, row.width_px), row.sha256, row.lot)


def _views(store: LabelStore, filters: Filters, keys: set[PartKey]) -> dict[tuple[PartKey, str], Any]:
    of_keys = tuple_(part.c.epoch, part.c.sequence).in_([(key.epoch, key.sequence) for key in keys])
    wanted = (
        select(
            part.c.epoch, part.c.sequence, part.c.lot, view.c.camera, view.c.width_px, view.c.height_px, image.c.sha256
        )
        .join(view, view.c.part_id == part.c.id)
        .outerjoin(
            image,
            and_(
                image.c.epoch == part.c.epoch,
                image.c.sequence == part.c.sequence,
                image.c.camera == view.c.camera,
                image.c.deleted_utc_ns.is_(None),
            ),
        )
        .where(of_keys)
    )
    with Reading(store.reader) as connection:
        rows = connection.execute(narrowed(wanted, replace(filters, todo=False))).all()
    return {(PartKey(row.epoch, row.sequence), row.camera): row for row in rows}


def _pending(store: LabelStore, label: Label, height: int, width: int) -> Pending:
    name, classes = picture_name(label.key, label.camera), label.classes or ("defect",)

    def draw(budget: Budget) -> LabelledPicture:
        budget.spend(width * height, name)
        return LabelledPicture(name, _mask_of(store, label, height, width), classes)

    return Pending(name, width, height, draw, classes)


def _mask_of(store: LabelStore, label: Label, height: int, width: int) -> NDArray[np.uint8]:
    if label.mask_sha256 is None:
        return np.zeros((height, width), np.uint8)
    return decode_mask(store.masks.get(label.mask_sha256), f"mask of part {label.key}, camera {label.camera}")


@dataclass(frozen=True, slots=True)
class Imported:
    """What became, or would become, of one picture: state new, same, unknown (no such part), size (does not fit), saved.
    ``notes`` say more, in the screen's words."""

    name: str
    key: str
    camera: str
    state: str
    notes: tuple[Note, ...] = ()


@dataclass(slots=True)
class Plan:
    """What an import would do. ``classes``: those that its new labels paint with."""

    pictures: list[Imported] = field(default_factory=list)
    classes: set[str] = field(default_factory=set)


def plan(store: LabelStore, pictures: Sequence[Pending]) -> Plan:
    """Look at every picture without saving anything. Only what fits a part is decoded, one mask at a time.
    Raises ExchangeError, LogError."""
    made, budget = Plan(), Budget()
    for pending in pictures:
        found, picture = _look(store, pending, budget)
        made.pictures.append(found)
        if picture is not None:
            made.classes.update(picture.used)
    for name in made.classes:
        if class_name(name) != name:
            raise bad("class_name", f"class {name!r:.80}", "a name of up to 64 letters, on one line", "another one")
    return made


def _look(store: LabelStore, pending: Pending, budget: Budget) -> tuple[Imported, LabelledPicture | None]:
    """What would become of a picture; the picture itself where it is to be saved."""
    name, named = f"{pending.name:.200}", parse_name(pending.name)
    if named is None:
        return Imported(name, "", "", "unknown", (Note("no_key"),)), None
    key, camera = named
    with Reading(store.reader) as connection:
        size = connection.execute(
            select(view.c.width_px, view.c.height_px)
            .join(part, part.c.id == view.c.part_id)
            .where(part.c.epoch == key.epoch, part.c.sequence == key.sequence, view.c.camera == camera)
        ).first()
    if size is None:
        return Imported(name, str(key), camera, "unknown", (Note("no_part"),)), None
    if (size[0], size[1]) != (pending.width_px, pending.height_px):
        sizes = {"found": f"{pending.width_px} x {pending.height_px}", "expected": f"{size[0]} x {size[1]}"}
        return Imported(name, str(key), camera, "size", (Note("size", sizes),)), None
    picture = pending.draw(budget)
    newest = store.newest(key, camera)
    if newest is not None and _same(store, newest, picture):
        return Imported(name, str(key), camera, "same"), None
    return Imported(name, str(key), camera, "new", picture.notes), picture


def _same(store: LabelStore, label: Label, picture: LabelledPicture) -> bool:
    if not set(picture.used) <= set(label.classes) or (label.mask_sha256 is None and label.decision is Decision.NG):
        return False
    mask = _mask_of(store, label, picture.height_px, picture.width_px)
    return np.array_equal(renamed(picture, label.classes).mask, mask)


def save(
    store: LabelStore,
    pictures: Sequence[Pending],
    *,
    classes: Sequence[str],
    act: Act,
    note: str,
    escapes: bool = False,
) -> list[Imported]:
    """Each new one becomes a version on top of what is there; what is there already, or fits no part, is left alone.

    ``act``: the import; each label joins the audit with it, in the transaction that saves the label. A failure in the middle
    leaves what was saved until then; importing the same file again goes on from there. ``escapes``: a bad part that the line
    passed is an escape, which every release from now on must catch.

    Raises ExchangeError, LabelError, LogError, OSError.
    """
    done, budget = [], Budget()
    for pending in pictures:
        # One transaction a label: the line's writer is never kept waiting for a whole import.
        found, picture = _look(store, pending, budget)
        if picture is None:
            done.append(found)
            continue
        key, camera = key_of(found.key), found.camera
        assert key is not None
        stored = store.masks.put(encode_mask(renamed(picture, tuple(classes)).mask))
        newest = store.newest(key, camera)
        escape = escapes and bool(stored.labels) and _passed(store, key)
        new = NewLabel(
            key=key,
            camera=camera,
            decision=Decision.NG if stored.labels else Decision.OK,
            kind="escape" if escape else "label",
            must_catch=escape,
            by=act.by,
            mask_sha256=stored.sha256,
            classes=tuple(classes),
            note=note,
            source="import",
        )
        detail = {"camera": camera, "kind": new.kind, "decision": str(new.decision), "source": "import"}
        of_label = replace(act, action="label", subject=found.key, detail=detail)
        store.save(new, parent=newest.version if newest else 0, act=of_label)
        done.append(replace(found, state="saved"))
    return done


def _passed(store: LabelStore, key: PartKey) -> bool:
    """Whether the line let this part go."""
    mine = (part.c.epoch == key.epoch) & (part.c.sequence == key.sequence)
    with Reading(store.reader) as connection:
        return connection.execute(select(part.c.decision).where(mine)).scalar() == str(Decision.OK)
