"""The test behind the thresholds' guarantee. Exact bounds on rates are `linegate.inspect.bounds`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import bdtr


def fixed_sequence(misses: Sequence[int], total: int, risk: float, error: float) -> int:
    """Learn-then-test by a fixed sequence (Angelopoulos et al., arXiv 2110.01052, section 3).

    ``misses[i]`` of ``total`` bad parts are missed at the i-th candidate; candidates are ordered from the safest on and were
    chosen before the data were seen. Each is tested against "its true miss rate is above ``risk``" with the exact binomial
    p-value; the first that isn't refuted at ``error`` ends the sequence.

    Returns:
        How many candidates from the front hold, with probability 1 − ``error`` all of them.
    """
    stands = np.asarray(bdtr(np.asarray(misses, np.float64), total, risk)) > error
    return int(stands.argmax()) if stands.any() else len(misses)
