"""The ring between line and screens, across real processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from linegate.inspect.live import SLOTS, LiveReader, LiveWriter, ring_path

WRITE = """
import sys
from pathlib import Path
from linegate.inspect.live import LiveWriter
writer = LiveWriter(Path(sys.argv[1]))
for k in range(int(sys.argv[2])):
    writer.publish({"k": k, "text": "x" * (k % 900)})
    writer.set_status({"k": k})
writer.close()
"""


def test_reader_in_another_process_never_sees_a_torn_record(tmp_path: Path) -> None:
    LiveWriter(tmp_path).close()
    process = subprocess.Popen([sys.executable, "-c", WRITE, str(tmp_path), "20000"])
    reader, seen, missed, generation = LiveReader(tmp_path), 0, 0, 0
    while process.poll() is None or reader.published() > seen:
        if reader.generation != generation:
            seen, missed, generation = 0, 0, reader.generation
        records, lost = reader.since(seen)
        missed += lost
        for record in records:
            assert record["number"] == record["k"] + 1 > seen
            assert record["text"] == "x" * (record["k"] % 900)
            seen = record["number"]
        seen += lost if not records else 0
        status = reader.status()
        assert status is None or status["age_ms"] >= 0
    assert process.wait() == 0
    assert seen == 20_000
    reader.close()


def test_overwritten_records_are_counted(tmp_path: Path) -> None:
    writer, reader = LiveWriter(tmp_path), LiveReader(tmp_path)
    for k in range(SLOTS + 10):
        writer.publish({"k": k})
    records, missed = reader.since(0)
    assert missed == 10
    assert [r["k"] for r in records] == list(range(10, SLOTS + 10))
    writer.close()
    reader.close()


def test_reader_follows_a_restarted_line(tmp_path: Path) -> None:
    reader = LiveReader(tmp_path)
    assert reader.status() is None and reader.since(0) == ([], 0)
    first = LiveWriter(tmp_path)
    first.publish({"k": "old"})
    assert reader.since(0)[0][0]["k"] == "old"
    old = reader.generation
    second = LiveWriter(tmp_path)
    assert reader.generation != old and reader.published() == 0
    second.publish({"k": "new"})
    assert reader.since(0)[0][0]["k"] == "new"
    for end in (first, second, reader):
        end.close()


def test_a_damaged_slot_reads_as_absent(tmp_path: Path) -> None:
    writer, reader = LiveWriter(tmp_path), LiveReader(tmp_path)
    writer.publish({"k": 1})
    data = bytearray(ring_path(tmp_path).read_bytes())
    at = data.index(b'"k":1')
    with ring_path(tmp_path).open("r+b") as file:
        file.seek(at)
        file.write(b'"k":2')
    assert reader.since(0) == ([], 1)
    writer.close()
    reader.close()


def test_the_ring_has_all_its_pages_before_the_disk_fills_up(tmp_path: Path) -> None:
    """A page that a full disk can't give is SIGBUS for whoever touches it, and that would be the whole line."""
    writer = LiveWriter(tmp_path)
    status = ring_path(tmp_path).stat()
    writer.close()
    assert status.st_blocks * 512 >= status.st_size


def test_a_status_too_long_for_its_slot_is_shortened_not_broken(tmp_path: Path) -> None:
    writer, reader = LiveWriter(tmp_path), LiveReader(tmp_path)
    writer.set_status({"state": "READY", "alarms": [{"text": "x" * 200}] * 200, "recipes": []})
    status = reader.status()
    assert status is not None and status["state"] == "READY"
    assert status["alarms"] == [] and status["shortened"]
    writer.close()
    reader.close()
