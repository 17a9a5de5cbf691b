"""The shift report: one HTML file that prints well, the same as PDF where a Chromium is installed, and the parts as a table."""

from __future__ import annotations

import csv
import io
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Engine, select

from linegate.inspect.hmi.errors import ScreenError
from linegate.inspect.hmi.review import figures
from linegate.inspect.hmi.review.chart_page import defect_words
from linegate.inspect.hmi.review.charts.formulas import share, upper_bound
from linegate.inspect.hmi.review.charts.rates import Words, percent
from linegate.inspect.hmi.review.queues import Filters, narrowed, pages, sample_estimate
from linegate.inspect.part import Decision
from linegate.inspect.partlog.queries import Reading
from linegate.inspect.partlog.schema import part

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
PDF_TIMEOUT_S = 60.0
COLUMNS = (
    "epoch", "sequence", "triggered_utc_ns", "recipe_id", "recipe_name", "lot", "serial", "decision", "judged", "cause",
    "reason", "score", "defect_class", "gate", "latency_ms", "slack_ms", "challenge", "bundle_sha256", "thresholds_sha256",
)  # fmt: skip
_STYLE = """
@page { size: A4; margin: 14mm 13mm; }
body { font: 13px/1.4 "Noto Sans", "Noto Sans CJK SC", "DejaVu Sans", sans-serif; color: #1b1f24; margin: 0 auto;
  max-width: 186mm; padding: 8mm 0; }
h1 { font-size: 24px; margin: 0; } h2 { font-size: 16px; margin: 22px 0 6px; } p { margin: 2px 0; color: #444d57; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: right; padding: 4px 8px; border-bottom: 1px solid #d9dee3; }
th:first-child, td:first-child { text-align: left; } th { color: #444d57; font-weight: 600; }
.charts { display: grid; grid-template-columns: 1fr 1fr; gap: 10px; } .chart { width: 100%; height: auto; break-inside: avoid;
  border: 1px solid #d9dee3; border-radius: 6px; } tr { break-inside: avoid; }
.sign { display: flex; gap: 24px; margin-top: 30px; } .sign div { flex: 1; border-top: 1px solid #444d57; padding-top: 4px; }
"""


def html(
    reader: Engine,
    filters: Filters,
    charts: Mapping[str, str],
    words: Words,
    *,
    station: str,
    by: str,
    language: str,
) -> str:
    """The whole report; every rate with its exact bounds. Raises LogError."""
    with Reading(reader) as connection:
        counts = figures.decisions(connection, filters)
        span = figures.span_of(connection, filters)
        bad, looked = sample_estimate(connection, filters)
    with Reading(reader) as connection:
        lot_rows = figures.lot_rows(connection, filters)
        reasons = figures.defects(connection, filters)
    defects = sorted(defect_words(words, reasons).items(), key=lambda item: -item[1])
    total, passed = sum(counts.values()), counts.get(str(Decision.OK), 0)
    rows = [_rate_row(words(f"review.decision.{name}"), counts.get(name, 0), total) for name in map(str, Decision)]
    sampled = words("review.report.sample", bad=bad, looked=looked, bound=percent(upper_bound(bad, looked)))
    lots = [[row["lot"], str(row["parts"]), *_share_cells(row["passed"], row["parts"]), row["by"]] for row in lot_rows]
    title = words("review.report.title")
    head = [words("review.report." + key) for key in ("what", "count", "share", "low", "high")]
    lot_head = [words("review.report." + key) for key in ("lot", "count", "yield", "low", "high", "by")]
    subject = " · ".join(filter(None, [station, _period(filters, span), filters.lot, filters.defect_class]))
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>"
        f"<p>{escape(subject)}</p>"
        f"<p>{escape(words('review.report.made', by=by, at=_local(time.time_ns())))}</p>"
        f"<h2>{escape(words('review.report.verdicts'))}</h2>{_table(head, rows)}"
        f"<p>{escape(words('review.report.yield_line', value=percent(share(passed, total).value) if total else '–'))}</p>"
        f"<p>{escape(sampled)}</p>"
        f'<h2>{escape(words("review.report.charts"))}</h2><div class="charts">{"".join(charts.values())}</div>'
        f"<h2>{escape(words('review.report.defects'))}</h2>"
        f"{_table(head, [_rate_row(name, n, total) for name, n in defects])}"
        f"<h2>{escape(words('review.report.lots'))}</h2>{_table(lot_head, lots)}"
        f'<div class="sign"><div>{escape(words("review.report.sign_shift"))}</div>'
        f"<div>{escape(words('review.report.sign_quality'))}</div></div></body></html>"
    )


