from __future__ import annotations

import os
from pathlib import Path

import pytest

from linegate.training import virtual
from linegate.training.virtual import drawn_panels


def drawn(folder: Path) -> dict[str, int]:
    """When each picture was drawn."""
    return {path.name: path.stat().st_mtime_ns for path in (folder / "images").iterdir()}


def test_panels_are_drawn_again_only_where_they_are_others(tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    panels = tmp_path / "bundle.train" / "panels"

    def interrupted(seed: int) -> dict[str, int]:
        with pytest.raises(KeyboardInterrupt), drawn_panels(out, seed, 6, picture_px=256) as (dataset, pixel_mm, words):
            assert len(dataset.samples) == 6
            assert pixel_mm == 1.0
            assert f"seed {seed}" in words
            raise KeyboardInterrupt
        return drawn(panels)

    first = interrupted(1)
    assert interrupted(1) == first
    other = interrupted(2)
    assert other != first
    (panels / "split.csv").unlink()
    os.truncate(panels.with_suffix(".json"), 5)  # as a kill within the drawing leaves it: not known to be whole
    assert interrupted(2) != other
    with drawn_panels(out, 2, 6, picture_px=256):
        pass
    assert not panels.exists()
    assert not panels.with_suffix(".json").exists()


def test_panels_of_which_half_were_drawn_are_never_taken_for_the_ones_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "bundle"
    with pytest.raises(KeyboardInterrupt), drawn_panels(out, 1, 4, picture_px=256):
        raise KeyboardInterrupt

    def stopped(_done: int) -> None:
        raise KeyboardInterrupt

    whole = virtual.write_dataset
    monkeypatch.setattr(virtual, "write_dataset", lambda *given, **_: whole(*given, progress=stopped))
    with pytest.raises(KeyboardInterrupt), drawn_panels(out, 2, 4, picture_px=256):
        pass
    monkeypatch.undo()
    with drawn_panels(out, 1, 4, picture_px=256) as (dataset, _, _):
        assert sorted(sample.name.split("_")[0] for sample in dataset.samples) == ["s1"] * 4


def test_an_error_leaves_no_panels_behind(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="full"), drawn_panels(tmp_path / "bundle", 1, 2, picture_px=256):
        raise OSError("full")
    assert not (tmp_path / "bundle.train" / "panels").exists()
