"""Physical parts: what rates and their bounds count. Ten pictures of one part prove no more than the part does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from linegate.training.judge import Judged


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """One physical part with its judged pictures; bad as soon as one of them is."""

    name: str
    pictures: tuple[Judged, ...]

    @property
    def bad(self) -> bool:
        """Labelled as a defect, on any picture."""
        return any(j.bad for j in self.pictures)

    @property
    def missed(self) -> tuple[Judged, ...]:
        """Bad pictures that passed; of pictures that only together are known to show the defect, all or none."""
        own = [j for j in self.pictures if j.bad and j.passed and not j.sample.whole]
        shared = [j for j in self.pictures if j.bad and j.sample.whole]
        return (*own, *(shared if all(j.passed for j in shared) else ()))

    @property
    def held_back(self) -> tuple[Judged, ...]:
        """Pictures of a good part that did not pass; a bad part can't be overkill."""
        return () if self.bad else tuple(j for j in self.pictures if not j.passed)

    @property
    def score(self) -> float:
        """The score that decides: a bad part's lowest of those that must be caught, a good part's highest."""
        if not self.bad:
            return max(j.score for j in self.pictures)
        shared = [j.score for j in self.pictures if j.bad and j.sample.whole]
        own = [j.score for j in self.pictures if j.bad and not j.sample.whole]
        return min([*own, *([max(shared)] if shared else [])])


def units_of(judged: Sequence[Judged], pixels: Mapping[str, str] | None = None) -> list[Unit]:
    """The parts that ``judged`` pictures show, in order of their first picture.

    ``pixels``: hash of the decoded picture by sample name; parts that share a picture are one, whatever they are called.
    """
    parent: dict[str, str] = {}
    first: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    for j in judged:
        digest = pixels.get(j.sample.name, "") if pixels else ""
        part = root(_part(j))
        if digest:
            parent[part] = root(first.setdefault(digest, part))
    found: defaultdict[str, list[Judged]] = defaultdict(list)
    for j in judged:
        found[root(_part(j))].append(j)
    return [Unit(name, tuple(pictures)) for name, pictures in found.items()]


def in_words(units: Sequence[Unit], kind: str = "parts") -> str:
    """ "310 parts (342 pictures)"; the pictures only where they are more."""
    pictures = sum(len(unit.pictures) for unit in units)
    return f"{len(units)} {kind}" + (f" ({pictures} pictures)" if pictures != len(units) else "")


def _part(judged: Judged) -> str:
    return judged.sample.unit or judged.sample.name
