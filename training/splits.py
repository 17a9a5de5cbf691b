"""Grouped, stratified splits: pictures of one physical part never lie on two sides, each class lies on both where two groups
have it, with at least two groups on each side where five have it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from linegate.training.dataset import Dataset, DatasetError, Sample, Side
from linegate.training.snapshot import file_sha256

GOOD = "good"


def strata(sample: Sample) -> tuple[str, ...]:
    """What a sample counts as in a stratified split."""
    if sample.label == "good":
        return (GOOD,)
    return sample.classes or ("(no class)",)


def leaking_groups(dataset: Dataset) -> dict[str, list[Side]]:
    """Groups with samples on more than one side, and the sides."""
    sides: defaultdict[str, set[Side]] = defaultdict(set)
    for sample in dataset.samples:
        sides[sample.group].add(sample.side)
    return {group: sorted(found) for group, found in sorted(sides.items()) if len(found) > 1}


def with_split(dataset: Dataset, share: float = 0.25, seed: int = 0) -> Dataset:
    """Every sample on a side: as the data say, else a grouped, stratified split with about ``share`` for validation.

    Samples already on "test" stay there. Escapes, which a release must catch, are learnt from and not kept back to validate on,
    where there are enough other parts for that. Where the data name both train and val, only samples without a side are moved
    (to train).

    Raises:
        DatasetError: a group lies on two sides, or there are too few groups to validate on any.
    """
    leaks = leaking_groups(dataset)
    if leaks:
        group, sides = next(iter(leaks.items()))
        raise DatasetError(
            f"group {group} of {dataset.source} ({len(leaks)} such groups)",
            expected="all pictures of one group on one side",
            found=" and ".join(side or "(none)" for side in sides),
            remedy="Correct the split column: pictures of the same part leak from training into validation.",
        )
    named = {sample.side for sample in dataset.samples}
    if {"train", "val"} <= named:
        return dataset.with_samples([replace(s, side=s.side or "train") for s in dataset.samples])
    joined = _joined(dataset.samples)
    free = [replace(s, group=joined[s.group]) for s in dataset.samples if s.side != "test"]
    learnt = _learnt_from(free)
    chosen = choose_groups([sample for sample in free if sample.group not in learnt], share, seed)
    _check_sides(dataset, free, chosen)
    moved: list[Sample] = []
    for sample in dataset.samples:
        side: Side = "test" if sample.side == "test" else "val" if joined[sample.group] in chosen else "train"
        moved.append(replace(sample, side=side))
    return dataset.with_samples(moved)


def _joined(samples: Sequence[Sample]) -> dict[str, str]:
    """Each group with the one that stands for it: groups that have the same picture file are one."""
    parent = {sample.group: sample.group for sample in samples}

    def root(group: str) -> str:
        while parent[group] != group:
            group = parent[group]
        return group

    first: dict[str, str] = {}
    for sample in samples:
        with suppress(DatasetError):  # a file that can't be read is named where it is opened
            other = first.setdefault(file_sha256(sample.image), sample.group)
            parent[root(sample.group)] = root(other)
    return {group: root(group) for group in parent}


def _learnt_from(samples: Sequence[Sample]) -> set[str]:
    """Groups with an escape; none, if without them each label that is there hadn't two groups any more."""
    escaped = {sample.group for sample in samples if sample.weight > 1}
    rest = {(sample.group, sample.label) for sample in samples if sample.group not in escaped}
    enough = all(sum(label == one for _, label in rest) >= 2 for one in {sample.label for sample in samples})
    return escaped if enough else set()


def choose_groups(samples: list[Sample], share: float, seed: int) -> set[str]:
    """Groups for validation, so that each stratum has about ``share`` of its samples there.

    Greedy: groups are taken large first (ties in seeded random order); each goes where it brings the shares of its strata,
    weighted by the strata's rarity, nearer to ``share``. Then each stratum gets its least number of groups on both sides: what
    is measured on one group of a class says little of the class.
    """
    total = Counter(stratum for sample in samples for stratum in strata(sample))
    content: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for sample in samples:
        content[sample.group].update(strata(sample))
    rng = np.random.default_rng(seed)
    names = sorted(content)
    order = sorted(
        rng.permutation(len(names)).tolist(), key=lambda i: -sum(n / total[s] for s, n in content[names[i]].items())
    )
    chosen: set[str] = set()
    there: Counter[str] = Counter()
    for index in order:
        group = names[index]
        gain = 0.0
        for stratum, count in content[group].items():
            before = there[stratum] / total[stratum] - share
            after = (there[stratum] + count) / total[stratum] - share
            gain += before**2 - after**2
        if gain > 0:
            chosen.add(group)
            there.update(content[group])
    _top_up(content, total, chosen, share)
    return chosen


def _top_up(content: Mapping[str, Counter[str]], total: Counter[str], chosen: set[str], share: float) -> None:
    """Move groups until each stratum has its least number on both sides, those first that disturb the shares least; none is
    taken where a stratum of its own would then have too few."""
    holders = {stratum: [g for g in content if stratum in content[g]] for stratum in total}
    least = {stratum: 0 if len(having) < 2 else 1 if len(having) < 5 else 2 for stratum, having in holders.items()}

    def on(side: bool, stratum: str) -> int:
        return sum((group in chosen) is side for group in holders[stratum])

    def disturbance(group: str) -> tuple[float, str]:
        after = chosen ^ {group}
        counts = Counter[str]()
        for member in after:
            counts.update(content[member])
        return sum((counts[stratum] / total[stratum] - share) ** 2 for stratum in total), group

    for stratum in sorted(total, key=lambda one: (len(holders[one]), one)):
        for side in (True, False):
            while on(side, stratum) < least[stratum]:
                free = [
                    group
                    for group in holders[stratum]
                    if (group in chosen) is not side and all(on(not side, s) > least[s] for s in content[group])
                ]
                if not free:
                    break
                chosen ^= {min(free, key=disturbance)}


def _check_sides(dataset: Dataset, free: list[Sample], chosen: set[str]) -> None:
    for label, remedy in (
        ("defect", "Label more defective parts, at least two different ones."),
        ("good", "Add pictures of good parts, of at least two different ones."),
    ):
        groups = {sample.group for sample in free if sample.label == label}
        if label == "good" and not groups:
            continue  # some sets have none; overkill is then unknown, and the report says so
        if not groups & chosen or not groups - chosen:
            raise DatasetError(
                f"dataset {dataset.source}",
                expected=f"{label} parts of at least two groups, to train on some and prove it on others",
                found=f"{len(groups)} group{'s' if len(groups) != 1 else ''} with {label} parts among {len(free)} images",
                remedy=remedy,
            )
