"""The pulse path fails to reject, and never holds the line up."""

from __future__ import annotations

import threading
import time

import pytest

from linegate.cameras.errors import CameraError, LinegateError
from linegate.inspect.part import PartKey
from linegate.inspect.pulse import PulseGate
from linegate.inspect.settings import PulseSettings

SETTINGS = PulseSettings(camera="top", line="Line3", pulse_ms=15)


class Output:
    """A camera's output that can hang or break."""

    def __init__(self) -> None:
        self.pulses: list[tuple[str, int]] = []
        self.go = threading.Event()
        self.broken: Exception | None = None

    def pulse(self, line: str, duration_us: int) -> None:
        assert self.go.wait(5)
        if self.broken is not None:
            raise self.broken
        self.pulses.append((line, duration_us))


def test_pulses_in_time_and_reports_what_it_could_not_do() -> None:
    output, failed = Output(), list[tuple[PartKey, LinegateError]]()
    gate = PulseGate(output, SETTINGS, lambda key, error: failed.append((key, error)))
    gate.start()
    far = time.monotonic_ns() + 10**10
    began = time.monotonic()
    gate.allow(PartKey(1, 1), far)
    gate.allow(PartKey(1, 2), time.monotonic_ns())  # over before its turn comes
    for k in range(3, 40):
        gate.allow(PartKey(1, k), far)
    assert time.monotonic() - began < 1, "a hanging output held the caller up"
    refused = {key.sequence for key, _ in failed}
    assert len(refused) >= 39 - 18 and min(refused) > 2
    output.go.set()
    deadline = time.monotonic() + 5
    while len(output.pulses) + len(failed) < 39 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert set(output.pulses) == {("Line3", 15_000)}
    assert len(output.pulses) + len(failed) == 39
    assert 2 in {key.sequence for key, _ in failed}
    gate.stop()


@pytest.mark.parametrize(
    "broken",
    [
        CameraError("camera 'top'", expected="a pulse", found="no camera", remedy="Plug it in."),
        AttributeError("'NoneType' object has no attribute 'pulse'"),
        RuntimeError("0xE1000014"),
    ],
)
def test_whatever_goes_wrong_is_one_failed_pulse_and_the_next_part_gets_its_own(broken: Exception) -> None:
    output, failed = Output(), list[tuple[PartKey, LinegateError]]()
    output.broken = broken
    output.go.set()
    gate = PulseGate(output, SETTINGS, lambda key, error: failed.append((key, error)))
    gate.start()
    far = time.monotonic_ns() + 10**10
    deadline = time.monotonic() + 5
    gate.allow(PartKey(1, 1), far)
    while not failed and time.monotonic() < deadline:
        time.sleep(0.005)
    assert [key.sequence for key, _ in failed] == [1] and not output.pulses
    assert str(broken) in str(failed[0][1])
    output.broken = None
    gate.allow(PartKey(1, 2), far)
    while not output.pulses and time.monotonic() < deadline:
        time.sleep(0.005)
    assert output.pulses == [("Line3", 15_000)]
    gate.stop()
