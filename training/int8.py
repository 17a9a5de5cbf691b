"""The bundle once more in 8-bit integers, if it judges every validation part as the reference does."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linegate.models.bundle import Bundle, save_bundle
from linegate.models.manifest import Parity
from linegate.models.preprocess import Preprocessor
from linegate.training.builds import build_parity
from linegate.training.checks import open_sample
from linegate.training.dataset import Sample
from linegate.training.export import ExportError
from linegate.training.judge import Judged
from linegate.training.latency import STATION, Timing, time_in_turns

_PICTURES = 64
"""Good ones and as many bad ones, over which the ranges of activations are taken."""
_KEPT = ("/net/mask", "/net/part")
"""The two heads stay as they are: they are a sliver of the work, and what they round is the score itself."""
_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Int8:
    """How the 8-bit network compares. ``draft`` is its bundle, with the same thresholds; None where it was refused."""

    parity: Parity
    timing: Timing
    before: Timing
    draft: Bundle | None

    def words(self) -> str:
        """What became of it, for the card and the console."""
        speed = f"{self.timing.median_ms:.1f} ms an input instead of {self.before.median_ms:.1f} ms"
        if self.draft is not None:
            return f"int8: no verdict of {self.parity.pictures} pictures flips, {speed}"
        flips = self.parity.flips
        names = f"{', '.join(flips[:5])}{', …' if len(flips) > 5 else ''}"
        return (
            f"int8: refused, it flips the verdict of {len(flips)} of {self.parity.pictures} pictures ({names}); {speed}"
        )


def export_int8(bundle: Bundle, training: Sequence[Sample], reference: Sequence[Judged], folder: Path) -> Int8:
    """Quantise ``bundle``'s network over ``training`` pictures and judge the parts of ``reference`` with it, as a station
    would. ``folder`` takes the draft.

    Raises:
        ExportError: onnxruntime or onnx is missing, or the network can't be quantised.
        BundleError, DatasetError, RuntimeFailed: see ``save_bundle`` and ``judge``.
    """
    manifest = bundle.manifest.model_copy(update={"name": f"{bundle.manifest.name[:59]}-int8"})
    shutil.rmtree(folder, ignore_errors=True)
    draft = save_bundle(folder, manifest, to_int8(bundle.model_bytes(), _tensors(bundle, training)))
    parity = build_parity(draft, reference, STATION)
    parity = parity.model_copy(update={"build": f"int8 network, {parity.build}"})
    times = time_in_turns({"int8": draft, "before": bundle}, rounds=_ROUNDS)
    return Int8(parity, times["int8"], times["before"], draft if parity.within else None)


def to_int8(network: bytes, tensors: Iterator[NDArray[np.uint8]]) -> bytes:
    """An ONNX network with its convolutions in int8: weights per output channel, activations over the ranges that ``tensors``
    (each an input of the network) give, written as QuantizeLinear and DequantizeLinear pairs that every engine understands.

    Raises:
        ExportError: onnxruntime or onnx is missing, or the network can't be quantised.
    """
    try:
        import onnx
        from onnxruntime import quantization
        from onnxruntime.quantization.quant_utils import add_pre_process_metadata
    except ImportError as error:
        raise ExportError(
            "option --int8",
            expected="the packages onnx and onnxruntime",
            found=str(error),
            remedy="Run `pip install linegate[train,ort]`.",
        ) from error
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(network))
    add_pre_process_metadata(model)  # says that shapes are known, else the quantiser advises to have them inferred
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "int8.onnx"
        try:
            quantization.quantize_static(
                model,
                path,
                _Feed(tensors),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=["Conv"],
                nodes_to_exclude=[node.name for node in model.graph.node if node.name.startswith(_KEPT)],
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
            )
        except Exception as error:  # the quantiser's errors share no base
            raise ExportError(
                "option --int8",
                expected="a network that can be quantised",
                found=(str(error).splitlines() or [type(error).__name__])[0],
                remedy="Train without --int8.",
            ) from error
        return path.read_bytes()


class _Feed:
    """What the quantiser asks for inputs (its ``CalibrationDataReader``, known by this method alone)."""

    def __init__(self, tensors: Iterator[NDArray[np.uint8]]) -> None:
        self._tensors = tensors

    def get_next(self) -> Mapping[str, Any] | None:
        tensor = next(self._tensors, None)
        return None if tensor is None else {"image": tensor}


def _tensors(bundle: Bundle, samples: Sequence[Sample]) -> Iterator[NDArray[np.uint8]]:
    """One network input of each of some good and some bad pictures, spread over all."""
    spec = bundle.manifest.input
    preprocess = Preprocessor(spec)
    for label in ("good", "defect"):
        own = [sample for sample in samples if sample.label == label]
        for number, index in enumerate(np.linspace(0, len(own) - 1, min(_PICTURES, len(own))).round().astype(int)):
            image, _ = open_sample(own[index], bundle.manifest.classes, spec.channels)
            tensors = preprocess.prepare(image).tensors
            yield tensors[number % len(tensors)]
