"""An NVIDIA GPU without TensorRT: ONNX Runtime's CUDA provider."""

from __future__ import annotations

from linegate.inspect.runtime.onnxruntime import OnnxRuntimeSession
from linegate.inspect.settings import RuntimeSettings
from linegate.models.bundle import Bundle


def open_cuda(bundle: Bundle, settings: RuntimeSettings) -> OnnxRuntimeSession:
    """Load ``bundle`` on CUDA device 0. Raises RuntimeFailed where the provider or the device is missing; it never falls
    back to the CPU in silence, because the deadlines would not hold there."""
    return OnnxRuntimeSession(bundle, settings, provider="CUDAExecutionProvider")
