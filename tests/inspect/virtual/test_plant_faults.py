"""Pull each cable of the plant: no defective and no uninspected part may pass, and the belt never loses count."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import pytest

from linegate.cameras.errors import SettingsError
from linegate.inspect.plc.registers import Fault
from linegate.inspect.settings import VirtualSettings
from linegate.inspect.virtual.errors import PlantError
from linegate.inspect.virtual.ledger import read_ledger
from linegate.inspect.virtual.panel import PanelSpec, draw_panel
from linegate.inspect.virtual.plant import VirtualPlant

SETTINGS = VirtualSettings(rate_parts_per_s=25, camera_to_gate_ms=250)


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[VirtualPlant]:
    with VirtualPlant.start(SETTINGS, tmp_path, pool=2) as running:
        yield running


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualPlant]:
    """For tests that leave the plant as it was."""
    with VirtualPlant.start(SETTINGS, tmp_path_factory.mktemp("shared"), pool=2) as running:
        yield running


def passed(plant: VirtualPlant) -> int:
    return sum(row["outcome"] == "passed" for row in read_ledger(plant.ledger))


def drain(plant: VirtualPlant, station: Any = None) -> list[dict[str, Any]]:
    """Pause, wait until the belt is empty with ``station`` at work, and give the ledger's lines."""
    plant.pause()
    deadline = time.monotonic() + 20
    while len(rows := read_ledger(plant.ledger)) < plant.fed:
        assert time.monotonic() < deadline
        if station is not None:
            station.step()
        time.sleep(0.002)
    return rows


def check_truth(plant: VirtualPlant, rows: list[dict[str, Any]]) -> None:
    assert [row["part"] for row in rows] == list(range(1, plant.fed + 1))
    plant.stop()
    report = plant.report()
    assert report.uninspected_passed == 0
    assert report.triggered == report.passed + report.rejected + _lost_with_a_life(report, rows)
    assert report.physically_passed == report.passed
    assert report.in_transit == 0


def _lost_with_a_life(report: Any, rows: list[dict[str, Any]]) -> int:
    """Parts that a life had counted and died with, still on the belt."""
    last = report.lives[-1].epoch
    return sum(row["reason"] in (None, "untracked") and row["epoch"] not in (None, last) for row in rows)


def test_a_frozen_plc_passes_nothing_and_purges_when_it_thaws(plant: VirtualPlant, hand_station: Any) -> None:
    station = hand_station(plant.plc_port)
    plant.run_belt()
    station.until(lambda: passed(plant) >= 3)
    epoch = station.block[1]
    plant.freeze_plc()
    frozen_at = time.monotonic_ns()
    assert psutil.Process(plant.plc_pid).status() == psutil.STATUS_STOPPED
    start = plant.fed
    station.until(lambda: plant.fed >= start + 15)
    thaws_at = time.monotonic_ns()
    plant.thaw_plc()
    thawed_at = time.monotonic_ns()
    station.until(lambda: passed(plant) > 0 and read_ledger(plant.ledger)[-1]["eye_ns"] > thawed_at + 400_000_000)
    rows = drain(plant, station)
    during = [row for row in rows if frozen_at < row["commit_ns"] and row["eye_ns"] < thaws_at]
    assert len(during) > 10
    assert {row["outcome"] for row in during} == {"rejected"}
    after = [row for row in rows if row["eye_ns"] > thawed_at]
    assert "passed" in {row["outcome"] for row in after}
    assert station.block[1] == epoch
    check_truth(plant, rows)


def test_a_killed_plc_passes_nothing_and_comes_back_with_a_new_epoch(
    plant: VirtualPlant, hand_station: Any, tmp_path: Path
) -> None:
    station = hand_station(plant.plc_port)
    plant.run_belt()
    station.until(lambda: passed(plant) >= 3)
    epochs = [station.block[1]]
    for _ in range(2):
        plant.kill_plc()
        killed_at, start = time.monotonic_ns(), plant.fed
        station.until(lambda start=start: plant.fed >= start + 10)
        plant.restart_plc()
        restarted_at = time.monotonic_ns()
        station.until(lambda at=restarted_at: read_ledger(plant.ledger)[-1]["eye_ns"] > at + 500_000_000)
        epochs.append(station.block[1])
        blind = [
            r for r in read_ledger(plant.ledger) if r["commit_ns"] > killed_at and r["eye_ns"] < restarted_at - 10**9
        ]
        assert {row["outcome"] for row in blind} <= {"rejected"}
    rows = drain(plant, station)
    assert len(set(epochs)) == 3
    assert 0 not in epochs
    assert (tmp_path / "plc_epoch").read_text() == f"{epochs[-1]:05d}"
    for row in rows:
        if row["outcome"] == "passed":
            assert row["epoch"] in epochs
            assert row["reason"] == "pass"
    assert epochs[-1] in {row["epoch"] for row in rows if row["outcome"] == "passed"}
    assert "untracked" in {row["reason"] for row in rows}
    check_truth(plant, rows)


