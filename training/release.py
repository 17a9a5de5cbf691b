"""The release gate: what a candidate must prove before it may judge parts. Every condition is judged, not only up to the
first that fails, and each failure names its parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from linegate.cameras.errors import LinegateError
from linegate.inspect.runtime.session import EngineMissing
from linegate.inspect.settings import RuntimeSettings
from linegate.models.bundle import Bundle
from linegate.models.certificate import Findings, Waiver, bare_sha256
from linegate.models.manifest import Parity
from linegate.training import conditions
from linegate.training.builds import REFERENCE, REFERENCE_NAME, build_name, build_parity, station_builds
from linegate.training.conditions import GateSettings, Waivers
from linegate.training.dataset import Dataset, Sample
from linegate.training.judge import Judged, judge
from linegate.training.origin import commit
from linegate.training.snapshot import Snapshot
from linegate.training.units import units_of

Tell = Callable[[float, str], None]
"""Hears how much is done, 0..1, and of what; may raise to stop the gate."""
CompareNetwork = Callable[[Bundle, Sequence[Judged]], Parity]


class ReleaseRefused(LinegateError):
    """The gate refuses the candidate, or the line doesn't take it."""


@dataclass(frozen=True, slots=True)
class GateData:
    """What the gate judges on.

    Attributes:
        frozen: labelled parts that the candidate was not trained on, from lots of their own.
        must_catch: past escapes and challenge parts; None where there are none yet.
        training: what the candidate was trained on; None where that is lost, which fails condition 2.
        live_training: the same of the live bundle, where it is known.
    """

    frozen: Dataset
    must_catch: Dataset | None = None
    training: Snapshot | None = None
    live_training: Snapshot | None = None

    @staticmethod
    def of(candidate: Bundle, live: Bundle | None, frozen: Dataset, must_catch: Dataset | None) -> GateData:
        """With the snapshots that the bundles brought along. Raises BundleError where one of them is another's."""
        return GateData(frozen, must_catch, _snapshot(candidate), _snapshot(live))

    def trained_on(self, path: Path) -> GateData:
        """The same with the candidate's snapshot at ``path``, if it is there."""
        return replace(self, training=Snapshot.read(path.read_bytes())) if path.is_file() else self


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """What the gate says of a candidate. ``shown``: pictures that speak against it, by the condition's name."""

    candidate: Bundle
    live: Bundle | None
    findings: Findings
    shown: Mapping[str, tuple[Judged, ...]] = field(repr=False)

    @property
    def held(self) -> bool:
        """True when every condition holds."""
        return self.findings.held


