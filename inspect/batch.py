"""Judge a list of image files and keep what came of it: masks, verdicts, and outlines where asked for.

In the output folder:

- ``verdicts.jsonl``: one JSON object a line, flushed image by image, so that whatever ends the run leaves whole lines.
- ``masks/<stem>.png``: the image's own size, 8 bit, class index + 1, 0 is background.
- ``overlays/<stem>.jpg``: the picture with each region's outline.

Files of the same stem (``a.jpg`` and ``a.png``, or from two folders) do not overwrite each other: the first in order keeps
``<stem>.png``, the next get ``<stem>~2.png``, ``<stem>~3.png``; each line names its own in ``mask``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import cv2
import numpy as np

from linegate.cameras.errors import LinegateError, SettingsError, WrongImage
from linegate.cameras.frame import Image
from linegate.cameras.image_file import SUFFIXES, read_image
from linegate.inspect.judge import Judge, ViewResult
from linegate.inspect.part import Decision, Region
from linegate.inspect.runtime.session import RuntimeFailed

VERDICTS_FILE = "verdicts.jsonl"


@dataclass(frozen=True, slots=True)
class Job:
    """One image to judge: where it lies, how rows call it, and the stem of what is written for it."""

    path: Path
    name: str
    stem: str


def find_images(paths: Iterable[Path], leave_out: Path | None = None) -> list[Job]:
    """Files as given; of a folder all images below it, or below its ``images`` folder where it has one (a data set).

    ``name`` is relative to that folder ("a.jpg", "lot7/a.jpg"). ``leave_out``: a folder whose files do not count, the
    output's own.

    Raises:
        SettingsError: a path does not exist, or there is no image at all.
    """
    given = list(paths)
    found: dict[Path, str] = {}
    for path in given:
        if path.is_dir():
            folder = path / "images" if (path / "images").is_dir() else path
            for file in sorted(folder.rglob("*")):
                if _counts(file, folder, leave_out):
                    found.setdefault(file, file.relative_to(folder).as_posix())
        elif path.exists():
            found.setdefault(path, path.name)
        else:
            raise SettingsError(
                f"image {path}", expected="a file or a folder", found="nothing", remedy="Check the path's spelling."
            )
    if not found:
        raise SettingsError(
            f"images {', '.join(str(path) for path in given)}",
            expected=f"files ending in {', '.join(sorted(SUFFIXES))}",
            found="none",
            remedy="Give image files, a folder of them, or a data set with images/ in it.",
        )
    return _named(found)


def _counts(file: Path, folder: Path, leave_out: Path | None) -> bool:
    hidden = any(step.startswith(".") for step in file.relative_to(folder).parts)
    own = leave_out is not None and file.resolve().is_relative_to(leave_out.resolve())
    return file.suffix.lower() in SUFFIXES and not hidden and not own and file.is_file()


def _named(found: dict[Path, str]) -> list[Job]:
    # Case is folded, so that A.png and a.png stay apart on file systems that do not tell them apart.
    reserved = {path.stem.casefold() for path in found}
    taken: set[str] = set()
    jobs = []
    for path, name in found.items():
        stem, number = path.stem, 1
        while stem.casefold() in taken or (number > 1 and stem.casefold() in reserved):
            number += 1
            stem = f"{path.stem}~{number}"
        taken.add(stem.casefold())
        jobs.append(Job(path, name, stem))
    return jobs


@dataclass(slots=True)
class Tally:
    """What a run came to; ``ms`` holds judging times, without reading and writing files."""

    decisions: dict[Decision, int]
    ms: list[float]

    @property
    def judged(self) -> int:
        """Images that got a verdict."""
        return sum(count for decision, count in self.decisions.items() if decision is not Decision.NOT_INSPECTED)


def inspect_files(
    jobs: Sequence[Job], judge: Judge, out: Path, *, overlay: bool = False, done: Callable[[Job, Decision], None]
) -> Tally:
    """Judge ``jobs`` in order; ``done`` is called after each. A file that can't be judged is a line, not an end.

    Raises:
        LinegateError: the output can't be written; what was written before stays.
    """
    tally = Tally(dict.fromkeys(Decision, 0), [])
    masks, overlays = out / "masks", out / "overlays"
    try:
        masks.mkdir(parents=True, exist_ok=True)
        if overlay:
            overlays.mkdir(exist_ok=True)
        with (out / VERDICTS_FILE).open("w", encoding="utf-8") as lines:
            for job in jobs:
                started = time.perf_counter_ns()
                try:
                    image = read_image(job.path)
                    started = time.perf_counter_ns()
                    result = judge.judge(image)
                except (WrongImage, RuntimeFailed) as error:
                    _write_line(lines, _failure(job, judge, error, _ms_since(started)))
                    tally.decisions[Decision.NOT_INSPECTED] += 1
                    done(job, Decision.NOT_INSPECTED)
                    continue
                tally.ms.append(_ms_since(started))
                # The mask first: a line tells of a mask that is there.
                _write_image(masks / f"{job.stem}.png", result.class_mask())
                if overlay:
                    _write_image(overlays / f"{job.stem}.jpg", draw_overlay(image, result.judgement.regions))
                _write_line(lines, _row(job, judge, image, result, tally.ms[-1]))
                tally.decisions[result.judgement.decision] += 1
                done(job, result.judgement.decision)
    except OSError as error:
        raise LinegateError(
            f"output folder {out}",
            expected="a folder that can be written",
            found=error.strerror or str(error),
            remedy="Free some disk or choose another folder with --out; what was written so far is complete.",
        ) from error
    return tally


def draw_overlay(image: Image, regions: Sequence[Region]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """(H, W, 3) BGR uint8: the picture with each region's outline and class in red."""
    narrow = image if image.dtype == np.uint8 else cv2.convertScaleAbs(image, alpha=255 / 65535)
    picture = cv2.cvtColor(narrow, cv2.COLOR_GRAY2BGR if image.ndim == 2 else cv2.COLOR_RGB2BGR)
    width = max(1, round(max(picture.shape[:2]) / 600))
    for region in regions:
        cv2.polylines(picture, [region.outline_px], True, (0, 0, 255), width)
        x, y, _, height = region.box_px
        text = f"{region.defect_class} {region.score:.2f}"
        below = y < 12 * width
        spot = (x, y + height + 11 * width) if below else (x, y - 3 * width)
        cv2.putText(picture, text, spot, cv2.FONT_HERSHEY_SIMPLEX, 0.35 * width, (0, 0, 255), width, cv2.LINE_AA)
    return np.asarray(picture, np.uint8)


