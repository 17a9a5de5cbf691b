"""A small dataset that can be learnt in seconds: grey plates, bright spots and dark lines."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np

HEADER = ("file", "split", "label", "classes", "group")


def draw_plate(rng: np.random.Generator, kind: str, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A plate of ``size`` (width, height), kind "good", "spot" or "line", and its mask."""
    width, height = size
    image = rng.normal(110, 5, (height, width))
    image += np.linspace(-8, 8, width)[None]
    mask = np.zeros((height, width), np.uint8)
    x, y = int(rng.integers(16, width - 16)), int(rng.integers(16, height - 16))
    if kind == "spot":
        cv2.circle(mask, (x, y), int(rng.integers(4, 8)), (1,), -1)
        image[mask == 1] += 70
    elif kind == "line":
        cv2.line(mask, (x, y), (min(width - 2, x + 14), max(1, y - 12)), (2,), 3)
        image[mask == 2] -= 60
    return np.clip(image, 0, 255).astype(np.uint8), mask


def write_folder(
    folder: Path,
    good: int = 12,
    spot: int = 6,
    line: int = 6,
    size: tuple[int, int] = (96, 96),
    side: str = "",
    seed: int = 5,
) -> Path:
    """Write a dataset of plates; two pictures in a row share a group."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    (folder / "classes.txt").write_text("0 background\n1 spot\n2 line\n")
    rng = np.random.default_rng(seed)
    rows = []
    for number, kind in enumerate(["good"] * good + ["spot"] * spot + ["line"] * line):
        image, mask = draw_plate(rng, kind, size)
        file = f"{kind}_{number:03d}.png"
        cv2.imwrite(str(folder / "images" / file), image)
        cv2.imwrite(str(folder / "masks" / file), mask)
        label = "good" if kind == "good" else "defect"
        rows.append((file, side, label, "" if kind == "good" else kind, f"g{seed}-{number // 2:03d}"))
    with (folder / "split.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(HEADER)
        writer.writerows(rows)
    return folder
