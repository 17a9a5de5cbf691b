"""Content-addressed files: the name is the sha256 of the bytes, and a file is there whole or not at all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

TEMPORARY = ".part"


def content_path(folder: Path, sha256: str, suffix: str = ".png") -> Path:
    """folder/ab/cd/<sha256>.png"""
    return folder / sha256[:2] / sha256[2:4] / f"{sha256}{suffix}"


def write_content(
    folder: Path, data: bytes, suffix: str = ".png", *, announce: Callable[[str], None] = lambda _sha256: None
) -> tuple[str, bool]:
    """Store the bytes durably: file and folders are fsynced. Returns (sha256, whether it was new). ``announce`` is told the
    hash before anything is looked at or written. Raises OSError."""
    sha256 = hashlib.sha256(data).hexdigest()
    announce(sha256)
    path = content_path(folder, sha256, suffix)
    if path.exists():
        return sha256, False
    new_folders = [parent for parent in (path.parent, path.parent.parent, folder) if not parent.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{sha256}{TEMPORARY}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    for changed in (path.parent, *(parent.parent for parent in new_folders)):
        _fsync_folder(changed)
    return sha256, True


def content_matches(path: Path) -> bool:
    """True when the file's bytes are those its name promises. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == path.stem


def content_files(folder: Path) -> Iterator[Path]:
    """All files of the store, half-written ones included."""
    return (path for path in folder.glob("??/??/*") if path.is_file())


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file so that no reader ever sees half of it; not fsynced. Raises OSError."""
    temporary = path.with_name(path.name + TEMPORARY)
    temporary.write_bytes(data)
    temporary.replace(path)


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
