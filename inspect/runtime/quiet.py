"""Import OpenVINO without its telemetry.

``import openvino`` starts a thread that reports the import to Google Analytics, where the package openvino-telemetry (one of
its requirements) is installed. A machine on a plant's network must not call outside, and a thread that waits for a name
server there would sit in the line process. OpenVINO brings its own stand-in for when the package is missing, so for the time
of the import it is missing: https://docs.python.org/3/reference/import.html#the-module-cache (None raises ModuleNotFoundError).
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

_TELEMETRY = "openvino_telemetry"


def import_openvino() -> Any:
    """The module ``openvino``. Every import of it in this project goes through here. Raises ImportError."""
    if "openvino" in sys.modules or _TELEMETRY in sys.modules:
        return import_module("openvino")
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        return import_module("openvino")
    finally:
        del sys.modules[_TELEMETRY]
