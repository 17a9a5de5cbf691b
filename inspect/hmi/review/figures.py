"""From rows to the charts' numbers. All functions take an open connection and the same filters as the queues."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, case, func, select

from linegate.inspect.hmi.review.charts.rates import Group
from linegate.inspect.hmi.review.charts.timing import CameraHealth
from linegate.inspect.hmi.review.queues import Filters, narrowed
from linegate.inspect.part import Decision
from linegate.inspect.partlog.schema import image, lot, part, region, view

WIDTHS_S = (60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800, 86_400, 604_800)
MOST_GROUPS = 40
LEAST_GROUPS = 8
PARTS_A_GROUP = 20
"""Fewer say nothing about a rate."""
MOST_TIMES = 20_000
MOST_POINTS = 5000


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, UTC ns, and the width of its slices."""

    from_utc_ns: int
    to_utc_ns: int
    width_s: int

    def name(self, slot: int) -> str:
        """A slice's label in the station's own time zone."""
        at = time.localtime(slot * self.width_s)
        return time.strftime("%d.%m." if self.width_s >= 86_400 else "%H:%M", at)


def span_of(connection: Connection, filters: Filters) -> Span | None:
    """From the first to the last part that the filters leave, in at most 40 slices; None where there is none."""
    wanted: Any = select(func.min(part.c.triggered_utc_ns), func.max(part.c.triggered_utc_ns), func.count())
    low, high, count = connection.execute(narrowed(wanted, _all(filters)).select_from(part)).one()
    if low is None:
        return None
    seconds = (int(high) - int(low)) / 1e9
    groups = min(MOST_GROUPS, max(LEAST_GROUPS, int(count) // PARTS_A_GROUP))
    width = next((w for w in WIDTHS_S if seconds / w <= groups - 1), WIDTHS_S[-1])
    return Span(int(low), int(high) + 1, width)


def _all(filters: Filters) -> Filters:
    return replace(filters, todo=False)


_PASSED = func.sum(case((part.c.decision == str(Decision.OK), 1), else_=0))


def by_time(connection: Connection, filters: Filters, span: Span) -> list[Group]:
    """Parts and passed parts of each slice; challenge parts are left out, they are bad on purpose."""
    slot = (part.c.triggered_utc_ns // (span.width_s * 1_000_000_000)).label("slot")
    wanted = select(slot, func.count(), _PASSED).where(part.c.challenge.is_(False)).group_by("slot").order_by("slot")
    found = connection.execute(narrowed(wanted, _all(filters)))
    return [Group(span.name(int(number)), int(parts), int(passed)) for number, parts, passed in found]


def by_lot(connection: Connection, filters: Filters) -> list[Group]:
    """The same for each lot, in the order they ran; the last 40."""
    first = func.min(part.c.id)
    wanted = select(part.c.lot, func.count(), _PASSED).where(part.c.challenge.is_(False)).group_by(part.c.lot)
    found = connection.execute(narrowed(wanted, _all(filters)).order_by(first.desc()).limit(MOST_GROUPS)).all()
    return [Group(name or "–", int(parts), int(passed)) for name, parts, passed in reversed(found)]


def decisions(connection: Connection, filters: Filters) -> dict[str, int]:
    """Parts by decision."""
    wanted = select(part.c.decision, func.count()).where(part.c.challenge.is_(False)).group_by(part.c.decision)
    return {name: int(n) for name, n in connection.execute(narrowed(wanted, _all(filters)))}


def defects(connection: Connection, filters: Filters) -> dict[str, int]:
    """Rejected parts by their worst region's class; without one by their cause (not inspected, part score alone)."""
    what = case((part.c.defect_class != "", part.c.defect_class), else_=part.c.cause).label("what")
    wanted = (
        select(what, func.count())
        .where(part.c.decision != str(Decision.OK), part.c.challenge.is_(False))
        .group_by("what")  # by its name: PostgreSQL does not see that two expressions with parameters are the same
    )
    return {str(label): int(n) for label, n in connection.execute(narrowed(wanted, _all(filters)))}


def cameras(connection: Connection, filters: Filters) -> list[str]:
    """Names of the cameras that looked, the one that saw most parts first."""
    wanted = select(view.c.camera).join(part, part.c.id == view.c.part_id).group_by(view.c.camera)
    by_count = narrowed(wanted, _all(filters)).order_by(func.count().desc(), view.c.camera)
    return list(connection.execute(by_count).scalars())


def places(
    connection: Connection, filters: Filters, camera: str
) -> tuple[list[tuple[float, float]], tuple[int, int] | None, str]:
    """Centres of the defects of rejected parts in one camera's picture (px), the picture's size, and a good part's picture."""
    wanted = (
        select(region.c.box_x_px + region.c.box_width_px / 2.0, region.c.box_y_px + region.c.box_height_px / 2.0)
        .join(part, part.c.id == region.c.part_id)
        .join(view, (view.c.part_id == region.c.part_id) & (view.c.number == region.c.view_number))
        .where(view.c.camera == camera, part.c.decision != str(Decision.OK))
    )
    points = [(float(x), float(y)) for x, y in connection.execute(narrowed(wanted, _all(filters)).limit(MOST_POINTS))]
    sizes = (
        select(view.c.width_px, view.c.height_px)
        .join(part, part.c.id == view.c.part_id)
        .where(view.c.camera == camera, view.c.width_px > 0)
    )
    size = connection.execute(narrowed(sizes, _all(filters)).order_by(part.c.id.desc()).limit(1)).first()
    photo = (
        select(image.c.sha256)
        .join(part, (part.c.epoch == image.c.epoch) & (part.c.sequence == image.c.sequence))
        .where(image.c.camera == camera, image.c.deleted_utc_ns.is_(None))
        .order_by((part.c.decision != str(Decision.OK)), part.c.id.desc())
        .limit(1)
    )
    sha256 = connection.execute(narrowed(photo, _all(filters))).scalar()
    return points, (int(size[0]), int(size[1])) if size else None, sha256 or ""


def times(connection: Connection, filters: Filters) -> tuple[list[float], list[float]]:
    """Latency and slack, ms, of the last 20,000 parts whose verdict was written."""
    wanted = select(part.c.latency_ms, part.c.slack_ms).where(
        part.c.latency_ms.is_not(None), part.c.slack_ms.is_not(None)
    )
    found = connection.execute(narrowed(wanted, _all(filters)).order_by(part.c.id.desc()).limit(MOST_TIMES)).all()
    return [float(a) for a, _ in found], [float(b) for _, b in found]


def camera_health(connection: Connection, filters: Filters, span: Span) -> tuple[list[CameraHealth], list[str]]:
    """Frames that came and that did not, each camera and slice."""
    slot = (part.c.triggered_utc_ns // (span.width_s * 1_000_000_000)).label("slot")
    came = func.sum(case((view.c.frame_counter.is_not(None), 1), else_=0))
    wanted = (
        select(view.c.camera, slot, func.count(), came)
        .join(part, part.c.id == view.c.part_id)
        .group_by(view.c.camera, "slot")
    )
    found: dict[str, dict[int, tuple[int, int]]] = defaultdict(dict)
    slots: set[int] = set()
    for camera, number, total, seen in connection.execute(narrowed(wanted, _all(filters))):
        found[camera][int(number)] = (int(seen), int(total) - int(seen))
        slots.add(int(number))
    ordered = sorted(slots)
    healths = [
        CameraHealth(camera, tuple(cells.get(number, (0, 0)) for number in ordered))
        for camera, cells in sorted(found.items())
    ]
    return healths, [span.name(number) for number in ordered]


def lot_rows(connection: Connection, filters: Filters) -> list[dict[str, Any]]:
    """Each lot with its counts, and who started it."""
    started = {row.id: row for row in connection.execute(select(lot))}
    rows = []
    for group in by_lot(connection, filters):
        known = started.get(group.name)
        rows.append({"lot": group.name, "parts": group.parts, "passed": group.passed,
                     "by": known.started_by if known else ""})  # fmt: skip
    return rows
