"""What people say about parts: labels in versions. A version is never changed or removed; saving adds one on top.

Two people on one part: whoever saves second named a version that is no longer the newest, and gets LabelConflict instead
of overwriting the first. The unique key of the table decides, so it holds between processes too.

The label that **counts** for a view is its newest one by quality. What an operator reported (source ``REPORTED``) is a
version like any other and brings the part back into the queues, but never replaces what quality drew; where quality has not
looked yet, it counts for the release gate alone.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, and_, case, exists, func, insert, select, tuple_
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from linegate.inspect.part import Decision, PartKey
from linegate.inspect.partlog.audit import Act
from linegate.inspect.partlog.database import explain
from linegate.inspect.partlog.errors import CodedError
from linegate.inspect.partlog.masks import MaskStore, decode_mask, values_of
from linegate.inspect.partlog.queries import Reading
from linegate.inspect.partlog.rows import clean
from linegate.inspect.partlog.schema import image, label, part, view

KINDS = ("label", "escape", "overkill")
REPORTED = "operator"
"""The source of an operator's report, until quality has looked at the part."""
SAMPLED = "sample"
"""The source of a label that was found in the random sample: the only one that says something about a rate."""


class LabelError(CodedError):
    """A label that can't be saved as it is."""


class ClassGone(LabelError):
    """Something is painted with classes that are (no longer) the station's; ``names`` says which."""

    names: tuple[str, ...]


class LabelConflict(LabelError):
    """Somebody else saved a newer version of this label in the meantime; ``newest`` is theirs."""

    newest: Label


@dataclass(frozen=True, slots=True)
class NewLabel:
    """A judgement to be saved.

    Attributes:
        camera: the view that was looked at; "" for the whole part.
        mask_sha256: its mask in the store, None where none was drawn ("bad, somewhere").
        classes: names of the mask's values 1, 2, …
        decision: what the part (view) is: OK or NG.
        kind: label, escape (it was passed, and is bad) or overkill (it was rejected, and is good).
        source: the queue it was found in.
    """

    key: PartKey
    camera: str
    decision: Decision
    by: str
    mask_sha256: str | None = None
    classes: tuple[str, ...] = ()
    kind: str = "label"
    must_catch: bool = False
    note: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Label(NewLabel):
    """A saved one.

    Attributes:
        version: counts from 1 for each part and camera; the parent of version n is n - 1.
        probability: the chance the part had of being in the random sample, None where it was looked for on purpose.
    """

    version: int = 0
    image_sha256: str | None = None
    at_utc_ns: int = field(default=0)
    probability: float | None = None


