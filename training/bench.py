"""How fast this machine trains: pictures a second on each device and precision it has, and what that makes of a whole run."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from linegate.training.baselines import build
from linegate.training.dataset import Dataset
from linegate.training.fit import FitSettings, fit
from linegate.training.hardware import Precision, pick_device
from linegate.training.network import NetSpec
from linegate.training.pictures import Pictures
from linegate.training.shapes import choose_input, survey
from linegate.training.sources import load_datasets
from linegate.training.virtual import drawn_panels

_PANELS = 48


@dataclass(frozen=True, slots=True)
class Speed:
    """One device and precision: batch, crops and whole inputs learnt from in a second, and the share of the time in which the
    device waited for them to be drawn."""

    device: str
    batch: int
    crops_per_s: float
    wholes_per_s: float
    waited: float

    def minutes_for(self, pictures: int, whole_from: float) -> float:
        """Time to learn from so many pictures, of which whole ones are seen from progress ``whole_from`` on."""
        return pictures / (whole_from * self.crops_per_s + (1 - whole_from) * self.wholes_per_s) / 60


@contextmanager
def data_for(sources: Sequence[Path]) -> Iterator[Dataset]:
    """The labelled data of ``sources``; without any, drawn panels, which are deleted afterwards."""
    if sources:
        yield load_datasets(sources)
        return
    with tempfile.TemporaryDirectory() as folder, drawn_panels(Path(folder) / "bench", 0, _PANELS) as drawn:
        yield drawn[0]


def bench_training(
    dataset: Dataset, settings: FitSettings, seconds: float, tell: Callable[[str], None]
) -> Iterator[Speed]:
    """Fit Linegate's network to ``dataset`` for ``seconds`` on each device and precision that ``settings`` leave open.

    Raises:
        DatasetError: the data can't be read. SettingsError: a device that isn't there.
    """
    spec, size = choose_input(dataset, survey(dataset))
    with tempfile.TemporaryDirectory() as folder:
        pictures = Pictures.load(spec, dataset.classes, dataset.samples, Path(folder))
        for device, precision in _variants(settings):
            tell(f"{device} {precision}")
            own = settings.model_copy(
                update={"device": device, "precision": precision, "minutes": seconds / 120, "steps": None}
            )
            yield _measured(
                NetSpec.of(size, len(dataset.classes), spec.channels, levelled=spec.fit != "tile"), pictures, own
            )


def _variants(settings: FitSettings) -> Iterator[tuple[str, Precision]]:
    """fp32 and what "auto" comes to, on each device."""
    devices: list[Literal["cpu", "cuda"]] = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    if settings.device != "auto":
        devices = [settings.device]
    for device in devices:
        best = pick_device(device, settings.precision, settings.threads, repeatable=False).precision
        for precision in dict.fromkeys([best] if settings.precision != "auto" else ["fp32", best]):
            yield device, precision


def _measured(net: NetSpec, pictures: Pictures, settings: FitSettings) -> Speed:
    """One fit of crops alone and one of whole inputs alone. Where no defect's place is known there are no crops."""
    rates, waited_s, elapsed_s = [], 0.0, 0.0
    for whole_from in (1.0, 0.0):
        own = settings.model_copy(update={"whole_from": whole_from, "checkpoint_s": 1e9})
        with tempfile.TemporaryDirectory() as work:
            fitted = fit(build(net), pictures, own, Path(work))
        rates.append(fitted.history[-1].images_per_s)
        waited_s, elapsed_s = waited_s + fitted.waited_s, elapsed_s + fitted.elapsed_s
    crops_per_s, wholes_per_s = rates
    return Speed(fitted.device, fitted.batch, crops_per_s, wholes_per_s, waited_s / elapsed_s)
