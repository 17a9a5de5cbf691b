"""Figures of a bake-off: per data set, network and class or group of classes, over seeds, and whether Linegate's net holds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from linegate.cameras.errors import SettingsError
from linegate.training.latency import Timing
from linegate.training.metrics import average_precision, escape_at_overkill, overkill_at_no_escape
from linegate.training.record import PartScore, RunRecord
from linegate.training.resample import Interval, interval, resampled_ap

OWN = "line"
ALL = "all"
LATENCY_SHARE = 1 / 3
"""Of the best baseline's latency, that Linegate's network may take at the most."""


@dataclass(frozen=True, slots=True)
class Subset:
    """Some classes under one name: figures are of parts that show any of them against the good ones."""

    name: str
    classes: tuple[str, ...]

    @staticmethod
    def of(text: str) -> Subset:
        """Of "sharp=blowhole+break". Raises SettingsError."""
        name, _, classes = text.partition("=")
        named = tuple(word.strip() for word in classes.split("+"))
        if not name.strip() or not all(named):
            raise SettingsError(
                "option --subset",
                expected="a name and classes, such as sharp=blowhole+break+crack",
                found=repr(text),
                remedy="Correct the option.",
            )
        return Subset(name.strip(), named)


@dataclass(frozen=True, slots=True)
class Figures:
    """0..1; NaN where there are no bad or no good parts."""

    ap: float
    escape_at_2: float
    """Lowest escape rate at an overkill of at most 2 %."""
    overkill_at_0: float
    """Overkill at the highest threshold without an escape."""


def figures(parts: Sequence[PartScore], classes: Sequence[str] | None = None) -> Figures:
    """Of good parts against bad ones, or against those that show any of ``classes``."""
    wanted = None if classes is None else set(classes)
    kept = [part for part in parts if not part.bad or wanted is None or wanted & set(part.classes)]
    bad = [part.bad for part in kept]
    if all(bad) or not any(bad):
        return Figures(math.nan, math.nan, math.nan)
    scores = [part.score for part in kept]
    return Figures(average_precision(bad, scores), escape_at_overkill(kept), overkill_at_no_escape(kept))


@dataclass(frozen=True, slots=True)
class Run:
    """One network with one seed on one data set."""

    network: str
    seed: int
    record: RunRecord
    parameters_m: float

    def figures(self, subsets: Sequence[Subset]) -> dict[str, Figures]:
        """By name: all parts, each class, each subset."""
        parts = self.record.parts
        found = {ALL: figures(parts)}
        found.update({name: figures(parts, (name,)) for name in self.record.iou})
        found.update({subset.name: figures(parts, subset.classes) for subset in subsets})
        return found

    @property
    def iou(self) -> float:
        """Mean over the classes that show."""
        return mean([value for value in self.record.iou.values() if value is not None])

    @property
    def region_recall(self) -> float:
        """Share of labelled regions that are marked."""
        return math.nan if self.record.region_recall is None else self.record.region_recall


@dataclass(frozen=True, slots=True)
class Comparison:
    """All runs on one data set, and what each network takes at 512 × 512 on the machine that ran last."""

    name: str
    data_sha256: str
    subsets: tuple[Subset, ...]
    runs: tuple[Run, ...]
    timings: dict[str, Timing]

    @property
    def networks(self) -> list[str]:
        """In the order in which they were asked for."""
        return list(dict.fromkeys(run.network for run in self.runs))

    def of(self, network: str) -> list[Run]:
        """Its runs, one a seed."""
        return [run for run in self.runs if run.network == network]

    def ap(self, network: str) -> float:
        """Average precision over all classes, mean over seeds."""
        return mean([run.figures(())[ALL].ap for run in self.of(network)])

    def ap_interval(self, network: str) -> Interval:
        """Of the same, as far as the validation pictures go: what other groups of their kind would have come to."""
        return interval(resampled_ap([run.record.parts for run in self.of(network)]))

    def groups(self, classes: Sequence[str]) -> int:
        """Groups (physical parts, or lots) on the validation side that show any of ``classes``."""
        shown = {part.group for run in self.runs[:1] for part in run.record.parts if set(classes) & set(part.classes)}
        return len(shown)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Linegate's network against the baseline with the highest average precision."""

    best: str
    ap: float
    best_ap: float
    latency_ms: float
    best_latency_ms: float
    ahead: Interval
    """Of ``ap - best_ap``, both on the same groups drawn again."""

    @property
    def ap_holds(self) -> bool:
        """At or above the best baseline."""
        return self.ap >= self.best_ap

    @property
    def latency_holds(self) -> bool:
        """At most a third of the best baseline's."""
        return self.latency_ms <= LATENCY_SHARE * self.best_latency_ms


def decide(comparison: Comparison) -> Verdict | None:
    """None where Linegate's network or every baseline is missing, or no average precision can be had."""
    ap = {name: comparison.ap(name) for name in comparison.networks}
    others = {name: value for name, value in ap.items() if name != OWN and not math.isnan(value)}
    if math.isnan(ap.get(OWN, math.nan)) or not others:
        return None
    best = max(others, key=lambda name: others[name])
    timings = comparison.timings
    drawn = {name: resampled_ap([run.record.parts for run in comparison.of(name)]) for name in (OWN, best)}
    ahead = interval(drawn[OWN] - drawn[best])
    return Verdict(best, ap[OWN], others[best], timings[OWN].median_ms, timings[best].median_ms, ahead)


def mean(values: Sequence[float]) -> float:
    """NaN where there is none, or any is NaN."""
    return statistics.fmean(values) if values else math.nan


def spread(values: Sequence[float]) -> float:
    """Sample standard deviation; NaN for fewer than two."""
    return statistics.stdev(values) if len(values) > 1 else math.nan
