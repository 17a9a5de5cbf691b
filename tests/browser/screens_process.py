"""A real `linegate screens` process on a station of its own, and the people it knows."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx

PINS = {
    "Ada Admin": ("admin", "730519"),
    "Lena Braun": ("lead", "4826"),
    "Otto Frei": ("operator", "2915"),
    "Quinn Li": ("quality", "6184"),
}
STATION = """
[[cameras]]
driver = "replay"
name = "top"
folder = "photos"

[[recipes]]
id = 1
name = "Panel A"

[screens]
sign_out_s = {sign_out_s}
"""
BADGES = {"Otto Frei": "BADGE-00417", "Lena Braun": "BADGE-00533"}


@dataclass
class Screens:
    """A running `linegate screens` with its data folder."""

    folder: Path
    port: int = 0
    process: subprocess.Popen[str] | None = field(default=None, repr=False)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, sign_out_s: float = 300.0) -> Screens:
        station = self.folder / "station.toml"
        station.write_text(STATION.format(sign_out_s=sign_out_s))
        command = [
            sys.executable,
            "-m",
            "linegate.inspect.cli",
            "screens",
            "--station",
            str(station),
            "--port",
            str(self.port),
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("screens: http://"), line
        self.port = int(urlsplit(line.split()[1]).port or 0)
        deadline = time.monotonic() + 30
        while True:
            try:
                httpx.get(f"{self.url}/static/core/icon.svg", timeout=2)
                return self
            except httpx.HTTPError:
                assert time.monotonic() < deadline, "the screens never answered"
                time.sleep(0.02)

    def client(self) -> httpx.Client:
        """An HTTP client that sends what a browser sends."""
        return httpx.Client(base_url=self.url, headers={"Origin": self.url}, timeout=10)

    @contextlib.contextmanager
    def signed_in(self, name: str) -> Iterator[httpx.Client]:
        with self.client() as client:
            client.post("/api/session/pin", json={"name": name, "pin": PINS[name][1]}).raise_for_status()
            yield client

    def people(self) -> None:
        """The admin's first start, and everybody else."""
        admin = next(iter(PINS))
        with self.client() as client:
            body = {"name": admin, "pin": PINS[admin][1], "language": "en"}
            client.post("/api/setup", json=body).raise_for_status()
            for name, (role, pin) in list(PINS.items())[1:]:
                client.post("/api/people", json={"name": name, "role": role, "pin": pin}).raise_for_status()
            for name, badge in BADGES.items():
                client.patch(f"/api/people/{name}", json={"badge": badge}).raise_for_status()

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self._reap()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self._reap()

    def _reap(self) -> None:
        if self.process is not None:
            self.process.wait(15)
            assert self.process.stdout is not None
            self.process.stdout.close()
