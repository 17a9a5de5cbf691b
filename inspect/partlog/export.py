"""Rows of parts or of their defects to CSV or Parquet, streamed by pages, so that millions need no more memory than a
thousand."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, Boolean, Connection, Float, Integer, SmallInteger, String

from linegate.inspect.part import PartKey
from linegate.inspect.partlog.errors import LogError
from linegate.inspect.partlog.queries import PartFilter, all_parts, regions_of
from linegate.inspect.partlog.rows import Row
from linegate.inspect.partlog.schema import part, region, view

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class _Sheet:
    """What is written: column names with their database types, and the rows of each page of parts."""

    columns: tuple[tuple[str, Any], ...]
    rows: Callable[[Connection, list[Row], PartFilter], list[Row]]


_OF_PART = tuple(
    (name, part.c[name].type)
    for name in ("epoch", "sequence", "triggered_utc_ns", "lot", "serial", "decision", "recipe_id", "bundle_sha256")
)
_PARTS = _Sheet(
    tuple((column.name, column.type) for column in part.columns if column.name != "token"),
    lambda _connection, rows, _wanted: rows,
)
_REGIONS = _Sheet(
    (
        ("part", String()),
        *_OF_PART,
        ("camera", view.c.camera.type),
        *((column.name, column.type) for column in region.columns if column.name not in ("part_id", "outline")),
    ),
    lambda connection, rows, wanted: _with_part(connection, rows, wanted),
)


def export_parts(
    connection: Connection, wanted: PartFilter, path: Path, progress: Progress = lambda _count: None
) -> int:
    """Write all parts that the filter lets through to ``path`` (.csv or .parquet) and return how many; ``progress`` is told
    the number of each page. The file appears under its name only when it is complete. Raises LogError."""
    return _export(connection, wanted, path, progress, _PARTS)


def export_regions(
    connection: Connection, wanted: PartFilter, path: Path, progress: Progress = lambda _count: None
) -> int:
    """Likewise every defect of those parts, one a row with its part and camera (with ``wanted.defect_class``, of that class
    only); how many. Outlines are left out: `linegate log show --json` has them."""
    return _export(connection, wanted, path, progress, _REGIONS)


def _export(connection: Connection, wanted: PartFilter, path: Path, progress: Progress, sheet: _Sheet) -> int:
    writers = {".csv": _write_csv, ".parquet": _write_parquet}
    write = writers.get(path.suffix.lower())
    if write is None:
        raise LogError(
            f"export file {path}",
            expected="a name that ends in .csv or .parquet",
            found=f"{path.suffix or 'no ending'}",
            remedy="Choose one of the two.",
        )
    temporary = path.with_name(f".{path.name}.part")
    try:
        count = write(_pages(connection, wanted, sheet, progress), temporary, sheet)
        temporary.replace(path)
    except OSError as error:
        raise LogError(
            f"export file {path}",
            expected="a file that can be written",
            found=str(error.strerror or error),
            remedy="Choose a folder that exists, has room and may be written.",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return count


def utc_text(at_utc_ns: int) -> str:
    """ISO 8601 with microseconds, UTC."""
    return datetime.fromtimestamp(at_utc_ns / 1e9, UTC).isoformat(timespec="microseconds")


def _pages(connection: Connection, wanted: PartFilter, sheet: _Sheet, progress: Progress) -> Iterator[list[Row]]:
    for page in all_parts(connection, wanted):
        rows = sheet.rows(connection, page, wanted)
        connection.rollback()  # no transaction outlives its page
        yield rows
        progress(len(page))


def _with_part(connection: Connection, parts: list[Row], wanted: PartFilter) -> list[Row]:
    """The parts' defects, each with what is to be known of its part."""
    by_id = {row["id"]: row for row in parts}
    found = []
    for each in regions_of(connection, list(by_id), wanted.defect_class):
        whole = by_id[each["part_id"]]
        key = str(PartKey(whole["epoch"], whole["sequence"]))
        found.append({**each, **{name: whole[name] for name, _ in _OF_PART}, "part": key})
    return found


def _write_csv(pages: Iterator[list[Row]], path: Path, sheet: _Sheet) -> int:
    count, names = 0, [name for name, _ in sheet.columns]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*names, "triggered_utc"])
        for page in pages:
            writer.writerows([[row[name] for name in names] + [utc_text(row["triggered_utc_ns"])] for row in page])
            count += len(page)
    return count


def _write_parquet(pages: Iterator[list[Row]], path: Path, sheet: _Sheet) -> int:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise LogError(
            "export to Parquet",
            expected="the package pyarrow",
            found="not installed",
            remedy="Install it (pip install 'linegate[parquet]'), or export to .csv.",
        ) from error
    schema = pa.schema([(name, _arrow_type(pa, kind)) for name, kind in sheet.columns])
    count = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for page in pages:
            writer.write_table(
                pa.Table.from_pylist([{name: row[name] for name, _ in sheet.columns} for row in page], schema=schema)
            )
            count += len(page)
    return count


def _arrow_type(pa: Any, kind: Any) -> Any:
    if isinstance(kind, Boolean):
        return pa.bool_()
    if isinstance(kind, Float):
        return pa.float64()
    if isinstance(kind, BigInteger | Integer | SmallInteger):
        return pa.int64()
    return pa.string()
