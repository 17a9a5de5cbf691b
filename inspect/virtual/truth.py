"""What is true of a part; the drawer says it, the ledger keeps it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PartTruth:
    """What is true of one part; ``picture`` is its BMP's file name, ``source`` the panel's or photo's name, ``difficulty``
    that of its hardest defect (0 where nobody knows)."""

    picture: str
    source: str
    lot: str
    good: bool
    classes: tuple[str, ...]
    defect_px: int
    difficulty: float
