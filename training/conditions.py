"""The release gate's conditions, one function each. Physical parts are counted: one is missed, flipped or held back as soon
as one of its pictures is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field

from linegate.inspect.bounds import Rate, rate
from linegate.models import certificate as names
from linegate.models.certificate import CONDITIONS, Condition, Waiver
from linegate.models.manifest import Parity
from linegate.training.builds import TORCH
from linegate.training.dataset import Lost
from linegate.training.judge import Judged
from linegate.training.snapshot import Snapshot
from linegate.training.units import Unit, in_words

NO_CASES = "no cases"
"""What is waived where no escape and no challenge part is known yet."""
TRAINING_DATA = "training data"
"""What is waived where nobody knows any more what the candidate was trained on."""
_NAMED = 6


class GateSettings(BaseModel):
    """How strict the gate is. The limits end where a bundle could pass that finds nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    flip_margin: float = Field(0.01, gt=0, le=0.05)
    """Condition 2: most true share of parts that were judged right and no longer are, at ``confidence``."""
    most_escapes: float = Field(0.05, gt=0, le=0.2)
    """Condition 2: most true share of bad parts that pass, whatever the live bundle does."""
    most_overkill: float = Field(0.10, gt=0, le=0.3)
    """Condition 3: most true share of good parts that are held back, whatever the live bundle does."""
    overkill_slack: float = Field(0.0, ge=0, le=0.05)
    """Condition 3: by how much an overkill bound may be worse than the live bundle's."""
    score_change: float = Field(0.05, gt=0, le=0.1)
    """Condition 4: largest change of a score between a build and the reference."""
    confidence: float = Field(0.95, ge=0.9, lt=1)


class Waivers:
    """What a person lets pass by name; remembers which of it was needed."""

    def __init__(self, given: Iterable[Waiver]) -> None:
        self._given = {waiver.name: waiver for waiver in given}
        self._used: set[str] = set()

    def of(self, untested: Iterable[str]) -> tuple[tuple[Waiver, ...], tuple[str, ...]]:
        """(waivers that cover some of ``untested``, what of it nothing covers)."""
        untested = tuple(untested)
        self._used.update(name for name in untested if name in self._given)
        return tuple(self._given[n] for n in untested if n in self._given), tuple(
            n for n in untested if n not in self._given
        )

    def unneeded(self) -> list[str]:
        """Waivers of what was tested, or isn't there: perhaps a slip of the pen."""
        return sorted(set(self._given) - self._used)


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """A condition, and the pictures that speak against it."""

    condition: Condition
    shown: tuple[Judged, ...] = field(default=(), repr=False)


def must_catch(units: Sequence[Unit], lost: Sequence[Lost], waivers: Waivers) -> Outcome:
    """1: every past escape and challenge part is caught, and those that could not be tried are named."""
    bad = [unit for unit in units if unit.bad]
    missed = [unit for unit in bad if unit.missed]
    untested = [f"case {one.name}" for one in lost] or ([] if bad else [NO_CASES])
    covered, open_ = waivers.of(untested)
    words = f"{len(missed)} of {in_words(bad)} missed" if bad else "no case is there to be tried"
    if lost:
        reasons = ", ".join(f"{name} ({one.why})" for name, one in zip(untested, lost, strict=True))
        words += f"; {len(lost)} can't be tried: {reasons}"
    held = not missed and not open_
    return _outcome(
        names.MUST_CATCH, held, words + _waive(open_), [j for unit in missed for j in unit.missed], waivers=covered,
        counted=rate(len(missed), len(bad)), limit=0.0,
    )  # fmt: skip


def apart(
    candidate_data: str,
    frozen: Snapshot,
    training: Snapshot | None,
    live_training: Snapshot | None,
    waivers: Waivers,
) -> Outcome:
    """2: no picture and no lot of the frozen set was trained on. Compared are decoded pictures, so that a copy in another
    format is one, and groups that the data name, in whatever source. ``candidate_data``: the hash in its manifest."""
    if training is None:
        covered, open_ = waivers.of([TRAINING_DATA])
        words = "the candidate's training snapshot isn't there, so nothing proves it"
        return _outcome(names.APART, not open_, words + _waive(open_), waivers=covered)
    if training.sha256 != candidate_data:
        return _outcome(names.APART, False, "the snapshot given isn't the one the candidate's manifest names")
    pictures, groups = _overlap(frozen, training)
    trained = sum(row["split"] != "test" for row in training.rows())
    if pictures or groups:
        words = f"{len(pictures)} pictures and {len(groups)} groups are in both: {_some([*pictures, *groups])}"
        return _outcome(names.APART, False, words)
    words = f"{len(frozen.rows())} pictures, none of them and none of their groups among the {trained} trained on"
    if live_training is not None and any(shared := _overlap(frozen, live_training)):
        words += (
            f"; the live bundle was trained on {len(shared[0])} of the pictures and {len(shared[1])} of the groups, which "
            "makes it look better and the comparison stricter"
        )
    return _outcome(names.APART, True, words)


