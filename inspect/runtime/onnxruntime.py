"""ONNX Runtime: the second CPU engine, and the CUDA engine where no TensorRT is built.

It computes in the precision that the ONNX file is written in; ``precision`` has no effect.
"""

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
from linegate.inspect.runtime.session import Output
from linegate.inspect.settings import RuntimeSettings
from linegate.models.bundle import Bundle

_DTYPES = {"tensor(uint8)": "uint8", "tensor(float)": "float32", "tensor(float16)": "float16"}
_WARNINGS_OFF = 3


class OnnxRuntimeSession:
    """One network; outputs are bound to arrays that are allocated once. ``provider``: ONNX Runtime's name of the device."""

    def __init__(self, bundle: Bundle, settings: RuntimeSettings, provider: str = "CPUExecutionProvider") -> None:
        """Load ``bundle``'s network. Raises RuntimeFailed, BundleError."""
        try:
            import onnxruntime as ort
        except ImportError as error:
            remedy = "Run `pip install onnxruntime` (for engine 'cuda': onnxruntime-gpu)."
            raise missing(settings.engine, "the onnxruntime package", str(error), remedy) from error
        available = ort.get_available_providers()
        if provider not in available:
            raise missing(
                settings.engine,
                f"ONNX Runtime with {provider}",
                f"only {', '.join(available)}",
                "Install onnxruntime-gpu for the station's CUDA version, or choose engine = 'openvino'.",
            )
        options = ort.SessionOptions()
        options.intra_op_num_threads = settings.threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = _WARNINGS_OFF
        # A spinning pool takes the cores from the camera, PLC and log threads between two parts.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        data = bundle.model_bytes()
        try:
            session = ort.InferenceSession(data, options, providers=[provider])
        except Exception as error:  # ONNX Runtime's error classes share no base of their own
            raise failed(bundle, "onnxruntime", "load", error) from error
        if session.get_providers()[0] != provider:
            raise missing(
                settings.engine,
                f"a device for {provider}",
                f"ONNX Runtime fell back to {session.get_providers()[0]}",
                "Check the driver with nvidia-smi and the CUDA and cuDNN versions onnxruntime-gpu was built for.",
            )
        outputs = _ports(session.get_outputs())
        check_ports(bundle, _ports(session.get_inputs()), outputs)
        self._bundle = bundle
        self._port = input_port(bundle.manifest)
        self._session: Any = session
        self._binding: Any = session.io_binding()
        self._outputs: dict[str, NDArray[np.float32]] = {}
        for port in outputs:
            array: NDArray[np.float32] = np.zeros(port.shape, np.float32)
            self._outputs[port.name] = array
            self._binding.bind_output(port.name, "cpu", 0, np.float32, port.shape, array.ctypes.data)
        where = "CPU" if provider == "CPUExecutionProvider" else "CUDA"
        self._device = f"onnxruntime {where}, precision of the file, {threads_in_words(settings.threads)}"

    @property
    def device(self) -> str:
        """Engine, device and threads."""
        return self._device

    def infer(self, tensor: NDArray[np.uint8]) -> Output:
        """See ``InferenceSession``. The input is read where it lies, without a copy on the CPU."""
        check_tensor(tensor, self._port)
        tensor = np.ascontiguousarray(tensor)
        self._binding.bind_input("image", "cpu", 0, np.uint8, tensor.shape, tensor.ctypes.data)
        try:
            self._session.run_with_iobinding(self._binding)
        except Exception as error:  # see above
            raise failed(self._bundle, self._device, "run", error) from error
        return checked_output(self._outputs["mask"], self._outputs["part"], self._outputs.get("embedding"))

    def close(self) -> None:
        """Drop the network; ONNX Runtime frees it with its last reference."""
        self._binding = None
        self._session = None


def _ports(ports: Any) -> list[Port]:
    return [
        Port(p.name, _DTYPES.get(p.type, p.type), tuple(d if isinstance(d, int) else -1 for d in p.shape))
        for p in ports
    ]
