"""What a run leaves for people and programs: each file is there whole or not at all."""

from __future__ import annotations

from pathlib import Path

from linegate.cameras.errors import LinegateError
from linegate.inspect.partlog.files import write_atomically


class OutputError(LinegateError):
    """A result can't be written."""


def write_output(path: Path, content: str | bytes) -> Path:
    """Write ``content`` (text as UTF-8) to ``path``, in a folder that is made if need be. Returns ``path``.

    Raises:
        OutputError: the disk doesn't take it; a file of that name stays as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise OutputError(
            f"file {path}",
            expected="room for it on the disk",
            found=error.strerror or str(error),
            remedy="Free some disk and start the same command again: what was computed is kept.",
        ) from error
    return path
