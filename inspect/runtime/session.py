"""A bundle's network on a device: the one protocol behind which every engine stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from linegate.cameras.errors import LinegateError


class RuntimeFailed(LinegateError):
    """An engine can't load a network, or a network failed on an image."""


class EngineMissing(RuntimeFailed):
    """The engine's library or device is not on this machine."""


@dataclass(frozen=True, slots=True, eq=False)
class Output:
    """What the network says of one input.

    Attributes:
        mask: (K, h, w) float32, 0..1, each defect class's probability on the output grid; only valid until the next
            ``infer`` of the same session.
        part_score: 0..1, probability that the input shows any defect.
        embedding: (D,) float32 for nearest-neighbour search, or None where the bundle has none.
    """

    mask: NDArray[np.float32]
    part_score: float
    embedding: NDArray[np.float32] | None


@runtime_checkable
class InferenceSession(Protocol):
    """One loaded network, called by one thread at a time; releases the GIL while it computes."""

    @property
    def device(self) -> str:
        """Engine, device and precision in words, as rows and reports name them ("openvino CPU bf16")."""
        ...

    def infer(self, tensor: NDArray[np.uint8]) -> Output:
        """``tensor``: (1, C, H, W) uint8, the manifest's input shape. Raises RuntimeFailed."""
        ...

    def close(self) -> None:
        """Free the device. Never raises."""
        ...
