"""Counter and timestamp that a camera puts into the frame itself."""

from __future__ import annotations

import logging

from linegate.cameras.counter import FrameCounter
from linegate.cameras.errors import CameraError
from linegate.cameras.features import Features

COUNTERS = {
    "Framecounter": "ChunkFramecounter",  # Basler, SFNC 1
    "FrameID": "ChunkFrameID",
    "CounterValue": "ChunkCounterValue",
}
"""Chunk selector to the feature that carries it, best first."""
GENERAL_PURPOSE = "CounterValue"
"""The one that counts whatever its counter is set to, at first nothing (SFNC 2.7, CounterEventSource: Off)."""
EXPOSURES = ("ExposureStart", "FrameStart")
TIMESTAMP = "ChunkTimestamp"

_log = logging.getLogger(__name__)


class Chunks:
    """Which chunks one camera sends, and the counter in them.

    The camera's own counter also counts what was exposed and never left the camera. It need not start at 0 when the camera
    is armed, and need not count frames at all, so it is believed only once it has moved in step with the transport's frame
    number, and is anchored there. Until then the transport's number holds.
    """

    def __init__(self, camera: str) -> None:
        self._camera = camera
        self._own: FrameCounter | None = None
        self._last: tuple[int, int] | None = None
        self._doubted = False
        self.counter_node: str | None = None
        """Feature that carries the counter; None when the camera sends none."""
        self.has_timestamp = False

    def switch_on(self, features: Features) -> None:
        """Ask the camera for counter and timestamp, where it offers them. Raises CameraError."""
        nodes = features.nodes
        self.counter_node, self.has_timestamp = None, False
        if not (nodes.has("ChunkModeActive") and nodes.has("ChunkSelector")):
            return
        before = nodes.read("ChunkModeActive")
        features.put("ChunkModeActive", True)
        offered = nodes.symbols("ChunkSelector")
        counter = next((selector for selector in COUNTERS if selector in offered), None)
        if counter == GENERAL_PURPOSE and not _count_exposures(features):
            counter = None
        for selector in (counter, "Timestamp" if "Timestamp" in offered else None):
            if selector is not None:
                features.put("ChunkSelector", selector)
                features.put("ChunkEnable", True)
        self.counter_node = COUNTERS[counter] if counter is not None else None
        self.has_timestamp = "Timestamp" in offered
        if self.counter_node is None and not self.has_timestamp:
            features.put("ChunkModeActive", before)

    def restart(self) -> None:
        """The camera is armed afresh."""
        self._own = self._last = None

    def advance(self, raw: int, counter: int, missing: int) -> tuple[int, int]:
        """The frame's counter and how many are missing before it, from the chunk's ``raw`` value. ``counter`` and ``missing``
        are what the transport's frame number says. Raises CameraLost when a counter that was believed went back."""
        if self._own is not None:
            return self._own.advance(raw)
        last, self._last = self._last, (raw, counter)
        if last is not None:
            if raw - last[0] == counter - last[1]:
                self._own = FrameCounter(self._camera, first=raw - counter, period=1 << 32)
                self._own.skip(counter + 1)
            elif not self._doubted:
                self._doubted = True
                text = "camera %s: %s went from %d to %d over %d frames and is not believed yet"
                _log.warning(text, self._camera, self.counter_node, last[0], raw, counter - last[1])
        return counter, missing


def _count_exposures(features: Features) -> bool:
    """Have a counter that nobody uses count exposures, and the chunk carry that one. False where the camera does not let us."""
    nodes = features.nodes
    if not (nodes.has("CounterSelector") and nodes.has("CounterEventSource")):
        return False
    try:
        for selector in nodes.symbols("CounterSelector"):
            features.put("CounterSelector", selector)
            source = next((name for name in EXPOSURES if name in nodes.symbols("CounterEventSource")), None)
            if source is None or nodes.read("CounterEventSource") not in ("Off", source):
                continue
            features.put("CounterEventSource", source)
            if nodes.has("CounterDuration") and (limits := nodes.limits("CounterDuration")) is not None:
                features.put("CounterDuration", int(limits[1]))  # it ends there
            if nodes.has("CounterReset"):
                nodes.execute("CounterReset")
            if nodes.has("ChunkCounterSelector"):
                features.put("ChunkCounterSelector", selector)
            return True
    except CameraError as error:
        _log.warning("%s", error)
    return False
