"""Drawn panels as a folder of pictures, masks and a split table: the layout that training and evaluation read."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from linegate.cameras.errors import SettingsError
from linegate.inspect.virtual.panel import CLASSES, UNKNOWN_CLASS, Panel, PanelSpec, draw_panel

HEADER = ("file", "split", "label", "classes", "group", "part", "width", "height", "defect_px", "regions", "difficulty")


def write_dataset(
    folder: Path, seed: int, parts: int, spec: PanelSpec, *, progress: Callable[[int], None] | None = None
) -> None:
    """Write ``parts`` panels of ``seed`` to ``folder``: images/, masks/, classes.txt, split.csv.

    A mask's values count ``spec.classes``, so that a kind of defect that never comes is no class. ``group`` is the lot: never
    put one group on two sides of a split; ``part`` is the panel. ``difficulty`` is that of the part's hardest defect, 0..1.
    ``progress`` hears the number of panels done. Raises SettingsError when the folder already holds something else, because
    a mixture of two sets would be taken for one.
    """
    if folder.exists() and any(folder.iterdir()):
        raise SettingsError(
            f"dataset folder {folder}",
            expected="a new or an empty folder",
            found="a folder with files in it",
            remedy="Name another folder with --out, or empty this one.",
        )
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "masks").mkdir(exist_ok=True)
    names = "".join(f"{index} {name}\n" for index, name in enumerate(spec.classes))
    (folder / "classes.txt").write_text(names, encoding="utf-8")
    with (folder / "split.csv").open("w", newline="", encoding="utf-8") as table:
        rows = csv.writer(table, lineterminator="\n")
        rows.writerow(HEADER)
        numbers = class_numbers(spec)
        for index in range(parts):
            panel = draw_panel(seed, index, spec)
            name = f"s{seed}_{index:06d}.png"
            fast = [cv2.IMWRITE_PNG_COMPRESSION, 1]
            cv2.imwrite(str(folder / "images" / name), panel.image, fast)
            cv2.imwrite(str(folder / "masks" / name), numbers[panel.mask], fast)
            rows.writerow(_row(name, panel, f"s{seed}-{index}"))
            if progress is not None:
                progress(index + 1)


def class_numbers(spec: PanelSpec) -> np.ndarray:
    """(7,) uint8: the number in ``spec.classes`` for each value of a panel's mask."""
    every = (*CLASSES, UNKNOWN_CLASS)
    return np.array([spec.classes.index(name) if name in spec.classes else 0 for name in every], np.uint8)


def _row(name: str, panel: Panel, part: str) -> list[object]:
    height, width = panel.image.shape
    return [
        name,
        "dev",
        "good" if panel.good else "defect",
        ";".join(panel.classes),
        panel.lot,
        part,
        width,
        height,
        int(cv2.countNonZero(panel.mask)),
        len(panel.defects),
        f"{max((defect.difficulty for defect in panel.defects), default=0.0):.3f}",
    ]
