"""The model card: what a bundle is for, what it was trained on, how well it does, in Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence

from linegate.models.bundle import Bundle
from linegate.models.manifest import Parity
from linegate.training.evaluate import Evaluation


def model_card(
    bundle: Bundle,
    evaluation: Evaluation,
    parity: Sequence[Parity],
    tested: Evaluation | None = None,
    int8: str = "",
) -> str:
    """The card as Markdown text; ``tested``: the test side's numbers, where there is one; ``int8`` says what became of the
    8-bit export, if one was asked for."""
    manifest, origin = bundle.manifest, bundle.manifest.provenance
    spec = manifest.input
    lines = [
        f"# {bundle.label}",
        "",
        "Segments surface defects and scores parts for Linegate's verdict. A quality function, not a safety function.",
        "",
        f"- Classes: {', '.join(manifest.classes)}",
        f"- Input: {spec.width_px} × {spec.height_px}, {'grey' if spec.channels == 1 else 'RGB'}, {spec.fit}; "
        f"mask at 1/{spec.stride_px}",
        f"- Data: {origin.data} (sha256 {origin.data_sha256})",
        f"- Made by: `{origin.command}`, commit {origin.commit}, seed {origin.seed}",
        f"- Code: sha256 {origin.code_sha256 or 'not kept'}",
        f"- Begun with: {f'bundle {origin.begun_sha256}' if origin.begun_sha256 else 'nothing'}",
        f"- Trained: {origin.trained_utc}, {origin.minutes:g} min",
        f"- Licence: {origin.licence or 'not stated'}",
        "",
        "## Validation",
        "",
        *_figures(evaluation),
        "",
        "| class | escapes | AP | pixel IoU |",
        "|---|---|---|---|",
        *(
            f"| {s.name} | {s.escape} | {_number(s.ap)} | {_number(evaluation.iou[s.name])} |"
            for s in evaluation.classes
        ),
        "",
        *(["## Test side, kept from every choice", "", *_figures(tested), ""] if tested is not None else []),
        "## Thresholds",
        "",
        manifest.thresholds.guarantee,
        "",
        "## Parity",
        "",
        *(f"- {p.words()}, against {p.reference}: {'within' if p.within else 'NOT within'} its limits" for p in parity),
        *([f"- {int8}"] if int8 else []),
        "",
        "## Limits",
        "",
        "It knows the surfaces, optics and defects of its training data. After any change of camera, lens or light: validate "
        "anew and choose the thresholds anew. A defect unlike all it was shown may pass.",
        "",
    ]
    return "\n".join(lines)


def _figures(evaluation: Evaluation) -> list[str]:
    return [
        f"- Judged: {evaluation.parts} parts by {evaluation.pictures} pictures",
        f"- Escapes: {evaluation.escape}",
        f"- Overkill, review included: {evaluation.overkill}",
        f"- Average precision of the part score: {evaluation.ap_words}",
        f"- Labelled regions marked: {_number(evaluation.region_recall)}",
    ]


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"
