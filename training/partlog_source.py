"""Labels that people saved in the part log, with the pictures the station kept, as training data and as the gate's cases."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sqlalchemy import Engine, and_, select

from linegate.cameras.errors import LinegateError
from linegate.inspect.part import Decision, PartKey
from linegate.inspect.partlog.database import open_reader
from linegate.inspect.partlog.files import content_path
from linegate.inspect.partlog.labels import Label, LabelStore
from linegate.inspect.partlog.masks import decode_mask
from linegate.inspect.partlog.queries import Reading
from linegate.inspect.partlog.schema import image, label, part
from linegate.training.dataset import Dataset, DatasetError, Lost, Sample
from linegate.training.dataset import Label as Word
from linegate.training.place import Place

ESCAPE_WEIGHT = 4
"""An escape is shown so many times as often as another bad part: the next model must not let it pass again."""
_LEAST_LOTS = 4
_Pictures = Mapping[PartKey, Mapping[str, str]]
"""Hash of the kept picture, by part and camera."""


class NothingLabelled(DatasetError):
    """The part log has no label with a picture."""


@dataclass(frozen=True, slots=True)
class _View:
    """One picture with the label that counts for it; ``whole``: the label is the part's, and it has more pictures."""

    label: Label
    camera: str
    sha256: str
    whole: bool = False

    @property
    def name(self) -> str:
        return f"{self.label.key}{f'/{self.camera}' if self.camera else ''}"


def load_partlog(station: Path) -> Dataset:
    """The labels of the station whose station.toml this is. Raises DatasetError, LogError, SettingsError."""
    return read_labels(Place.of(station))


def load_cases(station: Path) -> Dataset | None:
    """The station's past escapes and challenge parts that every release must catch; None where there are none."""
    place = Place.of(station)
    if not place.has_log:
        return None
    try:
        return read_labels(place, must_catch=True)
    except NothingLabelled:
        return None


def read_labels(place: Place, *, must_catch: bool = False) -> Dataset:
    """The label that counts of every view that has one; ``lost`` names those whose picture is gone.

    A label of a whole part counts for its pictures that have no label of their own. The classes of the live bundle come
    first, in its order, whether anybody labelled them or not: the PLC knows classes by number. A part labelled NG without a
    mask is "bad, somewhere". The group is the lot where labels of good and of bad parts come from at least four lots each,
    else the part. ``must_catch``: only the cases of the release gate.

    Raises:
        NothingLabelled: no label, or (unless ``must_catch``) none that can be trained on.
    """
    with closing(_Engine(open_reader(place.settings.log, place.data))) as opened:
        store = LabelStore(opened.engine, opened.engine, place.data)
        flagged = {(one.key, one.camera): one for one in store.all_newest(must_catch=True)}
        labels = {(one.key, one.camera): one for one in store.all_newest()}
        pictures, lots = _pictures(opened.engine), _lots(opened.engine)
    if must_catch:  # what only an operator reported is tried, and not learned
        labels |= flagged
    views, lost = _resolve(list(labels.values()), pictures, place.data, set(flagged) if must_catch else None)
    if not views and not (must_catch and lost):
        raise NothingLabelled(
            f"part log in {place.data}",
            expected="labelled parts with their pictures",
            found=f"{len(lost)} labels without one" if lost else "none",
            remedy="Label parts on the review screen first.",
        )
    by_lot = _enough_lots([view.label for view in views], lots)
    samples = [_sample(view, store, place, lots, by_lot) for view in views]
    classes = tuple(dict.fromkeys([*place.classes(), *(name for sample in samples for name in sample.classes)])) or (
        "defect",
    )
    return Dataset(place.data, classes, tuple(samples), tuple(lost))


