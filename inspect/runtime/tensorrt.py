"""TensorRT on an NVIDIA GPU. The bundle's ONNX is built into an engine on the station, once for each device and version.

Written for TensorRT 11 (and 10.7 up): networks are strongly typed, so precision lives in the ONNX file; static shapes;
``set_tensor_address`` and ``execute_async_v3``; pinned host buffers; one warm-up enqueue, then a captured CUDA graph that
holds both copies and the network. https://docs.nvidia.com/deeplearning/tensorrt/latest/
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid
from pathlib import Path
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
)
from linegate.inspect.runtime.cudart import CudaError, CudaGraph, CudaMemory, open_cudart
from linegate.inspect.runtime.session import Output, RuntimeFailed
from linegate.inspect.settings import RuntimeSettings
from linegate.models.bundle import Bundle

_WORKSPACE_BYTES = 1 << 30


def cache_folder() -> Path:
    """Where built engines and the timing cache are kept: $LINEGATE_CACHE, else $XDG_CACHE_HOME/linegate, else ~/.cache."""
    own = os.environ.get("LINEGATE_CACHE")
    if own:
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "linegate"


class TensorRtSession:
    """One engine, one execution context, one stream, buffers allocated once."""

    def __init__(self, bundle: Bundle, settings: RuntimeSettings) -> None:
        """Load the engine from the cache, or build it (minutes). Raises RuntimeFailed, BundleError."""
        try:
            import tensorrt as trt
        except ImportError as error:
            remedy = "Install NVIDIA's tensorrt wheel and cuda-python on the station, or choose engine = 'openvino'."
            raise missing("tensorrt", "the tensorrt package", str(error), remedy) from error
        self._cuda = open_cudart()
        self._bundle = bundle
        self._port = input_port(bundle.manifest)
        self._closing = contextlib.ExitStack()
        self._runtime: Any = None
        self._engine: Any = None
        self._context: Any = None
        try:
            self._load(trt, settings)
        except CudaError as error:
            self.close()
            raise failed(bundle, "tensorrt", "load", error) from error
        except BaseException:
            self.close()
            raise

    @property
    def device(self) -> str:
        """Engine, device and TensorRT's version."""
        return self._device

    def infer(self, tensor: NDArray[np.uint8]) -> Output:
        """See ``InferenceSession``. One graph launch: copy in, network, copies out; waits for the stream without the GIL."""
        check_tensor(tensor, self._port)
        np.copyto(self._input.host, tensor)
        try:
            self._graph.launch()
            self._cuda.synchronize(self._stream)
        except CudaError as error:
            raise failed(self._bundle, self._device, "run", error) from error
        outputs = {name: memory.host for name, memory in self._outputs.items()}
        return checked_output(outputs["mask"], outputs["part"], outputs.get("embedding"))

    def close(self) -> None:
        """Free graph, buffers and stream, in this order; TensorRT's objects go with their last reference."""
        with contextlib.suppress(CudaError):
            self._closing.close()
        self._context = self._engine = self._runtime = None

    def _load(self, trt: Any, settings: RuntimeSettings) -> None:
        logger = trt.Logger(trt.Logger.WARNING)
        name = self._cuda.device_name()
        self._device = f"tensorrt {trt.__version__} {name}, precision of the file"
        data = self._bundle.model_bytes()
        strict = settings.precision == "accuracy"
        identity = f"{self._bundle.manifest.model_sha256} {name} {trt.__version__} {self._cuda.version()} {strict}"
        path = cache_folder() / "engines" / f"{hashlib.sha256(identity.encode()).hexdigest()}.engine"
        self._runtime = trt.Runtime(logger)
        self._engine = self._runtime.deserialize_cuda_engine(path.read_bytes()) if path.exists() else None
        if self._engine is None:  # nothing cached, or a cached engine that this installation refuses
            plan = _build(trt, logger, data, self._bundle, strict)
            _keep(path, plan)
            self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise RuntimeFailed(
                f"network of bundle {self._bundle.folder}",
                expected=f"{self._device} to load the engine it built",
                found="a refusal",
                remedy="See TensorRT's messages above; check the driver's version.",
            )
        inputs, outputs = _ports(trt, self._engine)
        check_ports(self._bundle, inputs, outputs)
        self._context = self._engine.create_execution_context()
        self._stream = self._cuda.stream()
        self._closing.callback(self._cuda.destroy_stream, self._stream)
        self._input = self._memory(self._port)
        self._outputs = {port.name: self._memory(port) for port in outputs}
        self._enqueue()  # outside the capture: TensorRT initialises lazily, which a capture forbids
        self._cuda.synchronize(self._stream)
        self._graph = CudaGraph(self._cuda, self._stream, self._enqueue)
        self._closing.callback(self._graph.close)

    def _memory(self, port: Port) -> CudaMemory:
        memory = CudaMemory(self._cuda, port.shape, port.dtype)
        self._closing.callback(memory.close)
        if not self._context.set_tensor_address(port.name, memory.device):
            raise CudaError(f"TensorRT refused the address of {port.name}")
        return memory

    def _enqueue(self) -> None:
        self._input.upload(self._stream)
        if not self._context.execute_async_v3(self._stream):
            raise CudaError("execute_async_v3 returned false")
        for memory in self._outputs.values():
            memory.download(self._stream)


def _build(trt: Any, logger: Any, data: bytes, bundle: Bundle, strict: bool) -> bytes:
    builder = trt.Builder(logger)
    # TensorRT 11 knows strongly typed networks only and may drop the flag; 10 needs it.
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if flag is None else 1 << int(flag))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(data):
        problems = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise failed(bundle, "tensorrt", "parse", RuntimeError(problems))
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, _WORKSPACE_BYTES)
    if strict:
        config.clear_flag(trt.BuilderFlag.TF32)
    timing = cache_folder() / "tensorrt.timing"
    cache = config.create_timing_cache(timing.read_bytes() if timing.exists() else b"")
    config.set_timing_cache(cache, ignore_mismatch=False)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise failed(bundle, "tensorrt", "build", RuntimeError("the builder found no engine; see its messages"))
    _keep(timing, bytes(config.get_timing_cache().serialize()))
    return bytes(plan)


def _keep(path: Path, data: bytes) -> None:
    """Cache ``data``; a cache that can't be written costs the next start's time, nothing else."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _ports(trt: Any, engine: Any) -> tuple[list[Port], list[Port]]:
    inputs: list[Port] = []
    outputs: list[Port] = []
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        dtype = np.dtype(trt.nptype(engine.get_tensor_dtype(name))).name
        port = Port(name, dtype, tuple(engine.get_tensor_shape(name)))
        (inputs if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT else outputs).append(port)
    return inputs, outputs
