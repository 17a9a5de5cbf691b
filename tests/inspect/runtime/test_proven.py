"""What judges parts is a build that the gate has tried; the row keeps which it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from linegate.inspect.recipes import RecipeBook
from linegate.inspect.runtime.engines import open_session
from linegate.inspect.runtime.proven import open_proven
from linegate.inspect.runtime.session import RuntimeFailed
from linegate.inspect.settings import RecipeSettings, RuntimeSettings
from linegate.models.bundle import Bundle
from linegate.models.certificate import certify

from ...models.tiny import bundle, findings

ASKED = RuntimeSettings(precision="bf16", warmup=1)


def released(tmp_path: Path, **parity: Any) -> Bundle:
    draft = bundle(tmp_path / "draft")
    found = findings(draft, parity=[{"reference": "openvino accuracy", "pictures": 310, "within": True, **parity}])
    return certify(draft, found, "Ada", "it was content", tmp_path / "released")


def here(tmp_path: Path) -> str:
    """What this processor makes of ASKED."""
    session = open_session(bundle(tmp_path / "any"), ASKED)
    session.close()
    return session.device


def test_a_build_that_was_tried_runs_with_any_number_of_threads(tmp_path: Path) -> None:
    device = here(tmp_path)
    one = released(tmp_path, build=device.replace("1 thread", "2 threads"))
    session, settings, words = open_proven(one, ASKED)
    session.close()
    assert (session.device, settings, words) == (device, ASKED, "")


@pytest.mark.parametrize(
    ("parity", "why"),
    [
        ({"within": False, "score_change": 0.06}, "found that it may not judge parts as {}: 0 verdict flips of 310"),
        ({"tried": False, "within": False}, "has not tried {}"),
        ({"build": "openvino CPU fp8"}, "has not tried {}"),
    ],
)
def test_one_that_was_not_found_to_judge_alike_computes_as_the_reference(
    tmp_path: Path, parity: dict[str, Any], why: str
) -> None:
    device = here(tmp_path)
    one = released(tmp_path, **{"build": device, **parity})
    session, settings, words = open_proven(one, ASKED)
    session.close()
    assert session.device == "openvino CPU accuracy, 1 thread"
    assert settings == ASKED.model_copy(update={"precision": "accuracy"})
    assert words.startswith(f"the release gate {why.format(device)}")
    recipe = RecipeSettings(id=1, name="A")
    active = RecipeBook((recipe,), ASKED, lambda _name: one).load(1)
    active.close()
    kept = json.loads(active.thresholds_json)  # by which the verdict is repeated
    assert (kept["device"], kept["runtime"]["precision"]) == (session.device, "accuracy")


def test_without_a_certificate_and_on_other_engines_it_runs_as_asked(tmp_path: Path) -> None:
    session, settings, words = open_proven(bundle(tmp_path / "b"), ASKED)
    session.close()
    assert (settings, words) == (ASKED, "")
    other = RuntimeSettings(engine="onnxruntime", precision="fp32", warmup=1)
    session, settings, words = open_proven(released(tmp_path, build="openvino CPU fp32"), other)
    session.close()
    assert (settings, words) == (other, f"the release gate has not tried {session.device}")


def test_another_engine_that_was_found_to_judge_otherwise_does_not_run(tmp_path: Path) -> None:
    other = RuntimeSettings(engine="onnxruntime", precision="fp32", warmup=1)
    session = open_session(bundle(tmp_path / "any"), other)
    session.close()
    one = released(tmp_path, build=session.device, flips=["s7"], within=False)
    with pytest.raises(RuntimeFailed, match="1 verdict flips of 310") as refused:
        open_proven(one, other)
    assert 'engine = "openvino"' in refused.value.remedy
