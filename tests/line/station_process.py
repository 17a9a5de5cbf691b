"""A station in a process of its own, to be killed: station_process.py PORT STAGE DATA BUNDLE. Says "ready", runs until told.

It must bring nothing that `linegate run` does not: the same Station, joined to a plant that lives elsewhere.
"""

from __future__ import annotations

import sys
from pathlib import Path

from linegate.cameras.settings import PylonSettings
from linegate.inspect.settings import (
    LogSettings,
    PlcSettings,
    RecipeSettings,
    ScreenSettings,
    StationSettings,
    TimingSettings,
)
from linegate.inspect.station import Station


def main(port: str, stage: str, data: str, bundle: str) -> None:
    settings = StationSettings(
        cameras=(PylonSettings(driver="pylon", name="top", emulate=Path(stage)),),
        recipes=(RecipeSettings(id=1, name="plates", bundle=bundle),),
        plc=PlcSettings(port=int(port), timeout_ms=300.0),
        timing=TimingSettings(deadline_ms=800.0, min_pitch_ms=140.0, stop_after_uninspected=1000),
        log=LogSettings(min_free_mb=0.0),
        screens=ScreenSettings(enabled=False),
    )
    station = Station(settings, Path(data), Path(data))
    station.start()
    sys.stdout.write("started\n")
    sys.stdout.flush()
    sys.stdin.readline()
    station.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
