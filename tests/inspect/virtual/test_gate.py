"""The gate on the real wire: it rests at reject, opens for a fresh, complete, matching OK, and for nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from linegate.inspect.settings import VirtualSettings
from linegate.inspect.virtual.ledger import read_ledger
from linegate.inspect.virtual.plant import VirtualPlant

PARTS = 3


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualPlant]:
    settings = VirtualSettings(rate_parts_per_s=25, camera_to_gate_ms=250)
    with VirtualPlant.start(settings, tmp_path_factory.mktemp("plant"), pool=3) as running:
        yield running


def send_parts(plant: VirtualPlant, station: Any) -> list[dict[str, Any]]:
    """Send a few parts down the belt with the station at work; their lines of the ledger."""
    before = len(read_ledger(plant.ledger))
    start = plant.fed
    plant.run_belt()
    station.until(lambda: plant.fed >= start + PARTS)
    plant.pause()
    station.until(lambda: len(read_ledger(plant.ledger)) >= before + plant.fed - start)
    return read_ledger(plant.ledger)[before:]


def test_without_a_station_every_part_is_rejected(plant: VirtualPlant, hand_station: Callable[[int], Any]) -> None:
    nobody = hand_station(plant.plc_port)
    nobody.step = lambda: True
    rows = send_parts(plant, nobody)
    assert len(rows) >= PARTS
    assert {(row["outcome"], row["reason"]) for row in rows} == {("rejected", "heartbeat")}


def test_the_right_slot_passes_and_the_counters_agree(plant: VirtualPlant, hand_station: Callable[[int], Any]) -> None:
    station = hand_station(plant.plc_port)
    station.step()
    before = list(station.block)
    rows = send_parts(plant, station)
    assert {(row["outcome"], row["reason"], row["verdict"]) for row in rows} == {("passed", "pass", 1)}
    assert all(0 < row["latency_ms"] < 250 for row in rows)
    station.step()
    assert station.block[11] - before[11] == station.block[13] - before[13] == len(rows)
    assert station.block[15] == before[15]


def wrong(place: int, value: int) -> Callable[[int, int], list[int]]:
    def slot(epoch: int, trig_id: int) -> list[int]:
        words = [epoch, trig_id, 1, 0xFFFE, 0, 12, 9, trig_id]
        words[place] = (words[place] + value) & 0xFFFF
        return words

    return slot


def other_verdict(verdict: int) -> Callable[[int, int], list[int]]:
    return lambda epoch, trig_id: [epoch, trig_id, verdict, ~verdict & 0xFFFF, 0, 900, 9, trig_id]


VIOLATIONS: dict[str, dict[str, Any]] = {
    "sync_ok is off": {"status": 8},
    "log_ok is off": {"status": 2},
    "all other bits are on": {"status": 0x7F & ~2 & ~8},
    "slot of another epoch": {"answer": wrong(0, -1)},
    "first id of the next part": {"answer": wrong(1, 1)},
    "last id of the part before": {"answer": wrong(7, -1)},
    "id of sixteen parts ago": {"answer": lambda e, i: [e, (i - 16) & 0xFFFF, 1, 0xFFFE, 0, 0, 0, (i - 16) & 0xFFFF]},
    "complement has one wrong bit": {"answer": wrong(3, 1)},
    "no complement": {"answer": lambda e, i: [e, i, 1, 0, 0, 0, 0, i]},
    "verdict NG": {"answer": other_verdict(2)},
    "verdict not inspected": {"answer": other_verdict(3)},
    "verdict empty": {"answer": other_verdict(0)},
    "a verdict nobody knows": {"answer": other_verdict(9)},
    "no answer": {"answer": lambda _epoch, _trig_id: None},
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_one_violated_condition_rejects(name: str, plant: VirtualPlant, hand_station: Callable[[int], Any]) -> None:
    station = hand_station(plant.plc_port)
    station.step()
    for key, value in VIOLATIONS[name].items():
        setattr(station, key, value)
    rows = send_parts(plant, station)
    assert len(rows) >= PARTS
    assert {row["outcome"] for row in rows} == {"rejected"}, rows
    assert "untracked" not in {row["reason"] for row in rows}


def test_a_heartbeat_that_stands_still_rejects(plant: VirtualPlant, hand_station: Callable[[int], Any]) -> None:
    station = hand_station(plant.plc_port)
    station.step()
    station.beating = False
    still = time.monotonic() + 0.35
    station.until(lambda: time.monotonic() > still)
    rows = send_parts(plant, station)
    assert {(row["outcome"], row["reason"], row["verdict"]) for row in rows} == {("rejected", "heartbeat", 1)}


def test_a_verdict_after_the_commit_point_is_too_late(plant: VirtualPlant, hand_station: Callable[[int], Any]) -> None:
    station = hand_station(plant.plc_port)
    late: list[tuple[int, int]] = []
    station.answer = lambda epoch, trig_id: late.append((epoch, trig_id))
    rows = send_parts(plant, station)
    for epoch, trig_id in late:
        station.write(16 + 8 * (trig_id % 16), [epoch, trig_id, 1, 0xFFFE, 0, 0, 0, trig_id])
    station.step()
    assert len(late) == len(rows)
    assert {row["outcome"] for row in rows} == {"rejected"}
    assert len(read_ledger(plant.ledger)) == plant.fed


def test_purge_takes_the_right_to_pass(plant: VirtualPlant, hand_station: Callable[[int], Any]) -> None:
    station = hand_station(plant.plc_port)
    station.step()
    before, start = len(read_ledger(plant.ledger)), plant.fed
    plant.run_belt()
    station.until(lambda: plant.fed >= start + 2)
    plant.purge()
    station.until(lambda: station.block[5] & 16)
    plant.pause()
    station.until(lambda: len(read_ledger(plant.ledger)) >= before + plant.fed - start)
    rows = read_ledger(plant.ledger)[before:]
    assert [row["reason"] for row in rows[:2]] == ["purged", "purged"]
    station.until(lambda: not station.block[5] & 16)
    assert {row["outcome"] for row in send_parts(plant, station)} == {"passed"}
