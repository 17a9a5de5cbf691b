"""Builds of one network: every engine and precision that may judge parts, against the reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing

from linegate.inspect.runtime.engines import open_session
from linegate.inspect.runtime.session import EngineMissing, RuntimeFailed
from linegate.inspect.settings import RuntimeSettings
from linegate.models.bundle import Bundle
from linegate.models.manifest import Parity
from linegate.training.judge import Judged, judged_on
from linegate.training.progress import quiet

REFERENCE = RuntimeSettings(precision="accuracy")
REFERENCE_NAME = "openvino accuracy"
TORCH = "torch fp32"
"""The network as it was trained, before it was exported."""
NETWORK_FILE = "network.npz"
"""That network in the work folder of its training: see ``linegate.training.weights``."""


def station_builds(runtime: RuntimeSettings | None = None) -> tuple[RuntimeSettings, ...]:
    """What must judge alike: the station's own build first, then those that another station may run."""
    own = runtime or RuntimeSettings()
    others = (RuntimeSettings(), RuntimeSettings(engine="onnxruntime", precision="fp32"))
    return (own, *(other for other in others if (other.engine, other.precision) != (own.engine, own.precision)))


def build_name(settings: RuntimeSettings) -> str:
    """What is asked for, "openvino bf16, 2 threads". What an engine then is, its session's ``device`` says: a processor
    without bf16 computes fp32."""
    return f"{settings.engine} {settings.precision}, {settings.threads} thread{'s' if settings.threads > 1 else ''}"


def build_parity(
    bundle: Bundle,
    reference: Sequence[Judged],
    settings: RuntimeSettings,
    *,
    score_change: float = 1.0,
    progress: Callable[[int], None] = quiet,
) -> Parity:
    """One engine and precision against ``reference`` (OpenVINO in ACCURACY mode): no verdict may flip, no score change by
    more than ``score_change``. It is called what its engine says it is.

    Raises:
        EngineMissing: the engine is not on this machine. DatasetError: a broken file.
    """
    try:
        with closing(open_session(bundle, settings)) as session:
            build = session.device
            mine = list(judged_on(session, bundle.manifest, [j.sample for j in reference], progress=progress))
    except EngineMissing:
        raise
    except RuntimeFailed as error:
        return Parity(build=build_name(settings), reference=REFERENCE_NAME, within=False, note=f"it fails: {error}")
    found = compare(build, mine, reference)
    return found.model_copy(update={"within": found.within and found.score_change <= score_change})


def compare(build: str, mine: Sequence[Judged], reference: Sequence[Judged]) -> Parity:
    """How ``build`` judged the pictures that the reference judged."""
    pairs = list(zip(mine, reference, strict=True))
    flips = tuple(theirs.sample.name for own, theirs in pairs if own.decision is not theirs.decision)
    return Parity(
        build=build,
        reference=REFERENCE_NAME,
        pictures=len(pairs),
        score_change=max((abs(own.score - theirs.score) for own, theirs in pairs), default=0.0),
        flips=flips,
        within=not flips,
    )
