"""Item 4: each action is a command the line acknowledges, with its answer on the screen."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import contextmanager

from playwright.sync_api import Page, expect
from sqlalchemy import create_engine, insert

from linegate.inspect.challenge import ChallengeRound
from linegate.inspect.part import Decision, PartKey
from linegate.inspect.partlog import schema
from linegate.inspect.partlog.audit import entries, verify
from linegate.inspect.partlog.commands import Command

from .board_pages import hold, scan, shot, sign_in
from .feeder import Feeder, region
from .screens_process import Screens

Board = Callable[..., Page]


@contextmanager
def log_of(screens: Screens):
    engine = create_engine(f"sqlite:///{screens.data / 'linegate.db'}")
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def answered(page: Page, state: str, words: str) -> None:
    note = page.locator(".lg-answer").last
    expect(note).to_have_attribute("data-state", state)
    expect(note).to_contain_text(words)


def test_change_of_product_is_held_and_answered(board: Board, line: Feeder) -> None:
    line.answer_commands(
        lambda command: (command.args.get("id") == 3, "Flange runs" if command.args.get("id") == 3 else "no bundle")
    )
    page = board()
    sign_in(page, "Lena Braun")
    page.click('[data-do="recipe"]')
    expect(page.locator('[data-recipe="1"]')).to_contain_text("running now")
    confirm = '[data-dialog="changeover"] .lg-hold'
    expect(page.locator(confirm)).to_be_disabled()
    page.click('[data-recipe="3"]')
    hold(page, confirm, 300)
    assert page.locator('[data-dialog="changeover"]').count() == 1  # a tap is not enough
    hold(page, confirm, 1500)
    answered(page, "done", "Flange runs")
    command = line.command("recipe")
    assert (command.args, command.by, command.role) == ({"id": 3}, "Lena Braun", "lead")
    page.click('[data-do="recipe"]')
    page.click('[data-recipe="2"]')
    hold(page, confirm, 1500)
    answered(page, "refused", "no bundle")
    shot(page, "answer-refused")


def test_operator_may_confirm_only_what_the_plc_asks(board: Board, line: Feeder) -> None:
    line.answer_commands()
    page = board()
    sign_in(page, "Otto Frei")
    page.click('[data-do="recipe"]')
    page.click('[data-recipe="2"]')
    hold(page, '[data-dialog="changeover"] .lg-hold', 1500)
    answered(page, "refused", "This needs the role: Shift lead.")
    line.set(recipe_asked=4)
    expect(page.locator('[data-do="recipe"]')).to_have_text("PLC asks: CVR-07")
    page.click('[data-do="recipe"]')
    expect(page.locator('[data-recipe="4"]')).to_have_attribute("aria-pressed", "true")
    hold(page, '[data-dialog="changeover"] .lg-hold', 1500)
    answered(page, "done", "done")
    assert line.command("recipe").args == {"id": 4}
    assert line.commands == []


def test_new_batch_by_scanner(board: Board, line: Feeder) -> None:
    line.answer_commands()
    page = board()
    page.click('[data-do="lot"]')
    scan(page, "LOT-4711/B")
    scan(page, "SN000777")
    expect(page.locator('[data-code="lot"]')).to_have_text("LOT-4711/B")
    expect(page.locator('[data-code="serial"]')).to_have_text("SN000777")
    shot(page, "new-batch")
    page.click('[data-dialog="batch"] button.act')
    page.wait_for_selector('[data-dialog="signin"]')  # whoever is not signed in signs in first
    scan(page, "BADGE-00417")
    answered(page, "done", "done")
    command = line.command("lot")
    assert (command.args, command.by) == ({"lot": "LOT-4711/B", "serial": "SN000777"}, "Otto Frei")


def test_a_scan_never_lands_where_it_does_not_belong(board: Board, line: Feeder) -> None:
    """A label read twice is no serial number, and a badge never becomes the name of a batch, readable in every row."""
    line.answer_commands()
    page = board()
    sign_in(page, "Otto Frei")
    page.click('[data-do="lot"]')
    lot, serial = page.locator('[data-code="lot"]'), page.locator('[data-code="serial"]')
    expect(lot).to_have_attribute("aria-current", "true")
    scan(page, "LOT-4711")
    scan(page, "LOT-4711")
    expect(serial).to_have_text("–")
    expect(page.locator('[data-dialog="batch"] .lg-say')).to_have_text("The same label once more: taken once.")
    lot.click()
    scan(page, "BADGE-00417")
    expect(lot).to_have_text("BADGE-00417")
    page.click('[data-dialog="batch"] button.act')
    answered(page, "refused", "This code is somebody's badge")
    assert line.commands == []


def test_slow_typing_is_no_scan(board: Board, line: Feeder) -> None:
    page = board()
    page.click('[data-do="lot"]')
    suggested = page.locator('[data-code="lot"]').inner_text()
    page.keyboard.type("HAND", delay=120)
    page.keyboard.press("Enter")
    expect(page.locator('[data-code="lot"]')).to_have_text(suggested)


def test_stop_and_support_need_no_sign_in_but_stop_needs_holding(board: Board, line: Feeder) -> None:
    line.answer_commands(lambda command: (True, f"{command.kind} asked"))
    page = board()
    hold(page, '[data-do="stop"]', 400)
    page.wait_for_timeout(1000)
    assert line.commands == []
    hold(page, '[data-do="stop"]', 1500)
    answered(page, "done", "stop asked")
    command = line.command("stop")
    assert (command.by, command.role) == ("not signed in", "operator")
    page.click('[data-do="support"]')
    page.click('[data-reason="camera"]')
    answered(page, "done", "support asked")
    assert line.command("support").args == {"text": "Camera or light"}


def test_alarm_is_acknowledged_with_name_and_time(board: Board, line: Feeder, shared_screens: Screens) -> None:
    alarm = {"id": "bin-12", "severity": "alarm", "text": "Reject bin full", "remedy": "Empty it.", "active": True}
    alarm |= {"since_utc_ns": time.time_ns(), "acknowledged_by": ""}

    def answer(command: Command) -> tuple[bool, str]:
        line.set(alarms=[alarm | {"acknowledged_by": command.by}])
        return True, "acknowledged"

    line.answer_commands(answer)
    line.set(alarms=[alarm, alarm | {"id": "disk-13", "severity": "warning", "text": "disk: 20 MB left"}])
    page = board()
    band = page.locator(".lg-alarm")
    expect(band).to_contain_text("Reject bin full")
    expect(band).to_contain_text("+1 more")
    expect(band).to_have_css("background-color", "rgb(255, 176, 0)")
    assert "repeating-linear-gradient" in page.eval_on_selector(
        ".lg-hazard", "n => getComputedStyle(n).backgroundImage"
    )
    sign_in(page, "Otto Frei")
    page.wait_for_timeout(700)  # a person has read it first; what came within 600 ms of the tap is not taken as meant
    page.click(".lg-ack")
    expect(band).to_contain_text("acknowledged by Otto Frei")
    expect(page.locator(".lg-ack")).to_be_hidden()
    assert line.command("acknowledge").args == {"alarm": "bin-12"}
    with log_of(shared_screens) as connection:
        entry = entries(connection, 1, by="Otto Frei", action="ask acknowledge")[0]
    assert abs(entry.at_utc_ns - time.time_ns()) < 60e9


def test_an_alarm_that_comes_under_the_finger_is_not_acknowledged(board: Board, line: Feeder) -> None:
    line.answer_commands()
    alarm = {"severity": "warning", "remedy": "", "active": True, "since_utc_ns": time.time_ns(), "acknowledged_by": ""}
    seen = alarm | {"id": "disk-13", "text": "disk: 20 MB left"}
    line.set(alarms=[seen])
    page = board()
    sign_in(page, "Otto Frei")
    button = page.locator(".lg-ack").bounding_box()
    assert button is not None
    page.mouse.move(button["x"] + 40, button["y"] + 40)
    page.mouse.down()
    line.set(alarms=[seen, alarm | {"id": "bin-14", "severity": "alarm", "text": "Reject bin full"}])
    expect(page.locator(".lg-alarm")).to_contain_text("bin")
    page.mouse.up()
    answered(page, "refused", "Another alarm came just now.")
    assert line.commands == []


def test_the_lines_words_are_said_in_the_readers_language(board: Board, line: Feeder) -> None:
    gone = "stop: expected a PLC that hears it, found no answer. "
    gone += "Stop the line at its own button; the PLC is told as soon as it answers."
    said = iter(
        [(True, "the next part counts as the challenge part with scratch"), (False, gone), (False, "not 1 (yet)")]
    )
    line.answer_commands(lambda _command: next(said))
    page = board()
    hold(page, '[data-do="stop"]', 1300)
    answered(page, "done", "The next part counts as the challenge part: Scratch.")
    page.click('[data-do="language"]')
    answered(page, "done", "下一件作为验证件：划痕。")
    hold(page, '[data-do="stop"]', 1300)
    answered(page, "refused", "PLC 无应答（no answer）。请用产线自身的按钮停线")
    page.click('[data-do="language"]')
    answered(page, "refused", "Die SPS antwortet nicht (no answer). Die Linie an ihrem eigenen Taster anhalten")
    hold(page, '[data-do="stop"]', 1300)
    answered(page, "refused", "Die Linie hat abgelehnt. (not 1 (yet))")  # a sentence nobody translated


def test_what_is_not_known_is_not_called_refused(board: Board, line: Feeder) -> None:
    """The wish reached the server, its answer did not reach the screen: it may have been done."""
    line.answer_commands()
    page = board()
    page.route("**/api/command", lambda route: (route.fetch(), route.abort()))
    hold(page, '[data-do="stop"]', 1300)
    answered(page, "unknown", "not known whether it was done")
    assert line.command("stop").kind == "stop"
    page.click('[data-do="language"]')
    answered(page, "unknown", "不确定是否已执行")  # a switch reaches what stands there already


def tap(page: Page, x: float, y: float) -> None:
    """On the large picture, at camera pixels: it is 1024 x 800 and fitted into the canvas."""
    box = page.locator(".lg-mark").bounding_box()
    assert box is not None
    scale = min(box["width"] / 1024, box["height"] / 800)
    left, top = box["x"] + (box["width"] - 1024 * scale) / 2, box["y"] + (box["height"] - 800 * scale) / 2
    page.mouse.click(left + x * scale, top + y * scale)


def near(command: Command, x: int, y: int) -> bool:
    return abs(command.args["x_px"] - x) <= 3 and abs(command.args["y_px"] - y) <= 3


def test_good_part_rejected_is_marked_with_one_tap(board: Board, line: Feeder) -> None:
    line.answer_commands()
    page = board()
    sign_in(page, "Otto Frei")
    bad = line.part("NG", region("stain", 600, 300, 80, 60))
    expect(page.locator('[data-do="overkill"]')).to_be_hidden()
    page.click(f'.lg-tile[data-key="{bad["key"]}"]')
    page.click('[data-do="overkill"]')
    page.wait_for_selector('.lg-mark[data-drawn="yes"]')
    tap(page, 640, 330)
    answered(page, "done", "done")
    command = line.command("overkill")
    assert (command.args["key"], command.args["camera"]) == (bad["key"], "top")
    assert near(command, 640, 330), command
    page.wait_for_selector('[data-dialog="mark"]', state="detached")


def test_bad_part_that_slipped_out(board: Board, line: Feeder, shared_screens: Screens) -> None:
    line.answer_commands()
    page = board()
    sign_in(page, "Otto Frei")
    good = line.part("OK")
    expect(page.locator(".lg-verdict")).to_have_attribute("data-kind", "OK")
    page.click('[data-do="escape"]')
    page.click(f'.lg-passed [data-key="{good["key"]}"]')
    page.wait_for_selector('.lg-mark[data-drawn="yes"]')
    tap(page, 250, 500)
    answered(page, "done", "done")
    command = line.command("escape")
    assert command.args["key"] == good["key"] and near(command, 250, 500), command
    page.wait_for_selector('[data-dialog="mark"]', state="detached")

    with log_of(shared_screens) as connection:  # an older part: its row is there, its picture was not kept
        connection.execute(insert(schema.part).values(**part_row(9001, "SN-OLD-1")))
    page.click('[data-do="escape"]')
    scan(page, "SN-NOBODY")
    expect(page.locator('[data-dialog="slipped"] .lg-say')).to_have_text("No part has the code SN-NOBODY.")
    scan(page, "SN-OLD-1")
    page.click('[data-dialog="mark"] button:has-text("Report without a place")')
    command = line.command("escape")
    assert command.args == {"key": "0007-9001", "camera": ""}


def part_row(sequence: int, serial: str) -> dict[str, object]:
    texts = dict.fromkeys(("bundle_sha256", "thresholds_sha256", "lot", "reason", "defect_class"), "")
    row = {"id": sequence, "epoch": 7, "sequence": sequence, "token": 1, "triggered_utc_ns": 1, "logged_utc_ns": 1}
    row |= {"recipe_id": 1, "recipe_name": "A", "serial": serial, "decision": "OK", "judged": "OK", "cause": "judged"}
    return row | texts | {"challenge": False, "encoder": 0}


def test_report_is_kept_when_the_line_does_not_answer(board: Board, line: Feeder, shared_screens: Screens) -> None:
    """Reports are heard by the review screen from their own row; nothing is lost with the line away."""
    with shared_screens.signed_in("Otto Frei") as client:
        sent = client.post(
            "/api/command", json={"kind": "escape", "args": {"key": "0007-17", "camera": "top", "x_px": 3, "y_px": 4}}
        )
        command_id = sent.json()["id"]
        assert client.get(f"/api/command/{command_id}").json()["state"] == "waiting"
    with log_of(shared_screens) as connection:
        row = connection.execute(schema.command.select().where(schema.command.c.id == command_id)).one()
    assert (row.kind, row.by) == ("escape", "Otto Frei")


def test_challenge_round_is_guided(board: Board, line: Feeder) -> None:
    """With the line's own round, which decides what the steps are and what each part proved."""
    round_ = ChallengeRound(lambda _parts: None)

    def answer(command: Command) -> tuple[bool, str]:
        action = command.args["action"]
        words = round_.start(("scratch", "dent")) if action == "start" else round_.arm(command.args["step"])
        line.set(challenge=round_.as_dict())
        return True, words

    def part(number: int, decision: Decision) -> None:
        round_.on_part(PartKey(7, number), time.monotonic_ns(), decision, "scratch")
        line.set(challenge=round_.as_dict())

    line.answer_commands(answer)
    page = board()
    sign_in(page, "Otto Frei")
    page.click('[data-do="challenge"]')
    dialog = page.locator('[data-dialog="challenge"]')
    say = dialog.locator(".lg-next")
    dialog.locator('button:has-text("Start")').click()
    expect(say).to_have_text("Put in now the part with: Scratch")
    expect(page.locator('[data-do="challenge"]')).to_have_text("Round: part 1 of 2")  # every screen shows that it runs
    dialog.locator('button:has-text("Part is in")').click()
    expect(say).to_have_text("Waiting for the part to pass the camera …")
    part(1, Decision.NOT_INSPECTED)
    expect(say).to_have_text("It could not be inspected. Put in now the part with: Scratch")
    dialog.locator('button:has-text("Part is in")').click()
    expect(say).to_have_text("Waiting for the part to pass the camera …")
    part(2, Decision.NG)
    expect(say).to_have_text("Put in now the part with: Dent")
    expect(dialog.locator("li").first).to_have_attribute("data-state", "good")
    shot(page, "challenge")
    dialog.locator('button:has-text("Part is in")').click()
    expect(say).to_have_text("Waiting for the part to pass the camera …")
    part(3, Decision.OK)
    expect(say).to_contain_text("FAILED: not rejected: Dent.")
    expect(dialog.locator("li").last).to_have_attribute("data-state", "bad")
    assert [c.args["action"] for c in line.commands] == ["start", "next", "next", "next"]


