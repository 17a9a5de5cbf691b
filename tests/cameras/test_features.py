"""Feature names of both SFNC generations and the timer output, on node maps as cameras have them.

No Basler ace is at hand in a test; these node maps hold what its documentation lists, with the SDK's behaviour of refusing.
"""

from __future__ import annotations

import pytest

from linegate.cameras.chunks import Chunks
from linegate.cameras.errors import CameraError
from linegate.cameras.features import Features, Value, configure, configure_trigger
from linegate.cameras.pylon_pulse import TimerPulse
from linegate.cameras.settings import GenicamFeatures, Roi


class Map:
    """A node map in memory. ``ranges``: feature to (low, high) or to its symbols, of which the first is set; written values
    are recorded in order."""

    def __init__(self, **ranges: tuple[float, float] | tuple[str, ...] | None) -> None:
        self._ranges = ranges
        self.written: list[tuple[str, Value]] = []
        self.executed: list[str] = []

    def has(self, name: str) -> bool:
        return name in self._ranges

    def read(self, name: str) -> Value:
        written = dict(self.written)
        return written[name] if name in written else self.symbols(name)[0]

    def write(self, name: str, value: Value) -> None:
        symbols, limits = self.symbols(name), self.limits(name)
        if symbols and value not in symbols:
            raise ValueError(f"{value} : not an entry")
        if limits is not None and not limits[0] <= float(value) <= limits[1]:
            raise ValueError(f"{value} : out of range")
        self.written.append((name, value))

    def execute(self, name: str) -> None:
        self.executed.append(name)

    def symbols(self, name: str) -> tuple[str, ...]:
        found = self._ranges[name]
        return tuple(s for s in found if isinstance(s, str)) if found is not None else ()

    def limits(self, name: str) -> tuple[float, float] | None:
        found = self._ranges[name]
        return (float(found[0]), float(found[1])) if found is not None and not isinstance(found[0], str) else None


def test_sfnc_2_names() -> None:
    nodes = Map(ExposureTime=(10, 1e6), ExposureAuto=("Off", "Once"), Gain=(0, 24), GainAuto=("Off",))
    configure(Features("top", nodes), GenicamFeatures(exposure_us=500, gain_db=3))
    assert nodes.written == [("ExposureAuto", "Off"), ("ExposureTime", 500.0), ("GainAuto", "Off"), ("Gain", 3.0)]


def test_sfnc_1_names_and_its_raw_gain() -> None:
    nodes = Map(ExposureTimeAbs=(35, 9e5), GainRaw=(136, 542))
    configure(Features("top", nodes), GenicamFeatures(exposure_us=500))
    assert nodes.written == [("ExposureTimeAbs", 500.0)]
    with pytest.raises(CameraError, match=r"features\.GainRaw, 136 to 542"):
        configure(Features("top", nodes), GenicamFeatures(gain_db=3))


def test_an_old_offset_does_not_limit_the_new_roi() -> None:
    nodes = Map(OffsetX=(0, 1000), OffsetY=(0, 1000), Width=(1, 1000), Height=(1, 1000))
    configure(Features("top", nodes), GenicamFeatures(roi=Roi(x_px=100, y_px=50, width_px=800, height_px=600)))
    assert [name for name, _ in nodes.written] == ["OffsetX", "OffsetY", "Width", "Height", "OffsetX", "OffsetY"]
    assert nodes.written[-2:] == [("OffsetX", 100), ("OffsetY", 50)]


def test_every_other_trigger_is_switched_off_first() -> None:
    nodes = Map(
        TriggerSelector=("AcquisitionStart", "FrameStart"),
        TriggerMode=("On", "Off"),
        TriggerSource=("Software", "Line1"),
    )
    configure_trigger(Features("top", nodes), "top", "hardware", "Line1")
    assert nodes.written == [
        ("TriggerSelector", "AcquisitionStart"),
        ("TriggerMode", "Off"),
        ("TriggerSelector", "FrameStart"),
        ("TriggerMode", "Off"),
        ("TriggerSelector", "FrameStart"),
        ("TriggerSource", "Line1"),
        ("TriggerMode", "On"),
    ]


@pytest.mark.parametrize(
    ("modes", "written"), [(("SingleFrame", "Continuous"), [("AcquisitionMode", "Continuous")]), (("Continuous",), [])]
)
def test_frame_after_frame_whatever_a_user_set_holds(modes: tuple[str, ...], written: list[tuple[str, Value]]) -> None:
    nodes = Map(AcquisitionMode=modes)
    configure_trigger(Features("top", nodes), "top", "free", "Line1")
    assert nodes.written == written


