# ruff: noqa: ARG005 - the faces are NVIDIA's; a stand-in uses few of the arguments
"""Stand-ins with the documented faces of cuda-python's runtime and of TensorRT 11, for machines without a GPU.

Device memory is host memory at other addresses, a stream is a list of what was put on it, and an engine computes with ONNX
Runtime. What they are strict about is what a GPU is strict about: nothing runs before the stream is waited for, a capture
records and does not run, memory that was freed may not be touched, and everything must be freed.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime


class FakeCuda:
    def __init__(self) -> None:
        self.memory: dict[int, Any] = {}
        self.streams: dict[int, list[Callable[[], None]]] = {}
        self.graphs: dict[int, list[Callable[[], None]]] = {}
        self.capturing = False
        self.launches = 0
        self.handles = 100
        self.cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2)
        self.cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)

    def _handle(self) -> int:
        self.handles += 1
        return self.handles

    def _allocate(self, size: int) -> tuple[int, int]:
        buffer = (ctypes.c_uint8 * size)()
        self.memory[ctypes.addressof(buffer)] = buffer
        return 0, ctypes.addressof(buffer)

    cudaMalloc = cudaMallocHost = _allocate  # noqa: N815

    def _free(self, address: int) -> tuple[int]:
        return (0,) if self.memory.pop(address, None) is not None else (1,)

    cudaFree = cudaFreeHost = _free  # noqa: N815

    def cudaGetDeviceCount(self) -> tuple[int, int]:  # noqa: N802
        return 0, 1

    def cudaSetDevice(self, device: int) -> tuple[int]:  # noqa: N802
        return (0,)

    def cudaRuntimeGetVersion(self) -> tuple[int, int]:  # noqa: N802
        return 0, 13000

    def cudaGetDeviceProperties(self, device: int) -> tuple[int, Any]:  # noqa: N802
        return 0, SimpleNamespace(name=b"Fake GPU\0\0", major=9, minor=0)

    def cudaGetErrorString(self, status: int) -> tuple[int, bytes]:  # noqa: N802
        return 0, b"fake error"

    def cudaStreamCreate(self) -> tuple[int, int]:  # noqa: N802
        handle = self._handle()
        self.streams[handle] = []
        return 0, handle

    def cudaStreamDestroy(self, stream: int) -> tuple[int]:  # noqa: N802
        return (0,) if self.streams.pop(stream, None) is not None else (1,)

    def cudaStreamSynchronize(self, stream: int) -> tuple[int]:  # noqa: N802
        if self.capturing:
            return (900,)  # cudaErrorStreamCaptureUnsupported
        work, self.streams[stream] = self.streams[stream], []
        for step in work:
            step()
        return (0,)

    def cudaMemcpyAsync(self, target: int, source: int, size: int, kind: int, stream: int) -> tuple[int]:  # noqa: N802
        if target not in self.memory or source not in self.memory:
            return (1,)
        self.streams[stream].append(lambda: ctypes.memmove(target, source, size) and None)
        return (0,)

    def cudaStreamBeginCapture(self, stream: int, mode: int) -> tuple[int]:  # noqa: N802
        if self.streams[stream]:
            return (901,)
        self.capturing = True
        return (0,)

    def cudaStreamEndCapture(self, stream: int) -> tuple[int, int]:  # noqa: N802
        self.capturing = False
        handle = self._handle()
        self.graphs[handle], self.streams[stream] = self.streams[stream], []
        return 0, handle

    def cudaGraphInstantiate(self, graph: int, flags: int) -> tuple[int, int]:  # noqa: N802
        handle = self._handle()
        self.graphs[handle] = list(self.graphs[graph])
        return 0, handle

    def cudaGraphLaunch(self, graph: int, stream: int) -> tuple[int]:  # noqa: N802
        self.launches += 1
        self.streams[stream].extend(self.graphs[graph])
        return (0,)

    def _destroy(self, graph: int) -> tuple[int]:
        return (0,) if self.graphs.pop(graph, None) is not None else (1,)

    cudaGraphDestroy = cudaGraphExecDestroy = _destroy  # noqa: N815


class FakeTensorRt:
    """The module ``tensorrt``; counts its builds."""

    __version__ = "11.0.0"

    def __init__(self, cuda: FakeCuda) -> None:
        self.cuda = cuda
        self.builds = 0
        self.Logger = type("Logger", (), {"WARNING": 1, "__init__": lambda self, level: None})
        self.NetworkDefinitionCreationFlag = SimpleNamespace()  # 11 needs no STRONGLY_TYPED
        self.MemoryPoolType = SimpleNamespace(WORKSPACE=0)
        self.BuilderFlag = SimpleNamespace(TF32=1)
        self.TensorIOMode = SimpleNamespace(INPUT="in", OUTPUT="out")
        self.Builder = lambda logger: SimpleNamespace(
            create_network=lambda flags: SimpleNamespace(flags=flags),
            create_builder_config=self._config,
            build_serialized_network=self._build,
        )
        self.Runtime = lambda logger: SimpleNamespace(deserialize_cuda_engine=lambda plan: _Engine(self, bytes(plan)))

    def OnnxParser(self, network: Any, logger: Any) -> Any:  # noqa: N802
        def parse(data: bytes) -> bool:
            network.data = data
            return data != b"this is no network"

        return SimpleNamespace(parse=parse, num_errors=1, get_error=lambda i: "node 0: nonsense")

    def nptype(self, dtype: str) -> type:
        return {"tensor(uint8)": np.uint8, "tensor(float)": np.float32}[dtype]

    def _config(self) -> Any:
        cache = SimpleNamespace(serialize=lambda: b"timings")
        return SimpleNamespace(
            set_memory_pool_limit=lambda pool, size: None,
            clear_flag=lambda flag: None,
            create_timing_cache=lambda data: cache,
            set_timing_cache=lambda given, ignore_mismatch: True,
            get_timing_cache=lambda: cache,
        )

    def _build(self, network: Any, config: Any) -> bytes:
        self.builds += 1
        return network.data  # type: ignore[no-any-return]


class _Engine:
    def __init__(self, trt: FakeTensorRt, plan: bytes) -> None:
        self.trt = trt
        self.session = onnxruntime.InferenceSession(plan, providers=["CPUExecutionProvider"])
        self.ports = {p.name: p for p in (*self.session.get_inputs(), *self.session.get_outputs())}
        self.inputs = {p.name for p in self.session.get_inputs()}
        self.num_io_tensors = len(self.ports)

    def get_tensor_name(self, index: int) -> str:
        return list(self.ports)[index]

    def get_tensor_dtype(self, name: str) -> str:
        return str(self.ports[name].type)

    def get_tensor_shape(self, name: str) -> list[int]:
        return list(self.ports[name].shape)

    def get_tensor_mode(self, name: str) -> str:
        return "in" if name in self.inputs else "out"

    def create_execution_context(self) -> Any:
        addresses: dict[str, int] = {}

        def view(name: str) -> np.ndarray:
            dtype = np.dtype(self.trt.nptype(self.get_tensor_dtype(name)))
            shape = self.get_tensor_shape(name)
            buffer = self.trt.cuda.memory[addresses[name]]
            return np.frombuffer(buffer, dtype).reshape(shape)

        def compute() -> None:
            outputs = [name for name in self.ports if name not in self.inputs]
            results = self.session.run(outputs, {name: view(name) for name in self.inputs})
            for name, result in zip(outputs, results, strict=True):
                view(name)[...] = result

        def enqueue(stream: int) -> bool:
            if set(addresses) != set(self.ports):
                return False
            self.trt.cuda.streams[stream].append(compute)
            return True

        def set_address(name: str, address: int) -> bool:
            addresses[name] = address
            return address in self.trt.cuda.memory

        return SimpleNamespace(set_tensor_address=set_address, execute_async_v3=enqueue)
