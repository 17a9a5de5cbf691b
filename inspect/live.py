"""What the screens see of the line as it runs: a small ring of recent verdicts and one status, in a shared file.

The line writes, any number of processes read, nobody waits for anybody: a reader that is slow misses records and knows
how many, a writer never notices readers. Records and status are JSON; each carries a checksum, so that a record caught
half-written reads as "not there yet", never as something else. The log is the truth; this is only its news ticker.

File ``live/ring.bin`` in the data folder, little endian::

    0     8s   magic "LGLIVE01"
    8     Q    records published so far (n)
    64         status slot
    64+S       slot 0, slot 1, … slot SLOTS-1; record k (from 1) lies in slot (k - 1) mod SLOTS
    a slot:    Q number, I length, I crc32 of number and text, then the text (UTF-8 JSON)
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import threading
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from linegate.cameras.errors import LinegateError

MAGIC = b"LGLIVE01"
SLOTS = 256
SLOT_BYTES = 16 * 1024
SHORTENED = ("recipes", "reasons", "cameras", "alarms")
"""Lists of the status that are left out, in this order, where it would not fit its slot."""
_HEAD = struct.Struct("<8sQ")
_SLOT = struct.Struct("<QII")
_STATUS_AT = 64
_RING_AT = _STATUS_AT + SLOT_BYTES
_SIZE = _RING_AT + SLOTS * SLOT_BYTES


def ring_path(data: Path) -> Path:
    """Where the ring of a station with this data folder lies."""
    return data / "live" / "ring.bin"


def _crc(number: int, text: bytes) -> int:
    return zlib.crc32(text, zlib.crc32(number.to_bytes(8, "little")))


class LiveError(LinegateError):
    """The live status can't be written."""


class LiveWriter:
    """The line's end. ``publish`` and ``set_status`` may be called from any thread; neither waits for a reader.

    Both belong behind the verdict path, not on it: the page they touch may be under writeback to disk. Made it raises
    LiveError where there is no room for the file.
    """

    def __init__(self, data: Path) -> None:
        path = ring_path(data)
        fresh = path.with_suffix(".new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = fresh.open("w+b")
            # Every page now: to touch a page of a sparse file on a full disk later would be SIGBUS, the end of the line.
            os.posix_fallocate(self._file.fileno(), 0, _SIZE)
        except OSError as error:
            fresh.unlink(missing_ok=True)
            raise LiveError(
                f"live status {path}",
                expected=f"room for {_SIZE / 1e6:.1f} MB that can be written",
                found=error.strerror or str(error),
                remedy="Free some disk, or correct data in station.toml (or --data).",
            ) from error
        self._map = mmap.mmap(self._file.fileno(), _SIZE)
        self._lock = threading.Lock()
        self._published = 0
        self._statuses = 0
        self._map[: _HEAD.size] = _HEAD.pack(MAGIC, 0)
        fresh.replace(path)  # readers of an earlier run see the old file until they look again

    def publish(self, record: Mapping[str, Any]) -> int:
        """Add one record; returns its number, from 1. A record too large for its slot is published without regions."""
        text = json.dumps(record, separators=(",", ":")).encode()
        if len(text) > SLOT_BYTES - _SLOT.size:
            text = json.dumps({**record, "regions": [], "shortened": True}, separators=(",", ":")).encode()
        with self._lock:
            number = self._published + 1
            self._put(_RING_AT + (self._published % SLOTS) * SLOT_BYTES, number, text)
            self._published = number
            self._map[: _HEAD.size] = _HEAD.pack(MAGIC, number)
        return number

    def set_status(self, status: Mapping[str, Any]) -> None:
        """Replace the status; it is stamped with ``at_ns`` (time.monotonic_ns) and ``utc_ns``, so that age shows."""
        stamped = {**status, "at_ns": time.monotonic_ns(), "utc_ns": time.time_ns()}
        text = json.dumps(stamped, separators=(",", ":")).encode()
        for name in SHORTENED:
            if len(text) <= SLOT_BYTES - _SLOT.size:
                break
            stamped = {**stamped, name: [], "shortened": True}
            text = json.dumps(stamped, separators=(",", ":")).encode()
        with self._lock:
            self._statuses += 1
            self._put(_STATUS_AT, self._statuses, text)

    def _put(self, at: int, number: int, text: bytes) -> None:
        self._map[at : at + 8] = bytes(8)  # a reader that looks now sees no record
        body = at + _SLOT.size
        self._map[body : body + len(text)] = text
        self._map[at:body] = _SLOT.pack(number, len(text), _crc(number, text))

    def close(self) -> None:
        """Let go of the file; what was published stays readable."""
        with self._lock:
            self._map.close()
            self._file.close()


class LiveReader:
    """A screen's end. Not shared between threads. Survives the line's restarts: it looks for a new file by itself."""

    def __init__(self, data: Path) -> None:
        self._path = ring_path(data)
        self._map: mmap.mmap | None = None
        self._inode = -1

    def _refresh(self) -> mmap.mmap | None:
        try:
            inode = self._path.stat().st_ino
        except OSError:
            return self._map
        if inode != self._inode:
            with self._path.open("rb") as file:
                if os.fstat(file.fileno()).st_size != _SIZE:
                    return self._map
                fresh = mmap.mmap(file.fileno(), _SIZE, access=mmap.ACCESS_READ)
            self.close()
            self._map, self._inode = fresh, inode
        return self._map

    @property
    def generation(self) -> int:
        """Changes when the line was started anew; record numbers then begin at 1 again."""
        self._refresh()
        return self._inode

    def published(self) -> int:
        """Records published so far; 0 where there is no line yet."""
        ring = self._refresh()
        if ring is None:
            return 0
        magic, number = _HEAD.unpack_from(ring, 0)
        return int(number) if magic == MAGIC else 0

    def since(self, number: int) -> tuple[list[dict[str, Any]], int]:
        """Records after ``number``, oldest first, each with its ``number``, and how many were missed (overwritten)."""
        last = self.published()
        first = max(number + 1, last - SLOTS + 1, 1)
        records = []
        for k in range(first, last + 1):
            record = self._read(_RING_AT + ((k - 1) % SLOTS) * SLOT_BYTES, k)
            if record is not None:
                records.append({**record, "number": k})
        return records, max(0, last - number) - len(records) if last > number else 0

    def status(self) -> dict[str, Any] | None:
        """The last status with its ``age_ms``, or None where no line has ever written one."""
        if self._refresh() is None:
            return None
        for _ in range(5):  # the writer may be in the middle of it
            status = self._read(_STATUS_AT, None)
            if status is not None:
                return {**status, "age_ms": (time.monotonic_ns() - int(status["at_ns"])) / 1e6}
            time.sleep(0.0005)
        return None

    def _read(self, at: int, expected: int | None) -> dict[str, Any] | None:
        assert self._map is not None
        number, length, crc = _SLOT.unpack_from(self._map, at)
        if number == 0 or (expected is not None and number != expected) or length > SLOT_BYTES - _SLOT.size:
            return None
        text = self._map[at + _SLOT.size : at + _SLOT.size + length]
        if _crc(number, text) != crc:
            return None
        record: dict[str, Any] = json.loads(text)
        return record

    def close(self) -> None:
        """Let go of the file."""
        if self._map is not None:
            self._map.close()
            self._map, self._inode = None, -1
