"""A fitted network as ONNX bytes, and proof that every build of it judges alike."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from linegate.cameras.errors import LinegateError
from linegate.inspect.runtime.session import Output
from linegate.models.bundle import Bundle
from linegate.models.manifest import InputSpec, Parity
from linegate.training.builds import TORCH, compare
from linegate.training.judge import Judged, judged_on
from linegate.training.network import Deployed

RTOL, ATOL = 1e-3, 1e-5
"""Limits for torch against the reference runtime."""
_OPSET = 17


class ExportError(LinegateError):
    """A network doesn't become the ONNX file that a bundle needs."""


def to_onnx(net: nn.Module, spec: InputSpec) -> bytes:
    """The network of ``spec``'s static input shape, batch norm folded, scaling inside, as ONNX.

    Raises:
        ExportError: the network can't be traced.
    """
    image = torch.zeros((1, spec.channels, spec.height_px, spec.width_px), dtype=torch.uint8)
    deployed = Deployed(net).eval()
    file = io.BytesIO()
    try:
        with torch.no_grad(), warnings.catch_warnings():
            # The tracing exporter needs no onnxscript; torch calls it legacy and says so in warnings.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                deployed,
                (image,),
                file,  # type: ignore[arg-type]  # a stream is what the tracing exporter takes
                input_names=["image"],
                output_names=["mask", "part", "embedding"],
                opset_version=_OPSET,
                dynamo=False,
            )
    except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
        raise ExportError(
            f"network {type(net).__name__}",
            expected="a network that exports to ONNX",
            found=str(error).splitlines()[0],
            remedy="Use a network of linegate.training.",
        ) from error
    return file.getvalue()


def torch_parity(net: nn.Module, bundle: Bundle, reference: Sequence[Judged]) -> Parity:
    """The torch network against ``reference`` (OpenVINO in ACCURACY mode), through the line's own code for all the rest.

    Within its limits when every part's score and every class's highest region score are. A verdict may flip all the same,
    where a threshold lies within the limits too: that is no fault of the export.
    """
    session = _TorchSession(net)
    mine = list(judged_on(session, bundle.manifest, [j.sample for j in reference]))
    own, theirs = (np.array([[j.score, *j.class_peaks] for j in judged]) for judged in (mine, reference))
    close = bool(np.allclose(own, theirs, rtol=RTOL, atol=ATOL))
    return compare(TORCH, mine, reference).model_copy(update={"within": close})


class _TorchSession:
    """A torch network behind the line's InferenceSession."""

    device = "torch fp32"

    def __init__(self, net: nn.Module) -> None:
        self._deployed = Deployed(net).eval()

    def infer(self, tensor: NDArray[np.uint8]) -> Output:
        """See ``linegate.inspect.runtime.session.InferenceSession``."""
        with torch.no_grad():
            mask, part, embedding = self._deployed(torch.from_numpy(np.array(tensor)))
        return Output(mask[0].numpy(), float(part[0, 0]), embedding[0].numpy())

    def close(self) -> None:
        """Nothing to free."""
