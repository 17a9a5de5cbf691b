from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest

from linegate.cameras.errors import SettingsError, WrongImage
from linegate.inspect.judge import STAGES, Judge
from linegate.inspect.part import Decision
from linegate.inspect.runtime.engines import open_session
from linegate.inspect.settings import RecipeSettings, RuleSettings, RuntimeSettings
from linegate.models.bundle import Bundle

from ..models.tiny import bundle as make

RUNTIME = RuntimeSettings(precision="accuracy", warmup=1)


@pytest.fixture
def opened() -> Iterator[list[Judge]]:
    judges: list[Judge] = []
    yield judges
    for judge in judges:
        judge.close()


def judge_of(opened: list[Judge], bundle: Bundle, recipe: RecipeSettings | None = None) -> Judge:
    judge = Judge(bundle, open_session(bundle, RUNTIME), recipe)
    opened.append(judge)
    return judge


def part(height: int = 64, width: int = 64, spots: tuple[tuple[int, int], ...] = ()) -> np.ndarray:
    image = np.full((height, width), 128, np.uint8)
    for x, y in spots:
        cv2.rectangle(image, (x, y), (x + 7, y + 5), 255, cv2.FILLED)
    image.flags.writeable = False
    return image


def test_good_and_bad(tmp_path: Path, opened: list[Judge]) -> None:
    judge = judge_of(opened, make(tmp_path / "b", embedding=4))
    good = judge.judge(part())
    assert good.judgement.decision is Decision.OK
    assert good.part_score == pytest.approx(0, abs=0.01)
    bad = judge.judge(part(spots=((20, 30),)))
    assert bad.judgement.decision is Decision.NG
    (region,) = bad.judgement.regions
    assert region.defect_class == "bright"
    assert region.area_mm2 == pytest.approx(8 * 6 * 0.25)
    assert (region.x_mm, region.y_mm) == (pytest.approx(24 * 0.5), pytest.approx(33 * 0.5))
    assert "Bright 4.0 mm long" in bad.judgement.reason
    assert tuple(bad.timings_ns) == STAGES
    assert bad.embedding is not None
    assert bad.embedding.shape == (4,)


def test_a_result_outlives_the_next_image(tmp_path: Path, opened: list[Judge]) -> None:
    judge = judge_of(opened, make(tmp_path / "b", embedding=4))
    bad = judge.judge(part(spots=((20, 30),)))
    assert bad.embedding is not None
    kept = bad.embedding.copy()
    judge.judge(part())
    np.testing.assert_array_equal(bad.embedding, kept)
    mask = bad.class_mask()
    assert mask.shape == (64, 64)
    assert (mask == 2).sum() == 48
    assert bad.heat()[33, 24] == 255


@pytest.mark.parametrize("fit", ["resize", "pad", "tile"])
def test_any_size_and_kind_without_a_recipe(tmp_path: Path, opened: list[Judge], fit: str) -> None:
    spec = {"width_px": 64, "height_px": 64, "channels": 1, "stride_px": 2, "pixel_mm": 0.5, "fit": fit}
    judge = judge_of(opened, make(tmp_path / "b", input=spec))
    for (height, width), colour in product([(64, 64), (150, 230), (40, 50), (300, 64)], [False, True]):
        image = np.full((height, width), 128, np.uint8)
        cv2.rectangle(image, (10, 20), (10 + width // 6, 20 + height // 8), 255, cv2.FILLED)
        truth = image == 255
        result = judge.judge(np.dstack([image] * 3) if colour else image)
        assert result.judgement.decision is Decision.NG
        mask = result.class_mask()
        assert mask.shape == (height, width)
        overlap = ((mask == 2) & truth).sum() / ((mask == 2) | truth).sum()
        assert overlap > 0.6
        (region,) = result.judgement.regions
        assert region.area_mm2 == pytest.approx(truth.sum() * 0.25, rel=0.45)
        assert region.x_mm == pytest.approx((10.5 + width // 6 / 2) * 0.5, abs=0.02 * width)


def test_sixteen_bit_is_the_same_part(tmp_path: Path, opened: list[Judge]) -> None:
    judge = judge_of(opened, make(tmp_path / "b"))
    eight = part(spots=((5, 5),))
    wide = eight.astype(np.uint16) * 257
    assert judge.judge(wide).judgement == judge.judge(eight).judgement


def test_recipe_decides_channels_size_and_millimetres(tmp_path: Path, opened: list[Judge]) -> None:
    tiny = make(tmp_path / "b")
    recipe = RecipeSettings(id=3, name="panel", size_px=(64, 64), pixel_mm=2.0)
    judge = judge_of(opened, tiny, recipe)
    (region,) = judge.judge(part(spots=((20, 30),))).judgement.regions
    assert region.length_mm == pytest.approx(16)
    with pytest.raises(WrongImage, match=r"recipe 3 \(panel\): expected 1 channel, found 3"):
        judge.judge(np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(WrongImage, match="expected 64 x 64 px, found 65 x 64 px"):
        judge.judge(part(64, 65))
    with pytest.raises(WrongImage, match="float64"):
        judge.judge(np.zeros((64, 64)))  # type: ignore[arg-type]
    colour = Judge(tiny, judge.session, RecipeSettings(id=1, name="x", channels=3))
    assert colour.judge(np.full((64, 64, 3), 128, np.uint8)).judgement.decision is Decision.OK
    assert judge.judge(part()).judgement.decision is Decision.OK  # an error leaves it usable


def test_a_rule_for_an_unknown_class_is_refused(tmp_path: Path, opened: list[Judge]) -> None:
    tiny = make(tmp_path / "b")
    judge = judge_of(opened, tiny)
    recipe = RecipeSettings(id=1, name="x", rules=(RuleSettings(defect_class="brigth"),))
    with pytest.raises(SettingsError, match="Did you mean 'bright'"):
        Judge(tiny, judge.session, recipe)


def test_same_image_same_verdict(tmp_path: Path, opened: list[Judge]) -> None:
    judge = judge_of(opened, make(tmp_path / "b"))
    image = part(spots=((3, 3), (40, 50)))
    first = judge.judge(image)
    judge.judge(part())
    again = judge.judge(image)
    assert first.judgement == again.judgement
    np.testing.assert_array_equal(first.score_map, again.score_map)