def test_a_stop_request_stops_the_feeding_and_its_end_resumes_it(shared: VirtualPlant, hand_station: Any) -> None:
    station = hand_station(shared.plc_port)
    shared.run_belt()
    start = shared.fed
    station.until(lambda: shared.fed >= start + 2)
    station.status |= 128
    station.until(lambda: station.block[8] & Fault.LINE_STOPPED)
    rest = shared.fed + 1
    until = time.monotonic() + 0.4
    station.until(lambda: time.monotonic() > until)
    assert shared.fed <= rest
    station.status &= ~128
    station.until(lambda: shared.fed > rest + 2)
    assert not station.block[8] & Fault.LINE_STOPPED
    assert len(drain(shared, station)) == shared.fed


def test_a_reject_that_the_bin_did_not_see_stops_the_line(shared: VirtualPlant, hand_station: Any) -> None:
    station = hand_station(shared.plc_port)
    station.answer = lambda epoch, trig_id: [epoch, trig_id, 2, 0xFFFD, 1, 900, 9, trig_id]
    before = shared.report()
    shared.run_belt()
    station.until(lambda: station.block[17] >= before.confirmed + 2)
    assert not station.block[8] & Fault.CONFIRM_FAULT
    shared.blind_confirm_sensor()
    station.until(lambda: station.block[8] & Fault.CONFIRM_FAULT and station.block[8] & Fault.LINE_STOPPED)
    shared.reset_error()
    station.until(lambda: not station.block[8] & (Fault.CONFIRM_FAULT | Fault.LINE_STOPPED))
    assert station.block[5] & 4
    shared.reset_error_done()
    station.until(lambda: not station.block[5] & 4)
    rows = drain(shared, station)
    station.until(lambda: shared.report().confirmed - before.confirmed == len(rows) - before.parts - 1, 5)


def test_switches_show_in_the_registers(shared: VirtualPlant, hand_station: Any) -> None:
    station = hand_station(shared.plc_port)
    shared.ask_recipe(7)
    shared.send_command(3)
    shared.arm_challenge()
    shared.set_fault(Fault.AIR_LOW)
    station.until(lambda: station.block[7] == 7 and station.block[6] == 3)
    station.until(lambda: station.block[5] & 8 and station.block[8] & Fault.AIR_LOW and station.block[5] & 1)
    shared.arm_challenge(False)
    shared.set_fault(Fault.AIR_LOW, False)
    shared.enable_trigger(False)
    station.until(lambda: not station.block[5] & 9 and not station.block[8])


def test_a_pulled_camera_finds_the_present_part_when_it_is_back(shared: VirtualPlant) -> None:
    stage = shared.stage("top")
    for _ in range(2):
        shared.pull_camera("top")
        assert not stage.exists()
        start = shared.fed
        shared.run_belt()
        deadline = time.monotonic() + 20
        while shared.fed < start + 2:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        last = drain(shared)[-1]
        shared.plug_camera("top")
        panel = draw_panel(SETTINGS.seed, int(last["source"].split("_")[1]), PanelSpec())
        assert sorted(path.name for path in stage.iterdir()) == ["a.bmp", "b.bmp"]
        for name in ("a.bmp", "b.bmp"):
            assert np.array_equal(cv2.imread(str(stage / name), cv2.IMREAD_UNCHANGED), panel.image)


def test_a_taken_port_is_named_with_the_remedy(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(PlantError, match=rf"port {port} .*free port.*Choose another"):
            VirtualPlant.start(SETTINGS, tmp_path, plc_port=port, pool=1)


def test_a_folder_without_photos_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="images/"):
        VirtualPlant.start(VirtualSettings(photos=tmp_path / "nothing"), tmp_path, pool=1)


