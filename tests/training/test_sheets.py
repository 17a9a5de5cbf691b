from __future__ import annotations

import numpy as np

from linegate.training.sheets import _window


def test_the_window_shows_the_defect_large_and_stays_inside() -> None:
    truth = np.zeros((1000, 1200), np.uint8)
    truth[990:996, 4:10] = 1
    rows, columns = _window((1000, 1200), [truth])
    assert (rows.stop, columns.start) == (1000, 0)
    assert rows.stop - rows.start == columns.stop - columns.start == 300
    assert truth[rows, columns].sum() == truth.sum()
    nothing = np.zeros((80, 90), np.uint8)
    assert _window((80, 90), [nothing, nothing]) == (slice(0, 80), slice(0, 90))
    wide = np.ones((80, 900), np.uint8)
    assert _window((80, 900), [nothing.repeat(10, 1), wide]) == (slice(0, 80), slice(0, 900))
