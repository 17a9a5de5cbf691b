from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate.cameras.chunks import Chunks
from linegate.cameras.counter import FrameCounter
from linegate.cameras.errors import CameraLost


def test_gige_block_ids_wrap_from_65535_to_1() -> None:
    counter = FrameCounter("top", first=1, period=65535)
    raw = [*range(1, 65536), *range(1, 10)]
    assert [counter.advance(r) for r in raw] == [(i, 0) for i in range(len(raw))]


def test_a_gap_across_the_wrap_is_counted() -> None:
    counter = FrameCounter("top", first=1, period=65535)
    for raw in range(1, 65535):
        counter.advance(raw)
    assert counter.advance(2) == (65536, 2)  # 65535 and 1 are missing


def test_frames_lost_before_the_first_are_a_gap() -> None:
    assert FrameCounter("top", first=0, period=1 << 64).advance(3) == (3, 3)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=60), st.sampled_from([65535, 1 << 32, 1 << 64]))
def test_what_was_skipped_is_what_is_missing(gaps: list[int], period: int) -> None:
    counter = FrameCounter("top", first=1, period=period)
    true = -1
    for gap in gaps:
        true += gap + 1
        assert counter.advance((true % period) + 1) == (true, gap)


@pytest.mark.parametrize("again", [4, 5])
def test_a_number_that_goes_back_means_the_camera_restarted(again: int) -> None:
    counter = FrameCounter("top", first=0, period=1 << 64)
    for raw in range(6):
        counter.advance(raw)
    with pytest.raises(CameraLost, match="lies before it"):
        counter.advance(again)


def test_the_cameras_own_counter_is_believed_once_it_has_moved_in_step() -> None:
    chunks = Chunks("top")
    assert chunks.advance(7003, 3, 3) == (3, 3)  # three frames lost before the first that came, says the transport
    assert chunks.advance(7004, 4, 0) == (4, 0)
    assert chunks.advance(7007, 5, 0) == (7, 2)  # exposed, but never a block of the transport
    with pytest.raises(CameraLost):
        chunks.advance(7007, 6, 0)
    chunks.restart()
    assert chunks.advance((1 << 32) - 2, 0, 0) == (0, 0)
    assert chunks.advance((1 << 32) - 1, 1, 0) == (1, 0)
    assert chunks.advance(0, 2, 0) == (2, 0)


@pytest.mark.parametrize("raw", [[5] * 6, [0, 90, 185, 270, 362, 450], [9, 8, 7, 6, 5, 4]])
def test_a_counter_that_counts_something_else_is_never_believed(raw: list[int]) -> None:
    chunks = Chunks("top")
    assert [chunks.advance(value, n, 0) for n, value in enumerate(raw)] == [(n, 0) for n in range(len(raw))]
