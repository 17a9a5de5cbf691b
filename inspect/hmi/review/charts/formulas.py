"""The formulas of the charts. Sources are named at each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

D2_OF_TWO = 1.128
"""Expected range of two standard normal values: the moving range's divisor (Montgomery, Introduction to SQC, appendix VI)."""


@dataclass(frozen=True, slots=True)
class Share:
    """k of n with its exact two-sided bounds."""

    k: int
    n: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """k / n; NaN where n is 0."""
        return self.k / self.n if self.n else float("nan")


def share(k: int, n: int, confidence: float = 0.95) -> Share:
    """Clopper-Pearson interval (Biometrika 26, 1934): exact for a binomial count, never too narrow; (0, 1) where n is 0."""
    if not 0 <= k <= n:
        raise ValueError(f"k is 0..n, got {k} of {n}")
    tail = (1 - confidence) / 2
    low = float(betaincinv(k, n - k + 1, tail)) if k else 0.0
    high = float(betaincinv(k + 1, n - k, 1 - tail)) if k < n else 1.0
    return Share(k, n, low, high)


def upper_bound(k: int, n: int, confidence: float = 0.95) -> float:
    """One-sided Clopper-Pearson bound: with ``confidence`` the true share is no higher."""
    return float(betaincinv(k + 1, n - k, confidence)) if k < n else 1.0


@dataclass(frozen=True, slots=True, eq=False)
class ControlChart:
    """Laney's p' chart. All (m,) float64; ``out`` (m,) bool marks points beyond the limits.

    Attributes:
        centre: p-bar, all rejects over all parts.
        sigma_z: 1 for pure binomial scatter; above it the process varies from group to group more than chance does.
    """

    p: NDArray[np.float64]
    centre: float
    sigma_z: float
    upper: NDArray[np.float64]
    lower: NDArray[np.float64]
    out: NDArray[np.bool_]


def laney_p_prime(rejects: Sequence[int], sizes: Sequence[int]) -> ControlChart:
    """Limits p-bar ± 3 · sigma_z · sqrt(p-bar · q-bar / n_i), sigma_z = mean moving range of z / 1.128.

    Source: Laney, "Improved control charts for attributes", Quality Engineering 14(4), 2002. With fewer than two groups, or
    no scatter at all (p-bar 0 or 1), sigma_z is 1: the plain p chart.

    Raises ValueError for groups without parts or counts that do not fit.
    """
    k, n = np.asarray(rejects, np.float64), np.asarray(sizes, np.float64)
    if k.shape != n.shape or np.any(n < 1) or np.any(k < 0) or np.any(k > n):
        raise ValueError("each group needs parts, and no more rejects than parts")
    centre = float(k.sum() / n.sum()) if n.size else 0.0
    spread = np.sqrt(centre * (1 - centre) / n) if n.size else n
    p = k / n
    sigma_z = 1.0
    if n.size > 1 and 0 < centre < 1:
        z = (p - centre) / spread
        sigma_z = float(np.mean(np.abs(np.diff(z))) / D2_OF_TWO)
    upper = np.minimum(1.0, centre + 3 * sigma_z * spread)
    lower = np.maximum(0.0, centre - 3 * sigma_z * spread)
    out = (p > upper + 1e-12) | (p < lower - 1e-12)
    return ControlChart(p, centre, sigma_z, upper, lower, out)


def density(
    x: NDArray[np.float64], y: NDArray[np.float64], width: float, height: float, cells: int = 64
) -> NDArray[np.float64]:
    """Where points lie: (rows, columns) of a Gaussian-smoothed count, 0..1 of its peak; columns = ``cells``.

    The kernel's sigma is 1/40 of the width; points outside the part are left out.
    """
    columns, rows = cells, max(1, round(cells * height / width))
    counts, _, _ = np.histogram2d(y, x, bins=(rows, columns), range=((0, height), (0, width)))
    sigma = cells / 40
    reach = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    smooth = np.apply_along_axis(lambda row: np.convolve(row, kernel)[reach : reach + columns], 1, counts)
    smooth = np.apply_along_axis(lambda column: np.convolve(column, kernel)[reach : reach + rows], 0, smooth)
    peak = float(smooth.max())
    return np.asarray(smooth / peak if peak > 0 else smooth, np.float64)
