from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linegate.models.certificate import Condition, Waiver
from linegate.models.manifest import Parity
from linegate.training.conditions import (
    NO_CASES,
    TRAINING_DATA,
    GateSettings,
    Waivers,
    apart,
    builds,
    classes_shown,
    escapes,
    must_catch,
    negative_flips,
    no_worse,
    overkill,
)
from linegate.training.dataset import Dataset, Lost
from linegate.training.judge import Judged
from linegate.training.snapshot import Snapshot
from linegate.training.units import units_of

from .test_thresholds import part


def waiver(name: str, why: str = "test") -> Waiver:
    return Waiver(name=name, why=why)


LOOSE = GateSettings(flip_margin=0.05, most_escapes=0.2, most_overkill=0.3)
TORCH = Parity(build="torch fp32", reference="openvino accuracy", pictures=40, within=True)


def parts(bad: int, good: int, caught: bool = True, killed: int = 0, lot: str = "L1") -> list[Judged]:
    """So many bad parts, all caught or all missed, and good ones, ``killed`` of them held back."""
    found = [part(True, 0.9, passed=not caught, group=lot, name=f"{lot}b{n}") for n in range(bad)]
    return found + [part(False, 0.1, passed=n >= killed, group=lot, name=f"{lot}g{n}") for n in range(good)]


@given(bad=st.integers(0, 400), good=st.integers(0, 400), live_caught=st.booleans())
@settings(deadline=None, max_examples=40)
def test_nothing_that_never_rejects_ever_passes(bad: int, good: int, live_caught: bool) -> None:
    """However many parts there are, whatever is live, at the loosest limits there can be."""
    mine = units_of(parts(bad, good, caught=False))
    live = parts(bad, good, caught=live_caught)
    outcomes = [
        classes_shown(("spot",), mine, (), Waivers([])),
        escapes(mine, LOOSE),
        negative_flips(mine, live, LOOSE),
        overkill(mine, LOOSE),
        no_worse(mine, units_of(live), LOOSE),
    ]
    assert not all(outcome.condition.held for outcome in outcomes)


def test_no_case_and_cases_that_cannot_be_tried_refuse_until_somebody_waives_them() -> None:
    assert not must_catch([], [], Waivers([])).condition.held
    assert must_catch([], [], Waivers([waiver(NO_CASES)])).condition.held
    lost = [Lost("0001-5/top", "its picture was not kept")]
    found = must_catch([], lost, Waivers([])).condition
    assert not found.held
    assert "case 0001-5/top (its picture was not kept)" in found.finding
    given = Waivers([waiver("case 0001-5/top", "the disk of March"), waiver(NO_CASES)])
    found = must_catch([], lost, given).condition
    assert found.held
    assert "waived: case 0001-5/top: the disk of March" in found.finding
    assert given.unneeded() == [NO_CASES]
    # A miss is a miss, whatever is waived.
    missed = units_of([part(True, 0.1, passed=True)])
    assert not must_catch(missed, [], Waivers([waiver(NO_CASES)])).condition.held


def test_a_class_that_no_part_shows_refuses_until_it_is_waived() -> None:
    frozen = units_of(parts(3, 3))
    assert classes_shown(("spot",), frozen, (), Waivers([])).condition.held
    found = classes_shown(("spot", "line"), frozen, (), Waivers([])).condition
    assert not found.held
    assert "not tested and not waived: class line" in found.finding
    assert classes_shown(("spot", "line"), frozen, (), Waivers([waiver("class line")])).condition.held
    case = units_of([part(True, 0.9, klass="line")])
    assert classes_shown(("spot", "line"), frozen, case, Waivers([])).condition.held
    assert not classes_shown((), units_of(parts(3, 0)), (), Waivers([])).condition.held
    assert not classes_shown((), units_of(parts(0, 3)), (), Waivers([])).condition.held


def test_what_nobody_knows_of_the_training_data_is_waived_what_is_wrong_is_not() -> None:
    frozen = Snapshot.of(Dataset(Path("frozen"), ("spot",), ()))
    assert not apart("0", frozen, None, None, Waivers([])).condition.held
    assert apart("0", frozen, None, None, Waivers([waiver(TRAINING_DATA)])).condition.held
    assert not apart("0", frozen, frozen, None, Waivers([waiver(TRAINING_DATA)])).condition.held  # another's
    assert apart(frozen.sha256, frozen, frozen, None, Waivers([])).condition.held


def test_the_export_is_proven_or_waived_and_a_failed_proof_refuses() -> None:
    own = Parity(build="openvino bf16, 1 thread", reference="openvino accuracy", pictures=40, within=True)
    absent = own.model_copy(
        update={"build": "onnxruntime fp32, 1 thread", "tried": False, "within": False, "note": "no"}
    )
    assert _builds([TORCH, own, absent], own).held
    assert not _builds([TORCH, own, absent], absent).held
    assert not _builds([own], own).held
    assert _builds([own], own, waiver("torch fp32 parity")).held
    wrong = TORCH.model_copy(update={"within": False})
    assert not _builds([wrong, own], own, waiver("torch fp32 parity")).held
    apart = own.model_copy(update={"within": False, "score_change": 0.06})
    refused = _builds([TORCH, apart], apart)
    assert not refused.held
    assert "at most 0.05 of change may be" in refused.finding
    assert 'precision = "accuracy"' in refused.finding


def test_a_build_of_others_that_judges_otherwise_is_barred_and_refuses_nothing() -> None:
    own = Parity(build="openvino accuracy, 1 thread", reference="openvino accuracy", pictures=40, within=True)
    flips = own.model_copy(update={"build": "openvino CPU bf16, 1 thread", "within": False, "flips": ("s7",)})
    absent = flips.model_copy(update={"build": "onnxruntime fp32", "flips": (), "tried": False, "note": "no"})
    found = _builds([TORCH, own, flips, absent], own)
    assert found.held
    assert found.finding.count("may not judge parts") == 1  # what nobody tried is not found to judge otherwise
    assert "1 verdict flips of 40 pictures, largest change of score 0 (may not judge parts)" in found.finding


def _builds(parity: list[Parity], own: Parity, *waivers: Waiver) -> Condition:
    return builds(parity, own.build, (), Waivers(waivers), 0.05).condition


@pytest.mark.parametrize(
    ("new", "held", "named"),
    [
        ((8, 1), True, ""),
        ((8, 2), False, "all"),  # overall it's the bound that counts
        ((0, 5), True, ""),  # four more in a lot come about by chance
        ((0, 6), False, "lot B"),
        ((9, 0), True, ""),
    ],
)
def test_overkill_is_compared_overall_and_where_chance_explains_it_no_more(
    new: tuple[int, int], held: bool, named: str
) -> None:
    live = [*parts(0, 20, killed=8, lot="A"), *parts(0, 20, killed=1, lot="B")]
    mine = [*parts(0, 20, killed=new[0], lot="A"), *parts(0, 20, killed=new[1], lot="B")]
    found = no_worse(units_of(mine), units_of(live), LOOSE)
    assert found.condition.held is held
    assert named in found.condition.finding
    assert ("against 1 of 20" in found.condition.finding) is (named == "lot B")
    given = LOOSE.model_copy(update={"overkill_slack": 0.05})  # overall only
    assert no_worse(units_of(mine), units_of(live), given).condition.held is (named in ("", "all"))
    assert found.condition.total == 40
