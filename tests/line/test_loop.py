"""The loop, whole: a defect type that the model has never seen escapes, is labelled, learnt, gated, tried in shadow and made
live; then the same parts come again, the escapes are caught, and nothing that was right is wrong. By the commands that people
use, each a process of its own."""

from __future__ import annotations

import csv
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from linegate.inspect.virtual.ledger import read_ledger
from linegate.models.certificate import certificate_of
from linegate.models.store import BundleStore

from .command import STATION, run

SIDE_PX = 96
NEW = "missing_hole"
PARTS = 60
STEPS = ("--steps", "160", "--threads", "1", "--pixel-mm", "0.1")
"""Steps, so that the same seed gives the same network however busy the machine is."""
LIMITS = ("--margin", "0.05", "--most-escapes", "0.2", "--most-overkill", "0.2")
"""As strict as frozen sets of some hundred plates can prove."""


def draw(rng: np.random.Generator, kind: str) -> tuple[Any, Any]:
    """A grey plate of 96 x 96 with a hole in it: good, with a bright spot, or without the hole, and its mask."""
    image = rng.normal(110, 5, (SIDE_PX, SIDE_PX)) + np.linspace(-8, 8, SIDE_PX)[None]
    mask = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    hole = int(rng.integers(44, 53)), int(rng.integers(44, 53))
    if kind == NEW:
        cv2.circle(mask, hole, 8, (2,), -1)
    else:
        cv2.circle(image, hole, 8, (30.0,), -1)
    x, y = int(rng.integers(10, 30)), int(rng.integers(10, SIDE_PX - 10))
    if kind == "spot":
        cv2.circle(mask, (x, y), int(rng.integers(4, 8)), (1,), -1)
        image[mask == 1] += 70
    return np.clip(image, 0, 255).astype(np.uint8), mask


def plates(folder: Path, seed: int, **kinds: int) -> Path:
    """So many plates of each kind, as training data and as photos of the virtual line."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    names = ("spot", NEW) if NEW in kinds else ("spot",)
    (folder / "classes.txt").write_text("".join(f"{n} {name}\n" for n, name in enumerate(("background", *names))))
    rng = np.random.default_rng(seed)
    with (folder / "split.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("file", "label", "classes", "group"))
        for kind, count in kinds.items():
            for number in range(count):
                image, mask = draw(rng, kind)
                name = f"{kind}_{seed}_{number:03d}.png"
                cv2.imwrite(str(folder / "images" / name), image)
                cv2.imwrite(str(folder / "masks" / name), mask)
                good = kind == "good"
                rows.writerow((name, "good" if good else "defect", "" if good else kind, f"{seed}-{kind}-{number}"))
    return folder


def linegate(*words: object, code: int = 0) -> str:
    """Run a command; what it said, on one line a message."""
    done = subprocess.run(
        [sys.executable, "-m", "linegate.inspect.cli", *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "2000"},
        timeout=200,
    )
    assert done.returncode == code, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def judgements(data: Path) -> dict[str, tuple[bool, str]]:
    """Of the last run's parts, by photo: (is it good, what the line judged); only parts that were inspected."""
    with closing(sqlite3.connect(data / "linegate.db")) as connection:
        rows = connection.execute("SELECT epoch, sequence, judged FROM part").fetchall()
    judged = {(epoch, sequence): decision for epoch, sequence, decision in rows}
    found = {}
    for row in read_ledger(data / "plant" / "ledger.jsonl"):
        decision = judged.get((row["epoch"], row["sequence"]))
        if decision in ("OK", "NG", "REVIEW"):
            found[row["source"]] = (row["good"], decision)
    return found


def right(part: tuple[bool, str]) -> bool:
    return part[0] == (part[1] == "OK")


class Clock:
    """Minutes by step."""

    def __init__(self) -> None:
        self.minutes: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.minutes[name] = (time.monotonic() - began) / 60

    def __str__(self) -> str:
        steps = ", ".join(f"{name} {minutes:.2f}" for name, minutes in self.minutes.items())
        return f"minutes: {steps}; in all {sum(self.minutes.values()):.2f}"


