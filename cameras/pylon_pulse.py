"""A Basler camera's digital output, pulsed by the camera's own timer."""

from __future__ import annotations

from linegate.cameras.errors import CameraError
from linegate.cameras.features import Features

TIMER = "Timer1"
DURATION = ("TimerDuration", "TimerDurationAbs")
LINE_SOURCES = ("Timer1Active", "TimerActive")
START_SIGNALS = ("SoftwareSignal1", "SoftwareSignal2", "SoftwareSignal3")


class TimerPulse:
    """``PulseOutput`` by composition: line ← Timer1 ← software signal (Basler, ace 2 and later).

    Called on the verdict thread. It touches only selectors of its own (line, timer, signal), which the acquisition thread
    leaves alone once the camera is open; pylon serialises the register accesses.
    """

    def __init__(self, camera: str, features: Features) -> None:
        self._camera = camera
        self._features = features
        self._line = ""
        self._duration_us = 0

    def pulse(self, line: str, duration_us: int) -> None:
        """Raise ``line`` for ``duration_us``. Raises CameraError when the camera has no timer that software can start, or
        does not answer."""
        try:
            if line != self._line:
                self._prepare(line)
            if duration_us != self._duration_us:
                self._features.put_first(
                    DURATION, float(duration_us), "Take a camera with timers, or use the PLC alone."
                )
                self._duration_us = duration_us
            self._features.nodes.execute("SoftwareSignalPulse")
        except CameraError:
            raise
        except Exception as error:  # the SDK's own, when the camera goes while it is asked
            raise CameraError(
                f"camera {self._camera!r}, output {line}",
                expected="the timer to start",
                found=str(error).strip().partition("\n")[0] or type(error).__name__,
                remedy="The output stays at rest and the part is rejected. Check the camera's link.",
            ) from error

    def _prepare(self, line: str) -> None:
        features, nodes = self._features, self._features.nodes
        sources = nodes.symbols("TimerTriggerSource") if nodes.has("TimerTriggerSource") else ()
        signal = next((name for name in START_SIGNALS if name in sources), None)
        if signal is None or not nodes.has("SoftwareSignalPulse"):
            raise CameraError(
                f"camera {self._camera!r}, output {line}",
                expected="a timer that software can start (TimerTriggerSource = SoftwareSignal1)",
                found="no such timer" + (f", only {', '.join(sources)}" if sources else ""),
                remedy="Take [pulse] out of station.toml, or use a camera with software-signal timers.",
            )
        features.put("TimerSelector", TIMER)
        features.put("TimerTriggerSource", signal)
        features.put("SoftwareSignalSelector", signal)
        features.put("LineSelector", line)
        if nodes.has("LineMode"):
            features.put("LineMode", "Output")
        offered = nodes.symbols("LineSource")
        features.put("LineSource", next((name for name in LINE_SOURCES if name in offered), LINE_SOURCES[0]))
        self._line, self._duration_us = line, 0
