"""The live status: all that a screen shows of the line besides the parts themselves."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from linegate.inspect.alarms import Alarm

if TYPE_CHECKING:
    from linegate.inspect.station import Station


def overview(station: Station) -> dict[str, Any]:
    """The status as LiveWriter.set_status takes it; called a few times a second on the news thread."""
    supervisor, settings, tracker = station.supervisor, station.settings, station.tracker
    view, active, totals = supervisor.view, tracker.active, station.line.totals.now()
    tally, counts, log, link = supervisor.tally(), tracker.counts, station.log.status(), station.link.status()
    manifest = active.bundle.manifest
    found = supervisor.contradictions
    return {
        "station": settings.name,
        "state": view.state.name,
        "running": supervisor.running,
        "ready": view.ready,
        "reasons": list(view.reasons),
        "recipe": {"id": active.recipe.id, "name": active.recipe.name},
        "recipe_asked": station.line.block.recipe_asked,
        "recipes": [{"id": recipe.id, "name": recipe.name} for recipe in settings.recipes],
        "lot": supervisor.lots.as_dict(),
        "counts": {
            "triggers": tally.triggers + tally.unwatched,
            "frames": tally.frames,
            "frames_lost": tally.frames_lost,
            "rows": tally.rows,
            "plc_triggered": totals.triggered,
            "plc_passed": totals.passed,
            "plc_rejected": totals.rejected,
            "in_transit": totals.in_transit,
            "deadline_misses": counts.deadline_misses,
        },
        "reconciled": not found,
        "reconcile_text": "; ".join(found),
        "alarms": [_alarm(alarm) for alarm in view.alarms],
        "cameras": [{"name": name, "up": up, "detail": detail} for name, up, detail in supervisor.cameras()],
        "plc": {"up": link.up, "detail": link.detail, "exchange_ms_p99": round(link.exchange_p99_ms, 2)},
        "log": {
            "ok": log.ok,
            "detail": log.last_error,
            "commit_ms_p99": round(log.commit_ms_p99, 2),
            "backlog": log.backlog,
            "free_mb": round(log.free_mb),
        },
        "bundle": {"sha256": active.bundle.sha256, "name": manifest.name, "version": manifest.version},
        "device": active.session.device,
        "rate_parts_per_s": round(station.line.recent_rate_parts_per_s(), 2),
        "deadline_ms": settings.timing.deadline_ms,
        "challenge": supervisor.challenge.as_dict(),
        "classes": list(manifest.classes),
        "shadow": shadow.report().as_dict() if (shadow := station.line.shadow) is not None else None,
    }


def _alarm(alarm: Alarm) -> dict[str, Any]:
    return {
        "id": f"{alarm.key.replace(' ', '-')}-{alarm.id}",
        "severity": "alarm" if alarm.stop else "warning",
        "code": alarm.code.name,
        "text": alarm.text,
        "remedy": alarm.remedy,
        "since_utc_ns": _utc_ns(alarm.raised_ns),
        "acknowledged_by": alarm.acknowledged_by,
        "acknowledged_utc_ns": None if alarm.acknowledged_ns is None else _utc_ns(alarm.acknowledged_ns),
        "active": alarm.cleared_ns is None,
    }


def _utc_ns(monotonic_ns: int) -> int:
    return time.time_ns() - (time.monotonic_ns() - monotonic_ns)
