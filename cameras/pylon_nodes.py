"""pylon's node map and device list, as the rest of the room sees them."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import Any

from linegate.cameras import vendor
from linegate.cameras.features import Value

EMULATION_CLASS = "BaslerCamEmu"
EMULATED_CAMERAS = 16
"""How many emulated cameras pylon offers once one is asked for; they cost nothing until opened."""

ENUMERATION = threading.Lock()
"""Held while devices are listed or created: several acquisition threads open their cameras at the same time."""

_LINKS = {"BaslerGigE": "GigE", "BaslerUsb": "USB3", EMULATION_CLASS: "emulated", "BaslerGTC": "GenTL"}


@dataclass(frozen=True, slots=True)
class PylonDevice:
    """One entry of pylon's device list; ``info`` is the SDK's own object."""

    serial: str
    vendor: str
    model: str
    link: str
    emulated: bool
    info: Any


def sdk() -> Any:
    """pypylon."""
    return vendor.sdk("pypylon.pylon")


def offer_emulated() -> None:
    """Make pylon list emulated cameras. pylon reads PYLON_CAMEMU at each enumeration; more than asked for is kept."""
    asked = os.environ.get("PYLON_CAMEMU", "")
    if not asked.isdigit() or int(asked) < EMULATED_CAMERAS:
        os.environ["PYLON_CAMEMU"] = str(EMULATED_CAMERAS)


def devices() -> list[PylonDevice]:
    """What pylon sees now. Call it with ENUMERATION held."""
    found = []
    for info in sdk().TlFactory.GetInstance().EnumerateDevices():
        kind = str(info.GetDeviceClass())
        found.append(
            PylonDevice(
                serial=str(info.GetSerialNumber()),
                vendor=str(info.GetVendorName()),
                model=str(info.GetModelName()),
                link=_LINKS.get(kind, kind),
                emulated=kind == EMULATION_CLASS,
                info=info,
            )
        )
    return found


class PylonNodes:
    """``features.Nodes`` over pypylon's parameters."""

    def __init__(self, node_map: Any) -> None:
        self._map = node_map

    def has(self, name: str) -> bool:
        """True when readable or writable now; an unknown name gives pypylon's invalid placeholder."""
        node = self._map.GetNode(name)
        return bool(node.IsValid() and (node.IsReadable() or node.IsWritable()))

    def read(self, name: str) -> Value:
        """The value as Python has it."""
        value: Value = self._map.GetNode(name).GetValue()
        return value

    def write(self, name: str, value: Value) -> None:
        """Set it; a whole float is accepted for an integer feature."""
        node = self._map.GetNode(name)
        kind = type(node).__name__
        if kind == "FloatParameter" and not isinstance(value, (bool, str)):
            value = float(value)
        elif kind == "IntegerParameter" and isinstance(value, float) and value.is_integer():
            value = int(value)
        node.SetValue(value)

    def execute(self, name: str) -> None:
        """Run a command."""
        self._map.GetNode(name).Execute()

    def symbols(self, name: str) -> tuple[str, ...]:
        """What the enumeration can be set to with the present settings."""
        node = self._map.GetNode(name)
        return tuple(str(s) for s in node.GetSettableValues()) if hasattr(node, "GetSettableValues") else ()

    def limits(self, name: str) -> tuple[float, float] | None:
        """The present range."""
        node = self._map.GetNode(name)
        return (node.GetMin(), node.GetMax()) if hasattr(node, "GetMin") else None