def test_bad_commands_are_refused_in_words(shared_screens: Screens) -> None:
    with shared_screens.signed_in("Lena Braun") as client:
        for body, status in [
            ({"kind": "explode"}, 404),
            ({"kind": "recipe", "args": {"id": "3"}}, 422),
            ({"kind": "recipe", "args": {}}, 422),
            ({"kind": "lot", "args": {"lot": "x" * 300}}, 422),
            ({"kind": "escape", "args": {"camera": "top"}}, 422),
            ({"kind": "overkill", "args": {"key": "'; drop table part"}}, 422),
            ({"kind": "promote", "args": {"bundle": "a", "why": "b"}}, 403),
            ({"kind": "stop", "args": {}, "by": "Ada"}, 422),
        ]:
            answer = client.post("/api/command", json=body)
            assert answer.status_code == status, (body, answer.text)
            assert answer.json()["key"].startswith("operator.error.")


def test_every_action_is_in_the_audit_chain(shared_screens: Screens) -> None:
    with shared_screens.signed_in("Lena Braun") as client:
        client.post("/api/command", json={"kind": "recipe", "args": {"id": 2}}).raise_for_status()
    with log_of(shared_screens) as connection:
        report = verify(connection)
        actions = [entry.action for entry in entries(connection, 2, by="Lena Braun")]
    assert report.problems == []
    assert actions == ["ask recipe", "sign-in"]
