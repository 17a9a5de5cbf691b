from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linegate.cameras.errors import WrongImage
from linegate.models.manifest import InputSpec
from linegate.models.preprocess import IGNORE, Preprocessor


def spec(**changes: object) -> InputSpec:
    fields = {"width_px": 64, "height_px": 48, "channels": 1, "stride_px": 4, "pixel_mm": 1.0, **changes}
    return InputSpec.model_validate(fields)


def smooth(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    return (127 + 60 * np.sin(x / 37) + 60 * np.cos(y / 29)).astype(np.uint8)


def pooled(tensor: np.ndarray, stride: int) -> np.ndarray:
    """A network that says what it sees: the mean grey of each cell."""
    _, channels, height, width = tensor.shape
    cells = tensor.reshape(channels, height // stride, stride, width // stride, stride)
    return cells.mean(axis=(2, 4)).astype(np.float32)


def test_right_size_grey_is_not_copied() -> None:
    image = smooth(48, 64)
    image.flags.writeable = False
    prepared = Preprocessor(spec()).prepare(image)
    assert prepared.tensors[0].shape == (1, 1, 48, 64)
    assert np.shares_memory(prepared.tensors[0], image)


def test_channels_follow_the_network() -> None:
    colour = np.zeros((48, 64, 3), np.uint8)
    colour[..., 0], colour[..., 1], colour[..., 2] = 10, 20, 30
    to_grey = Preprocessor(spec()).prepare(colour).tensors[0]
    assert to_grey.shape == (1, 1, 48, 64)
    assert np.all(to_grey == round(0.299 * 10 + 0.587 * 20 + 0.114 * 30))
    planar = Preprocessor(spec(channels=3)).prepare(colour).tensors[0]
    assert planar.flags.c_contiguous
    assert [int(planar[0, c].max()) for c in range(3)] == [10, 20, 30]
    assert [int(planar[0, c].min()) for c in range(3)] == [10, 20, 30]
    from_grey = Preprocessor(spec(channels=3)).prepare(smooth(48, 64)).tensors[0]
    assert np.array_equal(from_grey[0, 0], from_grey[0, 2])


def test_sixteen_bit_spans_the_full_range() -> None:
    image = np.linspace(0, 65535, 48 * 64).reshape(48, 64).astype(np.uint16)
    out = Preprocessor(spec()).prepare(image).tensors[0]
    assert out.min() == 0
    assert out.max() == 255
    assert np.abs(out[0, 0].astype(float) - image / 257).max() <= 0.51


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4), np.float32), np.zeros((0, 4), np.uint8), np.zeros(4, np.uint8)],
)
def test_wrong_image_says_what_it_found(image: np.ndarray) -> None:
    with pytest.raises(WrongImage, match=str(image.dtype)) as caught:
        Preprocessor(spec()).prepare(image)
    assert str(image.shape) in str(caught.value)


@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    fit=st.sampled_from(["resize", "pad", "tile"]),
    channels=st.sampled_from([1, 3]),
    colour=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_any_size_becomes_the_networks_and_comes_back(
    height: int, width: int, fit: str, channels: int, colour: bool
) -> None:
    image = np.full((height, width, 3) if colour else (height, width), 77, np.uint8)
    prepared = Preprocessor(spec(fit=fit, channels=channels)).prepare(image)
    assert len(prepared.tensors) == prepared.layout.tiles
    for tensor in prepared.tensors:
        assert tensor.shape == (1, channels, 48, 64)
        assert tensor.flags.c_contiguous
        assert np.all(tensor == 77)
    stitched = prepared.layout.stitch([pooled(t, 4) for t in prepared.tensors])
    grid = prepared.layout.grid
    assert stitched.shape == (channels, grid.rows, grid.columns)
    np.testing.assert_allclose(stitched, 77, rtol=1e-5)
    assert grid.to_image(np.ascontiguousarray(stitched[0])).shape == (height, width)
    assert (grid.columns - 1) * grid.step_x_px < width <= grid.columns * grid.step_x_px + 1e-6


@given(
    height=st.integers(60, 260),
    width=st.integers(70, 260),
    overlap=st.integers(0, 40),
    stride=st.sampled_from([1, 2, 4]),
)
@settings(max_examples=60, deadline=None)
def test_identity_leaves_no_seam_whatever_the_phase(height: int, width: int, overlap: int, stride: int) -> None:
    image = smooth(height, width)
    prepared = Preprocessor(spec(fit="tile", overlap_px=overlap, stride_px=stride)).prepare(image)
    stitched = prepared.layout.stitch([pooled(t, stride) for t in prepared.tensors])
    rows, columns = prepared.layout.grid.rows, prepared.layout.grid.columns
    padded = np.pad(image, ((0, rows * stride - height), (0, columns * stride - width)), mode="edge")
    np.testing.assert_allclose(stitched, pooled(padded[None, None], stride), atol=1e-3)


