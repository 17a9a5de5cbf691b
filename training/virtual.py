"""The virtual line's panels as training data."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from linegate.inspect.virtual.dataset import write_dataset
from linegate.inspect.virtual.panel import SIZE_PX
from linegate.inspect.virtual.spec import panel_spec
from linegate.training.dataset import Dataset, load_folder
from linegate.training.origin import code_sha256
from linegate.training.output import write_output
from linegate.training.pipeline import work_folder
from linegate.training.progress import counting

FIT = {
    "vary": "slight",
    "crop_px": 384,
    "batch": 16,
    "rate": 3e-3,
    "weight_decay": 0.02,
    "whole_from": 0.88,
    "ema": 0.999,
}
"""Thousands of panels, always the same way up, with writing on them: flips and pasted defects would only blur what good is,
and so many need no strong decay of the weights."""
_DEFECT_SHARE = 0.6
_PARTS_PER_LOT = 12
"""Fewer than on the line: more lots, so more coils, lamps and grains for the same number of panels."""
_DRAWN = "panels.json"
"""Beside whole panels: which they are, and by which code they were drawn."""


@contextmanager
def drawn_panels(
    out: Path, seed: int, parts: int, defects: Sequence[str] = (), picture_px: int = SIZE_PX
) -> Iterator[tuple[Dataset, float, str]]:
    """Draw ``parts`` panels of ``seed`` beside bundle folder ``out``; after Ctrl-C or a kill they are there for the next
    try, else they are deleted, since one command draws them again. ``defects``: the only kinds that come, where not the
    default mix. Yields the dataset, mm per pixel and the data in words."""
    folder, stamp = work_folder(out) / "panels", work_folder(out) / _DRAWN
    spec = panel_spec(defects, defect_share=_DEFECT_SHARE, parts_per_lot=_PARTS_PER_LOT, picture_px=picture_px)
    wanted = json.dumps({"seed": seed, "parts": parts, "spec": asdict(spec), "code": code_sha256()})
    keep = False
    try:
        if _read(stamp) != wanted:
            stamp.unlink(missing_ok=True)  # first: stopped while drawing, it would vouch for others' panels
            shutil.rmtree(folder, ignore_errors=True)
            with counting(Console(), "draw", parts) as progress:
                write_dataset(folder, seed, parts, spec, progress=progress)
            write_output(stamp, wanted)
        words = f"{parts} drawn panels, seed {seed}, {_DEFECT_SHARE:.0%} with defects, {_PARTS_PER_LOT} to a lot"
        if defects:
            words += f", only {', '.join(spec.classes[1:])}"
        yield load_folder(folder), spec.picture_mm, words
    except KeyboardInterrupt:
        keep = True
        raise
    finally:
        if not keep:
            stamp.unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)


def _read(stamp: Path) -> str:
    try:
        return stamp.read_text(encoding="utf-8")
    except OSError:
        return ""
