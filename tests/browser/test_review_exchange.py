"""Labels out to other tools and in again, in a real browser."""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page

from .board_pages import ARTEFACTS
from .review_pages import loaded, mask_of, newest
from .screens_process import Screens


@pytest.mark.parametrize("kind", ["coco", "cvat", "label-studio", "png"])
def test_labels_leave_and_come_back_the_same(
    engineer: Callable[..., Page], review_screens: Screens, tmp_path: Path, kind: str
) -> None:
    page = engineer("exchange")
    key = str(review_screens.named["alike 0.1"])
    if not newest(review_screens, key):
        drawing = engineer(f"queue/sample/{key}")
        loaded(drawing, key)
        drawing.evaluate(
            """() => { const e = document.querySelector('.rv-canvas').editor; const d = e.labels.data;
            for (let i = 0; i < d.length; i += 1 + (i * 7919) % 613) d[i] = 1 + i % 3; e.history.begin(); }"""
        )
        drawn = mask_of(drawing)
        drawing.keyboard.press("Enter")
        drawing.wait_for_selector(".rv-toast.good")
        assert len(np.unique(drawn)) == 4
        drawing.context.close()
    page.select_option("[data-filter=lot]", "LOT-3")  # not the one with the twelve megapixels
    page.select_option("select[aria-label=Format]", kind)
    with page.expect_download() as download:
        page.click("[data-act=export]")
    file = tmp_path / f"labels-{kind}.zip"
    download.value.save_as(file)
    with zipfile.ZipFile(file) as archive:
        assert f"images/{key}_top.png" in archive.namelist()
    page.set_input_files("input[type=file]", file)
    page.wait_for_selector("[data-list=import] table")
    states = set(page.eval_on_selector_all("[data-list=import] td.rv-state", "all => all.map(n => n.textContent)"))
    assert states == {"the same"}
    assert page.is_disabled("[data-act=import]")


def test_an_import_adds_versions_and_refuses_in_words(
    engineer: Callable[..., Page], review_screens: Screens, tmp_path: Path
) -> None:
    key = str(review_screens.named["alike 0.3"])
    counts = [100 * 800 + 50, 40, 800 * 1024 - 100 * 800 - 90]
    coco = {
        "images": [
            {"id": 1, "file_name": f"{key}_top.png", "width": 1024, "height": 800},
            {"id": 2, "file_name": "holiday.jpg", "width": 10, "height": 10},
        ],
        "categories": [{"id": 1, "name": "burr"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "segmentation": {"size": [800, 1024], "counts": counts}}
        ],
    }
    file = tmp_path / "coco.json"
    file.write_text(json.dumps(coco))
    page = engineer("exchange")
    page.set_input_files("input[type=file]", file)
    page.wait_for_selector("text=1 new")
    page.click("[data-act=import]")
    page.wait_for_selector(".rv-toast:has-text('burr')")
    assert newest(review_screens, key) == {}
    page.click("[data-language=de]")
    page.wait_for_selector("[data-list=import] :text('1 neu')")
    page.click("[data-language=en]")
    page.check("text=Allow classes this station does not know: burr")
    page.click("[data-act=import]")
    page.wait_for_selector("text=1 labels saved as new versions.")
    label = newest(review_screens, key)
    assert label["source"] == "import"
    assert "burr" in label["classes"]
    huge = tmp_path / "huge.zip"
    rows = zlib.compress(bytes(10_001) * 10_000, 9)
    head = struct.pack(">IIBBBBB", 10_000, 10_000, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", rows), (b"IEND", b""))
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
    with zipfile.ZipFile(huge, "w") as archive:
        archive.writestr("classes.txt", "0 background\n1 burr\n")
        archive.writestr(f"masks/{key}_top.png", png)
    page.set_input_files("input[type=file]", huge)
    page.wait_for_selector(".rv-error:has-text('100 megapixels'):has-text('Nothing was changed')")
    page.screenshot(path=ARTEFACTS / "review-refused.png")
    alone = tmp_path / "huge.png"
    alone.write_bytes(png)
    page.set_input_files("input[type=file]", alone)
    page.wait_for_selector(".rv-error:has-text('huge.png'):has-text('100 megapixels')")
    page.click("[data-language=zh]")
    page.wait_for_selector(".rv-error:has-text('100 百万像素'):has-text('未作任何更改')")
    page.click("[data-language=en]")
    with review_screens.signed_in("Quinn Li") as client:
        answer = client.post("/api/review/masks", content=png)
        assert (answer.status_code, answer.json()["key"]) == (422, "review.refused.mask_too_large")
        assert answer.json()["args"]["mp"] == "100"
    assert newest(review_screens, key)["version"] == label["version"]