def _overlap(frozen: Snapshot, training: Snapshot) -> tuple[list[str], list[str]]:
    """Parts of ``frozen`` whose picture, and named groups that ``training`` has on the sides it learnt from."""
    rows = [row for row in training.rows() if row["split"] != "test"]
    known = {row[key] for row in rows for key in ("image", "pixels") if row.get(key)}
    pictures = [str(row["part"]) for row in frozen.rows() if row["image"] in known or row.get("pixels") in known]
    groups = {str(row.get("known_group", "")) for row in rows} - {""}
    return pictures, sorted(groups & {str(row.get("known_group", "")) for row in frozen.rows()})


def classes_shown(classes: Sequence[str], frozen: Sequence[Unit], cases: Sequence[Unit], waivers: Waivers) -> Outcome:
    """2: there are good and bad parts, and bad ones of every class that the candidate knows, must-catch cases included."""
    bad = [unit for unit in frozen if unit.bad]
    good = [unit for unit in frozen if not unit.bad]
    counts = dict.fromkeys(classes, 0)
    for unit in [*bad, *(unit for unit in cases if unit.bad)]:
        for name in {name for j in unit.pictures for name in j.sample.classes} & set(counts):
            counts[name] += 1
    covered, open_ = waivers.of(f"class {name}" for name, count in counts.items() if not count)
    words = f"{len(good)} good and {in_words(bad, 'bad parts')}; " + ", ".join(
        f"{n} {name}" for name, n in counts.items()
    )
    return _outcome(names.CLASSES, bool(bad and good) and not open_, words + _waive(open_), waivers=covered)


def escapes(frozen: Sequence[Unit], settings: GateSettings) -> Outcome:
    """2: whatever the live bundle does, few bad parts pass."""
    bad = [unit for unit in frozen if unit.bad]
    missed = [unit for unit in bad if unit.missed]
    found = rate(len(missed), len(bad), settings.confidence)
    shown = [j for unit in missed for j in unit.missed]
    return _limited(names.ESCAPES, "bad parts that pass", found, settings.most_escapes, shown)


def negative_flips(frozen: Sequence[Unit], live: Sequence[Judged], settings: GateSettings) -> Outcome:
    """2: few parts were judged right by the ``live`` bundle and no longer are."""
    before = {j.sample.name: j for j in live}
    flipped = [[j for j in unit.pictures if _right(before[j.sample.name]) and not _right(j)] for unit in frozen]
    found = rate(sum(map(bool, flipped)), len(frozen), settings.confidence)
    shown = [j for one in flipped for j in one]
    return _limited(names.FLIPS, "right before, wrong now", found, settings.flip_margin, shown)


def overkill(frozen: Sequence[Unit], settings: GateSettings) -> Outcome:
    """3: whatever the live bundle does, few good parts are held back."""
    good = [unit for unit in frozen if not unit.bad]
    held_back = [unit for unit in good if unit.held_back]
    found = rate(len(held_back), len(good), settings.confidence)
    shown = [j for unit in held_back for j in unit.held_back]
    return _limited(names.OVERKILL, "good parts held back", found, settings.most_overkill, shown)


def no_worse(frozen: Sequence[Unit], live: Sequence[Unit], settings: GateSettings) -> Outcome:
    """3: overall the bound on overkill is no worse than the live bundle's, and in no lot and for no class blamed is overkill
    shown to be worse: parts held back now and not before against those the other way, by the exact one-sided sign test
    (Conover, Practical Nonparametric Statistics, 3.4). Bounds of a lot of seven parts would refuse whatever isn't the live
    bundle itself: they are 35 % for none held back and 52 % for one (docs/decisions/0017)."""
    mine, theirs = _slices(frozen), _slices(live)
    whole, before = mine["all"].rate(settings), theirs["all"].rate(settings)
    limit = before.upper + settings.overkill_slack
    nothing = _Slice(mine["all"].total, [])
    worse: dict[str, _Slice] = {}
    words: list[str] = []
    for name in dict.fromkeys([*mine, *theirs]):
        new, old = mine.get(name, nothing), theirs.get(name, nothing)
        shown = _chance_of(len(new.names - old.names), len(old.names - new.names)) < 1 - settings.confidence
        if shown or (name == "all" and whole.upper > limit):
            worse[name] = new
            words.append(f"{name}: {new.rate(settings)} against {old.rate(settings)}")
    told = (
        "; ".join(words[:_NAMED]) or f"overall {whole} against {before}, shown to be worse in no lot and for no class"
    )
    guilty = [j for new in worse.values() for unit in new.killed for j in unit.held_back]
    return _outcome(names.NO_WORSE, not worse, told, guilty, counted=whole, limit=limit)


