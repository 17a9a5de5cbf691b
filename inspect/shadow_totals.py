"""What a shadow has come to so far, kept in a small file of its own, so that a restart of the station doesn't begin anew and
the release gate can read it. Not in the database: the line's rows must not wait for it."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from linegate.models.certificate import bare_sha256
from linegate.models.manifest import Manifest

FOLDER = "shadow"
LIMITS_MS = (5, 10, 20, 30, 50, 75, 100, 150, 200, 300, 500, 1000, 2000, 5000, 60000)
"""Upper ends of the latency's classes: percentiles of a shift need no list of every part."""


@dataclass(slots=True)
class ShadowTotals:
    """Parts judged and skipped, what differed, and how long it took. ``worse``: the shadow rejected what the live bundle
    passed; ``milder``: the other way. ``took``: parts by LIMITS_MS."""

    judged: int = 0
    skipped: int = 0
    worse: int = 0
    milder: int = 0
    failed: int = 0
    took: list[int] = field(default_factory=lambda: [0] * len(LIMITS_MS))

    def add_time(self, ms: float) -> None:
        """Count one part's time."""
        self.took[next((n for n, limit in enumerate(LIMITS_MS) if ms <= limit), len(LIMITS_MS) - 1)] += 1

    def within_ms(self, share: float) -> int:
        """So many milliseconds, rounded up to a class, held for this share of the parts; 0 where there are none."""
        wanted, seen = share * sum(self.took), 0
        for limit, count in zip(LIMITS_MS, self.took, strict=True):
            seen += count
            if seen and seen >= wanted:
                return limit
        return 0

    def figures(self) -> dict[str, float]:
        """For the certificate."""
        counts = {name: getattr(self, name) for name in ("judged", "skipped", "worse", "milder", "failed")}
        return {**counts, "p99_9_ms_at_most": self.within_ms(0.999)}

    def save(self, path: Path) -> None:
        """Replace the file as a whole. Raises OSError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(json.dumps(asdict(self)), encoding="utf-8")
        temporary.replace(path)

    @staticmethod
    def load(path: Path) -> ShadowTotals:
        """What the file says; nothing yet where there is none, or it is damaged."""
        found = ShadowTotals()
        with contextlib.suppress(OSError, ValueError, AttributeError):
            data = json.loads(path.read_bytes())
            if _whole(data.get("took"), len(LIMITS_MS)):
                found.took = list(data["took"])
            for each in fields(found):
                if each.name != "took" and isinstance(data.get(each.name), int):
                    setattr(found, each.name, data[each.name])
        return found


def _whole(values: object, length: int) -> bool:
    return isinstance(values, list) and len(values) == length and all(isinstance(one, int) for one in values)


def totals_path(data: Path, manifest: Manifest) -> Path:
    """Where the totals of this bundle lie. A certificate doesn't make it another one: it judges alike."""
    return data / FOLDER / f"{bare_sha256(manifest)[:16]}.json"
