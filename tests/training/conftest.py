"""A small dataset that can be learnt in seconds, bundles of it, and a station."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from linegate.cameras.errors import LinegateError
from linegate.inspect.cli import app
from linegate.inspect.partlog.writer import PartLog
from linegate.inspect.settings import LogSettings
from linegate.training.commands import register

from .drawn_plates import write_folder

MakeFolder = Callable[..., Path]
Linegate = Callable[..., tuple[int, str]]
STATION = """
[station]
data = "data"
[[cameras]]
name = "top"
driver = "replay"
folder = "pictures"
[[recipes]]
id = 1
name = "plates"
"""


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """``make_folder(good=12, spot=6, line=6, size=(96, 96), side="", name="data")`` writes one."""
    return lambda name="data", **counts: write_folder(tmp_path / name, **counts)


@pytest.fixture(scope="session")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of plates that tests share and don't change."""
    return write_folder(tmp_path_factory.mktemp("plates") / "data")


def run_linegate(*args: object) -> tuple[int, str]:
    """Run the command; returns the exit code as `main` would give it, and all that was said."""
    own = typer.Typer()
    register(own)
    result = CliRunner().invoke(own if args[0] in ("train", "release") else app, [str(arg) for arg in args])
    if isinstance(result.exception, LinegateError):
        return 2, f"{result.output}{result.exception}"
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


@pytest.fixture(scope="session")
def linegate() -> Linegate:
    """``linegate("train", folder, ...)``: the exit code and what was said."""
    return run_linegate


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of plates and the bundle that `linegate train` made of it."""
    root = tmp_path_factory.mktemp("trained")
    folder = write_folder(root / "data", good=40, spot=20, line=20)
    code, words = run_linegate("train", folder, "--steps", 120, "--threads", 1, "--seed", 1, "--out", root / "bundle")
    assert code == 0, words
    return folder, root / "bundle"


@pytest.fixture(scope="session")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """66 pictures of 60 parts: only the last six parts have two."""
    folder = write_folder(tmp_path_factory.mktemp("gate") / "frozen", good=60, spot=30, line=30, seed=9)
    table = folder / "split.csv"
    head, *rows = table.read_text().splitlines()
    table.write_text("\n".join([head, *rows[:108:2], *rows[108:]]) + "\n")
    return folder


@pytest.fixture
def station(tmp_path: Path) -> Path:
    path = tmp_path / "station.toml"
    path.write_text(STATION)
    return path


@pytest.fixture
def log(tmp_path: Path) -> Iterator[PartLog]:
    (tmp_path / "data").mkdir()
    opened = PartLog.open(LogSettings(), tmp_path / "data")
    opened.start()
    yield opened
    opened.close()
