"""GenTL producers (.cti files), each loaded once per process and shared by its cameras."""

from __future__ import annotations

import ctypes
import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linegate.cameras import vendor
from linegate.cameras.errors import CameraError
from linegate.cameras.features import Value

LOCK = threading.RLock()
"""Held while a producer is loaded or let go and while a device is opened: producers need not be thread-safe there."""

_loaded: dict[str, tuple[Any, int]] = {}


@dataclass(frozen=True, slots=True)
class GentlDevice:
    """One device of a producer; ``info`` is harvesters' own object."""

    id: str
    serial: str
    vendor: str
    model: str
    link: str
    info: Any


def load(producer: Path) -> Any:
    """A harvester with the producer's devices, listed anew when no camera of it is open. Pair with ``let_go``.

    Raises CameraError when the file is missing or is no GenTL producer.
    """
    harvesters = vendor.sdk("harvesters.core")
    logging.getLogger("harvesters.core").setLevel(logging.CRITICAL)  # it logs a traceback for what is raised as well
    key = str(producer)
    with LOCK:
        harvester, users = _loaded.get(key, (None, 0))
        if harvester is None:
            _check(producer)
            harvester = harvesters.Harvester()
            try:
                harvester.add_file(key)
                harvester.update()
            except Exception as error:  # the producer's own GenTL error
                harvester.reset()
                raise _unusable(producer, f"a producer that fails ({str(error).strip() or 'no detail'})") from error
        _loaded[key] = (harvester, users + 1)
        return harvester


def _check(producer: Path) -> None:
    """A library that is no producer must not reach harvesters: it calls what is not there, and the process is gone."""
    if not producer.is_file():
        raise _unusable(producer, "no such file")
    try:
        library = ctypes.CDLL(str(producer))
    except OSError as error:
        raise _unusable(producer, f"a file that does not load ({error})") from error
    if not hasattr(library, "GCInitLib"):
        raise _unusable(producer, "a library that is no GenTL producer")


def let_go(producer: Path) -> None:
    """The counterpart of ``load``: the last user unloads the producer."""
    key = str(producer)
    with LOCK:
        harvester, users = _loaded[key]
        if users > 1:
            _loaded[key] = (harvester, users - 1)
        else:
            del _loaded[key]
            harvester.reset()


def devices(harvester: Any) -> list[GentlDevice]:
    """What the producer sees."""
    return [
        GentlDevice(
            id=_text(info, "id_"),
            serial=_text(info, "serial_number"),
            vendor=_text(info, "vendor"),
            model=_text(info, "model"),
            link=_text(info, "tl_type"),
            info=info,
        )
        for info in harvester.device_info_list
    ]


def _text(info: Any, name: str) -> str:
    """A producer need not know all of a device's words, and says so by an exception of its own."""
    try:
        return str(getattr(info, name) or "")
    except Exception:
        return ""


def _unusable(producer: Path, found: str) -> CameraError:
    return CameraError(
        f"producer {producer}",
        expected="a GenTL producer (.cti) for this machine's processor",
        found=found,
        remedy="Set producer in station.toml to the .cti file that the camera vendor's software has installed.",
    )


class GenapiNodes:
    """``features.Nodes`` over the genicam package's node map."""

    def __init__(self, node_map: Any) -> None:
        self._map = node_map

    def _node(self, name: str) -> Any:
        return getattr(self._map, name, None)

    def has(self, name: str) -> bool:
        """True when readable or writable now (GenApi's access modes: 0 not implemented, 1 not available)."""
        node = self._node(name)
        return node is not None and int(node.get_access_mode()) >= 2

    def read(self, name: str) -> Value:
        """The value as Python has it."""
        value: Value = self._node(name).value
        return value

    def ask(self, name: str) -> None:
        """Read the device itself, past what GenApi remembers of it. Raises the SDK's error when it does not answer."""
        self._node(name).get_value(False, True)

    def write(self, name: str, value: Value) -> None:
        """Set it; a whole float is accepted for an integer feature."""
        node = self._node(name)
        kind = type(node).__name__
        if kind == "IInteger" and isinstance(value, float) and value.is_integer():
            value = int(value)
        elif kind == "IFloat" and not isinstance(value, (bool, str)):
            value = float(value)
        node.value = value

    def execute(self, name: str) -> None:
        """Run a command."""
        self._node(name).execute()

    def symbols(self, name: str) -> tuple[str, ...]:
        """What the enumeration can be set to."""
        node = self._node(name)
        return tuple(str(s) for s in node.symbolics) if hasattr(node, "symbolics") else ()

    def limits(self, name: str) -> tuple[float, float] | None:
        """The present range."""
        node = self._node(name)
        return (node.min, node.max) if hasattr(node, "min") else None
