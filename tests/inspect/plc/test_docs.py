"""docs/plc.md tells controls engineers the map that the code uses, and its mbpoll commands work."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

from linegate.inspect.plc import registers
from linegate.inspect.plc.registers import Control, ErrorCode, Fault, State, Status

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "plc.md").read_text()


def row(name):
    """(first register, content) of a row of the map."""
    found = re.search(rf"(?m)^\| (\d+)[^|]*\| [VP] \| {re.escape(name)} \| (.*) \|$", PAGE)
    assert found, name
    return int(found[1]), found[2]


def plain(name):
    return name.replace("_", "").lower()


def test_every_register_stands_where_the_code_has_it():
    named = {
        "heartbeat": registers.V_HEARTBEAT, "state": registers.V_STATE, "status": registers.V_STATUS,
        "error": registers.V_ERROR, "recipe": registers.V_RECIPE, "epoch echo": registers.V_EPOCH_ECHO,
        "command ack": registers.V_COMMAND_ACK, "spare": registers.V_SPARE, "inspected": registers.V_INSPECTED,
        "NG": registers.V_NG, "not inspected": registers.V_NOT_INSPECTED, "epoch": registers.P_EPOCH,
        "TRIG_ID": registers.P_TRIG_ID, "encoder": registers.P_ENCODER, "control": registers.P_CONTROL,
        "command": registers.P_COMMAND, "recipe asked for": registers.P_RECIPE_ASKED, "faults": registers.P_FAULTS,
        "triggered": registers.P_TRIGGERED, "passed": registers.P_PASSED, "rejected": registers.P_REJECTED,
        "confirmed": registers.P_CONFIRMED, "no verdict": registers.P_NO_VERDICT,
    }  # fmt: skip
    for name, address in named.items():
        assert row(name)[0] == address, name


def test_every_bit_and_number_is_told():
    for kind, name in ((Status, "status"), (Control, "control"), (Fault, "faults")):
        told = {plain(word): int(bit) for bit, word in re.findall(r"(\d+) (\w+)", row(name)[1])}
        assert told == {plain(bit.name): bit.value.bit_length() - 1 for bit in kind}, name
    for kind, name in ((State, "state"), (ErrorCode, "error")):
        told = {plain(word): int(number) for number, word in re.findall(r"(\d+) (\w+)", row(name)[1])}
        assert told == {plain(value.name): value.value for value in kind}, name


def test_the_commands_on_the_page_read_a_plc(plcs, links, tools, mbpoll):
    plc = plcs(epoch=513, triggered=70_001)
    links(plc)
    commands = [line.split("#")[0] for line in PAGE.splitlines() if line.startswith("mbpoll") and " -1 " in line]
    assert len(commands) == 4
    told = []
    for command in commands:
        words = shlex.split(command.replace("-p 5020", f"-p {plc.port} -q"))
        out = subprocess.run([mbpoll, *words[1:]], capture_output=True, text=True, timeout=20, check=True).stdout
        told.append([line for line in out.splitlines() if line.startswith("[")])
    assert [len(lines) for lines in told] == [14, 64, 64, 20]
    assert "513" in told[3][1]
