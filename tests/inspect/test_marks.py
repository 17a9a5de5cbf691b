"""A person at the line marks a part: its pictures are kept, and what the release gate can't test is said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from linegate.cameras.frame import Frame
from linegate.inspect.marks import NO_PICTURE, mark_part
from linegate.inspect.part import Decision, PartKey
from linegate.inspect.partlog.images import ImageStore
from linegate.inspect.partlog.labels import LabelError, LabelStore
from linegate.inspect.partlog.queries import Reading, pictured_views
from linegate.inspect.partlog.schema import label
from linegate.inspect.partlog.writer import PartLog
from linegate.inspect.settings import ImageSettings, LogSettings

from .partlog.partlog_samples import put, record


@dataclass
class Bench:
    log: PartLog
    images: ImageStore
    labels: LabelStore

    def passed(self, sequence: int, *cameras: str) -> PartKey:
        """A part that passed and was not sampled."""
        part = replace(record(sequence), keep_probability=None)
        assert put(self.log, part) is None
        frames = [Frame(np.full((24, 32), 10 * sequence + n, np.uint8), c, 1, 1, 1, "") for n, c in enumerate(cameras)]
        self.images.remember(part, frames)
        return part.key

    def mark(self, kind: str, key: PartKey, **place: object) -> str:
        return mark_part(self.labels, self.images, kind, key, "Ada", place)

    def kept(self, key: PartKey) -> tuple[str, ...]:
        with Reading(self.log.reader) as connection:
            return pictured_views(connection, key)

    def saved(self) -> list[tuple[object, ...]]:
        columns = (label.c.sequence, label.c.camera, label.c.decision, label.c.kind, label.c.must_catch, label.c.note)
        with Reading(self.log.reader) as connection:
            return [tuple(row) for row in connection.execute(select(*columns).order_by(label.c.id))]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    log = PartLog.open(LogSettings(min_free_mb=0), tmp_path)
    log.start()
    images = ImageStore(tmp_path, ImageSettings(), log, views=2)
    images.start()
    yield Bench(log, images, LabelStore(log.writer_engine, log.reader, tmp_path))
    images.close()
    log.close()


def test_an_escape_has_all_its_pictures_kept(bench: Bench) -> None:
    pointed, told = bench.passed(1, "top", "side"), bench.passed(2, "top", "side")
    assert bench.mark("escape", pointed, camera="side", x_px=3, y_px=4) == ""
    assert bench.mark("escape", told) == ""
    assert bench.kept(pointed) == bench.kept(told) == ("side", "top")
    assert bench.saved() == [
        (1, "side", "NG", "escape", True, "at 3, 4 px"),
        (2, "", "NG", "escape", True, ""),
    ]
    newest = bench.labels.newest(pointed, "side")
    assert newest is not None and newest.image_sha256


def test_a_part_that_left_the_ring_is_marked_and_the_answer_says_so(bench: Bench) -> None:
    key, other = bench.passed(1), bench.passed(2, "top")
    assert bench.mark("escape", key, camera="top") == NO_PICTURE["escape"]
    assert bench.mark("overkill", key) == NO_PICTURE["overkill"]
    assert bench.mark("escape", other, camera="side") == NO_PICTURE["escape"], "of the camera that was pointed at"
    assert [row[2:5] for row in bench.saved()] == [
        (Decision.NG, "escape", True), (Decision.OK, "overkill", False), (Decision.NG, "escape", True),
    ]  # fmt: skip
    with pytest.raises(LabelError, match="no row of it"):
        bench.mark("escape", PartKey(7, 99))
