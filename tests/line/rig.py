"""A whole station in the hands of a test: the virtual plant with its processes, pylon's emulator, OpenVINO, SQLite, Modbus.

The rig breaks things from outside, waits for what must follow, and at the end compares what the station says with what the
plant knows to be true.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from linegate.cameras.settings import PylonSettings
from linegate.inspect.overview import overview
from linegate.inspect.partlog import queries
from linegate.inspect.plc.registers import Status
from linegate.inspect.settings import (
    LogSettings,
    PlcSettings,
    RecipeSettings,
    ScreenSettings,
    StationSettings,
    TimingSettings,
    VirtualSettings,
)
from linegate.inspect.station import Station
from linegate.inspect.virtual.ledger import read_ledger
from linegate.inspect.virtual.plant import VirtualPlant
from linegate.inspect.virtual_overrides import at_plant

RATE_PARTS_PER_S = 7.0
BUSY = {"deadline", "frame_mismatch", "overrun", "frame_timeout", "purged"}
"""Causes that a machine too busy for the line brings by itself (a PLC that gets no turn for long purges): such parts are
rejected, and no test is about them unless it says so."""


def settings(photos: Path, bundle: Path, **changes: Any) -> StationSettings:
    """A station with times so generous that a busy machine does not matter."""
    virtual = VirtualSettings(
        seed=3, rate_parts_per_s=changes.pop("rate", RATE_PARTS_PER_S), camera_to_gate_ms=1000.0, photos=photos
    )
    fields: dict[str, Any] = {
        "cameras": (PylonSettings(driver="pylon", name="top", emulate=Path("stage"), reopen_s=0.2),),
        "recipes": (RecipeSettings(id=1, name="plates", bundle=str(bundle)),),
        "plc": PlcSettings(port=0, timeout_ms=300.0),
        "timing": TimingSettings(deadline_ms=800.0, min_pitch_ms=140.0, stop_after_uninspected=1000),
        "log": LogSettings(min_free_mb=0.0),
        "screens": ScreenSettings(enabled=False),
        "virtual": virtual,
    }
    return StationSettings(**{**fields, **changes})


class Rig:
    """One plant and the station in front of it. ``close`` ends both, whatever state they are in."""

    def __init__(self, wanted: StationSettings, folder: Path, data: Path | None = None, **plant: Any) -> None:
        assert wanted.virtual is not None
        self.data = data or folder / "data"
        views = tuple(camera.name for camera in wanted.cameras)
        self.plant = VirtualPlant.start(wanted.virtual, folder / "plant", views=views, **plant)
        self.station: Station | None = None
        self._wanted = wanted
        self._folder = folder
        self.judged_from = 0

    def start_station(self, ready: bool = True, **plc: Any) -> Station:
        """Start the station and wait until it is ``ready``; ``plc`` changes where it finds the PLC."""
        joined = at_plant(self._wanted, self.plant)
        joined = joined.model_copy(update={"plc": joined.plc.model_copy(update=plc)})
        self.data.mkdir(parents=True, exist_ok=True)
        self.station = Station(joined, self.data, self._folder)
        self.station.start()
        if ready:
            self.until(lambda: self.now.supervisor.view.ready, "the station is ready")
        return self.station

    @property
    def now(self) -> Station:
        assert self.station is not None
        return self.station

    def close(self) -> None:
        try:
            if self.station is not None:
                self.station.stop()
        finally:
            self.plant.stop()

    # --- waiting -----------------------------------------------------------------------------------------------------

    def until(self, done: Callable[[], Any], what: str, timeout_s: float = 40.0) -> None:
        """Wait for ``done()``; the failure says what was the matter."""
        deadline = time.monotonic() + timeout_s
        while not done():
            if time.monotonic() > deadline:
                raise AssertionError(f"not reached: {what}; {self._state()}")
            time.sleep(0.02)

    def _state(self) -> str:
        if self.station is None:
            return "no station"
        view = self.station.supervisor.view
        counts = self.station.counts()
        return f"{view.state.name} {view.reasons} {counts} plant {self.plant.fed} fed, causes {self.causes()}"

    def more_parts(self, count: int) -> None:
        """Wait until ``count`` more parts have come under the camera."""
        target = self.plant.fed + count
        self.until(lambda: self.plant.fed >= target, f"{target} parts fed")

    def passes(self, count: int = 2) -> None:
        """Wait until ``count`` parts that came under the camera after now lie in the good bin."""
        since_ns = time.monotonic_ns()
        self.until(
            lambda: sum(row["outcome"] == "passed" and row["eye_ns"] > since_ns for row in self.ledger()) >= count,
            f"{count} more parts passed",
        )

    def run(self) -> None:
        """Start the belt; the line works once parts pass."""
        self.plant.run_belt()
        self.passes()

    def status(self) -> Status:
        """What the PLC is told."""
        return self.now.supervisor.vision(self.now.line.block).status

    # --- what is there -----------------------------------------------------------------------------------------------

    def ledger(self) -> list[dict[str, Any]]:
        """The plant's truth of the parts that reached the bins."""
        return read_ledger(self.plant.ledger)

    def rows(self) -> list[dict[str, Any]]:
        """All part rows, in the order of logging."""
        with queries.Reading(self.now.log.reader) as connection:
            return [row for page in queries.all_parts(connection, queries.PartFilter()) for row in page]

    def causes(self) -> Counter[str]:
        return Counter(row["cause"] for row in self.rows())

    def events(self, kind: str) -> list[dict[str, Any]]:
        with queries.Reading(self.now.log.reader) as connection:
            return queries.events_page(connection, limit=1000, kind=kind)

    # --- a person ----------------------------------------------------------------------------------------------------

    def order(self, kind: str, role: str = "operator", **args: Any) -> str:
        """A person's wish by way of the command box; the answer."""
        box = self.now.box
        answer = box.wait(box.send(kind, args, by="Ada", role=role), 20.0)
        assert answer.ok, answer
        return answer.answer

    def acknowledge_all(self) -> None:
        """Acknowledge every alarm that the screen shows."""
        for alarm in overview(self.now)["alarms"]:
            if not alarm["acknowledged_by"]:
                self.order("acknowledge", alarm=alarm["id"])

    def acknowledge(self) -> None:
        """The same until the line is no longer asked to stop."""

        def clear() -> bool:
            self.acknowledge_all()
            return not self.now.supervisor.view.stop

        self.until(clear, "all alarms acknowledged and the stop request gone")

    # --- the end -----------------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Let the belt run empty."""
        self.plant.pause()
        time.sleep(0.05)  # a part may be on its way under the camera
        self.until(lambda: len(self.ledger()) >= self.plant.fed, "the belt is empty")
        self.now.finish()

    def check(self, *causes: str, maybe: tuple[str, ...] = ()) -> None:
        """The invariant: nothing bad and nothing uninspected passed, every trigger has one row, all counts agree, and parts
        were kept back only for ``causes``, each of which occurred, and those that may have."""
        self.drain()
        station, ledger, rows = self.now, self.ledger(), self.rows()
        report = self.plant.report()
        assert report.uninspected_passed == 0
        assert report.escapes.count == 0, [row for row in ledger if row["outcome"] == "passed" and not row["good"]]
        assert report.defective > 0
        assert report.physically_passed == report.passed
        by_key = {(row["epoch"], row["sequence"]): row for row in rows}
        assert len(by_key) == len(rows)
        for part in ledger:
            if part["outcome"] == "passed":
                row = by_key[part["epoch"], part["sequence"]]
                assert (row["decision"], row["cause"]) == ("OK", "judged"), (part, row)
                # What went to the PLC is added to the row later; a killed station had no time for it.
                assert row["wire_verdict"] == 1 or (row["wire_verdict"] is None and "crash" in causes), (part, row)
            known = by_key.get((part["epoch"], part["sequence"]), {}).get("gate")
            assert known in (None, "unknown", part["outcome"]), (part, known)
        for life in report.lives:
            have = sorted(sequence for epoch, sequence in by_key if epoch == life.epoch)
            want = list(range(1, life.triggered + 1))
            # A PLC that is killed takes with it what it counted since the last exchange; the part came to rest at a reject.
            lost = 1 if life is not report.lives[-1] else 0
            assert want[: len(want) - lost] == have[: len(want) - lost] and len(have) <= len(want), (life, have)
        allowed = {"judged", *BUSY, *causes, *maybe}
        found = Counter(row["cause"] for row in rows)
        assert set(found) <= allowed, found
        assert all(found[cause] for cause in causes), found
        assert sum(row["decision"] == "OK" for row in rows) > 0
        contradictions = station.summary().contradictions
        assert contradictions == (), contradictions