def chunky(**more: tuple[float, float] | tuple[str, ...] | None) -> Map:
    nodes = Map(**{"ChunkModeActive": None, "ChunkSelector": ("CounterValue",), "ChunkEnable": None, **more})
    nodes.written.append(("ChunkModeActive", False))
    return nodes


def counters(*sources: str) -> Map:
    return chunky(
        CounterSelector=("Counter0", "Counter1"),
        CounterEventSource=sources,
        CounterDuration=(1, 0xFFFFFFFF),
        CounterReset=None,
        ChunkCounterSelector=("Counter0", "Counter1"),
    )


def test_a_counter_that_counts_nothing_yet_is_set_to_exposures() -> None:
    nodes = counters("Off", "FrameStart", "ExposureStart")
    chunks = Chunks("top")
    chunks.switch_on(Features("top", nodes))
    assert chunks.counter_node == "ChunkCounterValue"
    assert nodes.written[2:] == [
        ("CounterSelector", "Counter0"),
        ("CounterEventSource", "ExposureStart"),
        ("CounterDuration", 0xFFFFFFFF),
        ("ChunkCounterSelector", "Counter0"),
        ("ChunkSelector", "CounterValue"),
        ("ChunkEnable", True),
    ]
    assert nodes.executed == ["CounterReset"]


@pytest.mark.parametrize("sources", [("Line1", "ExposureStart"), ("Off", "Line1"), ()])
def test_a_counter_that_can_not_count_exposures_or_is_in_use_is_left_alone(sources: tuple[str, ...]) -> None:
    nodes = counters(*sources) if sources else chunky()
    chunks = Chunks("top")
    chunks.switch_on(Features("top", nodes))
    assert chunks.counter_node is None
    assert "CounterEventSource" not in dict(nodes.written)
    assert dict(nodes.written)["ChunkModeActive"] is False


def timers(**more: tuple[float, float] | tuple[str, ...] | None) -> Map:
    return Map(
        **{
            "TimerSelector": ("Timer1", "Timer2"),
            "TimerTriggerSource": ("ExposureStart", "SoftwareSignal1"),
            "TimerDuration": (1, 1e6),
            "SoftwareSignalSelector": ("SoftwareSignal1",),
            "SoftwareSignalPulse": None,
            "LineSelector": ("Line1", "Line3"),
            "LineMode": ("Input", "Output"),
            "LineSource": ("ExposureActive", "Timer1Active"),
            **more,
        }
    )


def test_the_pulse_is_the_cameras_own_timer_prepared_once() -> None:
    nodes = timers()
    pulse = TimerPulse("top", Features("top", nodes))
    pulse.pulse("Line3", 20_000)
    assert nodes.written == [
        ("TimerSelector", "Timer1"),
        ("TimerTriggerSource", "SoftwareSignal1"),
        ("SoftwareSignalSelector", "SoftwareSignal1"),
        ("LineSelector", "Line3"),
        ("LineMode", "Output"),
        ("LineSource", "Timer1Active"),
        ("TimerDuration", 20_000.0),
    ]
    pulse.pulse("Line3", 20_000)
    assert len(nodes.written) == 7
    assert nodes.executed == ["SoftwareSignalPulse"] * 2


def test_a_timer_that_only_the_exposure_starts_is_no_pulse() -> None:
    nodes = timers(TimerTriggerSource=("ExposureStart",))
    with pytest.raises(CameraError, match="only ExposureStart"):
        TimerPulse("top", Features("top", nodes)).pulse("Line3", 100)
    assert nodes.executed == []


def test_a_pulse_longer_than_the_timer_allows_is_refused_before_it_fires() -> None:
    nodes = timers()
    with pytest.raises(CameraError, match="1 to 1000000, found 5000000"):
        TimerPulse("top", Features("top", nodes)).pulse("Line3", 5_000_000)
    assert nodes.executed == []


def test_an_sdk_error_on_the_way_to_a_pulse_says_what_failed() -> None:
    nodes = timers()

    def gone(name: str) -> None:
        raise RuntimeError("device was removed\nat 0x01")

    nodes.symbols = gone  # type: ignore[method-assign, assignment]
    with pytest.raises(CameraError, match=r"found device was removed\. The output stays at rest"):
        TimerPulse("top", Features("top", nodes)).pulse("Line3", 100)
