"""What every engine checks and returns alike: the network's ports against the manifest, the input's shape, sane outputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from linegate.inspect.runtime.session import EngineMissing, Output, RuntimeFailed
from linegate.models.bundle import Bundle
from linegate.models.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output of a network; ``dtype`` is numpy's name ("uint8", "float32")."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.dtype} {list(self.shape)}"


def input_port(manifest: Manifest) -> Port:
    """The input that the manifest promises."""
    spec = manifest.input
    return Port("image", "uint8", (1, spec.channels, spec.height_px, spec.width_px))


def output_ports(manifest: Manifest) -> tuple[Port, ...]:
    """The outputs that the manifest promises: mask, part, and embedding where it has one."""
    spec = manifest.input
    grid = (spec.height_px // spec.stride_px, spec.width_px // spec.stride_px)
    ports = [Port("mask", "float32", (1, len(manifest.classes), *grid)), Port("part", "float32", (1, 1))]
    if manifest.embedding:
        ports.append(Port("embedding", "float32", (1, manifest.embedding)))
    return tuple(ports)


def check_ports(bundle: Bundle, inputs: Sequence[Port], outputs: Sequence[Port]) -> None:
    """Raise RuntimeFailed, naming each port that differs, unless the network has exactly the manifest's ports."""
    expected = {p.name: p for p in (input_port(bundle.manifest), *output_ports(bundle.manifest))}
    found = {p.name: p for p in (*inputs, *outputs)}
    names = [name for name in {**expected, **found} if expected.get(name) != found.get(name)]
    if names:
        raise RuntimeFailed(
            f"network of bundle {bundle.folder}",
            expected=", ".join(str(expected.get(name, f"no {name}")) for name in names),
            found=", ".join(str(found.get(name, f"no {name}")) for name in names),
            remedy="The manifest does not belong to this network; export the bundle again.",
        )


def check_tensor(tensor: NDArray[np.uint8], port: Port) -> None:
    """Raise RuntimeFailed unless ``tensor`` is the network's input."""
    if tensor.shape != port.shape or tensor.dtype != np.uint8:
        raise RuntimeFailed(
            "network input",
            expected=str(port),
            found=f"{tensor.dtype} {list(tensor.shape)}",
            remedy="Prepare images with linegate.models.preprocess.",
        )


def checked_output(
    mask: NDArray[np.float32], part: NDArray[np.float32], embedding: NDArray[np.float32] | None
) -> Output:
    """An Output of the raw arrays (1, K, h, w), (1, 1) and (1, D) or None.

    A NaN compares as "below every threshold" and would read as a good part, so anything not finite is a failure. One sum
    finds it: NaN and infinity survive addition, and values of 0..1 can't overflow.
    """
    score = float(part[0, 0])
    if not math.isfinite(score) or not math.isfinite(float(mask.sum())):
        raise RuntimeFailed(
            "network output",
            expected="finite scores",
            found="NaN or infinity",
            remedy="Run with precision = 'accuracy'; if it stays, the bundle is broken: roll back.",
        )
    return Output(
        mask=mask[0], part_score=min(1.0, max(0.0, score)), embedding=None if embedding is None else embedding[0]
    )


def threads_in_words(threads: int) -> str:
    """ "1 thread", "2 threads"."""
    return f"{threads} thread{'s' if threads != 1 else ''}"


def missing(engine: str, library: str, detail: str, remedy: str) -> EngineMissing:
    """The error of an engine whose library or device is not there."""
    return EngineMissing(f"engine {engine!r}", expected=library, found=detail, remedy=remedy)


def failed(bundle: Bundle, device: str, doing: str, error: Exception) -> RuntimeFailed:
    """The error of an engine that could not load or run a network: the library's first line of words, not its trace."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and "Exception from" not in line]
    return RuntimeFailed(
        f"network of bundle {bundle.folder}",
        expected=f"{device} to {doing} it",
        found=lines[0] if lines else type(error).__name__,
        remedy="Check the bundle with `linegate check`, or choose another engine in [runtime].",
    )