def region_row(region: Region) -> dict[str, Any]:
    """A region as ``verdicts.jsonl`` carries it."""
    return {
        "class": region.defect_class,
        "score": round(region.score, 6),
        "area_mm2": round(region.area_mm2, 4),
        "length_mm": round(region.length_mm, 4),
        "x_mm": round(region.x_mm, 4),
        "y_mm": round(region.y_mm, 4),
        "box_px": list(region.box_px),
    }


def read_verdicts(out: Path) -> Iterator[dict[str, Any]]:
    """The lines of a finished or interrupted run."""
    with (out / VERDICTS_FILE).open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _row(job: Job, judge: Judge, image: Image, result: ViewResult, ms: float) -> dict[str, Any]:
    judgement = result.judgement
    return {
        "file": job.name,
        "path": str(job.path),
        "score": round(judgement.score, 6),
        "verdict": judgement.decision.value,
        "class": judgement.defect_class,
        "reason": judgement.reason,
        "regions": [region_row(region) for region in judgement.regions],
        "mask": f"masks/{job.stem}.png",
        "width_px": image.shape[1],
        "height_px": image.shape[0],
        "bundle": judge.bundle.sha256,
        "ms": round(ms, 3),
    }


def _failure(job: Job, judge: Judge, error: LinegateError, ms: float) -> dict[str, Any]:
    return {
        "file": job.name,
        "path": str(job.path),
        "score": 1.0,
        "verdict": Decision.NOT_INSPECTED.value,
        "class": "",
        "reason": str(error),
        "error": str(error),
        "regions": [],
        "mask": None,
        "bundle": judge.bundle.sha256,
        "ms": round(ms, 3),
    }


def _ms_since(start_ns: int) -> float:
    return (time.perf_counter_ns() - start_ns) / 1e6


def _write_line(lines: TextIO, row: dict[str, Any]) -> None:
    lines.write(json.dumps(row, ensure_ascii=False) + "\n")
    lines.flush()


def _write_image(path: Path, image: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    """Under a temporary name first, so that an interrupted run leaves no half picture."""
    encoded = cv2.imencode(path.suffix, image)[1]
    temporary = path.with_name(f".{path.name}.part")
    try:
        temporary.write_bytes(encoded.tobytes())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
