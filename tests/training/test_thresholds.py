from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from linegate.inspect.part import Decision
from linegate.models.manifest import ScoreSpec
from linegate.training.dataset import Sample
from linegate.training.evaluate import evaluate
from linegate.training.judge import SMOOTHINGS, Judged
from linegate.training.metrics import at_threshold, escape_at_overkill, overkill_at_no_escape
from linegate.training.pipeline import rescored
from linegate.training.thresholds import RISKS, choose_score, choose_thresholds
from linegate.training.units import in_words, units_of


def part(
    bad: bool,
    score: float,
    head: float | None = None,
    passed: bool = False,
    group: str = "g",
    klass: str = "spot",
    unit: str = "",
    name: str = "",
) -> Judged:
    """A judged part with this score, and with these heads if they differ."""
    name = name or f"{bad}-{score}-{head}"
    sample = Sample(name, Path(name), None, "defect" if bad else "good", (klass,) if bad else (), group, unit=unit)
    return Judged(
        sample=sample,
        score=score,
        decision=Decision.OK if passed else Decision.NG,
        blamed="" if passed else klass,
        head=score if head is None else head,
        peaks=dict.fromkeys(SMOOTHINGS, score),
        class_peaks=np.array([score, 0.0]),
        both=np.array([30, 0]),
        either=np.array([60, 0]),
        regions=1 if bad else 0,
        found=1 if bad and not passed else 0,
        region_areas=(40,) if bad else (),
    )


def parts(bad: list[float], good: list[float]) -> list[Judged]:
    return [part(True, s) for s in bad] + [part(False, s) for s in good]


def test_the_promise_is_the_strictest_that_the_data_bear() -> None:
    rng = np.random.default_rng(0)
    good = list(rng.uniform(0.0, 0.2, 400))
    thresholds = choose_thresholds(parts(list(rng.uniform(0.6, 1.0, 700)), good), ("spot", "line"))
    assert "at most 1 % of bad parts" in thresholds.guarantee  # 700 without a miss prove 1 %, not 0.5 %
    assert 0.2 < thresholds.part_review < 0.6
    assert thresholds.part_reject >= thresholds.part_review
    fewer = choose_thresholds(parts(list(rng.uniform(0.6, 1.0, 60)), good), ("spot", "line"))
    assert "at most 10 % of bad parts" in fewer.guarantee


def test_where_bad_parts_pass_some_of_the_good_ones_get_a_second_look() -> None:
    rng = np.random.default_rng(0)
    good = [*rng.uniform(0.0, 0.2, 390), *np.linspace(0.3, 0.45, 10)]
    apart = parts(list(rng.uniform(0.6, 1.0, 700)), good)
    assert 0.45 < choose_thresholds(apart, ("spot", "line")).part_review < 0.6  # nothing to win by a lower one
    thresholds = choose_thresholds([*apart, part(True, 0.01, name="hardly seen")], ("spot", "line"))
    assert "at most 1 % of bad parts" in thresholds.guarantee
    assert sum(score >= thresholds.part_review for score in good) == 6
    already = [*good[:-8], *np.linspace(0.65, 0.8, 8)]  # 2 % of them look worse than many a bad part
    kept = choose_thresholds(parts([*rng.uniform(0.6, 1.0, 700), 0.01], already), ("spot", "line"))
    assert sum(score >= kept.part_review for score in already) == 8


def test_too_few_parts_are_said_to_be_too_few() -> None:
    thresholds = choose_thresholds(parts([0.9, 0.8, 0.95], [0.1, 0.2]), ("spot", "line"))
    assert thresholds.guarantee.startswith("No guarantee: 3 bad validation parts are too few")
    assert 0.2 < thresholds.part_review < 0.8


