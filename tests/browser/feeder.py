"""A line for the screens' tests: writes the live ring and the previews as a line does, and answers commands.

python tests/browser/feeder.py DATA [--rate 10] [--seconds 600]
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from linegate.inspect.live import LiveWriter
from linegate.inspect.partlog.commands import Command, CommandBox
from linegate.inspect.partlog.errors import LogError
from linegate.inspect.settings import LogSettings

CLASSES = ["scratch", "dent", "stain", "crack", "missing_hole"]
RECIPES = [
    {"id": 1, "name": "BRK-2041 Bracket, alu 4-hole"},
    {"id": 2, "name": "BRK-2055 Bracket, alu 6-hole"},
    {"id": 3, "name": "FLG-110 Flange 110 mm"},
    {"id": 4, "name": "CVR-07 Cover plate"},
]
SIZE = (1024, 800)
EPOCHS = itertools.count(0x1A2B)
"""Each line of a test session has an epoch of its own, as each start of a PLC has."""


def picture(seed: int, regions: list[dict[str, Any]]) -> NDArray[np.uint8]:
    """A brushed plate with five holes, (800, 1024, 3) uint8 BGR, and its defects drawn where the regions say."""
    rng = np.random.default_rng(seed)
    width, height = SIZE
    image = np.full((height, width, 3), 34, np.uint8)
    brushed = 168 + cv2.blur(rng.normal(0, 90, (height, width)).astype(np.float32), (61, 1))
    plate = np.repeat(np.clip(brushed, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    mask = np.zeros((height, width), np.uint8)
    cv2.rectangle(mask, (110, 90), (width - 110, height - 90), 255, -1)
    for x, y in ((190, 170), (width - 190, 170), (190, height - 170), (width - 190, height - 170)):
        cv2.circle(mask, (x, y), 36, 0, -1)
    cv2.circle(mask, (width // 2, height // 2), 120, 0, -1)
    image[mask > 0] = plate[mask > 0]
    for region in regions:
        x, y, w, h = region["box_px"]
        centre = (x + w // 2, y + h // 2)
        if region["defect_class"] in {"scratch", "crack"}:
            points = np.array(
                [[x, y + h], [x + w // 3, y + h // 2], [x + w // 2, y + h // 2 - 6], [x + w, y]], np.int32
            )
            cv2.polylines(image, [points], isClosed=False, color=(70, 70, 70), thickness=4, lineType=cv2.LINE_AA)
        elif region["defect_class"] == "stain":
            cv2.ellipse(image, centre, (w // 2, h // 2), 30, 0, 360, (112, 120, 128), -1, cv2.LINE_AA)
        else:
            cv2.circle(image, centre, max(4, min(w, h) // 2), (92, 92, 92), -1, cv2.LINE_AA)
            cv2.circle(image, (centre[0] - 3, centre[1] - 3), max(2, min(w, h) // 4), (236, 236, 236), -1, cv2.LINE_AA)
    return image


def region(defect_class: str, x: int, y: int, w: int = 60, h: int = 50, score: float = 0.97) -> dict[str, Any]:
    """One region as records carry it; 0.1 mm per pixel."""
    return {
        "defect_class": defect_class,
        "score": score,
        "area_mm2": round(w * h * 0.006, 2),
        "length_mm": round(max(w, h) * 0.1, 2),
        "x_mm": round((x + w / 2) * 0.1, 2),
        "y_mm": round((y + h / 2) * 0.1, 2),
        "box_px": [x, y, w, h],
    }


class Feeder:
    """Publishes as the line does. ``part`` and ``set`` from any thread; a thread of its own repeats the status 5/s."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.writer = LiveWriter(data)
        self.epoch = next(EPOCHS)
        self._sequence = itertools.count(1)
        self._stop = threading.Event()
        self._closing = threading.Event()
        self._answerer: threading.Thread | None = None
        self.commands: list[Command] = []
        self._lock = threading.Lock()
        self.lot: dict[str, Any] = {"id": "LOT-2207", "started_utc_ns": time.time_ns()}
        self.lot |= dict.fromkeys(("inspected", "ok", "ng", "review", "not_inspected"), 0)
        self.counts = dict.fromkeys(("triggers", "frames", "rows", "plc_triggered", "plc_passed", "plc_rejected"), 0)
        self.counts["in_transit"] = 0
        self.values: dict[str, Any] = {
            "station": "Press 1, panel gate",
            "state": "CONTINUOUS_EXECUTION",
            "running": True,
            "recipe": RECIPES[0],
            "recipe_asked": 0,
            "recipes": RECIPES,
            "reconciled": True,
            "reconcile_text": "",
            "alarms": [],
            "cameras": [{"name": "top", "up": True, "detail": ""}],
            "plc": {"up": True, "detail": ""},
            "log": {"ok": True, "detail": "", "commit_ms_p99": 1.4},
            "bundle": {"sha256": "ab" * 32, "name": "panel", "version": "1"},
            "rate_parts_per_s": 9.9,
            "challenge": {"active": False, "step": 0, "steps": [], "result": ""},
            "classes": CLASSES,
        }
        self._thread = threading.Thread(target=self._tick, name="feeder-status")
        self._thread.start()

    def _tick(self) -> None:
        while not self._stop.is_set():
            self.say()
            self._stop.wait(0.2)

    def say(self) -> None:
        """Write the status now."""
        with self._lock:
            self.writer.set_status({**self.values, "lot": dict(self.lot), "counts": dict(self.counts)})

    def set(self, **values: Any) -> None:
        """Change parts of the status, and write it at once."""
        self.values.update(values)
        self.say()

    def part(
        self, decision: str = "OK", *regions: dict[str, Any], cause: str = "judged", preview: bool = True, **more: Any
    ) -> dict[str, Any]:
        """One part: counted, its picture written, its record published. Returns the record."""
        sequence = next(self._sequence)
        name = f"part-{sequence % 64}.jpg"
        counted = {"OK": "ok", "NG": "ng", "REVIEW": "review", "NOT_INSPECTED": "not_inspected"}[decision]
        with self._lock:
            self.lot["inspected"] += 1
            self.lot[counted] += 1
            gate = "plc_passed" if decision == "OK" else "plc_rejected"
            for key in ("triggers", "frames", "rows", "plc_triggered", gate):
                self.counts[key] += 1
        if preview:
            self._write_preview(name, picture(sequence, list(regions)))
        worst = max(regions, key=lambda r: r["score"], default=None)
        record: dict[str, Any] = {
            "kind": "part",
            "key": f"{self.epoch:04x}-{sequence}",
            "epoch": self.epoch,
            "sequence": sequence,
            "decision": decision,
            "cause": cause,
            "reason": f"{worst['defect_class']} {worst['length_mm']} mm long" if worst else "",
            "score": worst["score"] if worst else 0.04,
            "defect_class": worst["defect_class"] if worst else "",
            "regions": list(regions),
            "views": [{"camera": "top", "preview": name if preview else "", "width_px": SIZE[0], "height_px": SIZE[1]}],
            "latency_ms": 14.2,
            "deadline_ms": 200.0,
            "slack_ms": 185.8,
            "lot": self.lot["id"],
            "serial": f"SN{sequence:06d}",
            "recipe_id": self.values["recipe"]["id"],
            "recipe": self.values["recipe"]["name"],
            "bundle": "ab" * 32,
            "utc_ns": time.time_ns(),
            "verdict_ns": time.monotonic_ns(),
            "challenge": False,
        } | more
        self.writer.publish(record)
        return record

    def _write_preview(self, name: str, image: NDArray[np.uint8]) -> None:
        path = self.data / "live" / name
        scratch = path.with_suffix(".tmp")
        scratch.write_bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes())
        scratch.replace(path)

    def answer_commands(self, answer: Callable[[Command], tuple[bool, str]] = lambda _command: (True, "done")) -> None:
        """Take commands as the line does; what ``answer`` returns is acknowledged. They are kept in ``commands``."""
        box = CommandBox.open(LogSettings(), self.data)
        box.expire_old()  # as the line does at its start
        self._answerer = threading.Thread(target=self._take, args=(box, answer), name="feeder-orders")
        self._answerer.start()

    def _take(self, box: CommandBox, answer: Callable[[Command], tuple[bool, str]]) -> None:
        try:
            while not self._closing.wait(0.03):
                with contextlib.suppress(LogError):  # busy: the wish waits, as with the line
                    command = box.take()
                    if command is not None:
                        self.commands.append(command)
                        box.ack(command.id, *answer(command))
        finally:
            box.close()

    def command(self, kind: str, timeout_s: float = 8.0) -> Command:
        """The next command of this kind, as soon as it was taken."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            found = next((c for c in self.commands if c.kind == kind), None)
            if found is not None:
                self.commands.remove(found)
                return found
            time.sleep(0.02)
        raise AssertionError(f"no command {kind!r} came, only {[c.kind for c in self.commands]}")

    def still(self) -> None:
        """The line is gone: no more status."""
        self._stop.set()
        self._thread.join()

    def close(self) -> None:
        """Stop and let go of the files."""
        self.still()
        self._closing.set()
        if self._answerer is not None:
            self._answerer.join()
        self.writer.close()


def some_regions(n: int) -> list[dict[str, Any]]:
    """Defects of the n-th bad part."""
    rng = np.random.default_rng(n)
    kinds = rng.choice(CLASSES, size=int(rng.integers(1, 4)), replace=True)
    return [
        region(str(kind), int(rng.integers(220, 760)), int(rng.integers(110, 230)), int(rng.integers(26, 90)))
        for kind in kinds
    ]


def main() -> None:
    """Feed until the time is over."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--rate", type=float, default=10.0)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--bad", type=float, default=0.1)
    args = parser.parse_args()
    feeder = Feeder(args.data)
    try:
        rng = np.random.default_rng(1)
        start = time.monotonic()
        for n in range(int(args.rate * args.seconds)):
            if rng.random() < args.bad:
                feeder.part("NG", *some_regions(n))
            else:
                feeder.part("OK")
            time.sleep(max(0.0, start + (n + 1) / args.rate - time.monotonic()))
    finally:
        feeder.close()


if __name__ == "__main__":
    main()
