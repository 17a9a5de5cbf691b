"""A released bundle on a build that its release gate has tried: what judges parts, proven to judge as the reference does."""

from __future__ import annotations

from typing import NamedTuple

from linegate.inspect.runtime.engines import open_session
from linegate.inspect.runtime.session import InferenceSession, RuntimeFailed
from linegate.inspect.settings import RuntimeSettings
from linegate.models.bundle import Bundle
from linegate.models.certificate import tried_build, why_uncertified


class Proven(NamedTuple):
    """A warm session, the settings it runs with, and in words what of those asked for the gate has not proven, or ""."""

    session: InferenceSession
    settings: RuntimeSettings
    unproven: str


def open_proven(bundle: Bundle, settings: RuntimeSettings) -> Proven:
    """``bundle`` on what ``settings`` ask for, as far as its gate has proven it.

    A gate that ran on another kind of processor may not have tried what ``settings`` become on this one (bf16), or found that
    it judges otherwise. OpenVINO then computes as the reference does, on which every condition of the gate was found to hold;
    it takes up to twice as long. Another engine has no such way: one that wasn't tried runs, one that was found to judge
    otherwise doesn't. A bundle without a certificate has no build that was tried: it runs as asked.

    Raises:
        RuntimeFailed: the gate found that this build judges otherwise; or see ``open_session``. BundleError: see there.
    """
    session = open_session(bundle, settings)
    if settings.precision == "accuracy" or why_uncertified(bundle):
        return Proven(session, settings, "")
    found = tried_build(bundle, session.device)
    if found is not None and found.within:
        return Proven(session, settings, "")
    words = f"the release gate has not tried {session.device}"
    if found is not None:
        words = f"the release gate found that it may not judge parts as {found.words()}"
    if settings.engine == "openvino":
        session.close()
        reference = settings.model_copy(update={"precision": "accuracy"})
        return Proven(open_session(bundle, reference), reference, f"{words}, so it computes as the reference")
    if found is None:
        return Proven(session, settings, words)
    session.close()
    raise RuntimeFailed(
        f"bundle {bundle.label}",
        expected=f"a release gate that found {session.device} to judge as the reference does",
        found=found.words(),
        remedy='Set [runtime] engine = "openvino", or release a bundle that this engine judges alike.',
    )