def _period(filters: Filters, span: figures.Span | None) -> str:
    """The time that was asked for; where none was, from the first to the last part."""
    seen = (span.from_utc_ns, span.to_utc_ns) if span is not None else (None, None)
    first = filters.from_utc_ns if filters.from_utc_ns is not None else seen[0]
    last = filters.to_utc_ns if filters.to_utc_ns is not None else seen[1]
    return " – ".join("…" if at is None else _local(at) for at in (first, last))


def _local(utc_ns: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M %Z", time.localtime(utc_ns / 1e9))


def _share_cells(k: int, n: int) -> list[str]:
    found = share(k, n)
    return [percent(found.value) if n else "–", percent(found.low), percent(found.high)]


def _rate_row(name: str, k: int, n: int) -> list[str]:
    return [name, str(k), *_share_cells(k, n)]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"


def find_chromium() -> str | None:
    """A browser that can print, None where there is none."""
    return next((path for name in CHROMIUMS if (path := shutil.which(name))), None)


def pdf(page: str) -> bytes:
    """The page as PDF. Raises ScreenError 501 without a Chromium, 500 where it fails; the HTML is there in any case."""
    browser = find_chromium()
    if browser is None:
        raise ScreenError("review.error.no_pdf", 501)
    with tempfile.TemporaryDirectory(prefix="linegate-report-") as name:
        folder = Path(name)
        source, target = folder / "report.html", folder / "report.pdf"
        source.write_text(page, encoding="utf-8")
        command = [browser, "--headless", "--disable-gpu", "--no-first-run", "--disable-extensions", "--disable-sync",
                   "--disable-background-networking", "--no-pdf-header-footer", f"--user-data-dir={folder / 'profile'}",
                   f"--print-to-pdf={target}"]  # fmt: skip
        if os.geteuid() == 0:
            command.append("--no-sandbox")  # Chromium refuses to run as root with its sandbox; the page is our own
        try:
            done = subprocess.run([*command, source.as_uri()], capture_output=True, timeout=PDF_TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ScreenError("review.error.pdf_failed", 500, detail=str(error)[:200]) from error
        if done.returncode or not target.exists():
            detail = done.stderr.decode("utf-8", "replace")[-200:]
            raise ScreenError("review.error.pdf_failed", 500, detail=detail)
        return target.read_bytes()


def part_pages(reader: Engine, filters: Filters) -> Iterator[Sequence[Sequence[Any]]]:
    """The parts' columns, oldest first, by pages that are read one after the other. Raises LogError."""
    wanted = narrowed(select(part.c.id, *(part.c[name] for name in COLUMNS)), filters)
    for page in pages(reader, wanted):
        yield [row[1:] for row in page]


def csv_lines(rows: Iterable[Sequence[Any]], head: Sequence[str] = COLUMNS) -> Iterator[str]:
    """CSV text in pieces of some 64 kB. A cell that a spreadsheet would take for a formula gets an apostrophe before it."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(head)
    for row in rows:
        writer.writerow(
            [f"'{cell}" if isinstance(cell, str) and cell[:1] in "=+-@\t\r" and cell else cell for cell in row]
        )
        if buffer.tell() > 64_000:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def parquet(pages: Iterable[Sequence[Sequence[Any]]], target: IO[bytes]) -> None:
    """The same as one Parquet file, a row group a page. Raises ScreenError 501 where pyarrow is not installed."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        raise ScreenError("review.error.no_parquet", 501) from None
    kinds = {"score": pa.float64(), "latency_ms": pa.float64(), "slack_ms": pa.float64(), "challenge": pa.bool_(),
             "epoch": pa.int64(), "sequence": pa.int64(), "triggered_utc_ns": pa.int64(), "recipe_id": pa.int64()}  # fmt: skip
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])
    with pq.ParquetWriter(target, schema) as writer:
        for page in pages:
            columns = zip(*page, strict=True)
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
