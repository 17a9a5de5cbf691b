"""What the screen bench measures against: a real `linegate screens`, and records and previews as the line writes them."""

from __future__ import annotations

import itertools
import json
import secrets
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from linegate.cameras.errors import LinegateError
from linegate.inspect.live import LiveWriter
from linegate.inspect.priority import behind
from linegate.inspect.screens_child import NICENESS

PICTURES = 16
SIZE = (1280, 1024)
NAMES = 64
HOLD_NS = 1_600_000_000
STATUS_S = 0.2


def memory_mb(pid: int) -> float:
    """Resident memory of one process, MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 1e6


class BenchServer:
    """``with BenchServer(folder, data) as server``: the screens on a free port, first start done by ``name`` with ``pin``."""

    name = "Bench"

    def __init__(self, folder: Path, data: Path) -> None:
        self._command = behind(NICENESS)  # as the line starts them
        self._command += [sys.executable, "-m", "linegate.inspect.cli", "screens", "--data", str(data), "--port", "0"]
        self._command += ["--station", str(folder / "station.toml")]
        self.pin = ""

    def __enter__(self) -> BenchServer:
        self.start()
        return self

    def start(self) -> None:
        """Start the process and wait for its address; the first time, the admin chooses a PIN. Raises LinegateError."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith("screens: "):
            self.stop()
            raise LinegateError(
                "linegate screens",
                expected="its address",
                found=line.strip() or "an early end",
                remedy="Run it by hand and read why.",
            )
        self.url = line.split()[1].rstrip("/")
        self.pid = self._process.pid
        if self.pin:
            return
        self.pin = str(secrets.randbelow(9_000_000) + 73_000_000)
        body = json.dumps({"name": self.name, "pin": self.pin}).encode()
        headers = {"Origin": self.url, "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/api/setup", body, headers)
        urllib.request.urlopen(request, timeout=30).close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


class Feed:
    """Publishes parts at a rate, on the calling thread, with a picture for each."""

    def __init__(self, data: Path) -> None:
        self._live = LiveWriter(data)
        self._folder = data / "live"
        self._numbers = itertools.count(1)
        self._random = np.random.default_rng(1)
        self._pictures = [self._draw() for _ in range(PICTURES)]
        self._counts = {"ok": 0, "ng": 0}

    def __enter__(self) -> Feed:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.close()

    def _draw(self) -> bytes:
        """A brushed grey picture: as heavy a JPEG as a part's."""
        width, height = SIZE
        noise = self._random.normal(150, 60, (height, width)).astype(np.float32)
        grey = np.clip(cv2.blur(noise, (41, 1)), 0, 255).astype(np.uint8)
        return cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()

    def run(self, rate_per_s: float, seconds: float, bad_share: float) -> dict[str, tuple[int, str, bool]]:
        """Feed so long. Returns key → (verdict_ns, decision, whether an NG held the panel at that time)."""
        sent: dict[str, tuple[int, str, bool]] = {}
        start, held_until, next_status = time.monotonic(), 0, 0.0
        for n in range(round(rate_per_s * seconds)):
            decision = "NG" if self._random.random() < bad_share else "OK"
            key, verdict_ns = self._part(decision)
            sent[key] = (verdict_ns, decision, verdict_ns < held_until)
            if decision == "NG":
                held_until = verdict_ns + HOLD_NS
            while (now := time.monotonic()) < start + (n + 1) / rate_per_s:
                if now >= next_status:
                    self._live.set_status(self._status(rate_per_s))
                    next_status = now + STATUS_S
                time.sleep(min(0.02, max(0.0, start + (n + 1) / rate_per_s - now)))
        self._live.set_status(self._status(rate_per_s))
        return sent

    def _part(self, decision: str) -> tuple[str, int]:
        number = next(self._numbers)
        key, name = f"be7c-{number}", f"part-{number % NAMES}.jpg"
        scratch = self._folder / f"{name}.part"
        scratch.write_bytes(self._pictures[number % PICTURES])
        scratch.replace(self._folder / name)
        self._counts[decision.lower()] += 1
        box = [int(v) for v in (*self._random.integers(100, 900, 2), 60, 40)]
        region = {"defect_class": "scratch", "score": 0.97, "area_mm2": 3.1, "length_mm": 3.0, "box_px": box}
        verdict_ns = time.monotonic_ns()
        self._live.publish(
            {
                "kind": "part",
                "key": key,
                "sequence": number,
                "decision": decision,
                "cause": "judged",
                "defect_class": "scratch" if decision == "NG" else "",
                "regions": [region] if decision == "NG" else [],
                "views": [{"camera": "top", "preview": name, "width_px": SIZE[0], "height_px": SIZE[1]}],
                "slack_ms": 185.0,
                "deadline_ms": 200.0,
                "utc_ns": time.time_ns(),
                "verdict_ns": verdict_ns,
                "challenge": False,
            }
        )
        return key, verdict_ns

    def _status(self, rate_per_s: float) -> dict[str, Any]:
        total = sum(self._counts.values())
        names = ("triggers", "frames", "rows", "plc_triggered")
        return {
            "station": "screen bench",
            "state": "CONTINUOUS_EXECUTION",
            "running": True,
            "recipe": {"id": 1, "name": "bench"},
            "lot": {"id": "bench", **self._counts, "review": 0, "not_inspected": 0},
            "counts": dict.fromkeys(names, total),
            "reconciled": True,
            "alarms": [],
            "cameras": [{"name": "top", "up": True, "detail": ""}],
            "plc": {"up": True, "detail": ""},
            "log": {"ok": True, "detail": ""},
            "rate_parts_per_s": rate_per_s,
            "classes": ["scratch"],
        }
