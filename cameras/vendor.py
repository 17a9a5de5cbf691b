"""Vendor SDKs, imported when the first camera that needs them is asked for."""

from __future__ import annotations

import sys
import threading
import warnings
from importlib import import_module
from typing import Any

from linegate.cameras.errors import CameraError

_importing = threading.Lock()


def sdk(module: str) -> Any:
    """``module``, imported once. The SDKs are SWIG extensions, which warn while they load ("builtin type SwigPyPacked has
    no __module__ attribute"); where warnings are errors that warning takes the process down inside the loader.

    Raises CameraError naming the package where it, or a library that it needs, is not there.
    """
    with _importing:
        if module not in sys.modules:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                try:
                    import_module(module)
                except ImportError as error:
                    raise _not_here(module, error) from error
    return sys.modules[module]


def _not_here(module: str, error: ImportError) -> CameraError:
    package = (error.name or module).partition(".")[0]
    missing = isinstance(error, ModuleNotFoundError)
    return CameraError(
        f"camera driver {module.partition('.')[0]}",
        expected=f"the package {package}",
        found="not installed" if missing else str(error),
        remedy=f"Install it: pip install {package}. Not every processor has a wheel of it."
        if missing
        else f"Install it again: pip install --force-reinstall {package}.",
    )
