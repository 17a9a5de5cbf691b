"""The yardstick: networks fitted by one recipe on one fixed split in one budget, their accuracy and speed in one table."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import torch
from rich.console import Console

from linegate.cameras.errors import SettingsError
from linegate.models.bundle import Bundle, load_bundle, save_bundle
from linegate.training.baselines import build
from linegate.training.dataset import Dataset
from linegate.training.export import to_onnx
from linegate.training.fit import FitSettings
from linegate.training.latency import ROUNDS, Timing, time_in_turns
from linegate.training.network import Kind, parameters_m
from linegate.training.output import write_output
from linegate.training.pipeline import TrainOptions, train, work_folder
from linegate.training.record import RECORD, WEIGHTS, RunRecord
from linegate.training.snapshot import Snapshot
from linegate.training.yardstick import Comparison, Run, Subset
from linegate.training.yardstick_report import LATENCY_PX, as_json, markdown, scatter

SPLIT_SEED = 0
_FREE = {"seed", "loaders", "checkpoint_s"}


def networks_of(text: str) -> tuple[tuple[str, int], ...]:
    """(network, seed) pairs of "line:3,lraspp". Raises SettingsError."""
    found: list[tuple[str, int]] = []
    for word in text.split(","):
        kind, _, count = word.strip().partition(":")
        if kind not in get_args(Kind) or not (count or "1").isdigit():
            raise SettingsError(
                "option --networks",
                expected=f"names among {', '.join(get_args(Kind))}, with :N for N seeds",
                found=repr(word),
                remedy="Correct the list.",
            )
        found += [(kind, seed) for seed in range(int(count or 1))]
    return tuple(found)


@dataclass(frozen=True, slots=True)
class BakeOff:
    """What is compared: (network, seed) pairs, the share kept for validation, and classes that are also looked at together."""

    networks: tuple[tuple[str, int], ...]
    settings: FitSettings
    share: float = 0.3
    pretrained: bool = False
    subsets: tuple[Subset, ...] = ()

    def recipe(self) -> dict[str, object]:
        """What a result depends on besides data, network and seed; minutes only where they are the budget."""
        fields = self.settings.model_dump(exclude=_FREE)
        fields.pop("minutes" if self.settings.steps is not None else "steps")
        return {**fields, "share": self.share, "split_seed": SPLIT_SEED, "pretrained": self.pretrained}


@dataclass(frozen=True, slots=True)
class _Cell:
    """One network with one seed on one data set, and the folder that holds all that it comes to."""

    network: str
    seed: int
    folder: Path

    @property
    def bundle(self) -> Path:
        return self.folder / "bundle"

    @property
    def work(self) -> Path:
        return work_folder(self.bundle)

    def run(self) -> Run:
        """Read what was measured. A bundle is written after its record, so where it is, this is."""
        record = RunRecord.model_validate_json((self.work / RECORD).read_bytes())
        return Run(self.network, self.seed, record, parameters_m(build(record.net)))


@dataclass(frozen=True, slots=True)
class _Shelf:
    """One data set and what was or will be fitted to it."""

    dataset: Dataset
    label: str
    data_sha256: str
    cells: tuple[_Cell, ...]


def bake_off(
    datasets: Sequence[Dataset], plan: BakeOff, out: Path, console: Console, rounds: int = ROUNDS
) -> list[Comparison]:
    """Fit each network on each data set and compare them; run again, it goes on where it stopped.

    A result is kept under the hash of all that it depends on (data, network, seed, budget, recipe, share), so what was fitted
    otherwise is fitted anew. Latencies are measured last, all in one run, so that the machine's state is the same for all.
    Writes results.json, results.md and one plot for each data set into ``out``.

    Raises:
        DatasetError, BundleError, CheckpointError, OutputError: the data or the folder can't be used.
        SettingsError: a subset's classes are in none of the data sets.
    """
    _check(datasets, plan.subsets)
    shelves = _shelves(datasets, plan, out)
    todo = [(shelf, cell) for shelf in shelves for cell in shelf.cells if not cell.bundle.exists()]
    for number, (shelf, cell) in enumerate(todo, 1):
        words = f"{cell.network}, seed {cell.seed}, on {shelf.label}"
        console.print(f"{words} ({number} of {len(todo)})", highlight=False)
        _fit(shelf.dataset, cell, plan, console)
    timings = _time(shelves, out, rounds)
    found = []
    for shelf in shelves:
        subsets = tuple(subset for subset in plan.subsets if set(subset.classes) <= set(shelf.dataset.classes))
        runs = tuple(cell.run() for cell in shelf.cells)
        own = {network: timings[shelf.label, network] for network, _ in plan.networks}
        found.append(Comparison(shelf.label, shelf.data_sha256, subsets, runs, own))
    write_output(out / "results.json", json.dumps(as_json(found, plan.recipe()), indent=1) + "\n")
    write_output(out / "results.md", markdown(found, plan.recipe()))
    for comparison in found:
        write_output(out / f"{comparison.name}.svg", scatter(comparison))
    return found


def _check(datasets: Sequence[Dataset], subsets: Sequence[Subset]) -> None:
    for subset in subsets:
        if not any(set(subset.classes) <= set(dataset.classes) for dataset in datasets):
            raise SettingsError(
                f"option --subset {subset.name}",
                expected=" or ".join(f"classes among {', '.join(dataset.classes)}" for dataset in datasets),
                found=", ".join(subset.classes),
                remedy="Correct the names.",
            )


def _shelves(datasets: Sequence[Dataset], plan: BakeOff, out: Path) -> list[_Shelf]:
    names = [dataset.source.name for dataset in datasets]
    shelves = []
    for dataset in datasets:
        sha256 = Snapshot.of(dataset).sha256
        folder = f"{dataset.source.name}-{sha256[:8]}"
        cells = []
        for network, seed in plan.networks:
            key = json.dumps({**plan.recipe(), "data": sha256, "network": network, "seed": seed}, sort_keys=True)
            digest = hashlib.sha256(key.encode()).hexdigest()[:12]
            cells.append(_Cell(network, seed, out / folder / f"{network}-{seed}-{digest}"))
        label = dataset.source.name if names.count(dataset.source.name) == 1 else folder
        shelves.append(_Shelf(dataset, label, sha256, tuple(cells)))
    return shelves


def _fit(dataset: Dataset, cell: _Cell, plan: BakeOff, console: Console) -> None:
    options = TrainOptions(
        name=cell.network,
        share=plan.share,
        network=cell.network,
        split_seed=SPLIT_SEED,
        pretrained=plan.pretrained,
        command="linegate train bakeoff",
        keep_weights=True,
    )
    write_output(cell.folder / "recipe.json", json.dumps(plan.recipe(), indent=1) + "\n")
    train(dataset, cell.bundle, plan.settings.model_copy(update={"seed": cell.seed}), options, console)


def _time(shelves: Sequence[_Shelf], out: Path, rounds: int) -> dict[tuple[str, str], Timing]:
    """By data set and network: the time at 512 × 512 of the first seed's weights."""
    with tempfile.TemporaryDirectory(dir=out) as folder:
        bundles: dict[tuple[str, str], Bundle] = {}
        for shelf in shelves:
            for cell in shelf.cells:
                key = (shelf.label, cell.network)
                if key not in bundles:
                    bundles[key] = _exported(cell, Path(folder) / str(len(bundles)))
        return time_in_turns(bundles, rounds=rounds)


def _exported(cell: _Cell, folder: Path) -> Bundle:
    """The cell's fitted network, exported again for 512 × 512."""
    manifest, net = load_bundle(cell.bundle).manifest, build(cell.run().record.net)
    net.load_state_dict(torch.load(cell.work / WEIGHTS, map_location="cpu", weights_only=True))
    size = {"width_px": LATENCY_PX, "height_px": LATENCY_PX, "fit": "resize", "overlap_px": 0}
    spec = manifest.input.model_copy(update=size)
    return save_bundle(folder, manifest.model_copy(update={"input": spec}), to_onnx(net, spec))
