"""The release gate's report: each condition, its finding, pictures of the parts that speak against it, builds and data."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from html import escape
from pathlib import Path

from linegate.training.output import write_output
from linegate.training.release import Verdict
from linegate.training.report import page, table
from linegate.training.sheets import as_data_url, sheet_png

_SHOWN = 24


def write_release_report(path: Path, verdict: Verdict) -> Verdict:
    """Write the page for ``verdict``. Returns the verdict whose findings name the page's hash. Raises OutputError."""
    document = _page(verdict).encode()
    write_output(path, document)
    findings = verdict.findings.model_copy(update={"report_sha256": hashlib.sha256(document).hexdigest()})
    return replace(verdict, findings=findings)


def _page(verdict: Verdict) -> str:
    findings = verdict.findings
    title = f"{verdict.candidate.label} {'may be released' if verdict.held else 'is refused'}"
    against = (
        f"Against {verdict.live.label}, which is live."
        if verdict.live is not None
        else "A first release: there is nothing that it could be compared with."
    )
    rows = [(str(c.number), c.name, "holds" if c.held else "FAILS", c.finding) for c in findings.conditions]
    blocks = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{escape(against)} Frozen set: {findings.frozen_parts} parts, {findings.frozen_pictures} pictures.</p>",
        table(("", "condition", "", "finding"), rows),
        *(_pictures(verdict, name) for name in verdict.shown),
        "<h2>Builds</h2>",
        table(("", ""), [("within" if p.within else "not within" if p.tried else "not tried", p.words())
                         for p in findings.parity]),
        "<h2>Origin</h2>",
        table(("", ""), _origin(verdict)),
    ]  # fmt: skip
    return page(title, blocks)


def _origin(verdict: Verdict) -> list[tuple[str, str]]:
    findings = verdict.findings
    facts = {
        "Candidate sha256": findings.candidate,
        "Live sha256": findings.live or "none",
        "Training data sha256": findings.training_sha256,
        "Frozen set sha256": findings.frozen_sha256,
        "Must-catch cases sha256": findings.must_catch_sha256 or "none",
        "Commit of the gate": findings.commit,
        "Commit and seed of the training": f"{findings.training_commit}, {findings.seed}",
        "Settings": ", ".join(f"{name} {value}" for name, value in findings.settings.items()),
    }
    if findings.shadow is not None:
        facts["Shadow"] = ", ".join(f"{name} {value:g}" for name, value in findings.shadow.items())
    return list(facts.items())


def _pictures(verdict: Verdict, name: str) -> str:
    found = verdict.shown[name]
    shown = found[:_SHOWN]
    picture = as_data_url(sheet_png(verdict.candidate, shown))
    count = f"{len(shown)} of {len(found)}" if len(shown) < len(found) else str(len(shown))
    return f'<h2>{escape(name)}: {count} pictures</h2><img alt="{escape(name)}" src="{picture}">'
