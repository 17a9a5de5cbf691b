"""Stored picture + bundle + recipe give the same verdict again; a changed rule or bundle is noticed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from linegate.cameras.calibration import Calibration
from linegate.cameras.settings import PylonSettings
from linegate.inspect.part import Decision
from linegate.inspect.partlog import queries
from linegate.inspect.partlog.database import open_reader
from linegate.inspect.repeat import find_bundles, repeat_verdicts
from linegate.inspect.settings import ImageSettings, RecipeSettings, RuleSettings
from linegate.models.store import BundleStore

from .plates import SIDE_PX
from .rig import Rig


def test_every_stored_verdict_can_be_repeated(make_rig: Callable[..., Rig], blobs: Path, tmp_path: Path) -> None:
    """Also where it rests on the camera's calibration: by the bundle's pixel size every blob would be too small to count."""
    calibration = tmp_path / "top.json"
    matrix = ((300.0, 0.0, 128.0), (0.0, 300.0, 128.0), (0.0, 0.0, 1.0))
    Calibration(SIDE_PX, SIDE_PX, 0.5, 0.0, 0.0, matrix, (0.0,) * 5).save(calibration)
    camera = PylonSettings(driver="pylon", name="top", emulate=Path("stage"), reopen_s=0.2, calibration=calibration)
    rules = (RuleSettings(min_area_mm2=100.0),)
    recipe = RecipeSettings(id=1, name="plates", bundle=str(blobs), part_score="ignore", rules=rules)
    rig = make_rig(images=ImageSettings(ok_share=1.0), cameras=(camera,), recipes=(recipe,))
    station = rig.start_station()
    rig.run()
    rig.more_parts(12)
    rig.check()
    with queries.Reading(station.log.reader) as connection:
        areas = [row["area_mm2"] for row in queries.regions_of(connection, [row["id"] for row in rig.rows()])]
    assert min(areas) > 100.0
    settings, data = station.settings, rig.data
    station.stop()
    reader = open_reader(settings.log, data)
    try:
        store = BundleStore(data / "models")
        views = list(repeat_verdicts(reader, data, find_bundles(store, (blobs,)), 1000, lambda _done: None))
        assert all(view.same for view in views), [view for view in views if not view.same]
        assert {view.again.split()[0] for view in views} == {Decision.OK, Decision.NG}
        without = list(repeat_verdicts(reader, data, find_bundles(store), 1000, lambda _done: None))
        assert without and all("not at hand" in view.why for view in without)
    finally:
        reader.dispose()