def test_a_defect_nobody_knew_escapes_is_learnt_and_caught(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = plates(tmp_path / "base", 1, good=60, spot=40)
    frozen = plates(tmp_path / "frozen", 2, good=100, spot=50, missing_hole=50)
    photos = plates(tmp_path / "photos", 3, good=24, spot=12, missing_hole=24)
    station = tmp_path / "station.toml"
    text = STATION.format(bundle="", photos=photos) + "all_photos = true\n\n[images]\nok_share = 1.0\n"
    station.write_text(text)
    data, of = tmp_path / "data", ("--station", station)
    first, candidate = tmp_path / "first", tmp_path / "candidate"
    clock = Clock()

    with clock.step("first bundle"):
        linegate("train", base, "--out", first, "--name", "plates", *STEPS)
        approved = ("--approve", "Ada", "--why", "the first")
        known = plates(tmp_path / "known", 4, good=80, spot=40)
        linegate(
            "release", first, *of, "--frozen", known, "--waive", "no cases=the first weeks", *LIMITS, *approved
        )  # fmt: skip

    with clock.step("escape"):
        run_line(station)
        before = judgements(data)
        escaped = {name for name, part in before.items() if not part[0] and part[1] == "OK"}
        assert len(escaped) >= 10, "the type that the model never saw is to slip through"
        assert all(name.startswith(NEW) for name in escaped)

    with clock.step("label"):
        labels = tmp_path / "escapes.zip"
        linegate("plant", "labels", *of, "--escapes", "--out", labels)
        refused = linegate("log", "label", labels, *of, "--by", "Quinn", "--escapes", code=2)
        assert NEW in refused and "--new-classes" in refused
        said = linegate("log", "label", labels, *of, "--by", "Quinn", "--escapes", "--new-classes")
        assert f"{len(escaped)} labels saved" in said
        again = linegate("log", "label", labels, *of, "--by", "Quinn", "--escapes", "--new-classes")
        assert f"0 labels saved, {len(escaped)} were there already" in again

    with clock.step("retrain"):
        said = linegate("train", base, station, "--out", candidate, "--name", "plates", "--version", "2", *STEPS)
        assert "begins with the network of plates 1" in said

    with clock.step("gate"):
        said = linegate("release", candidate, *of, "--frozen", frozen, *LIMITS)
        assert "All conditions hold" in said
        assert f"0 of {len(escaped)} parts missed" in said, said

    with clock.step("shadow"):
        linegate("release", "shadow", candidate, *of, "--by", "Ada", "--why", "a new type")
        summary = run_line(station)
        store = BundleStore(data / "models")
        assert summary["bundle"] == store.live().sha256, "the shadow judges nothing"
        shadowed = store.shadow()
        assert shadowed is not None
        status = linegate("release", "status", *of)
        assert "judged" in status and "milder 0" in status

    with clock.step("live"):
        approval = ("--approve", "Ada", "--why", "knows missing holes; the shadow agrees")
        linegate("release", store.pointers().shadow, *of, "--frozen", frozen, *LIMITS, *approval)
        live = store.live()
        certificate = certificate_of(live)
        assert certificate.shadow is not None and certificate.shadow["worse"] >= 10
        assert store.pointers().shadow == ""

    with clock.step("catch"):
        summary = run_line(station)
        assert summary["bundle"] == live.sha256
        after = judgements(data)
    seen_twice = before.keys() & after.keys()
    assert len(escaped & seen_twice) >= 10
    assert [name for name in escaped & seen_twice if not right(after[name])] == []
    assert [name for name in seen_twice if right(before[name]) and not right(after[name])] == []
    audited = linegate("audit", "verify", *of)
    assert audited.startswith("whole")
    with capsys.disabled():
        sys.stdout.write(f"\nthe loop, {clock}\n")


def run_line(station: Path) -> dict[str, Any]:
    """The same parts each time."""
    code, out, err = run(station, "--parts", str(PARTS), "--seed", "5", "--json")
    assert code == 0, err
    return dict(json.loads(out))
