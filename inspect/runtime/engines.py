"""From a bundle and the station's [runtime] to a loaded, warm session."""

from __future__ import annotations

import numpy as np

from linegate.inspect.runtime.contract import input_port
from linegate.inspect.runtime.session import InferenceSession
from linegate.inspect.settings import RuntimeSettings
from linegate.models.bundle import Bundle


def open_session(bundle: Bundle, settings: RuntimeSettings) -> InferenceSession:
    """Load ``bundle``'s network on the engine of ``settings`` and run it ``settings.warmup`` times.

    Takes 50 ms to seconds (TensorRT: minutes the first time on a device), so it is called before a bundle goes live, never
    between a trigger and its verdict.

    Raises:
        RuntimeFailed: the engine's library or device is missing, or the network is not what the manifest says.
        BundleError: the network's bytes changed since the bundle was loaded.
    """
    session = _open(bundle, settings)
    blank = np.zeros(input_port(bundle.manifest).shape, np.uint8)
    try:
        for _ in range(settings.warmup):
            session.infer(blank)
    except BaseException:
        session.close()
        raise
    return session


def _open(bundle: Bundle, settings: RuntimeSettings) -> InferenceSession:
    # Imported here: a station loads the library of its own engine only.
    if settings.engine == "openvino":
        from linegate.inspect.runtime.openvino import OpenVinoSession

        return OpenVinoSession(bundle, settings)
    if settings.engine == "onnxruntime":
        from linegate.inspect.runtime.onnxruntime import OnnxRuntimeSession

        return OnnxRuntimeSession(bundle, settings)
    if settings.engine == "cuda":
        from linegate.inspect.runtime.cuda import open_cuda

        return open_cuda(bundle, settings)
    from linegate.inspect.runtime.tensorrt import TensorRtSession

    return TensorRtSession(bundle, settings)
