"""The fifth invariant, checked: stored picture + bundle + recipe give the same verdict again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select

from linegate.cameras.image_file import read_image
from linegate.inspect.judge import Judge
from linegate.inspect.part import Decision, PartKey
from linegate.inspect.partlog import queries
from linegate.inspect.partlog.errors import LogError
from linegate.inspect.partlog.files import content_path
from linegate.inspect.partlog.schema import image, part
from linegate.inspect.recipes import Thresholds
from linegate.inspect.runtime.engines import open_session
from linegate.models.bundle import Bundle, load_bundle
from linegate.models.store import BundleStore, packaged_releases

SCORE_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Repeated:
    """One view judged again. ``same``: decision and score are those of the row; ``why``: what can't be repeated, or differs."""

    key: PartKey
    camera: str
    same: bool
    logged: str
    again: str
    why: str = ""


def find_bundles(store: BundleStore, more: tuple[Path, ...] = ()) -> dict[str, Bundle]:
    """All bundles at hand, by identity: the store's, the packaged releases, and those in the folders ``more``."""
    folders = [*(store.folder_of(name) for name in store.names()), *packaged_releases(), *more]
    return {bundle.sha256: bundle for bundle in (load_bundle(folder) for folder in folders)}


def repeat_verdicts(
    reader: Engine, data: Path, bundles: dict[str, Bundle], limit: int, tell: Callable[[int], None]
) -> Iterator[Repeated]:
    """Judge the newest ``limit`` stored pictures again. ``tell`` hears how many are done. Raises LogError."""
    judges: dict[tuple[str, str], Judge | str] = {}
    try:
        for done, key in enumerate(_with_pictures(reader, limit), start=1):
            with queries.Reading(reader) as connection:
                whole = queries.whole_part(connection, key)
            if whole is not None:
                yield from _repeat_part(key, whole, data, bundles, judges)
            tell(done)
    finally:
        for judge in judges.values():
            if isinstance(judge, Judge):
                judge.close()


def _with_pictures(reader: Engine, limit: int) -> list[PartKey]:
    columns = select(image.c.epoch, image.c.sequence).join(
        part, (part.c.epoch == image.c.epoch) & (part.c.sequence == image.c.sequence)
    )
    wanted = columns.where(image.c.deleted_utc_ns.is_(None), part.c.judged != str(Decision.NOT_INSPECTED)).distinct()
    with queries.Reading(reader) as connection:
        rows = connection.execute(wanted.order_by(image.c.epoch.desc(), image.c.sequence.desc()).limit(limit))
        return [PartKey(int(row.epoch), int(row.sequence)) for row in rows]


def _repeat_part(
    key: PartKey,
    whole: dict[str, Any],
    data: Path,
    bundles: dict[str, Bundle],
    judges: dict[tuple[str, str], Judge | str],
) -> Iterator[Repeated]:
    pictures = {row["camera"]: row for row in whole["images"] if row["deleted_utc_ns"] is None}
    judge = _judge(whole, bundles, judges)
    for view in whole["views"]:
        camera, logged = view["camera"], f"{view['decision']} {view['score']:.6f}"
        picture = pictures.get(camera)
        if picture is None or view["decision"] == Decision.NOT_INSPECTED:
            continue
        if isinstance(judge, str):
            yield Repeated(key, camera, False, logged, "", judge)
            continue
        path = content_path(data / "images", picture["sha256"])
        if not path.is_file():
            raise LogError(
                f"picture {path}", expected="the stored picture", found="no file", remedy="Run `linegate log verify`."
            )
        judgement = judge.judge(read_image(path), camera).judgement
        same = judgement.decision == view["decision"] and abs(judgement.score - view["score"]) <= SCORE_TOLERANCE
        again = f"{judgement.decision} {judgement.score:.6f}"
        yield Repeated(key, camera, same, logged, again, "" if same else "the verdict differs")


def _judge(
    whole: dict[str, Any], bundles: dict[str, Bundle], judges: dict[tuple[str, str], Judge | str]
) -> Judge | str:
    """The judge of that time, or why there is none."""
    sha256, text = str(whole["bundle_sha256"]), str(whole["thresholds"])
    if (sha256, text) not in judges:
        bundle = bundles.get(sha256)
        if bundle is None:
            judges[sha256, text] = f"bundle {sha256[:12]} is not at hand; name its folder with --bundle"
        else:
            then = Thresholds.model_validate(json.loads(text))
            session = open_session(bundle, then.runtime)
            judges[sha256, text] = Judge(bundle, session, then.recipe, calibrations=then.calibrations)
    return judges[sha256, text]
