"""OpenVINO on the CPU (or, by its own plugins, on Intel's GPUs): the default engine."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from linegate.inspect.runtime.contract import (
    Port,
    check_ports,
    check_tensor,
    checked_output,
    failed,
    input_port,
    missing,
    threads_in_words,
)
from linegate.inspect.runtime.quiet import import_openvino
from linegate.inspect.runtime.session import Output
from linegate.inspect.settings import RuntimeSettings
from linegate.models.bundle import Bundle

_PRECISIONS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}


class OpenVinoSession:
    """One compiled network, one infer request, its input and outputs allocated once."""

    def __init__(self, bundle: Bundle, settings: RuntimeSettings) -> None:
        """Compile ``bundle``'s network. Raises RuntimeFailed, BundleError."""
        try:
            ov = import_openvino()
        except ImportError as error:
            raise missing("openvino", "the openvino package", str(error), "Run `pip install openvino`.") from error
        data = bundle.model_bytes()
        try:
            core = ov.Core()
            model = core.read_model(data)
            check_ports(bundle, _ports(model.inputs), _ports(model.outputs))
            compiled = core.compile_model(model, "CPU", _options(settings))
            request = compiled.create_infer_request()
        except RuntimeError as error:
            raise failed(bundle, "openvino", "load", error) from error
        self._bundle = bundle
        self._port = input_port(bundle.manifest)
        self._input: NDArray[np.uint8] = np.zeros(self._port.shape, np.uint8)
        request.set_input_tensor(ov.Tensor(self._input, shared_memory=True))
        self._outputs: dict[str, NDArray[np.float32]] = {}
        for index, port in enumerate(_ports(model.outputs)):
            array: NDArray[np.float32] = np.zeros(port.shape, np.float32)
            request.set_output_tensor(index, ov.Tensor(array, shared_memory=True))
            self._outputs[port.name] = array
        self._request: Any = request
        self._device = f"openvino CPU {_precision(compiled)}, {threads_in_words(settings.threads)}"

    @property
    def device(self) -> str:
        """Engine, device, precision as OpenVINO itself reports it, and threads."""
        return self._device

    def infer(self, tensor: NDArray[np.uint8]) -> Output:
        """See ``InferenceSession``. The copy into the request's own buffer is 0.05 ms for 1 MP; sharing the caller's
        memory instead is refused by OpenVINO for read-only arrays, which frames are."""
        check_tensor(tensor, self._port)
        np.copyto(self._input, tensor)
        try:
            self._request.infer(share_inputs=True, share_outputs=True)
        except RuntimeError as error:
            raise failed(self._bundle, self._device, "run", error) from error
        return checked_output(self._outputs["mask"], self._outputs["part"], self._outputs.get("embedding"))

    def close(self) -> None:
        """Drop the request; OpenVINO frees the compiled network with it."""
        self._request = None


def _options(settings: RuntimeSettings) -> dict[str, Any]:
    options: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": settings.threads,
        # Pinned threads of two sessions (live and shadow) would be pinned to the same cores.
        "ENABLE_CPU_PINNING": False,
    }
    if settings.precision == "accuracy":
        options["EXECUTION_MODE_HINT"] = "ACCURACY"
        options["INFERENCE_PRECISION_HINT"] = "f32"
    else:
        options["INFERENCE_PRECISION_HINT"] = _PRECISIONS[settings.precision]
    return options


def _precision(compiled: Any) -> str:
    if str(compiled.get_property("EXECUTION_MODE_HINT")).endswith("ACCURACY"):
        return "accuracy"
    name = str(compiled.get_property("INFERENCE_PRECISION_HINT"))
    for words, short in (("bfloat16", "bf16"), ("float16", "fp16"), ("float32", "fp32")):
        if words in name:
            return short
    return name


def _ports(ports: Any) -> list[Port]:
    return [
        Port(
            port.any_name,
            port.get_element_type().to_dtype().name,
            tuple(d.get_length() if d.is_static else -1 for d in port.get_partial_shape()),
        )
        for port in ports
    ]
