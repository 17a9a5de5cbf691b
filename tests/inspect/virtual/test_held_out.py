"""Photos that a bundle was trained on are not shown to the line, and what is known of that is said."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from linegate.cameras.errors import SettingsError
from linegate.cameras.image_file import pixels_sha256
from linegate.inspect.settings import VirtualSettings
from linegate.inspect.virtual.held_out import photo_sides
from linegate.inspect.virtual.ledger import read_ledger
from linegate.inspect.virtual.plant import VirtualPlant
from linegate.models.bundle import Bundle

from ...models.tiny import bundle as make_bundle
from ...models.tiny import manifest


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """a to f, all different."""
    folder = tmp_path / "set"
    (folder / "images").mkdir(parents=True)
    for number, name in enumerate("abcdef"):
        cv2.imwrite(str(folder / "images" / f"{name}.png"), np.full((8, 8), 20 * number, np.uint8))
    return folder


def trained_on(out: Path, photos: Path, sides: dict[str, str]) -> tuple[Bundle, bytes]:
    """A bundle whose manifest names a training on these photos, and that training's snapshot."""
    rows = [
        {"part": name, "image": hashlib.sha256((photos / "images" / name).read_bytes()).hexdigest(), "split": side}
        for name, side in sides.items()
    ]
    document = json.dumps({"format": 1, "classes": ["dark"], "parts": rows}).encode()
    provenance = manifest()["provenance"] | {"data_sha256": hashlib.sha256(document).hexdigest()}
    return make_bundle(out, provenance=provenance), document


SIDES = {"a.png": "train", "b.png": "train", "c.png": "val", "d.png": "test"}


@pytest.mark.parametrize(
    "place", ["made/snapshot.json", "made.train/snapshot.json", "snapshot.json", "data/jobs/7/snapshot.json"]
)
def test_the_trainings_own_record_is_found_and_believed(photos: Path, tmp_path: Path, place: str) -> None:
    bundle, document = trained_on(tmp_path / "made", photos, SIDES)
    (photos / "images" / "a.png").rename(photos / "images" / "renamed.png")  # known by its content
    (photos / "split.csv").write_text("file,split\nf.png,train\n")  # of somebody else's training
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(document)
    sides = photo_sides(photos, bundle, tmp_path / "data")
    assert sides.source == "snapshot"
    assert sides.left_out == {"renamed.png", "b.png"}
    assert sides.tuned == {"c.png"}
    assert "4 of 6 photos" in sides.words() and "on 1 of them its thresholds were chosen" in sides.words()
    everything = photo_sides(photos, bundle, tmp_path / "data", all_photos=True)
    assert (everything.shown, everything.trained) == (6, sides.trained)
    assert "flatter" in everything.words()


def test_another_trainings_record_says_nothing(photos: Path, tmp_path: Path) -> None:
    bundle, _ = trained_on(tmp_path / "made", photos, SIDES)
    _, other = trained_on(tmp_path / "other", photos, {"a.png": "train"})
    (tmp_path / "snapshot.json").write_bytes(other)
    sides = photo_sides(photos, bundle, tmp_path / "data")
    assert (sides.source, sides.left_out) == ("", frozenset())
    assert "is not known" in sides.words()


def test_a_bundle_from_elsewhere_has_seen_none(photos: Path, tmp_path: Path) -> None:
    bundle, document = trained_on(tmp_path / "made", photos, SIDES)
    (tmp_path / "snapshot.json").write_bytes(document)
    for path in (photos / "images").iterdir():
        path.write_bytes(
            cv2.imencode(".png", np.full((9, 9), len(path.name), np.uint8))[1].tobytes() + path.name.encode()
        )
    assert photo_sides(photos, bundle, tmp_path).words() == "6 photos, none of which the bundle was trained on"


def test_the_folders_own_split_is_second_best(photos: Path, tmp_path: Path) -> None:
    (photos / "split.csv").write_text("file,split,group\n" + "".join(f"{n},{s},g\n" for n, s in SIDES.items()))
    sides = photo_sides(photos, make_bundle(tmp_path / "made"), tmp_path)
    assert (sides.source, sides.left_out, sides.tuned) == ("split.csv", {"a.png", "b.png"}, {"c.png"})
    assert "by the split.csv" in sides.words()
    assert sides.as_json() | {"folder": ""} == {
        "folder": "", "total": 6, "shown": 4, "source": "split.csv", "trained": 2, "tuned": 1,
    }  # fmt: skip
    settings = VirtualSettings(rate_parts_per_s=50, camera_to_gate_ms=30, photos=photos)
    with VirtualPlant.start(settings, tmp_path / "plant", parts=9, leave_out=sides.left_out) as plant:
        plant.run_belt()
        assert plant.wait_finished(30)
        assert {row["source"] for row in read_ledger(plant.ledger)} == {"c.png", "d.png", "e.png", "f.png"}


def test_when_nothing_is_left(photos: Path, tmp_path: Path) -> None:
    (photos / "split.csv").write_text("file,split\n" + "".join(f"{n}.png,Train\n" for n in "abcdef"))
    with pytest.raises(SettingsError, match="--all-photos"):
        photo_sides(photos, make_bundle(tmp_path / "made"), tmp_path)


def test_a_photo_that_the_log_keeps_in_another_format_is_known_by_what_it_shows(photos: Path, tmp_path: Path) -> None:
    """As after a retraining from labels of the same photos: by its file alone the line would be shown what was learnt."""
    rows = [
        {
            "part": "0001-5/top",
            "image": "0" * 64,
            "pixels": pixels_sha256(photos / "images" / "e.png"),
            "split": "train",
        }
    ]
    document = json.dumps({"format": 1, "classes": ["dark"], "parts": rows}).encode()
    provenance = manifest()["provenance"] | {"data_sha256": hashlib.sha256(document).hexdigest()}
    bundle = make_bundle(tmp_path / "made", provenance=provenance)
    (bundle.folder / "snapshot.json").write_bytes(document)
    assert photo_sides(photos, bundle, tmp_path / "data").left_out == {"e.png"}