def gate(
    candidate: Bundle,
    live: Bundle | None,
    data: GateData,
    settings: GateSettings | None = None,
    *,
    runtime: RuntimeSettings | None = None,
    waivers: Sequence[Waiver] = (),
    compare_network: CompareNetwork | None = None,
    shadow: Mapping[str, float] | None = None,
    tell: Tell = lambda _done, _words: None,
) -> Verdict:
    """Judge ``candidate`` against ``live``; None for a first release, which nothing can be compared with.

    Args:
        runtime: the station's [runtime], whose build must judge as the reference does; None where no station is named: of
            the usual builds, those that judge otherwise may not judge parts.
        waivers: what a person lets pass untested, by the name that a refusal gives it.
        compare_network: judges with the network as it was trained, where that and torch are there.
        shadow: what the shadow on the line came to, for the certificate.

    Raises:
        DatasetError, RuntimeFailed: the data or the reference engine can't be used.
        ReleaseRefused: something is waived that needs no waiver.
    """
    settings = settings or GateSettings()
    builds = station_builds(runtime)
    cases = data.must_catch.samples if data.must_catch is not None else ()
    passes = 1 + len(builds)
    judging = _Judging(tell, passes * len(cases) + (passes + (live is not None)) * len(data.frozen.samples))
    caught = judging.run(candidate, cases, "must-catch cases")
    new = judging.run(candidate, data.frozen.samples, "frozen set")
    old = judging.run(live, data.frozen.samples, "frozen set, live bundle") if live is not None else None
    parity = [*candidate.manifest.parity]
    if compare_network is not None:
        parity = [compare_network(candidate, [*new, *caught]), *parity]
    tried = [judging.build(candidate, [*new, *caught], build, settings) for build in builds]
    # On a processor without bf16 two of them are the same build.
    parity += {p.build: p for p in tried}.values()
    frozen, must_catch = Snapshot.of(data.frozen), Snapshot.of(data.must_catch) if data.must_catch is not None else None
    given, origin = Waivers(waivers), candidate.manifest.provenance
    parts = units_of(new, frozen.pixels())
    tested = units_of(caught, must_catch.pixels() if must_catch is not None else None)
    outcomes = [
        conditions.must_catch(tested, data.must_catch.lost if data.must_catch is not None else (), given),
        conditions.apart(origin.data_sha256, frozen, data.training, data.live_training, given),
        conditions.classes_shown(candidate.manifest.classes, parts, tested, given),
        conditions.escapes(parts, settings),
        *([] if old is None else [conditions.negative_flips(parts, old, settings)]),
        conditions.overkill(parts, settings),
        *([] if old is None else [conditions.no_worse(parts, units_of(old, frozen.pixels()), settings)]),
        conditions.builds(
            parity, tried[0].build if runtime is not None else "", [*new, *caught], given, settings.score_change
        ),
    ]
    _check_waivers(candidate, given)
    findings = Findings(
        candidate=bare_sha256(candidate.manifest),
        live=live.sha256 if live is not None else "",
        training_sha256=origin.data_sha256,
        frozen_sha256=frozen.sha256,
        must_catch_sha256=must_catch.sha256 if must_catch is not None else "",
        frozen_parts=len(parts),
        frozen_pictures=len(new),
        settings=settings.model_dump(mode="json"),
        conditions=tuple(outcome.condition for outcome in outcomes),
        parity=tuple(parity),
        commit=commit(),
        training_commit=origin.commit,
        seed=origin.seed,
        shadow=dict(shadow) if shadow is not None else None,
    )
    shown = {outcome.condition.name: outcome.shown for outcome in outcomes if outcome.shown}
    return Verdict(candidate, live, findings, shown)


class _Judging:
    """Judges set after set and tells how far it is: ``total`` pictures in all."""

    def __init__(self, tell: Tell, total: int) -> None:
        self._tell = tell
        self._total = max(1, total)
        self._done = 0

    def run(self, bundle: Bundle, samples: Sequence[Sample], words: str) -> list[Judged]:
        found = judge(bundle, samples, REFERENCE, progress=self._progress(words))
        self._done += len(samples)
        return found

    def build(
        self, bundle: Bundle, reference: Sequence[Judged], build: RuntimeSettings, settings: GateSettings
    ) -> Parity:
        name = build_name(build)
        try:
            return build_parity(
                bundle, reference, build, score_change=settings.score_change, progress=self._progress(name)
            )
        except EngineMissing as error:
            note = f"not installed here: {error.found}"
            return Parity(build=name, reference=REFERENCE_NAME, within=False, tried=False, note=note)
        finally:
            self._done += len(reference)

    def _progress(self, words: str) -> Callable[[int], None]:
        began = self._done
        return lambda done: self._tell((began + done) / self._total, words)


def _check_waivers(candidate: Bundle, given: Waivers) -> None:
    """Raises ReleaseRefused for what needs no waiver: it may be a slip of the pen for something that does."""
    if given.unneeded():
        raise ReleaseRefused(
            f"release of {candidate.label}",
            expected="waivers of what can't be tested",
            found=f"{', '.join(given.unneeded())}: tested, or not known by this name",
            remedy="Take it out, or write the name as the refusal gives it.",
        )


def _snapshot(bundle: Bundle | None) -> Snapshot | None:
    document = bundle.snapshot_bytes() if bundle is not None else None
    return Snapshot.read(document) if document is not None else None