def test_few_parts_of_many_pictures_each_leave_the_threshold_to_the_pictures() -> None:
    rng = np.random.default_rng(5)
    bad = [part(True, s, unit=f"b{n}", name=f"b{n}-{s}") for n in range(6) for s in [*rng.uniform(0.5, 1, 20), 0.01]]
    good = [part(False, s, unit=f"g{n}", name=f"g{n}-{s}") for n in range(6) for s in rng.uniform(0, 0.4, 20)]
    thresholds = choose_thresholds([*bad, *good], ("spot", "line"))
    assert thresholds.guarantee.startswith("No guarantee: 6 bad validation parts (126 pictures) are too few")
    assert 0.4 < thresholds.part_review < 0.5  # each part is missed on one picture; the other 20 are caught


def test_a_promise_that_would_stop_the_line_is_not_made() -> None:
    rng = np.random.default_rng(3)
    mixed = parts(rng.uniform(0, 1, 200).tolist(), rng.uniform(0, 0.9, 200).tolist())
    thresholds = choose_thresholds(mixed, ("spot", "line"))
    assert thresholds.guarantee.startswith("No guarantee: even a promise of 20 % escapes")


def test_the_promise_is_kept_on_new_parts() -> None:
    """Overlapping scores: in 200 worlds, the share in which the promised risk is exceeded stays below its 5 %."""
    rng = np.random.default_rng(1)
    broken = told = 0
    for _ in range(200):
        bad = rng.beta(5, 2, 150)
        thresholds = choose_thresholds(parts(bad.tolist(), rng.beta(1, 12, 80).tolist()), ("spot", "line"))
        promised = next((r for r in RISKS if f"at most {100 * r:g} % of" in thresholds.guarantee), None)
        if promised is not None:
            told += 1
            broken += float((rng.beta(5, 2, 20_000) < thresholds.part_review).mean()) > promised
    assert told > 150
    assert broken / told <= 0.05


def test_the_promise_is_kept_where_pictures_of_one_part_are_alike() -> None:
    """150 bad parts with six nearly equal pictures each are 150 witnesses, not 900: of 60 worlds, the promise breaks in at
    most its 5 %. A part breaks it as soon as one of its pictures passes."""
    rng = np.random.default_rng(4)
    broken = told = 0
    for _ in range(60):
        bad = [
            part(True, score, unit=f"b{n}", name=f"b{n}-{i}")
            for n, centre in enumerate(rng.beta(5, 2, 150))
            for i, score in enumerate(np.clip(centre + rng.normal(0, 0.01, 6), 0, 1).tolist())
        ]
        thresholds = choose_thresholds(bad + parts([], rng.beta(1, 12, 80).tolist()), ("spot", "line"))
        promised = next((r for r in RISKS if f"at most {100 * r:g} % of" in thresholds.guarantee), None)
        if promised is not None:
            told += 1
            assert "150 parts (900 pictures)" in thresholds.guarantee
            new = rng.beta(5, 2, 2_000)[:, None] + rng.normal(0, 0.01, (2_000, 6))
            broken += float((new.min(axis=1) < thresholds.part_review).mean()) > promised
    assert told > 45
    assert broken / told <= 0.05


def test_a_part_is_missed_or_held_back_as_soon_as_one_of_its_pictures_is() -> None:
    top = part(True, 0.9, unit="p", name="p/top")
    side = part(True, 0.1, passed=True, unit="p", name="p/side")
    (bad,) = units_of([top, side])
    assert (bad.bad, bad.missed, bad.held_back, bad.score) == (True, (side,), (), 0.1)
    fine = part(False, 0.2, passed=True, unit="p", name="p/back")
    assert units_of([top, fine])[0].missed == ()
    killed = part(False, 0.7, unit="q", name="q/top")
    (good,) = units_of([killed, part(False, 0.1, passed=True, unit="q", name="q/side")])
    assert (good.bad, good.held_back, good.score) == (False, (killed,), 0.7)
    # Bad as a whole, nobody said on which picture: caught as soon as one of them is.
    whole = [replace(j, sample=replace(j.sample, whole=True)) for j in (top, side)]
    assert units_of(whole)[0].missed == ()
    assert units_of(whole)[0].score == 0.9
    assert units_of(whole[1:])[0].missed == (whole[1],)
    assert in_words(units_of([top, side, killed])) == "2 parts (3 pictures)"
    assert len(units_of([top, killed], {"p/top": "one picture", "q/top": "one picture"})) == 1


