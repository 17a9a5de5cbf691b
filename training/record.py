"""What a run leaves for programs: every validation part with its score, so that any figure can be made of it later."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from linegate.models.manifest import Manifest
from linegate.training.evaluate import Evaluation
from linegate.training.fit import Fitted
from linegate.training.judge import Judged
from linegate.training.network import NetSpec

RECORD = "record.json"
WEIGHTS = "weights.pt"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PartScore(_Frozen):
    """One validation part. ``decision`` is the line's verdict at the bundle's thresholds."""

    name: str
    group: str
    bad: bool
    classes: tuple[str, ...]
    score: float
    decision: str


class RunRecord(_Frozen):
    """One run. ``iou`` is by class; None where there was nothing to measure on."""

    net: NetSpec
    steps: int
    minutes: float
    device: str
    commit: str
    iou: dict[str, float | None]
    region_recall: float | None
    parts: tuple[PartScore, ...]

    @staticmethod
    def of(fitted: Fitted, manifest: Manifest, evaluation: Evaluation, judged: Sequence[Judged]) -> RunRecord:
        """The record of a network that was fitted, and judged as ``manifest`` says."""
        parts = [
            PartScore(
                name=j.sample.name,
                group=j.sample.group,
                bad=j.bad,
                classes=j.sample.classes,
                score=j.score,
                decision=j.decision.value,
            )
            for j in judged
        ]
        return RunRecord(
            net=fitted.net.spec,
            steps=fitted.steps,
            minutes=fitted.elapsed_s / 60,
            device=fitted.device,
            commit=manifest.provenance.commit,
            iou={name: _known(value) for name, value in evaluation.iou.items()},
            region_recall=_known(evaluation.region_recall),
            parts=tuple(parts),
        )


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
