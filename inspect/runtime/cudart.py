"""The few calls of the CUDA runtime that the TensorRT engine needs, over NVIDIA's own bindings (package cuda-python)."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linegate.inspect.runtime.contract import missing


class CudaError(Exception):
    """A CUDA call failed; becomes a RuntimeFailed at the session's face."""


class Cudart:
    """The runtime API with errors raised instead of returned."""

    def __init__(self, api: Any) -> None:
        self.api = api

    def call(self, name: str, *arguments: Any) -> Any:
        """One API function; its results without the status: None, one value, or a tuple."""
        status, *results = getattr(self.api, name)(*arguments)
        if int(status) != 0:
            text = self.api.cudaGetErrorString(status)[1]
            raise CudaError(f"{name}: {text.decode() if isinstance(text, bytes) else text}")
        return None if not results else results[0] if len(results) == 1 else tuple(results)

    def device_name(self) -> str:
        """Name and compute capability of device 0."""
        properties = self.call("cudaGetDeviceProperties", 0)
        name = properties.name.decode() if isinstance(properties.name, bytes) else str(properties.name)
        return f"{name.rstrip(chr(0))} sm_{properties.major}{properties.minor}"

    def version(self) -> int:
        """The runtime's version, 1000 · major + 10 · minor."""
        return int(self.call("cudaRuntimeGetVersion"))

    def stream(self) -> int:
        """A new stream's handle."""
        return int(self.call("cudaStreamCreate"))

    def destroy_stream(self, stream: int) -> None:
        """Free a stream."""
        self.call("cudaStreamDestroy", stream)

    def synchronize(self, stream: int) -> None:
        """Wait for all that was put on ``stream``."""
        self.call("cudaStreamSynchronize", stream)


class CudaMemory:
    """One tensor on both sides: ``host`` is pinned, ``device`` is the address the network sees."""

    def __init__(self, cuda: Cudart, shape: tuple[int, ...], dtype: str) -> None:
        self._cuda = cuda
        self.bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        self._pinned = int(cuda.call("cudaMallocHost", self.bytes))
        try:
            self.device = int(cuda.call("cudaMalloc", self.bytes))
        except CudaError:
            cuda.call("cudaFreeHost", self._pinned)
            raise
        raw = (ctypes.c_uint8 * self.bytes).from_address(self._pinned)
        self.host: NDArray[Any] = np.ctypeslib.as_array(raw).view(dtype).reshape(shape)

    def upload(self, stream: int) -> None:
        """Put the copy to the device on ``stream``."""
        kind = self._cuda.api.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._cuda.call("cudaMemcpyAsync", self.device, self._pinned, self.bytes, kind, stream)

    def download(self, stream: int) -> None:
        """Put the copy to the host on ``stream``."""
        kind = self._cuda.api.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._cuda.call("cudaMemcpyAsync", self._pinned, self.device, self.bytes, kind, stream)

    def close(self) -> None:
        """Free both sides. ``host`` must not be touched afterwards."""
        self._cuda.call("cudaFree", self.device)
        self._cuda.call("cudaFreeHost", self._pinned)


class CudaGraph:
    """What ``enqueue`` puts on ``stream``, captured once and launched as one piece of work."""

    def __init__(self, cuda: Cudart, stream: int, enqueue: Callable[[], None]) -> None:
        self._cuda = cuda
        self._stream = stream
        mode = cuda.api.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        cuda.call("cudaStreamBeginCapture", stream, mode)
        try:
            enqueue()
        finally:
            graph = cuda.call("cudaStreamEndCapture", stream)
        self._executable = cuda.call("cudaGraphInstantiate", graph, 0)
        cuda.call("cudaGraphDestroy", graph)

    def launch(self) -> None:
        """Start it; wait with ``Cudart.synchronize``."""
        self._cuda.call("cudaGraphLaunch", self._executable, self._stream)

    def close(self) -> None:
        """Free it."""
        self._cuda.call("cudaGraphExecDestroy", self._executable)


def open_cudart() -> Cudart:
    """The CUDA runtime with a device. Raises RuntimeFailed where bindings, driver or device are missing."""
    remedy = "Install cuda-python and a current NVIDIA driver (check with nvidia-smi), or choose engine = 'openvino'."
    try:
        cuda = Cudart(import_module("cuda.bindings.runtime"))
    except ImportError as error:
        raise missing("tensorrt", "the cuda-python package", str(error), remedy) from error
    try:
        devices = int(cuda.call("cudaGetDeviceCount"))
    except CudaError as error:
        raise missing("tensorrt", "a CUDA device", str(error), remedy) from error
    if devices < 1:
        raise missing("tensorrt", "a CUDA device", "none", remedy)
    cuda.call("cudaSetDevice", 0)
    return cuda