def test_more_parts_than_slots_on_the_way_are_refused(shared: VirtualPlant, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="camera_to_gate_ms to 140 or less"):
        shared.set_rate(100)
    with pytest.raises(SettingsError, match="16 slots"):
        VirtualPlant.start(VirtualSettings(rate_parts_per_s=50), tmp_path / "b", pool=1)


@pytest.mark.skipif(shutil.which("mbpoll") is None, reason="mbpoll is not installed")
def test_an_independent_client_reads_and_writes_the_map(shared: VirtualPlant) -> None:
    def mbpoll(*arguments: str) -> str:
        command = [
            "mbpoll",
            "-m",
            "tcp",
            "-p",
            str(shared.plc_port),
            "-a",
            "1",
            "-0",
            "-t",
            "4",
            "-1",
            "-q",
            *arguments,
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout

    def values(text: str) -> dict[int, int]:
        found = {}
        for line in text.splitlines():
            if line.startswith("["):
                address, _, value = line.partition("]:")
                found[int(address[1:])] = int(value.split()[0])
        return found

    shared.ask_recipe(5)
    time_limit = time.monotonic() + 10
    while values(mbpoll("-r", "207", "127.0.0.1")) != {207: 5}:
        assert time.monotonic() < time_limit
    before, start = values(mbpoll("-r", "200", "-c", "20", "127.0.0.1")), shared.fed
    shared.run_belt()
    while shared.fed < start + 3:
        assert time.monotonic() < time_limit + 10
        time.sleep(0.01)
    drain(shared)
    block = values(mbpoll("-r", "200", "-c", "20", "127.0.0.1"))
    assert block[201] != 0
    assert block[202] == block[211] == shared.fed
    assert block[215] - before[215] == shared.fed - start
    assert block[213] == before[213]
    assert (block[210], block[212], block[214]) == (0, 0, 0)
    assert values(mbpoll("-r", "203", "-c", "1", "-B", "-t", "4:int", "127.0.0.1"))[203] > 0
    mbpoll("-r", "16", "127.0.0.1", "--", "11", "22", "33")
    assert values(mbpoll("-r", "16", "-c", "3", "127.0.0.1")) == {16: 11, 17: 22, 18: 33}
    mbpoll("-r", "201", "127.0.0.1", "--", "1")
    assert values(mbpoll("-r", "201", "127.0.0.1"))[201] == block[201], "the P registers are not Linegate's to write"


def test_a_world_that_dies_is_reported_with_the_truth_so_far(plant: VirtualPlant) -> None:
    plant.run_belt()
    deadline = time.monotonic() + 20
    while len(read_ledger(plant.ledger)) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert plant.world_pid is not None
    os.kill(plant.world_pid, signal.SIGKILL)
    with pytest.raises(PlantError, match="world"):
        plant.wait_finished(10)
    plant.stop()
    assert plant.report().physically_rejected >= 3


def _own_a_plant(folder: str, told: Any) -> None:
    plant = VirtualPlant.start(SETTINGS, Path(folder), pool=1)
    plant.run_belt()
    plant.freeze_plc()
    told.send([child.pid for child in psutil.Process().children()])
    time.sleep(60)


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it may end between one question and the next
        return False


def test_the_plant_dies_with_its_owner_even_when_its_plc_is_frozen(tmp_path: Path) -> None:
    ours, theirs = multiprocessing.get_context("fork").Pipe()
    code = (
        "import sys, runpy; from multiprocessing.connection import Connection; "
        f"m = runpy.run_path({str(Path(__file__))!r}, run_name='owner'); "
        f"m['_own_a_plant']({str(tmp_path)!r}, Connection({theirs.fileno()}))"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    owner = subprocess.Popen([sys.executable, "-c", code], pass_fds=[theirs.fileno()], env=env)
    theirs.close()
    assert ours.poll(60)
    pids = ours.recv()
    ours.close()
    scratch = list(Path("/dev/shm").glob(f"linegate-plant-{owner.pid}-*"))
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    deadline = time.monotonic() + 20
    while any(map(_lives, pids)):
        assert time.monotonic() < deadline, "a process of the plant outlived its owner"
        time.sleep(0.05)
    assert len(pids) >= 3
    assert not any(path.exists() for path in scratch)
