"""Checkpoints that survive kill -9 and a full disk: written beside, synced, then renamed over the last good one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from linegate.cameras.errors import LinegateError

FILE = "checkpoint.pt"


class CheckpointError(LinegateError):
    """A checkpoint can't be written, or is not of this run."""


class OtherRun(CheckpointError):
    """A whole checkpoint, but of other data, another network or other settings."""


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Replace the folder's checkpoint. Raises CheckpointError when the disk doesn't take it; the old one then stays."""
    temporary = folder / f".{FILE}.new"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / FILE)
    except (OSError, RuntimeError) as error:  # torch's zip writer reports a full disk as RuntimeError
        temporary.unlink(missing_ok=True)
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).splitlines()[0]
        raise CheckpointError(
            f"checkpoint {folder / FILE}",
            expected="room for it on the disk",
            found=reason,
            remedy="Free some disk and start the same command again: it goes on from the last good checkpoint.",
        ) from error


def load_checkpoint(folder: Path, identity: dict[str, Any]) -> dict[str, Any] | None:
    """The folder's checkpoint, or None where there is none.

    Only tensors and plain values are read (``weights_only``): a checkpoint can't run code.

    Raises:
        CheckpointError: it is damaged. OtherRun: it is of a run with other data or settings than ``identity``.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        found = state["identity"]
    except Exception as error:  # a damaged zip shows itself as any of a dozen types
        raise CheckpointError(
            f"checkpoint {path}",
            expected="a checkpoint of this command",
            found=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
            remedy="Delete it to start anew.",
        ) from error
    for key, value in identity.items():
        if found.get(key) != value:
            raise OtherRun(
                f"checkpoint {path}",
                expected=f"a run with {key} = {value}",
                found=f"{key} = {found.get(key)}",
                remedy="Train into another folder, or delete the checkpoint to start anew.",
            )
    return state
