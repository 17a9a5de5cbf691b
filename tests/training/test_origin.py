"""A bundle says which code made it, in words that outlive the history of a checkout."""

from __future__ import annotations

from pathlib import Path

from linegate.training.origin import code_sha256, command_of


def _package(folder: Path, trainer: str) -> Path:
    for room, text in {
        "models": "A = 1\n",
        "training": trainer,
        "inspect/virtual": "",
        "inspect/hmi": "B = 1\n",
    }.items():
        (folder / room).mkdir(parents=True)
        (folder / room / "it.py").write_text(text)
    return folder


def test_a_copy_of_the_code_has_the_same_hash_and_a_change_in_training_another(tmp_path: Path) -> None:
    one = code_sha256(_package(tmp_path / "one", "X = 1\n"))
    copy = _package(tmp_path / "copy", "X = 1\n")
    assert code_sha256(copy) == one
    assert code_sha256(_package(tmp_path / "changed", "X = 2\n")) != one
    (copy / "inspect/hmi/it.py").write_text("B = 2\n")
    assert code_sha256(copy) == one, "the screens' code has no part in a bundle"
    (copy / "training/it.py").rename(copy / "training/renamed.py")
    assert code_sha256(copy) != one


def test_this_package_has_one() -> None:
    assert code_sha256() == code_sha256() != code_sha256(Path("/nowhere"))


def test_the_command_names_no_place_on_the_machine() -> None:
    given = [
        "train",
        "/srv/data/magnetic_tile",
        "more/tiles",
        "--out=/tmp/new bundle",
        "--minutes",
        "25",
        "--name",
        "a=/b",
    ]
    said = "linegate train magnetic_tile more/tiles '--out=new bundle' --minutes 25 --name a=/b"
    assert command_of(given) == said
