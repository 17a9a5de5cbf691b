"""Keeps the trap shut: a folder named like a standard-library module, used as a package."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("inspect", "cameras", "models", "training")
SOURCES = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_folder_is_linked(folder: str) -> None:
    link = ROOT / ".src" / "linegate" / folder
    assert link.is_symlink()
    assert os.readlink(link) == f"../../{folder}"
    assert link.resolve() == ROOT / folder


def test_inspect_has_no_init() -> None:
    assert not (ROOT / "inspect" / "__init__.py").exists()


def test_stdlib_inspect_wins_in_the_checkout() -> None:
    code = "import inspect; print(inspect.__file__); inspect.signature(print)"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert str(ROOT) not in out


def test_no_module_is_named_like_a_stdlib_one() -> None:
    allowed = {ROOT / "inspect"}
    for folder in FOLDERS:
        for path in [ROOT / folder, *(ROOT / folder).rglob("*")]:
            if (
                path in allowed
                or path.name in {"__init__.py", "__pycache__"}
                or not (path.is_dir() or path.suffix == ".py")
            ):
                continue
            assert path.stem not in sys.stdlib_module_names, path


def test_every_other_package_has_an_init() -> None:
    for path in SOURCES:
        if path.parent != ROOT / "inspect":
            assert (path.parent / "__init__.py").exists(), path.parent


def test_nothing_imports_a_bare_folder() -> None:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names.append(node.module)
            for name in names:
                assert name.split(".")[0] not in {"cameras", "models", "training"}, (path, name)


def test_no_test_imports_a_bare_conftest() -> None:
    # Whichever room's folder came on sys.path last would answer: named together, the rooms' tests would not be collected.
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names.append(node.module or "")
            assert "conftest" not in names, path


def test_heavy_libraries_are_imported_lazily() -> None:
    code = (
        "import sys; import linegate.inspect.cli; "
        "print([m for m in ('torch', 'gradio', 'pypylon', 'harvesters', 'openvino', 'onnxruntime') if m in sys.modules])"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT / ".src")}
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True
    ).stdout
    assert out.strip() == "[]"
