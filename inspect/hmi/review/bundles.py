"""What the release page shows: the station's bundles with their certificates, what the shadow has come to, who did what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select

from linegate.cameras.errors import LinegateError
from linegate.inspect.partlog.queries import Reading
from linegate.inspect.partlog.schema import bundle as bundle_table
from linegate.inspect.partlog.schema import event
from linegate.inspect.shadow_totals import ShadowTotals, totals_path
from linegate.models.bundle import Bundle
from linegate.models.store import BundleStore, packaged_releases
from linegate.models.verified import VerifiedBundles

EVENTS = 50


def overview(store: BundleStore, bundles: VerifiedBundles, reader: Engine, data: Path) -> dict[str, Any]:
    """Live, shadow and candidate bundles, what was released before, and the shadow's findings. Raises LogError."""
    pointers = store.pointers()
    with Reading(reader) as connection:
        newest = select(bundle_table).order_by(bundle_table.c.first_used_utc_ns.desc())
        used = connection.execute(newest).mappings().first()
        wanted = select(event).where(event.c.kind.like("shadow%")).order_by(event.c.id.desc()).limit(EVENTS)
        shadow = [_event(row) for row in connection.execute(wanted).mappings()]
    return {
        "live": _described(store, bundles, data, pointers.live),
        "on_line": None if used is None else {name: used[name] for name in ("sha256", "name", "version")},
        "shadow": _described(store, bundles, data, pointers.shadow) if pointers.shadow else None,
        "candidates": [
            _described(store, bundles, data, name) for name in pointers.candidates if name != pointers.shadow
        ],
        "can_roll_back": bool(pointers.past),
        "history": [change.model_dump() for change in pointers.history[-20:][::-1]],
        "shadow_events": shadow,
    }


def _event(row: Any) -> dict[str, Any]:
    key = f"{row['epoch']:04x}-{row['sequence']}" if row["epoch"] is not None else ""
    return {"at_utc_ns": row["at_utc_ns"], "kind": row["kind"], "text": row["text"], "key": key,
            "data": json.loads(row["data"] or "{}")}  # fmt: skip


def _described(store: BundleStore, bundles: VerifiedBundles, data: Path, name: str) -> dict[str, Any] | None:
    try:
        found = _load(store, bundles, name)
    except LinegateError as error:
        return {"name": name, "broken": str(error)}
    if found is None:
        return None
    manifest = found.manifest
    totals = ShadowTotals.load(totals_path(data, manifest))
    return {
        "name": name or found.folder.name,
        "label": found.label,
        "sha256": found.sha256,
        "classes": list(manifest.classes),
        "guarantee": manifest.thresholds.guarantee,
        "provenance": manifest.provenance.model_dump(mode="json"),
        "certificate": manifest.certificate,
        "report": bool(name) and store.report_of(name).is_file(),
        "figures": totals.figures() if totals.judged else None,
    }


def _load(store: BundleStore, bundles: VerifiedBundles, name: str) -> Bundle | None:
    if name:
        return bundles.load(store.folder_of(name))
    releases = packaged_releases(bundles.load)
    return bundles.load(releases[-1]) if releases else None
