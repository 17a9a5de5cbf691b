"""Masks leave and come back bit for bit, in four formats; what is damaged is refused by name."""

from __future__ import annotations

import io
import json
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linegate.inspect.hmi.review.exchange import coco, cvat, label_studio, rle
from linegate.inspect.hmi.review.exchange.archive import read_upload, renamed, write_zip
from linegate.inspect.hmi.review.exchange.picture import Budget, LabelledPicture, Note, Pending
from linegate.inspect.hmi.review.exchange.rle import ExchangeError
from linegate.inspect.hmi.texts import LANGUAGES, dictionary
from linegate.inspect.partlog.errors import CodedError

CLASSES = ("scratch", "Beule & <Delle>", "污渍")


def random_mask(seed: int, height: int, width: int, values: int = 4) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, values, (height // 4 + 1, width // 4 + 1), np.uint8)
    mask = np.kron(coarse, np.ones((4, 4), np.uint8))[:height, :width]
    mask[rng.random(mask.shape) < 0.05] = 0
    return np.ascontiguousarray(mask)


@pytest.fixture
def pictures() -> list[LabelledPicture]:
    return [
        LabelledPicture("a.png", random_mask(1, 61, 83), CLASSES),
        LabelledPicture("b.png", np.zeros((30, 40), np.uint8), CLASSES),
        LabelledPicture("c.png", random_mask(2, 17, 129, 2), CLASSES),
    ]


def read(content: bytes, name: str = "labels") -> list[LabelledPicture]:
    budget = Budget()
    return [pending.draw(budget) for pending in read_upload(io.BytesIO(content), name)]


def small() -> np.ndarray:
    mask = np.zeros((4, 6), np.bool_)
    mask[1:3, 2:5] = True
    mask[3, 5] = True
    return mask


def test_rle_is_what_the_other_tools_write() -> None:
    # Written by pycocotools 2.0.11 and by label-studio-sdk 2.1.2 for this very mask.
    assert rle.encode_coco(small()) == "9220002O"
    packed = [0, 0, 0, 96, 57, 27, 254, 31, 0, 183, 255, 108, 2, 223, 254, 23, 0, 143, 252]
    assert rle.encode_label_studio(small()) == packed
    assert rle.encode_cvat(small()) == ([0, 3, 1, 3, 4, 1], (2, 1, 4, 3))


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_every_dialect_is_exact(height: int, width: int, seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    for counts in (rle.encode_coco(mask), rle.counts_of(np.asfortranarray(mask).ravel(order="F"))):
        x, crop = rle.decode_coco(counts, height, width, "x")
        whole = np.zeros_like(mask)
        whole[:, x : x + crop.shape[1]] = crop
        assert np.array_equal(whole, mask)
    assert np.array_equal(rle.decode_label_studio(rle.encode_label_studio(mask), height, width, "x"), mask)
    if mask.any():
        counts, (left, top, w, h) = rle.encode_cvat(mask)
        crop = rle.decode_cvat(counts, (left, top, w, h), height, width, "x")
        assert np.array_equal(crop, mask[top : top + h, left : left + w])
        assert np.count_nonzero(crop) == np.count_nonzero(mask)


@pytest.mark.parametrize("kind", ["png", "coco", "cvat", "label-studio"])
def test_round_trip_through_a_zip(kind: str, pictures: list[LabelledPicture]) -> None:
    file = io.BytesIO()
    write_zip(file, kind, [Pending.of(p) for p in pictures], [(p.name, b"picture") for p in pictures])
    found = {p.name: p for p in read(file.getvalue(), "labels.zip")}
    assert set(found) == {"a.png", "b.png", "c.png"}
    for picture in pictures:
        back = renamed(found[picture.name], CLASSES)
        assert np.array_equal(back.mask, picture.mask)
        assert found[picture.name].notes == ()


@pytest.mark.parametrize("writer", [coco.write, cvat.write, label_studio.write])
def test_a_bare_file_is_known_by_its_content(writer, pictures: list[LabelledPicture]) -> None:
    found = read("".join(writer([Pending.of(p) for p in pictures])).encode())
    assert [p.name for p in found] == ["a.png", "b.png", "c.png"]
    assert [p.used for p in found] == [p.used for p in pictures]


def test_polygons_are_read_and_said_to_be_inexact() -> None:
    text = json.dumps(
        {
            "images": [{"id": 1, "file_name": "a.png", "width": 20, "height": 10}],
            "categories": [{"id": 7, "name": "dent"}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 7, "segmentation": [[2, 3, 8, 3, 8, 7, 2, 7]]}],
        }
    )
    (picture,) = read(text.encode())
    assert abs(int(picture.mask.sum()) - 24) <= 11  # the edge pixels may go either way
    assert picture.mask[5, 5] == 1 and picture.mask[0, 0] == 0
    assert picture.notes == (Note("polygons"),)


def coco_text(width: int = 6, height: int = 4, counts: object = "9220002O", size: object = None) -> bytes:
    return json.dumps(
        {
            "images": [{"id": 1, "file_name": "a.png", "width": width, "height": height}],
            "categories": [{"id": 1, "name": "dent"}],
            "annotations": [
                {
                    "id": 5,
                    "image_id": 1,
                    "category_id": 1,
                    "segmentation": {"size": size or [height, width], "counts": counts},
                }
            ],
        }
    ).encode()


def label_studio_text(rle_value: object) -> bytes:
    result = {
        "original_width": 6,
        "original_height": 4,
        "value": {"format": "rle", "rle": rle_value, "brushlabels": ["x"]},
    }
    return json.dumps([{"data": {"image": "a.png"}, "annotations": [{"result": [result]}]}]).encode()


def cvat_text(**attributes: str) -> bytes:
    mask = {"label": "x", "rle": "0, 1", "left": "0", "top": "0", "width": "1", "height": "1", **attributes}
    inner = " ".join(f"{name}='{value}'" for name, value in mask.items())
    return f"<annotations><image name='a' width='6' height='4'><mask {inner}/></image></annotations>".encode()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"hello", "none of these"),
        (b"{}", "categories"),
        (b'{"images": [', "images, categories"),
        (b'{"images": [{"id": 1}], "categories": [], "annotations": []}', "file_name"),
        (b'{"images": [{"id": [1], "file_name": "a"}], "categories": [], "annotations": []}', "images, categories"),
        (b'{"images": [], "categories": [], "annotations": [3]}', "image, category and segmentation"),
        (b"[" * 100_000, "Label Studio"),
        (coco_text(counts="92200"), "add up to 24"),
        (coco_text(counts="9220002o"), "cut or foreign"),
        (coco_text(counts="o" * 100_000), "cut or foreign"),
        (coco_text(counts=None), "run lengths"),
        (coco_text(counts=[None, 24]), "run lengths"),
        (coco_text(counts=[10**30, 24 - 10**30]), "add up to 24"),
        (coco_text(counts=10**10), "run lengths"),
        (coco_text(size=[9, 9]), "size [4, 6]"),
        (coco_text(size="x"), "size [4, 6]"),
        (coco_text(width=12_000, height=9_000), "megapixels"),
        (coco_text(width="9" * 5000), "width and height"),
        (cvat_text(rle="1,2", width="9", height="9"), "a box inside"),
        (cvat_text(z_order="x"), "left, top, width and height"),
        (cvat_text(left="1e400"), "left, top, width and height"),
        (cvat_text(left="1.0e400"), "left, top, width and height"),
        (cvat_text(rle=""), "left, top, width and height"),
        (b"<annotations><image", "annotations.xml"),
        (b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'b'>]><annotations/>", "document type"),
        (b"<?xml version='1.0'?><!--" + b" " * 5000 + b"--><!DOCTYPE x [<!ENTITY a 'b'>]><annotations/>", "document type"),
        (b"[1]", "Label Studio"),
        (label_studio_text(10**10), "a list of bytes"),
        (label_studio_text([256]), "a list of bytes"),
        (label_studio_text([0] * 9), "RGBA"),
        (label_studio_text(rle.encode_label_studio(small())[:-3]), "run lengths that fit"),
        (b"PK\x03\x04 broken", "complete zip"),
        (b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBBI", 13, b"IHDR", 10_000, 10_000, 8, 0, 0, 0, 0, 0), "100 megapixels"),
        (b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBBI", 13, b"IHDR", 10, 10, 8, 0, 0, 0, 0, 0), "a single PNG"),
    ],
)  # fmt: skip
def test_bad_files_are_refused_in_words(content: bytes, says: str) -> None:
    with pytest.raises(CodedError) as caught:
        read(content)
    assert says in str(caught.value)
    assert caught.value.remedy
    for lang in LANGUAGES:  # each in every language, with all that it has to say
        words = dictionary(lang)[f"review.refused.{caught.value.code}"]
        words.format(thing=caught.value.thing, **caught.value.values)