def _chance_of(more: int, fewer: int) -> float:
    """Of a fair coin: so many heads or more in ``more`` + ``fewer`` throws."""
    throws = more + fewer
    return sum(math.comb(throws, heads) for heads in range(more, throws + 1)) / (1 << throws)


@dataclass(slots=True)
class _Slice:
    """Good parts, and those of them that were held back."""

    total: int
    killed: list[Unit]

    @property
    def names(self) -> set[str]:
        """Of the parts held back."""
        return {unit.name for unit in self.killed}

    def rate(self, settings: GateSettings) -> Rate:
        return rate(len(self.killed), self.total, settings.confidence)


def _slices(units: Sequence[Unit]) -> dict[str, _Slice]:
    """All good parts, those of each lot, and all once more for each class that was blamed."""
    good = [unit for unit in units if not unit.bad]
    found = {"all": _Slice(len(good), [])}
    for unit in good:
        lots = sorted({f"lot {j.sample.group}" for j in unit.pictures})
        for lot in lots:
            found.setdefault(lot, _Slice(0, [])).total += 1
        if unit.held_back:
            blamed = sorted({f"class {j.blamed or '(part score)'}" for j in unit.held_back})
            for name in ("all", *lots, *blamed):
                found.setdefault(name, _Slice(len(good), [])).killed.append(unit)
    return found


def builds(
    parity: Sequence[Parity], own: str, shown: Sequence[Judged], waivers: Waivers, score_change: float
) -> Outcome:
    """4: every build that will run judges as the reference does: torch, from which the weights come, and ``own``, the
    station's ("" without one), which must be tried. Another is named: one that doesn't never runs on the line
    (``linegate.inspect.runtime.proven``), one that isn't installed here is left out. ``score_change``: the limit in
    ``GateSettings``, for the words."""
    failed = [p for p in parity if not p.within and p.build in (TORCH, own)]
    covered, open_ = waivers.of([] if any(p.build == TORCH for p in parity) else [f"{TORCH} parity"])
    others = [p for p in parity if p not in failed]
    barred = [p for p in others if p.tried and not p.within]
    words = "; ".join(p.words() + (" (may not judge parts)" if p in barred else "") for p in [*failed, *others])
    if any(p.build == own and p.tried for p in failed):
        words += f'; no flip and at most {score_change:g} of change may be. precision = "accuracy" in the station\'s '
        words += "[runtime] computes as the reference, more slowly"
    flipped = {name for p in failed for name in p.flips}
    pictures = [j for j in shown if j.sample.name in flipped]
    return _outcome(names.BUILDS, not failed and not open_, words + _waive(open_), pictures, waivers=covered)


def _right(judged: Judged) -> bool:
    return judged.bad != judged.passed


def _limited(name: str, what: str, found: Rate, limit: float, shown: Sequence[Judged]) -> Outcome:
    """A rate whose upper bound must not exceed ``limit``."""
    held = found.upper <= limit
    words = f"{what}: {found}; at most {100 * limit:g} % may be"
    if not held and not found.count:
        words += "; the frozen set is too small to prove it"
    return _outcome(name, held, words, shown, counted=found, limit=limit)


def _outcome(
    name: str,
    held: bool,
    finding: str,
    shown: Sequence[Judged] = (),
    *,
    counted: Rate | None = None,
    limit: float | None = None,
    waivers: tuple[Waiver, ...] = (),
) -> Outcome:
    pictures = tuple(dict.fromkeys(shown))
    condition = Condition(
        number=CONDITIONS[name],
        name=name,
        held=held,
        finding=finding + "".join(f"; waived: {waiver.name}: {waiver.why}" for waiver in waivers),
        count=counted.count if counted else None,
        total=counted.total if counted else None,
        upper=counted.upper if counted else None,
        limit=limit,
        parts=tuple(j.sample.name for j in pictures),
        waivers=waivers,
    )
    return Outcome(condition, pictures)


def _waive(open_: Sequence[str]) -> str:
    return f"; not tested and not waived: {', '.join(open_)}" if open_ else ""


def _some(words: Sequence[str]) -> str:
    return ", ".join(words[:_NAMED]) + (", …" if len(words) > _NAMED else "")
