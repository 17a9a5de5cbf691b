"""Where labelled data come from: a folder, a frozen snapshot, or COCO."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from linegate.training.coco import load_coco
from linegate.training.dataset import Dataset, Sample, load_folder
from linegate.training.partlog_source import load_cases, load_partlog
from linegate.training.place import Place
from linegate.training.snapshot import MANIFEST, thaw


def load_datasets(paths: Sequence[Path]) -> Dataset:
    """One dataset of all ``paths``: classes are matched by name, those of a station first, so that a class keeps the number
    that the PLC knows it by.

    Parts of different sources never share a group; a name that two sources use is prefixed with its source's.

    Raises:
        DatasetError: a source can't be read.
    """
    place = station_of(paths)
    return merge([load_dataset(path) for path in paths], before=place.classes() if place is not None else ())


def station_of(paths: Sequence[Path]) -> Place | None:
    """The first station among ``paths``. Raises SettingsError."""
    return next((Place.of(path) for path in paths if _is_station(path)), None)


def load_frozen(paths: Sequence[Path]) -> Dataset:
    """The release gate's frozen set: of a source that names a test side this side only, of another all. Raises DatasetError."""
    sets = [load_dataset(path) for path in paths]
    return merge([one.with_samples(one.side("test") or one.samples) for one in sets])


def merge(sets: Sequence[Dataset], before: Sequence[str] = ()) -> Dataset:
    """See ``load_datasets``; ``before``: classes that come first, whether a set has them or not."""
    classes = tuple(dict.fromkeys([*before, *(name for one in sets for name in one.classes)]))
    if len(sets) == 1:
        return replace(sets[0], classes=classes, samples=tuple(_own_classes(sets[0])))
    samples = [
        replace(
            sample,
            name=f"{number}/{sample.name}",
            group=f"{number}/{sample.group}",
            unit=f"{number}/{sample.unit}" if sample.unit else "",
        )
        for number, one in enumerate(sets)
        for sample in _own_classes(one)
    ]
    return Dataset(sets[0].source, classes, tuple(samples), tuple(lost for one in sets for lost in one.lost))


def _own_classes(dataset: Dataset) -> list[Sample]:
    """Samples whose mask values keep their names among other classes."""
    return [replace(sample, mask_classes=sample.mask_classes or dataset.classes) for sample in dataset.samples]


def load_must_catch(paths: Sequence[Path], station: Path | None) -> Dataset | None:
    """Past escapes and challenge parts, from ``paths`` and from the station's log; None where there are none."""
    sets = [load_dataset(path) for path in paths]
    if station is not None and (cases := load_cases(station)) is not None:
        sets.append(cases)
    return merge(sets) if sets else None


def load_dataset(path: Path) -> Dataset:
    """Tell the kind by what lies at ``path`` and read it: station.toml means its part log. Raises DatasetError."""
    if _is_station(path):
        return load_partlog(path)
    if path.is_file() and path.suffix.lower() == ".json":
        return load_coco(path)
    if (path / MANIFEST).is_file():
        return thaw(path)
    return load_folder(path)


def _is_station(path: Path) -> bool:
    return path.suffix.lower() == ".toml"
