"""The network as it was trained, beside what training leaves for people: the release gate can compare the export with it.
Arrays and JSON, never a pickle."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from linegate.models.bundle import Bundle
from linegate.models.manifest import Parity
from linegate.training.baselines import build
from linegate.training.builds import NETWORK_FILE
from linegate.training.dataset import DatasetError
from linegate.training.export import torch_parity
from linegate.training.judge import Judged
from linegate.training.network import Net, NetSpec
from linegate.training.output import write_output

_SPEC = "spec"


def save_network(work: Path, net: Net) -> None:
    """Write the weights of a network that ``build`` made, with its ``spec``, to ``work``. Raises OutputError."""
    arrays: dict[str, Any] = {_SPEC: np.frombuffer(net.spec.model_dump_json().encode(), np.uint8)}
    arrays |= {f"w.{name}": value.detach().cpu().numpy() for name, value in net.state_dict().items()}
    file = io.BytesIO()
    np.savez(file, **arrays)
    write_output(work / NETWORK_FILE, file.getvalue())


def load_network(path: Path) -> Net:
    """The network that ``save_network`` wrote, for judging. Raises DatasetError."""
    try:
        with np.load(path) as file:
            net = build(NetSpec.model_validate_json(file[_SPEC].tobytes()), False)
            state = {name[2:]: torch.from_numpy(file[name]) for name in file.files if name != _SPEC}
        net.load_state_dict(state)
    except (OSError, ValueError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
        raise DatasetError(
            f"file {path}",
            expected="the network that training left",
            found=str(error).splitlines()[0] if str(error) else type(error).__name__,
            remedy="Take the file away; the gate then takes what training proved of the export.",
        ) from error
    return net.eval()


def comparing(path: Path) -> Callable[[Bundle, Sequence[Judged]], Parity]:
    """What the release gate compares an export with. Raises DatasetError."""
    net = load_network(path)
    return lambda bundle, reference: torch_parity(net, bundle, reference)