def test_the_score_follows_the_head_that_tells_more() -> None:
    rng = np.random.default_rng(2)
    judged = []
    for bad in (True, False):
        for _ in range(80):
            noise, clear = float(rng.random()), float(rng.normal(0.7 if bad else 0.3, 0.1))
            judged.append(part(bad, noise, clear))
    assert choose_score(judged).head_weight >= 0.7
    even = [part(bad, 0.9 if bad else 0.1) for bad in (True, False) for _ in range(20)]
    assert choose_score(even) == ScoreSpec()
    assert rescored([part(True, 0.2, 0.8)], ScoreSpec(head_weight=0.5))[0].score == pytest.approx(0.5)


def test_operating_points_of_known_scores() -> None:
    judged = parts([0.9, 0.8, 0.3], [0.1] * 49 + [0.5])
    assert at_threshold(judged, 0.4).escape.count == 1
    assert at_threshold(judged, 0.4).overkill.count == 1
    assert escape_at_overkill(judged, 0.02) == 0.0
    assert escape_at_overkill(judged, 0.0) == pytest.approx(1 / 3)
    assert overkill_at_no_escape(judged) == pytest.approx(0.02)


def test_evaluation_counts_verdicts_by_class_and_group(trained: tuple[Path, Path]) -> None:
    from linegate.models.bundle import load_bundle

    manifest = load_bundle(trained[1]).manifest
    judged = [
        part(True, 0.9, group="a"),
        part(True, 0.2, passed=True, group="b", klass="line"),
        part(False, 0.1, passed=True, group="a"),
        part(False, 0.6, group="b"),
    ]
    found = evaluate(judged, manifest)
    assert (found.escape.count, found.escape.total) == (1, 2)
    assert (found.overkill.count, found.overkill.total) == (1, 2)
    assert {s.name: s.escape.count for s in found.classes} == {"spot": 0, "line": 1}
    assert {s.name: (s.escape.count, s.overkill.count) for s in found.groups} == {"a": (0, 0), "b": (1, 1)}
    assert found.iou["spot"] == pytest.approx(0.5)
    assert np.isnan(found.iou["line"])
    assert found.region_recall == 0.5
    twice = [*judged, part(True, 0.1, passed=True, unit=judged[0].sample.name, name="again")]
    assert (evaluate(twice, manifest).escape.count, evaluate(twice, manifest).escape.total) == (2, 2)
    assert (evaluate(twice, manifest).parts, evaluate(twice, manifest).pictures) == (4, 5)
    asked = [replace(j, sample=replace(j.sample, inclusion=None)) for j in judged[:3]]
    assert evaluate(asked, manifest).searched == 3


def test_a_stricter_promise_may_hold_back_two_good_parts_in_a_hundred_and_no_more() -> None:
    """474 bad parts without 2 prove 2 %, without 7 they prove 5 %."""
    bad = [*np.linspace(0.01, 0.011, 2), *np.linspace(0.3, 0.31, 5), *np.linspace(0.95, 0.99, 467)]

    def with_good_above(count: int) -> tuple[str, int]:
        good = [*np.linspace(0.02, 0.021, 240 - count), *np.linspace(0.35, 0.5, count)]
        thresholds = choose_thresholds(parts(bad, good), ("spot", "line"))
        return thresholds.guarantee, sum(score >= thresholds.part_review for score in good)

    words, held = with_good_above(4)
    assert "at most 2 % of bad parts" in words
    assert held == 4
    words, held = with_good_above(7)
    assert "at most 5 % of bad parts" in words
    assert held == 3  # three in two hundred get a second look where bad parts pass
