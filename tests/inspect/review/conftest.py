"""A log with parts on disk, for the review screen's own code without a browser."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "browser"))  # review_feed.py

from review_feed import Past, make_bundle

from linegate.inspect.partlog.database import log_url, make_engine
from linegate.inspect.partlog.labels import LabelStore
from linegate.inspect.settings import LogSettings


@pytest.fixture
def past(tmp_path: Path) -> Iterator[Past]:
    """An open log, to be filled; closed at the end."""
    opened = Past(tmp_path)
    opened.model(make_bundle(tmp_path / "bundle"))
    yield opened
    opened.close()


@pytest.fixture
def engines(past: Past) -> Iterator[tuple[Engine, Engine]]:
    """(writer, reader) on its database."""
    url = log_url(LogSettings(), past.data)
    writer, reader = make_engine(url, access="write", busy_timeout_ms=200), make_engine(url, access="read")
    yield writer, reader
    writer.dispose()
    reader.dispose()


@pytest.fixture
def labels(past: Past, engines: tuple[Engine, Engine]) -> LabelStore:
    """The label store on it."""
    return LabelStore(*engines, past.data)
