"""Whether the log is what it promises: one row per trigger without gaps, and every stored picture bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, func, select

from linegate.inspect.partlog.files import content_matches, content_path
from linegate.inspect.partlog.queries import epochs, missing_parts
from linegate.inspect.partlog.schema import image, part

SHOWN = 20


@dataclass(frozen=True, slots=True)
class LogCheck:
    """What was looked at and what is wrong, in words."""

    parts: int
    pictures: int
    problems: list[str]


def check_log(connection: Connection, data: Path, progress: Callable[[int], None] = lambda _count: None) -> LogCheck:
    """Parts unique and without gaps per epoch, each live picture there and unchanged, each picture with its part.

    ``progress`` is told the number of pictures done. Read in short transactions: a long one would keep the line's
    write-ahead log from being emptied. Raises LogError.
    """
    problems: list[str] = []
    parts = 0
    for epoch in epochs(connection):
        parts += epoch.count
        for gap in missing_parts(connection, epoch.epoch, epoch.last)[:SHOWN]:
            what = f"part {gap[0]}" if len(gap) == 1 else f"parts {gap[0]} to {gap[-1]}"
            problems.append(f"epoch {epoch.epoch:04x}: no row for {what}")
    twice = select(part.c.epoch, part.c.sequence).group_by(part.c.epoch, part.c.sequence).having(func.count() > 1)
    problems += [f"part {epoch:04x}-{sequence} has more than one row" for epoch, sequence in connection.execute(twice)]
    pictures, found = _check_pictures(connection, data / "images", progress)
    return LogCheck(parts, pictures, problems + found)


def _check_pictures(connection: Connection, folder: Path, progress: Callable[[int], None]) -> tuple[int, list[str]]:
    joined = image.outerjoin(part, (part.c.epoch == image.c.epoch) & (part.c.sequence == image.c.sequence))
    statement = select(
        image.c.id, image.c.epoch, image.c.sequence, image.c.camera, image.c.sha256, part.c.id.label("part_id")
    )
    statement = statement.select_from(joined).where(image.c.deleted_utc_ns.is_(None)).order_by(image.c.id).limit(1000)
    problems: list[str] = []
    count, last = 0, 0
    while rows := connection.execute(statement.where(image.c.id > last)).all():
        connection.rollback()
        for row in rows:
            name = f"picture of part {row.epoch:04x}-{row.sequence}, camera {row.camera}"
            path = content_path(folder, row.sha256)
            try:
                if not content_matches(path):
                    problems.append(f"{name}: {path} was changed")
            except FileNotFoundError:
                problems.append(f"{name}: {path} is missing")
            except OSError as error:
                problems.append(f"{name}: {path} can't be read ({error.strerror})")
            if row.part_id is None:
                problems.append(f"{name}: the part has no row")
            count, last = count + 1, row.id
        progress(len(rows))
    return count, problems
