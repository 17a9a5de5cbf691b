"""Charts, the shift report, and the parts as CSV or Parquet: ``/api/review/charts``, ``/api/review/report…``."""

from __future__ import annotations

import itertools
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from linegate.inspect.hmi.review import report
from linegate.inspect.hmi.review.chart_page import draw, words_of
from linegate.inspect.hmi.review.context import Review, act_of
from linegate.inspect.hmi.review.download import as_file, spooled
from linegate.inspect.hmi.review.queues import Filters
from linegate.inspect.hmi.review.routes_queues import Looking, Narrow, Shared

router = APIRouter(prefix="/api/review")
Language = Literal["en", "zh", "de"]
GroupBy = Annotated[Literal["time", "lot"], Query(alias="by")]


@router.get("/charts")
def charts(
    review: Shared,
    filters: Narrow,
    _who: Looking,
    language: Language = "en",
    group_by: GroupBy = "time",
    camera: str = "",
) -> dict[str, object]:
    """Every chart as SVG, and the cameras there are."""
    drawn, cameras = draw(
        review.screens.reader, filters, words_of(language), review.pictures, group_by=group_by, camera=camera
    )
    return {"charts": drawn, "cameras": cameras}


def _page(review: Review, filters: Filters, who: str, language: Language, group_by: str) -> str:
    words, reader = words_of(language), review.screens.reader
    station = str((review.screens.hub.status or {}).get("station", ""))
    drawn, _ = draw(reader, filters, words, review.pictures, group_by=group_by)
    return report.html(reader, filters, drawn, words, station=station, by=who, language=language)


@router.get("/report.html")
def report_html(
    review: Shared, filters: Narrow, who: Looking, language: Language = "en", group_by: GroupBy = "time"
) -> Response:
    """The shift report; prints on A4."""
    review.audit(act_of(who, "report", "report.html"))
    return Response(_page(review, filters, who.name, language, group_by), media_type="text/html; charset=utf-8")


@router.get("/report.pdf")
def report_pdf(
    review: Shared, filters: Narrow, who: Looking, language: Language = "en", group_by: GroupBy = "time"
) -> Response:
    """The same as PDF; 501 where no Chromium is installed."""
    review.audit(act_of(who, "report", "report.pdf"))
    content = report.pdf(_page(review, filters, who.name, language, group_by))
    return Response(content, media_type="application/pdf", headers=as_file("shift-report.pdf"))


@router.get("/parts.csv")
def parts_csv(review: Shared, filters: Narrow, who: Looking) -> StreamingResponse:
    """The parts that the filters leave, sent while they are read."""
    review.audit(act_of(who, "export", "parts.csv"))
    rows = itertools.chain.from_iterable(report.part_pages(review.screens.reader, filters))
    pieces = report.csv_lines(rows)
    first = next(pieces)  # what can't be read at all is refused in words, not by a broken file
    return StreamingResponse(
        itertools.chain([first], pieces), media_type="text/csv; charset=utf-8", headers=as_file("parts.csv")
    )


@router.get("/parts.parquet")
def parts_parquet(review: Shared, filters: Narrow, who: Looking) -> StreamingResponse:
    """The same as Parquet; 501 where pyarrow is not installed."""
    review.audit(act_of(who, "export", "parts.parquet"))
    return spooled(
        lambda file: report.parquet(report.part_pages(review.screens.reader, filters), file),
        "application/vnd.apache.parquet",
        "parts.parquet",
    )
