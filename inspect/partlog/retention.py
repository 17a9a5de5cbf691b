"""Which stored pictures may go: too old, or the oldest while the store is too large; never one a person has labelled."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, Engine, and_, exists, func, or_, select, text, update

from linegate.inspect.partlog.database import DATABASE_TROUBLE, explain
from linegate.inspect.partlog.files import TEMPORARY, content_files, content_path
from linegate.inspect.partlog.queries import Reading
from linegate.inspect.partlog.schema import image, label
from linegate.inspect.partlog.unlogged import YOUNG_S, Unlogged
from linegate.inspect.settings import ImageSettings

GB = 1_000_000_000
DAY_NS = 86_400_000_000_000
CHUNK = 50
LIMIT = 20_000
"""Most files that one sweep takes for one reason; the next sweep goes on."""


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What one sweep did. ``kept_labelled``: pictures beyond the limits that stay because they are labelled."""

    deleted: int
    deleted_mb: float
    orphans: int
    kept_labelled: int
    stored_mb: float


def sweep(
    engine: Engine,
    reader: Engine,
    folder: Path,
    settings: ImageSettings,
    unlogged: Unlogged,
    *,
    stop: Callable[[], bool] = lambda: False,
    young_s: float = YOUNG_S,
    orphans: bool = True,
) -> SweepReport:
    """Apply the limits, then remove files without a row. May run while pictures are stored.

    ``unlogged``: files whose rows may not be committed yet. ``stop`` is asked between steps; True ends the sweep early.
    ``orphans``: look for files without a row too, which reads the whole folder.

    The row is marked first, the file goes after the commit: a crash between leaves a file without a row, which a later
    sweep removes, never a live row without its file. Raises LogError or OSError.
    """
    began = time.time_ns()
    too_old = began - round(settings.max_age_days * DAY_NS)
    with Reading(reader) as connection:
        unlogged.settle(connection)
        stored = _stored_bytes(connection)
        old = _candidates(connection, _newest < too_old)
        spared = _count_spared(connection, too_old)
    delete = _Deletion(engine, folder, unlogged, began, stop)
    freed = delete(old)
    over = stored - sum(freed.values()) - round(settings.max_gb * GB)
    if over > 0:
        with Reading(reader) as connection:
            oldest = _candidates(connection, _newest >= too_old)
        freed |= delete(_first_bytes(oldest, unlogged, over))
    removed = _remove_orphans(reader, folder, unlogged, stop, young_s) if orphans else 0
    freed_bytes = sum(freed.values())
    return SweepReport(len(freed), freed_bytes / 1e6, removed, spared, (stored - freed_bytes) / 1e6)


_live = image.c.deleted_utc_ns.is_(None)
_newest = func.max(image.c.stored_utc_ns)
_labelled = exists().where(
    or_(
        label.c.image_sha256 == image.c.sha256,
        and_(label.c.epoch == image.c.epoch, label.c.sequence == image.c.sequence),
    )
)
"""A label on any view of the part protects all its pictures; escapes and must-catch cases are labels too."""


def _stored_bytes(connection: Connection) -> int:
    files = select(func.max(image.c.size_bytes).label("size")).where(_live).group_by(image.c.sha256).subquery()
    return int(connection.execute(select(func.coalesce(func.sum(files.c.size), 0))).scalar_one())


def _count_spared(connection: Connection, too_old: int) -> int:
    wanted = select(func.count(func.distinct(image.c.sha256))).where(_live, _labelled, image.c.stored_utc_ns < too_old)
    return int(connection.execute(wanted).scalar_one())


def _candidates(connection: Connection, having: ColumnElement[bool]) -> dict[str, int]:
    """Hash to size in bytes of the files that no label protects, oldest first."""
    protected = select(image.c.sha256).where(_live, _labelled)
    wanted = (
        select(image.c.sha256, func.max(image.c.size_bytes))
        .where(_live, image.c.sha256.not_in(protected))
        .group_by(image.c.sha256)
        .having(having)
        .order_by(_newest)
        .limit(LIMIT)
    )
    return {sha256: int(size) for sha256, size in connection.execute(wanted)}


def _first_bytes(candidates: dict[str, int], unlogged: Unlogged, over: int) -> dict[str, int]:
    chosen: dict[str, int] = {}
    for sha256, size in candidates.items():
        if over <= 0:
            break
        if sha256 not in unlogged:
            chosen[sha256] = size
            over -= size
    return chosen


@dataclass(frozen=True, slots=True)
class _Deletion:
    """Removes pictures in small transactions, so that the line's rows never wait for it. ``began_utc_ns``: rows stored since
    then came after the candidates were chosen, and keep their file."""

    engine: Engine
    folder: Path
    unlogged: Unlogged
    began_utc_ns: int
    stop: Callable[[], bool]

    def __call__(self, candidates: dict[str, int]) -> dict[str, int]:
        """Hash to size in bytes of those that are gone."""
        names = [sha256 for sha256 in candidates if sha256 not in self.unlogged]
        freed: dict[str, int] = {}
        for start in range(0, len(names), CHUNK):
            if self.stop():
                break
            try:
                with self.engine.begin() as connection:
                    gone = self._mark(connection, names[start : start + CHUNK])
            except DATABASE_TROUBLE as error:
                raise explain(error, self.engine) from error
            for sha256 in gone:
                if self.unlogged.unlink(content_path(self.folder, sha256)):
                    freed[sha256] = candidates[sha256]
        return freed

    def _mark(self, connection: Connection, chunk: list[str]) -> list[str]:
        """Mark the rows of all that may still go, labels looked at again; only rows that were seen here, because another
        one may be committed meanwhile."""
        if connection.dialect.name == "postgresql":
            connection.execute(text("LOCK TABLE label IN SHARE MODE"))
        needed = or_(_labelled, image.c.stored_utc_ns >= self.began_utc_ns).label("needed")
        rows = connection.execute(
            select(image.c.id, image.c.sha256, needed).where(image.c.sha256.in_(chunk), _live)
        ).all()
        kept = {row.sha256 for row in rows if row.needed}
        gone = [sha256 for sha256 in chunk if sha256 not in kept and sha256 not in self.unlogged]
        ids = [row.id for row in rows if row.sha256 in set(gone)]
        connection.execute(update(image).where(image.c.id.in_(ids)).values(deleted_utc_ns=time.time_ns()))
        return gone


def _remove_orphans(reader: Engine, folder: Path, unlogged: Unlogged, stop: Callable[[], bool], young_s: float) -> int:
    removed = 0
    before = time.time() - young_s
    files = content_files(folder)
    while chunk := list(islice(files, 10 * CHUNK)):
        if stop():
            break
        old = [path for path in chunk if path.stem not in unlogged and _older(path, before)]
        with Reading(reader) as connection:
            wanted = select(image.c.sha256).where(image.c.sha256.in_([path.stem for path in old]), _live)
            live = set(connection.execute(wanted).scalars())
        for path in old:
            if path.suffix == TEMPORARY or path.stem not in live:
                removed += unlogged.unlink(path)
    return removed


def _older(path: Path, before_s: float) -> bool:
    try:
        return path.stat().st_mtime < before_s
    except FileNotFoundError:  # a file in the making, which has its name by now
        return False
