"""One part of the log as text for people and as JSON for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from linegate.inspect.part import PartKey, WireVerdict
from linegate.inspect.partlog.export import utc_text
from linegate.inspect.partlog.files import content_path
from linegate.inspect.partlog.rows import unpack_embedding, unpack_outline


def part_as_json(row: dict[str, Any]) -> str:
    """One line; outlines become lists of [x, y], embeddings lists of floats."""
    return json.dumps(_plain(row), ensure_ascii=False)


def _plain(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _plain(each, key) for key, each in value.items() if key != "token"}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, bytes):
        return (unpack_outline(value) if name == "outline" else unpack_embedding(value)).tolist()
    return value


def print_part(console: Console, part: dict[str, Any], data: Path) -> None:
    """All that ``queries.whole_part`` found."""
    facts = Table(show_header=False, title=f"Part {PartKey(part['epoch'], part['sequence'])}", title_justify="left")
    for name, value in _facts(part):
        facts.add_row(name, value)
    console.print(facts)
    views = Table("camera", "frame", "size", "decision", "score", "reason", title="Views", title_justify="left")
    defects = Table("camera", "class", "score", "mm²", "mm", "at mm", "box px", title="Defects", title_justify="left")
    for view in part["views"]:
        frame = "none" if view["frame_counter"] is None else str(view["frame_counter"])
        size = f"{view['width_px']} × {view['height_px']}"
        views.add_row(view["camera"], frame, size, view["decision"], _number(view["score"], 3), view["reason"])
        for region in view["regions"]:
            box = " ".join(str(region[f"box_{side}_px"]) for side in ("x", "y", "width", "height"))
            at = f"{region['x_mm']:.1f}, {region['y_mm']:.1f}"
            measures = [f"{region[name]:.2f}" for name in ("score", "area_mm2", "length_mm")]
            defects.add_row(view["camera"], region["defect_class"], *measures, at, box)
    pictures = Table("camera", "why", "file", title="Pictures", title_justify="left")
    for image in part["images"]:
        gone = image["deleted_utc_ns"]
        path = str(content_path(data / "images", image["sha256"]))
        pictures.add_row(image["camera"], image["reason"], path if gone is None else f"removed {utc_text(gone)}")
    labels = Table(
        "version", "camera", "kind", "decision", "classes", "by", "when", "note", title="Labels", title_justify="left"
    )
    for label in part["labels"]:
        facts_of_label = [str(label[name]) for name in ("version", "camera", "kind", "decision", "classes", "by")]
        labels.add_row(*facts_of_label, utc_text(label["at_utc_ns"]), label["note"])
    events = Table("when", "kind", "severity", "text", title="Events", title_justify="left")
    for event in part["events"]:
        events.add_row(utc_text(event["at_utc_ns"]), event["kind"], event["severity"], event["text"])
    for table in (views, defects, pictures, labels, events):
        if table.row_count:
            console.print(table)


def _facts(part: dict[str, Any]) -> list[tuple[str, str]]:
    judged = "" if part["judged"] == part["decision"] else f" (judged {part['judged']})"
    wire = "not known" if part["wire_verdict"] is None else WireVerdict(part["wire_verdict"]).name
    written = {True: ", confirmed", False: ", not confirmed", None: ""}[part["wire_written"]]
    return [
        ("triggered", f"{utc_text(part['triggered_utc_ns'])} at encoder {part['encoder']}"),
        ("decision", f"{part['decision']}{judged}: {part['reason']}"),
        ("cause", part["cause"]),
        ("score", f"{_number(part['score'], 4)} {part['defect_class']}".strip()),
        (
            "to the PLC",
            f"{wire}{written}; {_number(part['latency_ms'], 1)} ms, slack {_number(part['slack_ms'], 1)} ms",
        ),
        ("at the gate", part["gate"] or "not known"),
        ("recipe", f"{part['recipe_id']} {part['recipe_name']}"),
        ("bundle", f"{part['bundle_sha256'] or 'none'}{_approval(part['manifest'])}"),
        ("thresholds", part["thresholds"] or ""),
        ("lot, serial", f"{part['lot']} {part['serial']}".strip()),
        ("challenge", "yes" if part["challenge"] else "no"),
        ("kept at random with", _number(part["keep_probability"], 4)),
    ]


def _approval(manifest: str | None) -> str:
    """Who let the bundle judge parts, as its manifest in the log says."""
    if manifest is None:
        return ""
    certificate = json.loads(manifest).get("certificate")
    return f", released by {certificate.get('approved_by')}" if certificate else ", never passed the release gate"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
