"""Bad input to `linegate run`: one message that names the thing and the remedy, an exit code, no traceback, nothing lost."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .command import begin, run, write_station


def refused(station: Path, *options: str) -> str:
    """Run it; the one message it ends with."""
    code, out, err = run(station, *options)
    assert code not in (0, None), out
    assert code > 0, f"killed by signal {-code}: {err}"
    assert "Traceback" not in err, err
    assert out == "" or "--json" not in options
    (message,) = [line for line in err.splitlines() if line.startswith("linegate: ")]
    return err[err.index(message) :]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("deadline_ms = 800.0", "deadline_s = 0.8", ["timing.deadline_s", "known: deadline_ms (milliseconds)"]),
        ("deadline_ms = 800.0", 'deadline_ms = "800 ms"', ["timing.deadline_ms", "a number in milliseconds"]),
        ("[virtual]", "[virtuel]", ["unknown key 'virtuel'", "known: virtual"]),
    ],
    ids=["unknown key", "wrong unit", "unknown table"],
)
def test_a_wrong_station_file(tmp_path: Path, blobs: Path, plates: Path, old: str, new: str, said: list[str]) -> None:
    station = write_station(tmp_path, blobs, plates, (old, new))
    line = station.read_text().splitlines().index(new) + 1
    message = refused(station)
    for words in [f"line {line}", *said]:
        assert words in message
    assert not (tmp_path / "data").exists()


def test_a_rate_of_nothing(tmp_path: Path, blobs: Path, plates: Path) -> None:
    assert "--rate" in refused(write_station(tmp_path, blobs, plates), "--rate", "0")


def test_a_bundle_with_a_changed_byte(tmp_path: Path, blobs: Path, plates: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(blobs, damaged)
    model = bytearray((damaged / "model.onnx").read_bytes())
    model[len(model) // 2] ^= 1
    (damaged / "model.onnx").write_bytes(model)
    message = refused(write_station(tmp_path, damaged, plates), "--json")
    assert "model.onnx" in message
    assert "sha256" in message
    assert "copy the released bundle again" in message


def test_a_taken_port(tmp_path: Path, blobs: Path, plates: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = refused(write_station(tmp_path, blobs, plates, ("port = 0", f"port = {port}")))
    assert str(port) in message
    assert "Choose another [plc] port" in message


def test_a_data_folder_that_is_a_file(tmp_path: Path, blobs: Path, plates: Path) -> None:
    (tmp_path / "data").write_text("not a folder")
    message = refused(write_station(tmp_path, blobs, plates))
    assert str(tmp_path / "data") in message
    assert (tmp_path / "data").read_text() == "not a folder"


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "linegate-test", str(place)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount a small file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_data_folder(tmp_path: Path, blobs: Path, plates: Path, tiny_disk: Path) -> None:
    message = refused(write_station(tmp_path, blobs, plates), "--data", str(tiny_disk))
    assert str(tiny_disk) in message
    assert "Free" in message


def test_a_photos_folder_without_photos(tmp_path: Path, blobs: Path, plates: Path) -> None:
    message = refused(write_station(tmp_path, blobs, plates), "--photos", str(tmp_path / "nothing"))
    assert "nothing" in message


REAL_LINE = '[virtual]\nrate_parts_per_s = 7.0\ncamera_to_gate_ms = 1000.0\nphotos = "{photos}"\n'


def without_the_virtual_line(plates: Path) -> tuple[str, str]:
    return REAL_LINE.format(photos=plates), ""


def test_cameras_that_no_waiting_brings(tmp_path: Path, blobs: Path, plates: Path) -> None:
    """The producer is not where the file says: the run can't see any part and ends, and names what else is missing."""
    old = 'emulate = "stage"\npixel_format = "Mono8"'
    new = 'serial = "24001234"\n\n[[cameras]]\ndriver = "gentl"\nname = "side"\nproducer = "no/such.cti"'
    line = without_the_virtual_line(plates)
    message = refused(write_station(tmp_path, blobs, plates, (old, new), line, ("port = 0", "port = 1")), "--json")
    assert "24001234" in message
    assert "`linegate cameras` lists what is connected" in message
    assert "no/such.cti" in message
    assert "producer in station.toml" in message


def test_a_camera_that_may_be_starting_yet_is_named_while_it_is_waited_for(
    tmp_path: Path, blobs: Path, plates: Path
) -> None:
    old, line = 'emulate = "stage"\npixel_format = "Mono8"', without_the_virtual_line(plates)
    station = write_station(tmp_path, blobs, plates, (old, 'serial = "24001234"'), line, ("port = 0", "port = 1"))
    with begin(station, "--json") as process:
        try:
            assert process.stderr is not None
            said = [process.stderr.readline() for _ in range(2)]
            assert process.poll() is None, "it waits"
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert "24001234" in said[0] and "waiting up to 45 s" in said[1]
    assert process.returncode > 0 and out == ""
    assert "24001234" in err and "Traceback" not in err