def test_disagreeing_tiles_fade_instead_of_stepping() -> None:
    """A network that answers 0 and 1 in turn from tile to tile: the worst step is one cell's share of the overlap."""
    prepared = Preprocessor(spec(fit="tile", overlap_px=24)).prepare(smooth(48, 400))
    masks = [np.full((1, 12, 16), i % 2, np.float32) for i in range(prepared.layout.tiles)]
    stitched = prepared.layout.stitch(masks)
    assert stitched.max() == pytest.approx(1.0)
    assert np.abs(np.diff(stitched, axis=2)).max() <= 1 / 6 + 1e-6  # 24 px overlap are 6 cells


@pytest.mark.parametrize("fit", ["resize", "pad", "tile"])
def test_a_spot_comes_back_where_it_was(fit: str) -> None:
    for height, width in [(90, 200), (30, 40), (48, 64), (301, 77)]:
        image = np.zeros((height, width), np.uint8)
        cy, cx = int(height * 0.7), int(width * 0.3)
        half = max(2, min(height, width) // 12)
        image[cy - half : cy + half, cx - half : cx + half] = 255
        prepared = Preprocessor(spec(fit=fit, stride_px=1)).prepare(image)
        stitched = prepared.layout.stitch([pooled(t, 1) for t in prepared.tensors])
        back = prepared.layout.grid.to_image(np.ascontiguousarray(stitched[0]))
        y, x = np.mgrid[0:height, 0:width]
        # In whole pixels the square's centre lies half a pixel before cy, cx.
        assert (back * x).sum() / back.sum() == pytest.approx(cx - 0.5, abs=0.6)
        assert (back * y).sum() / back.sum() == pytest.approx(cy - 0.5, abs=0.6)


@pytest.mark.parametrize("fit", ["resize", "pad", "tile"])
def test_mask_goes_the_way_of_its_image(fit: str) -> None:
    mask = np.zeros((200, 150), np.uint8)
    mask[40:120, 30:90] = 1
    mask[150:190, 100:140] = 7
    pre = Preprocessor(spec(fit=fit))
    images = pre.prepare((mask * 30).astype(np.uint8)).tensors
    warped = pre.warp_mask(mask)
    assert len(warped) == len(images)
    for tensor, labels in zip(images, warped, strict=True):
        assert labels.shape == (48, 64)
        assert set(np.unique(labels)) <= {0, 1, 7, IGNORE}
        inside = labels != IGNORE
        expected = labels.astype(int) * 30
        wrong = (np.abs(tensor[0, 0].astype(int) - expected) > 20) & inside
        assert wrong.mean() < 0.06  # only along edges, where grey is interpolated and labels are not
    assert any((labels == 7).any() for labels in warped)


def test_padding_of_a_mask_is_ignored_and_only_padding() -> None:
    (labels,) = Preprocessor(spec(fit="pad")).warp_mask(np.ones((48, 32), np.uint8))
    assert np.all(labels[:, :32] == 1)
    assert np.all(labels[:, 32:] == IGNORE)


def test_padding_with_the_mean_draws_no_streak_out_of_the_border() -> None:
    image = np.full((48, 32, 3), (10, 60, 200), np.uint8)
    image[-8:, 20] = 255  # a crack that reaches the border, in a picture that is filled below and one filled beside
    for turned in (image, np.ascontiguousarray(image.transpose(1, 0, 2))):
        square = spec(width_px=96, height_px=96, channels=3, fit="pad", fill="mean")
        drawn_out = square.model_copy(update={"fill": "border"})
        mean, border = (Preprocessor(s).prepare(turned).tensors[0][0] for s in (square, drawn_out))
        filled = Preprocessor(square).warp_mask(np.zeros(turned.shape[:2], np.uint8))[0] == IGNORE
        assert filled.any()
        for channel in range(3):
            inside = mean[channel][~filled]
            np.testing.assert_array_equal(inside, border[channel][~filled])
            assert set(mean[channel][filled].tolist()) == {round(float(inside.mean()))}


@pytest.mark.parametrize("fit", ["resize", "tile"])
def test_only_padding_is_filled_with_the_mean(fit: str) -> None:
    image = smooth(30, 40)
    with_mean, with_border = (
        Preprocessor(spec(fit=fit, fill=fill)).prepare(image).tensors[0] for fill in ("mean", "border")
    )
    np.testing.assert_array_equal(with_mean, with_border)


def test_a_thin_crack_survives_shrinking() -> None:
    mask = np.zeros((192, 256), np.uint8)
    mask[:, 101] = 3
    (labels,) = Preprocessor(spec()).warp_mask(mask)
    assert (labels == 3).sum(axis=1).tolist() == [1] * 48


def test_mask_of_another_kind_is_refused() -> None:
    with pytest.raises(WrongImage, match="8-bit PNG"):
        Preprocessor(spec()).warp_mask(np.zeros((4, 4, 3), np.uint8))