class LabelStore:
    """The labels of one station. Thread-safe; blocks on the database.

    Args:
        writer, reader: engines of ``make_engine``; data: the station's data folder, where the masks lie.
    """

    def __init__(self, writer: Engine, reader: Engine, data: Path) -> None:
        self._writer = writer
        self.reader = reader
        self.masks = MaskStore(data)

    def save(
        self, new: NewLabel, *, parent: int, act: Act | None = None, classes: Collection[str] | None = None
    ) -> Label:
        """Add a version on top of version ``parent`` (0 for the first). Saving the very same once more, because the answer to
        the first time got lost, gives the version that is there.

        Args:
            act: the person's act at the screens, entered in the same transaction; None where a command brought it.
            classes: the station's, which alone may be painted with, besides those of the part's earlier labels; None for any.

        Raises:
            LabelConflict: ``parent`` is not the newest.
            ClassGone: a class is used that is none of ``classes``.
            LabelError: no such part, mask and picture differ in size, a value of the mask has no class, the part is not in
                the random sample that it is said to come from, or the kind is unknown.
            MaskError: the mask is not in the store.
            LogError: the database is locked, full or gone; nothing was saved.
        """
        size_px, used = self._check(new)
        try:
            with self._writer.begin() as connection:
                self._check_classes(connection, new, used, classes)
                return self._insert(connection, new, parent, size_px, act)
        except IntegrityError as error:
            newest = self.newest(new.key, new.camera)
            if (newest.version if newest is not None else 0) == parent:
                raise explain(error, self._writer) from error
            raise self._conflict(new) from error
        except (SQLAlchemyError, OSError) as error:
            raise explain(error, self._writer) from error

    def _check(self, new: NewLabel) -> tuple[tuple[int, int] | None, tuple[str, ...]]:
        """The mask's (width, height) and the classes that it uses."""
        if new.kind not in KINDS or new.decision not in {Decision.OK, Decision.NG}:
            raise LabelError(
                f"label of part {new.key}",
                expected=f"kind one of {', '.join(KINDS)} and decision OK or NG",
                found=f"{new.kind}, {new.decision}",
                remedy="Choose one of them.",
                code="label_kind",
                values={"part": str(new.key)},
            )
        if len(set(new.classes)) != len(new.classes) or any(not name for name in new.classes):
            raise LabelError(
                f"label of part {new.key}",
                expected="class names that differ",
                found=str(list(new.classes)),
                remedy="Name each class once.",
                code="label_classes",
                values={"part": str(new.key)},
            )
        if new.mask_sha256 is None:
            return None, ()
        mask = decode_mask(self.masks.get(new.mask_sha256))
        used = values_of(mask)
        if used and used[-1] > len(new.classes):
            raise LabelError(
                f"label of part {new.key}",
                expected=f"a class for each value of the mask, up to {used[-1]}",
                found=f"{len(new.classes)} classes",
                remedy="Name the classes in the order of the mask's values.",
                code="label_values",
                values={"part": str(new.key), "value": used[-1], "classes": len(new.classes)},
            )
        return (mask.shape[1], mask.shape[0]), tuple(new.classes[value - 1] for value in used)

    @staticmethod
    def _check_classes(
        connection: Connection, new: NewLabel, used: tuple[str, ...], classes: Collection[str] | None
    ) -> None:
        gone = () if classes is None else tuple(name for name in used if name not in classes)
        if not gone:
            return
        earlier = connection.execute(
            select(label.c.classes).where(label.c.epoch == new.key.epoch, label.c.sequence == new.key.sequence)
        ).scalars()
        kept = {name for text in earlier for name in json.loads(text)}
        gone = tuple(name for name in gone if name not in kept)
        if gone:
            error = ClassGone(
                f"label of part {new.key}",
                expected="classes of this station",
                found=", ".join(gone),
                remedy="Paint it with another class, or add this one again.",
                code="class_gone",
                values={"names": ", ".join(gone)},
            )
            error.names = gone
            raise error

    def _insert(
        self, connection: Connection, new: NewLabel, parent: int, size_px: tuple[int, int] | None, act: Act | None
    ) -> Label:
        self._check_part(connection, new, size_px)
        newest = _newest(connection, new.key, new.camera)
        if newest is not None and newest.version == parent + 1 and _same(newest, new):
            return newest
        if (newest.version if newest is not None else 0) != parent:
            raise self._conflict(new)
        picture = connection.execute(
            select(image.c.sha256, image.c.probability).where(
                image.c.epoch == new.key.epoch, image.c.sequence == new.key.sequence, image.c.camera == new.camera
            )
        ).first()
        chance = None if picture is None else float(picture.probability)
        if new.source == SAMPLED and (chance is None or chance >= 1):
            raise LabelError(
                f"label of part {new.key}",
                expected="a part whose picture was kept by chance",
                found="one that was kept on purpose" if chance is not None else "one without a picture",
                remedy="Save it from another queue: it says nothing about a rate.",
                code="label_not_sampled",
                values={"part": str(new.key)},
            )
        values = {
            "epoch": new.key.epoch,
            "sequence": new.key.sequence,
            "camera": new.camera,
            "version": parent + 1,
            "image_sha256": None if picture is None else picture.sha256,
            "mask_sha256": new.mask_sha256,
            "classes": clean(json.dumps(list(new.classes), ensure_ascii=False)),
            "decision": str(new.decision),
            "kind": new.kind,
            "must_catch": new.must_catch,
            "by": new.by,
            "at_utc_ns": time.time_ns(),
            "note": clean(new.note),
            "source": new.source,
            "probability": chance if new.source == SAMPLED else None,
        }
        connection.execute(insert(label).values(values))
        if act is not None:
            act.enter(connection, version=parent + 1)
        return _label(values)

    @staticmethod
    def _check_part(connection: Connection, new: NewLabel, size_px: tuple[int, int] | None) -> None:
        rows = connection.execute(
            select(view.c.camera, view.c.width_px, view.c.height_px)
            .select_from(part.outerjoin(view, view.c.part_id == part.c.id))
            .where(part.c.epoch == new.key.epoch, part.c.sequence == new.key.sequence)
        ).all()
        if not rows:
            raise LabelError(
                f"label of part {new.key}",
                expected="a part of this log",
                found="no row of it",
                remedy="Check the part's key or serial.",
                code="label_no_part",
                values={"part": str(new.key)},
            )
        known = next(((row.width_px, row.height_px) for row in rows if row.camera == new.camera), None)
        if size_px is not None and known is not None and size_px != known:
            raise LabelError(
                f"label of part {new.key}",
                expected=f"a mask of the picture's size, {known[0]} x {known[1]} px",
                found=f"{size_px[0]} x {size_px[1]} px",
                remedy="Load the part again.",
                code="label_size",
                values={"part": str(new.key), "size": "{} x {}".format(*size_px), "picture": "{} x {}".format(*known)},
            )

    def _conflict(self, new: NewLabel) -> LabelConflict:
        newest = self.newest(new.key, new.camera)
        error = LabelConflict(
            f"label of part {new.key}",
            expected="nobody else to have saved it meanwhile",
            found=f"version {newest.version} by {newest.by}" if newest else "another version",
            remedy="Load theirs, or save yours on top of it; your drawing is kept.",
            code="conflict",
            values={"by": newest.by if newest else "?", "version": newest.version if newest else "?"},
        )
        if newest is not None:
            error.newest = newest
        return error

    def newest(self, key: PartKey, camera: str) -> Label | None:
        """A view's newest version, whoever made it; None where nobody looked yet."""
        with Reading(self.reader) as connection:
            return _newest(connection, key, camera)

    def history(self, key: PartKey) -> list[Label]:
        """Every version of a part's labels, oldest first."""
        with Reading(self.reader) as connection:
            rows = connection.execute(
                select(label)
                .where(label.c.epoch == key.epoch, label.c.sequence == key.sequence)
                .order_by(label.c.camera, label.c.version)
            ).mappings()
            return [_label(row) for row in rows]

    def all_newest(self, *, must_catch: bool = False) -> Iterator[Label]:
        """The label that counts of every view that has one, by time. What only an operator said does not count yet.

        ``must_catch``: the release gate's cases alone: of parts that were ever called one, the views that are bad by the
        label that counts. A report about a whole part stands until quality has labelled each of its pictures; a part that
        quality calls good is no case any more.
        """
        with Reading(self.reader) as connection:
            rows = connection.execute(newest_labels(must_catch=must_catch)).mappings().all()
        for row in rows:
            yield _label(row)


