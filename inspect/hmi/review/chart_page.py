"""All charts of one question (filters), in the reader's language; for the screen and for the report."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from sqlalchemy import Connection, Engine

from linegate.inspect.hmi.errors import ScreenError
from linegate.inspect.hmi.review import figures
from linegate.inspect.hmi.review.charts.pareto import pareto
from linegate.inspect.hmi.review.charts.place import place_map
from linegate.inspect.hmi.review.charts.rates import Group, Words, control_chart, yield_trend
from linegate.inspect.hmi.review.charts.timing import camera_chart, latency_chart
from linegate.inspect.hmi.review.pictures import Pictures
from linegate.inspect.hmi.review.queues import Filters
from linegate.inspect.hmi.texts import text
from linegate.inspect.part import Cause
from linegate.inspect.partlog.queries import Reading


def words_of(language: str) -> Words:
    """The dictionary of one language as a function."""

    def words(key: str, **values: object) -> str:
        return text(language, key, **values)

    return words


def defect_words(words: Words, found: dict[str, int]) -> dict[str, int]:
    """Counts by defect class or cause, under the reader's own names for them where the dictionary has one."""
    named: dict[str, int] = {}
    for name, count in found.items():
        said = name
        own = ("review.chart.score_alone",) if name == Cause.JUDGED else ()  # judged, and no region to blame
        for key in (*own, f"operator.class.{name}", f"operator.cause.{name}"):
            with contextlib.suppress(KeyError):
                said = words(key)
                break
        named[said] = named.get(said, 0) + count
    return named


def draw(
    reader: Engine,
    filters: Filters,
    words: Words,
    pictures: Pictures,
    *,
    group_by: str = "time",
    camera: str = "",
) -> tuple[dict[str, str], list[str]]:
    """Chart name → SVG text, and the cameras there are. Each chart reads in a transaction of its own, so that none is long.

    Args:
        group_by: time or lot.
        camera: whose defects are placed; "" for the first.

    Raises LogError.
    """
    with Reading(reader) as connection:
        span = figures.span_of(connection, filters)
        known = figures.cameras(connection, filters)
    chosen = camera if camera in known else (known[0] if known else "")
    groups = _groups(reader, filters, span, group_by)
    makers: dict[str, Callable[[Connection], str]] = {
        "yield": lambda _: yield_trend(groups, words),
        "pprime": lambda _: control_chart(groups, words),
        "pareto": lambda connection: pareto(defect_words(words, figures.defects(connection, filters)), words),
        "place": lambda connection: _place(connection, filters, words, pictures, chosen),
        "latency": lambda connection: latency_chart(*figures.times(connection, filters), words),
        "cameras": lambda connection: camera_chart(
            *(figures.camera_health(connection, filters, span) if span is not None else ([], [])), words
        ),
    }
    drawn = {}
    for name, make in makers.items():
        with Reading(reader) as connection:
            drawn[name] = make(connection)
    return drawn, known


def _groups(reader: Engine, filters: Filters, span: figures.Span | None, group_by: str) -> list[Group]:
    if span is None:
        return []
    with Reading(reader) as connection:
        if group_by == "lot":
            return figures.by_lot(connection, filters)
        return figures.by_time(connection, filters, span)


def _place(connection: Connection, filters: Filters, words: Words, pictures: Pictures, camera: str) -> str:
    points, size, sha256 = figures.places(connection, filters, camera)
    photo = None
    if sha256:
        try:
            photo = pictures.pixels(sha256)
        except ScreenError:
            photo = None  # retention took it a moment ago; the outline serves
    if photo is not None and photo.ndim == 3:
        photo = photo[..., ::-1]
    return place_map(points, size or (4, 3), words, photo)
