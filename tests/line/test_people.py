"""What people ask of a running line: recipes, bundles, lots, marks, challenge parts; and the sensor that contradicts."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from linegate.inspect.part import PartKey
from linegate.inspect.plc.registers import Command, Control, ErrorCode, Fault, State, Status
from linegate.inspect.settings import RecipeSettings
from linegate.models.bundle import save_bundle
from linegate.models.store import BundleStore

from ..models.tiny import certified, network
from .plates import save_blob_bundle
from .rig import Rig

LINEGATE = (sys.executable, "-m", "linegate.inspect.cli")


def test_the_plc_changes_the_recipe_while_parts_come(make_rig: Callable[..., Rig], blobs: Path, tmp_path: Path) -> None:
    ungated = save_blob_bundle(tmp_path / "ungated", "0.1", released=False)
    recipes = tuple(
        RecipeSettings(id=n, name=f"plates {n}", bundle=str(b)) for n, b in ((1, blobs), (2, ungated.folder))
    )
    rig = make_rig(recipes=recipes)
    rig.start_station()
    rig.run()
    assert rig.now.uncertified() == ""
    rig.plant.ask_recipe(2)
    rig.until(lambda: rig.now.line.vision().recipe == 2, "recipe 2 confirmed to the PLC")
    rig.passes()
    assert rig.rows()[-1]["recipe_name"] == "plates 2"
    (said,) = rig.events("uncertified")
    assert said["text"] == rig.now.uncertified()
    assert "blobs 0.1" in said["text"] and "no certificate" in said["text"]
    rig.now.store.add(save_blob_bundle(tmp_path / "new", "7.0").folder, "Ada", "test")
    (waiting,) = rig.now.store.pointers().candidates
    answer = rig.order("promote", role="quality", bundle=waiting, why="for the others")
    assert f"recipe 2 (plates 2) keeps its own, {ungated.folder}" in answer
    assert rig.now.tracker.active.bundle.sha256 == ungated.sha256
    rig.plant.ask_recipe(9)
    rig.until(lambda: Status.RECIPE_OK not in rig.status(), "RecipeOK = 0 for a recipe nobody knows")
    rig.until(lambda: rig.now.line.vision().error is ErrorCode.RECIPE, "the recipe is what is wrong")
    rig.until(lambda: rig.causes()["not_ready"] >= 2, "parts of an unknown recipe are not judged")
    rig.plant.ask_recipe(1)
    rig.until(lambda: Status.RECIPE_OK in rig.status(), "RecipeOK = 1")
    rig.passes()
    rig.check("not_ready")
    assert any("does not know" in event["text"] for event in rig.events("recipe"))
    assert {row["recipe_id"] for row in rig.rows()} == {1, 2}


def test_a_bundle_is_swapped_and_rolled_back_under_the_running_line(
    make_rig: Callable[..., Rig], tmp_path: Path
) -> None:
    """No part is lost or waits; each row names the bundle that judged it; damaged or unknown ones change nothing."""
    store = BundleStore(tmp_path / "data" / "models")
    first, second = (save_blob_bundle(tmp_path / f"v{n}", f"{n}.0") for n in (1, 2))
    names = [store.add(bundle.folder, "Ada", "test").bundle for bundle in (first, second)]
    store.promote(names[0], "Ada", "first")
    rig = make_rig(recipes=(RecipeSettings(id=1, name="plates"),))
    rig.start_station()
    rig.run()
    rig.order("promote", role="quality", bundle=names[1], why="better")
    swapped = len(rig.rows())
    rig.passes()
    rig.order("rollback", role="lead", why="worse")
    back = len(rig.rows())
    rig.passes()
    store.promote(names[1], "Ada", "from the command line, in a process of its own")
    rig.until(lambda: rig.now.tracker.active.bundle.sha256 == second.sha256, "the release is noticed")
    store.rollback("Ada", "likewise")
    rig.until(lambda: rig.now.tracker.active.bundle.sha256 == first.sha256, "the rollback is noticed")
    box = rig.now.box
    refused = box.wait(box.send("promote", {"bundle": "nothing-1.0-00000000"}, by="Ada", role="quality"), 20.0)
    assert refused.ok is False
    assert "nothing-1.0-00000000" in refused.answer
    ungated = store.add(save_blob_bundle(tmp_path / "v3", "3.0", released=False).folder, "Ada", "test").bundle
    answer = box.wait(box.send("promote", {"bundle": ungated}, by="Ada", role="quality"), 20.0)
    assert answer.ok is False and "no certificate" in answer.answer
    # A certified bundle that no engine takes: refused, and the line would start with the old one after a power cut too.
    fields = {**first.manifest.model_dump(), "version": "4.0", "certificate": None}
    draft = save_bundle(tmp_path / "v4-draft", fields, network())
    broken = store.add(certified(tmp_path / "v4", draft).folder, "Ada", "test").bundle
    answer = box.wait(box.send("promote", {"bundle": broken}, by="Ada", role="quality"), 20.0)
    assert answer.ok is False and "does not belong to this network" in answer.answer
    assert store.pointers().live == names[0]
    store.promote(broken, "Ada", "from the command line, which loads nothing")
    rig.until(lambda: rig.events("chore_failed"), "the line says that it can't be loaded")
    store.promote(names[0], "Ada", "back")
    answer = box.wait(box.send("rollback", {"why": "x"}, by="Ada", role="quality"), 20.0)
    assert answer.ok is False
    assert (store.pointers().live, store.before()) == (names[0], broken)
    operator = box.wait(box.send("promote", {"bundle": names[1]}, by="Ada", role="operator"), 20.0)
    assert operator.ok is False
    rig.passes()
    rig.check()
    used = [row["bundle_sha256"] for row in rig.rows()]
    assert set(used) == {first.sha256, second.sha256}
    assert used[0] == used[-1] == first.sha256
    assert second.sha256 in used[swapped : back + 2]
    changes = [(a, b) for a, b in pairwise(used) if a != b]
    assert changes[:2] == [(first.sha256, second.sha256), (second.sha256, first.sha256)]


def test_lots_marks_and_the_chain_of_what_people_did(rig: Rig) -> None:
    rig.order("lot", lot="L-7", serial="S-1")
    rig.until(lambda: any(row["lot"] == "L-7" for row in rig.rows()), "a part of the new lot")
    (named,) = [row for row in rig.rows() if row["serial"] == "S-1"]
    rig.passes()
    good = next(row for row in rig.rows() if row["decision"] == "OK")
    bad = next(row for row in rig.rows() if row["decision"] == "NG")
    rig.order("overkill", key=f"{bad['epoch']:04x}-{bad['sequence']}", camera="top", x_px=10, y_px=20)
    escape = rig.order("escape", key=f"{good['epoch']:04x}-{good['sequence']}")
    assert "no picture" not in escape
    rig.order("overkill", serial="S-1")
    rig.order("stop", reason="a look")
    rig.until(lambda: Status.STOP_REQUEST in rig.status(), "a stop is asked for")
    rig.acknowledge()
    rig.passes()
    rig.check()
    with rig.now.log.reader.connect() as connection:
        labels = connection.exec_driver_sql("SELECT sequence, kind FROM label ORDER BY id").all()
        kept = connection.exec_driver_sql("SELECT sequence FROM image").scalars().all()
    assert [tuple(label) for label in labels] == [
        (bad["sequence"], "overkill"),
        (good["sequence"], "escape"),
        (named["sequence"], "overkill"),
    ]
    assert good["sequence"] in kept, "the escape's picture was in memory only"
    verify = [*LINEGATE, "audit", "verify", "--data", str(rig.data)]
    told = subprocess.run(verify, capture_output=True, text=True, timeout=120)
    assert told.returncode == 0, told
    assert told.stdout.startswith("whole: ")
    assert int(told.stdout.split()[1]) >= 6


def test_a_confirm_sensor_that_disagrees_stops_the_line_until_somebody_looked(rig: Rig) -> None:
    rig.plant.blind_confirm_sensor(1)
    rig.until(lambda: Fault.CONFIRM_FAULT in rig.now.line.block.faults, "the PLC sees the contradiction")
    rig.until(lambda: Status.STOP_REQUEST in rig.status(), "a stop is asked for")
    rig.until(lambda: rig.now.line.vision().error is ErrorCode.CONFIRM, "error 7")
    rig.acknowledge_all()
    assert Status.STOP_REQUEST in rig.status(), "the contradiction is still there"
    rig.plant.reset_error()  # the machine's own key, which the station hears of too
    rig.until(lambda: Fault.CONFIRM_FAULT not in rig.now.line.block.faults, "the fault is gone")
    rig.plant.reset_error_done()
    rig.acknowledge()
    rig.passes()
    rig.check()


def test_a_reject_that_stays_on_the_line_is_noticed_without_the_plcs_help(make_rig: Callable[..., Rig]) -> None:
    """A PLC that counts what its confirm sensor sees, and never compares."""
    rig = make_rig(checks_confirm=False)
    rig.start_station()
    rig.run()
    rig.plant.blind_confirm_sensor(1)
    rig.until(lambda: rig.plant.report().rejected > rig.plant.report().confirmed + 1, "one was not seen")
    rig.plant.pause()
    rig.until(lambda: Status.STOP_REQUEST in rig.status(), "a stop is asked for")
    assert rig.now.line.vision().error is ErrorCode.CONFIRM
    assert Fault.CONFIRM_FAULT not in rig.now.line.block.faults
    rig.acknowledge()
    rig.plant.run_belt()
    rig.passes()
    assert Status.STOP_REQUEST not in rig.status(), "one that is looked for is not missed for ever"
    rig.check()


def test_what_the_plc_asks_for_is_done_and_then_acknowledged(rig: Rig) -> None:
    plant = rig.plant
    plant.send_command(Command.NEW_BATCH)
    rig.until(lambda: rig.now.line.vision().command_ack == Command.NEW_BATCH, "the batch has begun")
    plant.send_command(0)
    rig.until(lambda: rig.now.line.vision().command_ack == 0, "the command is taken back")
    rig.until(lambda: rig.rows()[-1]["lot"] != "", "a part of the new batch")
    plant.set_fault(Fault.BIN_FULL)
    rig.until(lambda: Status.STOP_REQUEST in rig.status(), "a full reject bin stops the line")
    assert rig.now.line.vision().error is ErrorCode.MACHINE
    plant.send_command(Command.ACKNOWLEDGE)
    rig.until(lambda: rig.now.line.vision().command_ack == Command.ACKNOWLEDGE, "acknowledged")
    assert Status.STOP_REQUEST in rig.status(), "it is still full"
    plant.set_fault(Fault.BIN_FULL, False)
    rig.until(lambda: Status.STOP_REQUEST not in rig.status(), "emptied and acknowledged")
    plant.send_command(99)
    rig.until(lambda: any("99" in event["text"] for event in rig.events("plc_command")), "refused in words")
    assert rig.now.line.vision().command_ack == 0
    rig.passes()
    rig.check()


def test_trigger_enable_and_purge_are_heeded(rig: Rig) -> None:
    rig.plant.enable_trigger(False)
    rig.until(lambda: Status.TRIGGER_READY not in rig.status(), "TriggerReady = 0")
    assert rig.now.line.vision().state is State.READY, "the PLC may wait for that to enable it"
    rig.until(lambda: rig.causes()["not_ready"] >= 2, "parts that nobody wants inspected")
    rig.plant.enable_trigger(True)
    rig.passes()
    fed = rig.plant.fed
    rig.until(lambda: rig.plant.fed > fed, "a part is under way")
    rig.plant.purge()
    purged_ns = time.monotonic_ns()
    rig.until(lambda: Control.PURGE in rig.now.line.block.control, "the station hears of it")
    rig.passes()
    under_way = [row for row in rig.ledger() if row["eye_ns"] < purged_ns < row["commit_ns"]]
    assert under_way and {row["outcome"] for row in under_way} == {"rejected"}
    rig.check("not_ready")


def challenge(rig: Rig, wanted: str) -> None:
    """Present challenge parts one by one until ``wanted``: plates come in random order, a third of them is bad."""

    def judged() -> int:
        return len(rig.events("challenge_failed")) + len(rig.events("challenge"))

    before = len(rig.events(wanted))
    while len(rig.events(wanted)) == before:
        told = judged()
        rig.plant.arm_challenge()
        rig.until(lambda told=told: judged() > told, "the challenge part was judged")
        rig.plant.arm_challenge(False)
        rig.until(lambda: Control.CHALLENGE_ARM not in rig.now.line.block.control, "the key is let go")
        if rig.status() & Status.STOP_REQUEST:
            rig.acknowledge()


def test_a_challenge_round_that_was_ended_leaves_no_part_armed(rig: Rig) -> None:
    rig.drain()
    for action in ("start", "next", "abort"):
        rig.order("challenge", action=action)
    rig.plant.run_belt()
    rig.passes()
    rig.check()
    assert not any(row["challenge"] for row in rig.rows())
    assert not rig.events("challenge") and not rig.events("challenge_failed")


def test_a_challenge_part_that_is_accepted_stops_the_line(rig: Rig) -> None:
    """A red rabbit judged OK: the line stops; once that was acknowledged it moves, and nothing passes before one is caught."""
    tracker = rig.now.tracker
    while not rig.events("challenge_failed"):
        told = len(rig.events("challenge"))
        tracker.arm_challenge(1)
        rig.until(
            lambda told=told: rig.events("challenge_failed") or len(rig.events("challenge")) > told, "a part judged"
        )
    event = rig.events("challenge_failed")[0]
    assert event["severity"] == "alarm"
    assert "quarantine everything since the last good challenge" in event["text"]

    def case() -> bool:
        query = "SELECT kind, must_catch, image.reason FROM label JOIN image USING (epoch, sequence) WHERE sequence = ?"
        with rig.now.log.reader.connect() as connection:
            rows = connection.exec_driver_sql(query, (event["sequence"],)).all()
        return [tuple(row) for row in rows] == [("escape", 1, "challenge")]

    rig.until(case, "the accepted challenge part is a case for the release gate, with its picture")
    rig.until(lambda: Status.STOP_REQUEST in rig.status(), "a stop is asked for")
    assert rig.now.line.vision().error is ErrorCode.CHALLENGE
    rig.until(lambda: rig.plant.fed == len(rig.ledger()), "the belt has stopped and run empty")
    rig.acknowledge()
    before = rig.plant.report().passed
    rig.until(lambda: rig.causes()["not_ready"] >= 3, "parts that nobody trusts the station with")
    last_good = rig.now.supervisor.challenge.last_good
    rig.now.stop()  # neither the doubt nor the parts in doubt are forgotten with the station
    accepted = PartKey(event["epoch"], event["sequence"])
    listed = [*LINEGATE, "log", "quarantine", "--json", "--data", str(rig.data)]
    told = subprocess.run(listed, capture_output=True, text=True, timeout=120).stdout
    doubted = [json.loads(line) for line in told.splitlines()]
    since = last_good.sequence if last_good is not None else 0
    passed = {row["sequence"] for row in rig.ledger() if row["outcome"] == "passed" and row["sequence"] > since}
    assert {row["sequence"] for row in doubted} == passed
    assert accepted.sequence in passed
    assert {row["quarantined_by"] for row in doubted} == {str(accepted)}
    rig.start_station(ready=False)
    rig.until(lambda: Status.STOP_REQUEST in rig.status(), "the alarm stands again")
    assert rig.now.line.vision().error is ErrorCode.CHALLENGE
    assert rig.now.supervisor.challenge.last_good == last_good
    rig.acknowledge()
    distrusted = rig.causes()["not_ready"]
    rig.until(lambda: rig.causes()["not_ready"] >= distrusted + 2, "still nobody trusts it")
    assert Status.TRIGGER_READY not in rig.status()
    rig.drain()
    assert rig.plant.report().passed == before
    rig.plant.run_belt()
    challenge(rig, "challenge")
    rig.acknowledge()
    rig.passes()
    rig.check("not_ready", maybe=("crash", "camera_down"))  # parts that came while it started
