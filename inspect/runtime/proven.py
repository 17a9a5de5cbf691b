"""A released bundle on a build that its release gate has tried: what judges parts, proven to judge as the reference does."""

from __future__ import annotations

from linegate.inspect.runtime.engines import open_session
from linegate.inspect.runtime.session import InferenceSession
from linegate.inspect.settings import RuntimeSettings
from linegate.models.bundle import Bundle
from linegate.models.certificate import has_tried, why_uncertified


def open_proven(bundle: Bundle, settings: RuntimeSettings) -> tuple[InferenceSession, RuntimeSettings, str]:
    """A warm session of ``bundle``, the settings it runs with, and in words what of ``settings`` the gate has not tried.

    A gate that ran on another kind of processor may not have tried what ``settings`` become on this one (bf16). OpenVINO then
    computes as the reference does, on which every condition of the gate was found to hold; it takes up to twice as long.
    Another engine has no such way, and runs. A bundle without a certificate has no build that was tried: it runs as asked.

    Raises:
        RuntimeFailed, BundleError: see ``open_session``.
    """
    session = open_session(bundle, settings)
    if settings.precision == "accuracy" or why_uncertified(bundle) or has_tried(bundle, session.device):
        return session, settings, ""
    words = f"the release gate has not tried {session.device}"
    if settings.engine != "openvino":
        return session, settings, words
    session.close()
    reference = settings.model_copy(update={"precision": "accuracy"})
    return open_session(bundle, reference), reference, f"{words}, so it computes as the reference"
