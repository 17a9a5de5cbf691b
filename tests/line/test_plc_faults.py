"""The PLC: frozen, killed and restarted, its cable cut, stalled and slow."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from linegate.inspect.plc.registers import Status
from linegate.inspect.settings import TimingSettings

from .relay import Cable
from .rig import Rig


def passed_between(rig: Rig, from_ns: int, to_ns: int) -> int:
    """Parts that were at the gate in this time and passed."""
    return sum(row["outcome"] == "passed" and from_ns < row["commit_ns"] < to_ns for row in rig.ledger())


def test_a_frozen_plc_passes_nothing_and_the_line_resumes_when_it_thaws(rig: Rig) -> None:
    epoch = rig.now.link.status().epoch
    rig.plant.freeze_plc()
    frozen_ns = time.monotonic_ns()
    rig.until(lambda: Status.SYNC_OK not in rig.status(), "SyncOK = 0")
    rig.more_parts(10)
    rig.plant.thaw_plc()
    thawed_ns = time.monotonic_ns()
    rig.until(lambda: Status.SYNC_OK in rig.status(), "SyncOK = 1")
    rig.passes()
    at_gate = [row for row in rig.ledger() if frozen_ns + 200_000_000 < row["commit_ns"] < thawed_ns]
    assert {row["outcome"] for row in at_gate} == {"rejected"}
    assert rig.now.link.status().epoch == epoch
    rig.check(maybe=("plc_lost",))


def test_a_restarted_plc_gets_nothing_from_before(cabled: tuple[Rig, Cable]) -> None:
    """The new PLC counts parts before the station has found it again: those were watched by nobody, and say so."""
    rig, cable = cabled
    first = rig.now.link.status().epoch
    rig.plant.kill_plc()
    killed_ns = time.monotonic_ns()
    cable.cut()
    rig.more_parts(5)
    rig.plant.restart_plc()
    rig.more_parts(3)
    back_ns = time.monotonic_ns()
    cable.mend()
    rig.until(lambda: rig.now.link.status().epoch not in (None, first), "the new epoch")
    rig.passes()
    assert passed_between(rig, killed_ns, back_ns) == 0
    before = [row for row in rig.ledger() if row["eye_ns"] < back_ns < row["commit_ns"]]
    assert {row["outcome"] for row in before} <= {"rejected"}
    rig.check("plc_lost")


def test_a_plc_restarted_again_and_again_in_the_middle_of_writes(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(rate=12.0, timing=TimingSettings(deadline_ms=800.0, min_pitch_ms=70.0, stop_after_uninspected=1000))
    rig.start_station()
    rig.run()
    for _ in range(4):
        give_up = time.monotonic() + 20.0
        while not rig.now.tracker.in_flight:  # a part is under way for some 10 ms: no time to sleep
            assert time.monotonic() < give_up
        rig.plant.restart_plc()
        rig.more_parts(4)
    rig.passes()
    rig.check("plc_lost")
    assert len(rig.plant.report().lives) == 5
    assert rig.now.link.status().detail.startswith("connected")


@pytest.fixture
def cabled(make_rig: Callable[..., Rig]) -> Iterator[tuple[Rig, Cable]]:
    """A station whose way to the PLC leads through a cable of the test."""
    rig = make_rig()
    cable = Cable(rig.plant.plc_port)
    try:
        rig.start_station(port=cable.port)
        rig.run()
        yield rig, cable
        rig.now.stop()
    finally:
        cable.close()


def test_a_cable_cut_stalled_and_slow(cabled: tuple[Rig, Cable]) -> None:
    rig, cable = cabled
    for harm in (cable.cut, cable.stall):
        harm()
        harmed_ns = time.monotonic_ns()
        rig.until(lambda: Status.SYNC_OK not in rig.status(), f"SyncOK = 0 after {harm.__name__}")
        rig.more_parts(12)
        mended_ns = time.monotonic_ns()
        cable.mend()
        rig.until(lambda: Status.SYNC_OK in rig.status(), "SyncOK = 1")
        rig.passes()
        # The heartbeat is 300 ms old at most, and the flap follows the commit point.
        assert passed_between(rig, harmed_ns + 500_000_000, mended_ns) == 0
    cable.delay_s = 0.005
    rig.more_parts(5)
    rig.passes()
    cable.delay_s = 0.0
    rig.check("plc_lost")


def test_two_stations_do_not_share_a_plant_in_silence(rig: Rig) -> None:
    """A second station in the same data folder is refused; the first goes on."""
    from linegate.inspect.partlog.errors import LogBusy
    from linegate.inspect.station import Station

    threads = threading.active_count()
    with pytest.raises(LogBusy, match="another one"):
        Station(rig.now.settings, rig.data, rig.data)
    assert threading.active_count() == threads
    rig.passes()
    rig.check()
