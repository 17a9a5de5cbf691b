"""The virtual line's panels as training data."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from linegate.inspect.virtual.dataset import write_dataset
from linegate.inspect.virtual.panel import SIZE_PX
from linegate.inspect.virtual.spec import panel_spec
from linegate.training.dataset import Dataset, load_folder
from linegate.training.pipeline import work_folder
from linegate.training.progress import counting

FIT = {"vary": "slight", "crop_px": 384, "batch": 16, "rate": 3e-3, "whole_from": 0.88, "ema": 0.999}
"""Thousands of panels, always the same way up, with writing on them: flips and pasted defects would only blur what good is."""
_DEFECT_SHARE = 0.6
_PARTS_PER_LOT = 12
"""Fewer than on the line: more lots, so more coils, lamps and grains for the same number of panels."""


@contextmanager
def drawn_panels(
    out: Path, seed: int, parts: int, defects: Sequence[str] = (), picture_px: int = SIZE_PX
) -> Iterator[tuple[Dataset, float, str]]:
    """Draw ``parts`` panels of ``seed`` beside bundle folder ``out``; the pictures are deleted afterwards, since one command
    draws them again. ``defects``: the only kinds that come, where not the default
    mix. Yields the dataset, mm per pixel and the data in words."""
    folder = work_folder(out) / "panels"
    shutil.rmtree(folder, ignore_errors=True)
    spec = panel_spec(defects, defect_share=_DEFECT_SHARE, parts_per_lot=_PARTS_PER_LOT, picture_px=picture_px)
    try:
        with counting(Console(), "draw", parts) as progress:
            write_dataset(folder, seed, parts, spec, progress=progress)
        words = f"{parts} drawn panels, seed {seed}, {_DEFECT_SHARE:.0%} with defects, {_PARTS_PER_LOT} to a lot"
        if defects:
            words += f", only {', '.join(spec.classes[1:])}"
        yield load_folder(folder), spec.picture_mm, words
    finally:
        shutil.rmtree(folder, ignore_errors=True)
