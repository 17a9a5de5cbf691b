"""The report of an evaluation: one HTML file with everything in it, for a quality engineer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from linegate.inspect.bounds import Rate
from linegate.models.bundle import Bundle
from linegate.models.manifest import Parity
from linegate.training.evaluate import Evaluation, Slice
from linegate.training.judge import Judged
from linegate.training.output import write_output
from linegate.training.plots import Line, histogram, plot
from linegate.training.sheets import as_data_url, sheet_png

if TYPE_CHECKING:  # its module needs torch, which a machine that only releases need not have
    from linegate.training.fit import Progress

_SHOWN = 12
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:76em;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:.6em 0}td,th{border:1px solid #ccc;padding:.25em .7em;text-align:left}
th{background:#f3f3f3}svg,img{max-width:100%}.row{display:flex;flex-wrap:wrap;gap:1em}small{color:#666}
"""


def write_report(
    path: Path,
    bundle: Bundle,
    judged: Sequence[Judged],
    evaluation: Evaluation,
    parity: Sequence[Parity] = (),
    history: Sequence[Progress] = (),
    tested: Evaluation | None = None,
) -> Path:
    """Write the page for ``judged`` parts of ``bundle``, with ``tested`` for the test side's; pictures are inside it. Returns
    ``path``. Raises OutputError."""
    thresholds = bundle.manifest.thresholds
    upright = ((thresholds.part_review, "review"), (thresholds.part_reject, "reject"))
    good = [j.score for j in judged if not j.bad]
    bad = [j.score for j in judged if j.bad]
    blocks = [
        f"<h1>{escape(bundle.label)}</h1>",
        f"<p>{escape(bundle.manifest.provenance.data)}</p>",
        f"<p><b>{escape(thresholds.guarantee)}</b></p>",
        _figures(evaluation),
        f"<h2>Test side, kept from every choice</h2>{_figures(tested)}" if tested is not None else "",
        '<div class="row">',
        histogram("Scores", "score", (("good", good), ("defect", bad)), upright),
        _curve(evaluation),
        _learning(history) if history else "",
        "</div>",
        "<h2>Per class</h2>",
        _slices(evaluation.classes, evaluation.iou),
        "<h2>Per group</h2>",
        _slices(
            [s for s in evaluation.groups if s.escape.count or s.overkill.count],
            {},
            "No group has an escape or an overkill.",
        ),
        _sheets(bundle, judged),
        _parities(parity),
        _origin(bundle),
    ]
    return write_output(path, page(bundle.label, blocks))


def page(title: str, blocks: Sequence[str]) -> str:
    """A whole HTML page of ``blocks``."""
    head = f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title><style>{_STYLE}</style>"
    return head + "\n".join(blocks) + "</html>\n"


def _figures(evaluation: Evaluation) -> str:
    rows = [
        ("Parts judged", f"{evaluation.parts}, by {evaluation.pictures} pictures"),
        ("Of them looked for, not drawn at random", str(evaluation.searched)),
        ("Escapes (bad parts that would pass)", str(evaluation.escape)),
        ("Overkill (good parts rejected or held for review)", str(evaluation.overkill)),
        ("Sent to review", str(evaluation.reviewed)),
        ("Average precision of the part score", evaluation.ap_words),
        ("Escape rate possible at 2 % overkill", _percent(evaluation.escape_at_2)),
        ("Overkill needed for no escape", _percent(evaluation.overkill_at_0)),
        ("Labelled regions marked", _percent(evaluation.region_recall)),
    ]
    return table(("", ""), rows)


def _curve(evaluation: Evaluation) -> str:
    points = sorted((100 * p.overkill.value, 100 * p.escape.value) for p in evaluation.curve)
    kept = [p for p in points if p[0] <= 20] or points
    line = Line("this bundle", [p[0] for p in kept], [p[1] for p in kept])
    return plot("Operating curve", "overkill, %", "escapes, %", [line])


def _learning(history: Sequence[Progress]) -> str:
    minutes = [p.elapsed_s / 60 for p in history]
    lines = [
        Line("mask", minutes, [p.mask_loss for p in history]),
        Line("part", minutes, [p.part_loss for p in history]),
    ]
    return plot("Loss while fitting", "minutes", "loss", lines)


def _slices(slices: Sequence[Slice], iou: dict[str, float], empty: str = "None.") -> str:
    if not slices:
        return f"<p>{empty}</p>"
    head = ("", "escapes", "overkill", "average precision", *(("pixel IoU",) if iou else ()))
    rows = [
        (
            s.name,
            _rate(s.escape),
            _rate(s.overkill),
            _number(s.ap),
            *((_number(iou.get(s.name, math.nan)),) if iou else ()),
        )
        for s in slices
    ]
    return table(head, rows)


def _sheets(bundle: Bundle, judged: Sequence[Judged]) -> str:
    misses = sorted((j for j in judged if j.bad), key=lambda j: (not j.passed, j.score))[:_SHOWN]
    alarms = sorted((j for j in judged if not j.bad), key=lambda j: (j.passed, -j.score))[:_SHOWN]
    out = []
    for title, shown in (("Bad parts nearest to an escape", misses), ("Good parts nearest to overkill", alarms)):
        if shown:
            picture = as_data_url(sheet_png(bundle, shown))
            wrong = sum(j.bad == j.passed for j in shown)
            note = f"{wrong} of these {len(shown)} are judged wrong. Green: labelled. Red: marked by the network."
            out.append(f'<h2>{title}</h2><p><small>{note}</small></p><img alt="{title}" src="{picture}">')
    return "\n".join(out)


def _parities(parity: Sequence[Parity]) -> str:
    if not parity:
        return ""
    rows = [
        (
            p.build,
            p.reference,
            str(p.pictures),
            f"{p.score_change:.2g}",
            ", ".join(p.flips) or "none",
            "yes" if p.within else "NO",
        )
        for p in parity
    ]
    head = ("build", "reference", "pictures", "largest change of score", "verdict flips", "within limits")
    return "<h2>Parity</h2>" + table(head, rows)


def _origin(bundle: Bundle) -> str:
    origin = bundle.manifest.provenance
    rows = [
        ("Command", origin.command),
        ("Commit", origin.commit),
        ("Code sha256", origin.code_sha256 or "not kept"),
        ("Seed", str(origin.seed)),
        ("Begun with", f"bundle {origin.begun_sha256}" if origin.begun_sha256 else "nothing"),
        ("Data sha256", origin.data_sha256),
        ("Trained", f"{origin.trained_utc}, {origin.minutes:g} min"),
        ("Bundle sha256", bundle.sha256),
    ]
    return "<h2>Origin</h2>" + table(("", ""), rows)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """An HTML table; ``head`` of empty words is left out."""
    top = "".join(f"<th>{escape(word)}</th>" for word in head) if any(head) else ""
    body = "".join("<tr>" + "".join(f"<td>{escape(word)}</td>" for word in row) + "</tr>" for row in rows)
    return f"<table>{f'<tr>{top}</tr>' if top else ''}{body}</table>"


def _rate(found: Rate) -> str:
    return str(found)


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.2f} %"