class _Engine:
    """Disposes of the engine when closed."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def close(self) -> None:
        self.engine.dispose()


def _pictures(engine: Engine) -> _Pictures:
    labelled = and_(label.c.epoch == image.c.epoch, label.c.sequence == image.c.sequence)
    wanted = select(image.c.epoch, image.c.sequence, image.c.camera, image.c.sha256).join(label, labelled).distinct()
    found: defaultdict[PartKey, dict[str, str]] = defaultdict(dict)
    with Reading(engine) as connection:
        for row in connection.execute(wanted.where(image.c.deleted_utc_ns.is_(None))):
            found[PartKey(int(row.epoch), int(row.sequence))][str(row.camera)] = str(row.sha256)
    return found


def _lots(engine: Engine) -> dict[PartKey, str]:
    with Reading(engine) as connection:
        rows = connection.execute(select(part.c.epoch, part.c.sequence, part.c.lot)).all()
    return {PartKey(int(row.epoch), int(row.sequence)): str(row.lot) for row in rows}


def _resolve(
    labels: Sequence[Label], pictures: _Pictures, data: Path, cases: set[tuple[PartKey, str]] | None
) -> tuple[list[_View], list[Lost]]:
    """Labels with the pictures they are about; ``cases`` None takes every label."""
    by_part: defaultdict[PartKey, dict[str, Label]] = defaultdict(dict)
    for one in labels:
        by_part[one.key][one.camera] = one
    views: list[_View] = []
    lost: list[Lost] = []
    for key, own in by_part.items():
        for view in _views(own, pictures.get(key, {}), cases):
            if not view.sha256 or not content_path(data / "images", view.sha256).is_file():
                lost.append(Lost(view.name, "its picture was not kept"))
            elif view.whole and cases is None:
                lost.append(Lost(view.name, "the part is bad, and nobody said on which of its pictures"))
            else:
                views.append(view)
    return views, lost


def _views(
    own: dict[str, Label], pictures: Mapping[str, str], cases: set[tuple[PartKey, str]] | None
) -> Iterator[_View]:
    """Of one part. A view's own label stands above the whole part's, and a bad view explains a bad part."""
    whole = own.get("")
    explained = any(one.decision is Decision.NG for camera, one in own.items() if camera)
    must = {camera for camera, one in own.items() if cases is None or (one.key, camera) in cases}
    if whole is not None and "" in must and whole.decision is Decision.NG:
        must |= {camera for camera, one in own.items() if camera and one.decision is Decision.NG}
    for camera, one in own.items():
        if camera and camera in must:
            yield _View(one, camera, pictures.get(camera) or one.image_sha256 or "")
    if whole is None or "" not in must or (whole.decision is Decision.NG and explained):
        return
    rest = [camera for camera in pictures if camera not in own]
    if not rest and len(own) == 1:
        yield _View(whole, "", whole.image_sha256 or "")
    for camera in rest:
        yield _View(whole, camera, pictures[camera], whole.decision is Decision.NG and len(rest) > 1)


def _enough_lots(labels: list[Label], lots: dict[PartKey, str]) -> bool:
    found: Counter[tuple[bool, str]] = Counter()
    for one in labels:
        found[one.decision is Decision.OK, lots.get(one.key, "")] += 1
    return all(sum(good is side and bool(lot) for good, lot in found) >= _LEAST_LOTS for side in (True, False))


def _sample(view: _View, store: LabelStore, place: Place, lots: dict[PartKey, str], by_lot: bool) -> Sample:
    one = view.label
    word: Word = "good" if one.decision is Decision.OK else "defect"
    lot = f"lot {lots[one.key]}" if by_lot and lots.get(one.key) else ""
    masked = one.mask_sha256 if word == "defect" and not view.whole else None
    return Sample(
        name=view.name,
        image=content_path(place.data / "images", view.sha256),
        mask=store.masks.path(masked) if masked else None,
        label=word,
        classes=_shown(one, store) if word == "defect" else (),
        group=lot or str(one.key),
        # Lots are the factory's own names; part keys are the station's.
        known_group=lot or f"{place.settings.name} {one.key}",
        unit=str(one.key),
        whole=view.whole,
        labeller=one.by,
        inclusion=one.probability,
        mask_classes=one.classes if word == "defect" else (),
        weight=ESCAPE_WEIGHT if one.kind == "escape" else 1,
    )


def _shown(one: Label, store: LabelStore) -> tuple[str, ...]:
    """Classes on the part: of those that the screen offered, the ones that were drawn."""
    if one.mask_sha256 is None:
        return one.classes
    try:
        values = np.unique(decode_mask(store.masks.get(one.mask_sha256)))
    except LinegateError:  # the file is named where it is opened
        return one.classes
    return tuple(one.classes[value - 1] for value in values.tolist() if value)
