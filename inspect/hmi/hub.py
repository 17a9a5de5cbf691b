"""What the line shows, read once and passed to every open screen.

One asyncio task reads the ring (``linegate.inspect.live``) every few milliseconds, encodes each event once and keeps the
last EVENTS of them. Each stream has its own place in that row, so a slow screen costs nothing but its own events: it is told
how many it missed and asks for the picture of things anew (``snapshot``).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from linegate.inspect.live import LiveReader

POLL_S = 0.006
BEAT_S = 0.2
STATUS_S = 0.05
EVENTS = 512
REJECTS = 12
PASSED = 12
LINE_GONE_MS = 1000.0

Extra = Callable[[dict[str, Any]], dict[str, Any]]


class LiveHub:
    """Reads the ring and serves any number of streams. Everything happens on the event loop.

    Args:
        data: the station's data folder.
        add_to_status: called with each new status; what it returns goes out with it (rates with their bounds).
        links: called for each beat; what the screens' process knows of its own links.
        on_record: called with each record, once, as it is read.
    """

    def __init__(
        self,
        data: Path,
        add_to_status: Extra = lambda _status: {},
        links: Callable[[], dict[str, Any]] = dict,
        on_record: Callable[[dict[str, Any]], None] = lambda _record: None,
    ) -> None:
        self._reader = LiveReader(data)
        self._add_to_status = add_to_status
        self._links = links
        self._on_record = on_record
        self._boot = secrets.token_hex(4)
        self._events: deque[tuple[int, bytes]] = deque(maxlen=EVENTS)
        self._number = 0
        self._bell = asyncio.Event()
        self._seen = 0
        self._generation: int | None = None
        self._missed = 0
        self._status: dict[str, Any] | None = None
        self._last: dict[str, Any] | None = None
        self._rejects: deque[dict[str, Any]] = deque(maxlen=REJECTS)
        self._passed: deque[dict[str, Any]] = deque(maxlen=PASSED)
        self._stopping = False

    async def run(self) -> None:
        """Read until cancelled."""
        next_status = next_beat = 0.0
        try:
            while True:
                now = time.monotonic()
                self._read_records()
                if now >= next_status:
                    self._read_status()
                    next_status = now + STATUS_S
                if now >= next_beat:
                    self._put("beat", self._beat())
                    next_beat = now + BEAT_S
                await asyncio.sleep(POLL_S)
        finally:
            self.stop()
            self._reader.close()

    def stop(self) -> None:
        """End every stream."""
        self._stopping = True
        self._ring_bell()

    def _read_records(self) -> None:
        generation = self._reader.generation
        if generation != self._generation:
            self._generation, self._seen = generation, 0
        try:
            records, missed = self._reader.since(self._seen)
        except (ValueError, OSError):
            return  # half a file: the line is just being started; the next look finds it
        self._missed += missed
        for record in records:
            self._seen = max(self._seen, int(record["number"]))
            self._last = record
            (self._passed if record.get("decision") == "OK" else self._rejects).append(record)
            self._on_record(record)
            self._put("part", record)
        if missed and not records:
            self._seen += missed

    def _read_status(self) -> None:
        try:
            status = self._reader.status()
        except (ValueError, OSError):
            status = None
        if status is None:
            return
        if self._status is None or status["at_ns"] != self._status["at_ns"]:
            self._status = {**status, **self._add_to_status(status)}
            self._put("status", self._status)

    def _beat(self) -> dict[str, Any]:
        return {"server_ns": time.monotonic_ns(), "utc_ns": time.time_ns(), "boot": self._boot} | self.health()

    def health(self) -> dict[str, Any]:
        """The line's age and the links, as the screens' process sees them now."""
        age = None if self._status is None else (time.monotonic_ns() - int(self._status["at_ns"])) / 1e6
        return {"line_age_ms": age, "line_up": age is not None and age <= LINE_GONE_MS, "links": self._links()}

    def snapshot(self) -> dict[str, Any]:
        """Everything a screen needs to begin: status, the last part, the last rejects and passed parts (newest last)."""
        return {
            "cursor": self._number,
            "status": self._status,
            "last": self._last,
            "rejects": list(self._rejects),
            "passed": list(self._passed),
            "missed": self._missed,
        } | self._beat()

    def find(self, key: str) -> dict[str, Any] | None:
        """A recent reject or passed part by its key."""
        return next((r for r in (*self._rejects, *self._passed) if r.get("key") == key), None)

    @property
    def status(self) -> dict[str, Any] | None:
        """The line's last status."""
        return self._status

    def _put(self, kind: str, body: dict[str, Any]) -> None:
        self._number += 1
        text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
        self._events.append(
            (self._number, f"id: {self._boot}-{self._number}\nevent: {kind}\ndata: {text}\n\n".encode())
        )
        self._ring_bell()

    def _ring_bell(self) -> None:
        bell, self._bell = self._bell, asyncio.Event()
        bell.set()

    def place(self, last_event_id: str) -> int:
        """Where a stream that comes back goes on: after its last event, or from now on."""
        boot, _, number = last_event_id.partition("-")
        if boot == self._boot and number.isdigit():
            return min(int(number), self._number)
        return self._number

    async def stream(self, after: int, still_allowed: Callable[[], bool]) -> AsyncIterator[bytes]:
        """Server-sent events after number ``after``, until the hub stops or ``still_allowed`` says no (asked each second).

        The first is ``hello``: whoever hears it takes a new snapshot, as nothing was heard while there was no stream.
        """
        yield f'retry: 400\nevent: hello\ndata: {{"boot":"{self._boot}"}}\n\n'.encode()
        asked = time.monotonic()
        while not self._stopping:
            bell = self._bell
            if self._events and self._events[0][0] > after + 1:
                missed = self._events[0][0] - after - 1
                yield f'event: missed\ndata: {{"events":{missed}}}\n\n'.encode()
                after = self._events[0][0] - 1
            chunk = b"".join(text for number, text in self._after(after))
            if chunk:
                after = self._number
                yield chunk
                continue
            if time.monotonic() - asked > 1.0:
                asked = time.monotonic()
                if not still_allowed():
                    yield b"event: closed\ndata: {}\n\n"
                    return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(bell.wait(), 1.0)

    def _after(self, number: int) -> list[tuple[int, bytes]]:
        fresh: list[tuple[int, bytes]] = []
        for event in reversed(self._events):
            if event[0] <= number:
                break
            fresh.append(event)
        return fresh[::-1]