def newest_labels(*, must_catch: bool = False) -> Any:
    """The statement behind ``all_newest`` and the queue of the release gate's cases."""
    by_quality = func.max(case((label.c.source != REPORTED, label.c.version)))
    top = (
        select(
            label.c.epoch,
            label.c.sequence,
            label.c.camera,
            (func.coalesce(by_quality, func.max(label.c.version)) if must_catch else by_quality).label("version"),
        )
        .group_by(label.c.epoch, label.c.sequence, label.c.camera)
        .subquery()
    )
    joined = select(label).join(
        top,
        and_(
            top.c.epoch == label.c.epoch,
            top.c.sequence == label.c.sequence,
            top.c.camera == label.c.camera,
            top.c.version == label.c.version,
        ),
    )
    if must_catch:
        flagged = label.alias("flagged")
        cases = select(flagged.c.epoch, flagged.c.sequence).where(flagged.c.must_catch.is_(True))
        joined = joined.where(
            tuple_(label.c.epoch, label.c.sequence).in_(cases), label.c.decision == str(Decision.NG), ~_answered()
        )
    return joined.order_by(label.c.at_utc_ns, label.c.id)


def _answered() -> ColumnElement[bool]:
    """The label is an operator's report about a whole part, and quality has labelled every picture of it."""
    looked = label.alias("looked")
    here = and_(looked.c.epoch == label.c.epoch, looked.c.sequence == label.c.sequence, looked.c.source != REPORTED)
    unseen = exists().where(
        image.c.epoch == label.c.epoch,
        image.c.sequence == label.c.sequence,
        image.c.deleted_utc_ns.is_(None),
        ~exists().where(here, looked.c.camera == image.c.camera),
    )
    return and_(label.c.source == REPORTED, label.c.camera == "", exists().where(here), ~unseen)


def _newest(connection: Connection, key: PartKey, camera: str) -> Label | None:
    row = connection.execute(
        select(label)
        .where(label.c.epoch == key.epoch, label.c.sequence == key.sequence, label.c.camera == camera)
        .order_by(label.c.version.desc())
        .limit(1)
    ).mappings()
    return next((_label(found) for found in row), None)


def _same(saved: Label, new: NewLabel) -> bool:
    return all(getattr(saved, name) == getattr(new, name) for name in NewLabel.__dataclass_fields__)


def _label(row: RowMapping | dict[str, Any]) -> Label:
    return Label(
        key=PartKey(row["epoch"], row["sequence"]),
        camera=row["camera"],
        decision=Decision(row["decision"]),
        by=row["by"],
        mask_sha256=row["mask_sha256"],
        classes=tuple(json.loads(row["classes"])),
        kind=row["kind"],
        must_catch=bool(row["must_catch"]),
        note=row["note"],
        source=row["source"],
        probability=row["probability"],
        version=row["version"],
        image_sha256=row["image_sha256"],
        at_utc_ns=row["at_utc_ns"],
    )
