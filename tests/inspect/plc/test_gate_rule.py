"""One gate rule: the virtual PLC's, the one that docs/plc.md gives to controls engineers, and the tests' own say the same."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from linegate.inspect.virtual.gate_rule import GateReason, VisionSide, gate_rule

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "plc.md").read_text()
WORD = st.integers(0, 0xFFFF)
COUNTS = st.one_of(st.integers(1, 40), st.integers(0xFFF0, 0x1_0010), st.integers(1, (1 << 32) - 1))
NEAR = st.sampled_from([0, 1, 2, 3, 0xFFFC, 0xFFFD, 0xFFFE, 0xFFFF])


def statement(name: str) -> str:
    """The right side of ``name := …;`` in the gate's structured text, as a Python expression."""
    block = PAGE.split("FUNCTION_BLOCK FB_LinegateGate", 1)[1].split("END_FUNCTION_BLOCK", 1)[0]
    block = re.sub(r"\(\*.*?\*\)", "", block, flags=re.S)
    found = re.search(rf"(?m)^{name}\s*:=(.*?);", block, flags=re.S)
    assert found, name
    text = " ".join(found[1].split())
    text = re.sub(r"\(MB\[2\] AND 16#(\w+)\)", r"(MB[2] & 0x\1)", text)
    text = re.sub(r"16#(\w+)", r"0x\1", text)
    text = re.sub(r"NOT MB\[k \+ 2\]", "(0xFFFF ^ MB[k + 2])", text)
    text = re.sub(r"DWORD_TO_WORD\(UDINT_TO_DWORD\((\w+)\)\)", r"(\1 & 0xFFFF)", text)
    text = re.sub(r"UDINT_TO_INT\((.*?)\)", r"(\1)", text)
    text = text.replace("<>", "!=").replace(" AND ", " and ").replace("NOT ", "not ").replace(" MOD ", " % ")
    return re.sub(r"(?<![!<>=])=(?!=)", "==", text)


PROGRAM = {name: compile(statement(name), f"docs/plc.md: {name}", "eval") for name in ("k", "Id", "Whole", "Pass")}


def structured_text(memory: list[int], count: int, *, fresh: bool) -> bool:
    """Pass of FB_LinegateGate."""
    values: dict[str, object] = {"MB": memory, "PartCount": count, "HeartbeatFresh": fresh}
    for name, code in PROGRAM.items():
        values[name] = eval(code, {}, values)
    return bool(values["Pass"])


@st.composite
def moments(draw: st.DrawFn) -> tuple[list[int], int, int]:
    """(registers 0-219, the part's count, heartbeat's age in ms): a part that passes, and what spoils it."""
    count, epoch = draw(COUNTS), draw(st.integers(1, 0xFFFF))
    memory = draw(st.lists(WORD, min_size=4, max_size=4)) * 55
    k, trig_id = 16 + 8 * (count % 16), count & 0xFFFF
    memory[2] = draw(WORD) | 0b1010
    memory[201] = epoch
    memory[k : k + 4] = [epoch, trig_id, 1, 0xFFFE]
    memory[k + 7] = trig_id
    for address in draw(st.lists(st.sampled_from([2, 5, 201, *range(k, k + 8)]), max_size=3)):
        memory[address] = draw(st.one_of(WORD, NEAR, st.just(memory[address] ^ 1), st.just((trig_id - 16) & 0xFFFF)))
    return memory, count, draw(st.sampled_from([0, 40, 299, 300, 301, 5000]))


@given(moments())
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_all_say_the_same_of_any_registers(tools: SimpleNamespace, moment: tuple[list[int], int, int]) -> None:
    memory, count, age_ms = moment
    k, trig_id = 16 + 8 * (count % 16), count & 0xFFFF
    vision = VisionSide(age_ms * 1_000_000, memory[2])
    virtual = gate_rule(vision, memory[k : k + 8], memory[201], trig_id) is GateReason.PASS
    own, why = tools.passes(memory, memory[200:], trig_id, age_ms)
    assert virtual == own == structured_text(memory, count, fresh=age_ms < 300), why


def test_a_part_that_was_not_tracked_never_passes() -> None:
    """Count 0, whatever stands in its slot."""
    memory = [0] * 220
    memory[2], memory[16:24] = 0b1010, [0, 0, 1, 0xFFFE, 0, 0, 0, 0]
    assert not structured_text(memory, 0, fresh=True)
