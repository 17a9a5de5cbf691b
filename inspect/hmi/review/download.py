"""Files that leave the review screen: made on the disk, sent from there, never held in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from typing import IO

from fastapi.responses import StreamingResponse

BLOCK = 1 << 18


def as_file(name: str) -> dict[str, str]:
    """The header that makes a browser save the answer under this name."""
    return {"Content-Disposition": f'attachment; filename="{name}"'}


def spooled(make: Callable[[IO[bytes]], None], media_type: str, name: str) -> StreamingResponse:
    """What ``make`` writes into a temporary file, as a download. What ``make`` raises leaves as it is, without a file."""
    file = tempfile.TemporaryFile(prefix="linegate-download-")  # noqa: SIM115 - closed by the stream
    try:
        make(file)
    except BaseException:
        file.close()
        raise
    size = file.tell()
    file.seek(0)
    headers = {**as_file(name), "Content-Length": str(size)}
    return StreamingResponse(_blocks(file), media_type=media_type, headers=headers)


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while block := file.read(BLOCK):
            yield block
