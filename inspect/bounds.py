"""Exact bounds for rates: a number without its bound is not shown anywhere."""

from __future__ import annotations

from dataclasses import dataclass

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Rate:
    """``count`` of ``total``, with the exact (Clopper-Pearson) bounds at ``confidence``, all as shares 0..1.

    ``upper`` is the one-sided upper bound, ``low`` and ``high`` the two-sided interval; source: Clopper & Pearson,
    Biometrika 26 (1934), by way of the beta distribution's quantiles.
    """

    count: int
    total: int
    share: float
    upper: float
    low: float
    high: float
    confidence: float = CONFIDENCE

    @property
    def value(self) -> float:
        """The observed share, with 0 of 0 as 0: for curves and sums."""
        return self.count / self.total if self.total else 0.0

    def words(self) -> str:
        """ "3 of 400 = 0.75% (≤ 1.93% at 95 %)"; says so where nothing was seen."""
        if self.total == 0:
            return "none seen: nothing to measure on"
        return f"{self.count} of {self.total} = {self.share:.2%} (≤ {self.upper:.2%} at {100 * self.confidence:g} %)"

    def __str__(self) -> str:
        return self.words()


def rate(count: int, total: int, confidence: float = CONFIDENCE) -> Rate:
    """The rate with its bounds. Raises ValueError unless 0 ≤ count ≤ total."""
    if not 0 <= count <= total:
        raise ValueError(f"a rate needs 0 <= count <= total, got {count} of {total}")
    if total == 0:
        return Rate(0, 0, float("nan"), 1.0, 0.0, 1.0, confidence)
    from scipy.special import betaincinv  # only reports need it; scipy.stats takes far longer to import

    tail = (1 - confidence) / 2
    upper = 1.0 if count == total else float(betaincinv(count + 1, total - count, confidence))
    low = 0.0 if count == 0 else float(betaincinv(count, total - count + 1, tail))
    high = 1.0 if count == total else float(betaincinv(count + 1, total - count, 1 - tail))
    return Rate(count, total, count / total, upper, low, high, confidence)
