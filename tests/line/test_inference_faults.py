"""Inference: too slow, broken, or given a picture it can't take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from linegate.inspect.part import PartKey
from linegate.inspect.partlog import queries
from linegate.inspect.plc.registers import Status
from linegate.inspect.settings import RecipeSettings, TimingSettings

from .plates import save_slow_bundle
from .rig import Rig


def test_a_late_inference_is_a_reject_and_its_result_is_logged_only(
    make_rig: Callable[..., Rig], tmp_path: Path
) -> None:
    """The network needs several deadlines: the first part of each try ends at its deadline, the others never begin."""
    slow = save_slow_bundle(tmp_path / "slow", rounds=20)
    rig = make_rig(
        bundle=slow.folder, timing=TimingSettings(deadline_ms=60.0, min_pitch_ms=140.0, stop_after_uninspected=1000)
    )
    rig.start_station()
    rig.plant.run_belt()
    rig.until(lambda: rig.causes()["deadline"] >= 5 and rig.events("late_result"), "late parts and a late result")
    rig.drain()
    report = rig.plant.report()
    assert report.physically_passed == report.uninspected_passed == 0
    rows = rig.rows()
    assert [row["sequence"] for row in rows if row["epoch"] == report.lives[0].epoch] != []
    late = [row for row in rows if row["cause"] == "deadline"]
    assert {row["decision"] for row in late} == {"NOT_INSPECTED"}
    assert {row["wire_verdict"] for row in late} <= {0, 3}
    assert 3 in {row["wire_verdict"] for row in late}
    event = rig.events("late_result")[0]
    with queries.Reading(rig.now.log.reader) as connection:
        whole = queries.whole_part(connection, PartKey(event["epoch"], event["sequence"]))
    assert whole is not None
    assert whole["decision"] == "NOT_INSPECTED"
    assert rig.now.summary().contradictions == ()
    assert rig.now.summary().deadline_misses >= 5
    assert len(rows) == report.triggered


def test_a_picture_the_recipe_does_not_allow_costs_its_part_and_the_line_goes_on(
    make_rig: Callable[..., Rig], blobs: Path
) -> None:
    """The operator chooses a recipe made for colour: inference fails part by part, then the right one is chosen again."""
    recipes = (
        RecipeSettings(id=1, name="plates", bundle=str(blobs)),
        RecipeSettings(id=2, name="colour plates", bundle=str(blobs), channels=3),
    )
    rig = make_rig(recipes=recipes)
    rig.start_station()
    rig.run()
    rig.order("recipe", id=2)
    rig.until(lambda: rig.causes()["inference_failed"] >= 3, "parts that could not be judged")
    failed = [row for row in rig.rows() if row["cause"] == "inference_failed"]
    assert all("channel" in row["reason"] for row in failed)
    assert any("runtime" in reason for reason in rig.now.supervisor.view.reasons)
    rig.order("recipe", id=1)
    rig.passes()
    assert Status.TRIGGER_READY in rig.status()
    rig.check("inference_failed", maybe=("not_ready",))


def test_an_engine_that_dies_costs_parts_and_not_the_station(rig: Rig) -> None:
    """The session is closed under the running line, as a driver that lost its device is."""
    rig.now.tracker.active.session.close()
    rig.until(lambda: rig.causes()["inference_failed"] >= 3, "parts that could not be judged")
    rig.now.change_recipe(1)
    rig.passes()
    rig.check("inference_failed")