def test_polygons_of_any_kind_are_drawn_or_refused() -> None:
    def shape(segmentation: object) -> bytes:
        data = json.loads(coco_text())
        data["annotations"][0]["segmentation"] = segmentation
        return json.dumps(data).encode()

    (picture,) = read(shape([[-5, -5, 50, -5, 50, 50, -5, 50]]))
    assert picture.mask.all()
    for segmentation in ("x", [], [[1, 2, 3]], [["a", "b"]], [[float("nan")] * 6], [[1e30] * 6], 7, None):
        with pytest.raises(ExchangeError):
            read(shape(segmentation))


def test_a_small_file_can_not_ask_for_more_than_the_budget() -> None:
    data = json.loads(coco_text(width=7000, height=7000, counts=[0, 49_000_000]))
    data["annotations"] *= 1000
    (pending,) = read_upload(io.BytesIO(json.dumps(data).encode()), "labels")
    with pytest.raises(ExchangeError, match="gigapixels"):
        pending.draw(Budget(200_000_000))


@pytest.mark.parametrize("kind", ["png", "coco"])
def test_memory_holds_one_mask_at_a_time(kind: str) -> None:
    """Sixty pictures of 4 megapixels leave and come back; none is decoded until its turn has come."""
    empty, drawn = np.zeros((2000, 2000), np.uint8), []

    def draw(name: str) -> LabelledPicture:
        drawn.append(name)
        return LabelledPicture(name, empty.copy(), ("dent",))

    names = [f"{n}.png" for n in range(60)]
    pictures = [Pending(name, 2000, 2000, lambda _, name=name: draw(name), ("dent",)) for name in names]
    file = io.BytesIO()
    tracemalloc.start()
    try:
        write_zip(file, kind, pictures)
        budget = Budget()
        assert [p.draw(budget).mask.shape for p in read_upload(file, "labels")] == [(2000, 2000)] * 60
        assert tracemalloc.get_traced_memory()[1] < 40_000_000
    finally:
        tracemalloc.stop()
    assert drawn == names


def zipped(**files: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return target.getvalue()


def test_a_mask_with_a_value_no_class_has_is_refused() -> None:
    from linegate.inspect.partlog.masks import encode_mask

    mask = np.full((4, 4), 3, np.uint8)
    content = zipped(masks__a_dot_png=encode_mask(mask), classes_dot_txt=b"0 background\n1 dent\n")
    with pytest.raises(ExchangeError, match="0 to 1"):
        read(content, "z.zip")


def test_a_cut_mask_in_a_zip_is_named() -> None:
    from linegate.inspect.partlog.masks import encode_mask

    png = encode_mask(random_mask(3, 50, 50))
    content = zipped(masks__a_dot_png=png[:-30], classes_dot_txt=b"0 background\n1 x\n2 y\n3 z\n")
    with pytest.raises(ExchangeError, match=r"masks/a\.png"):
        read(content, "z.zip")
