"""The release gate's certificate: what it found, who approved, and proof that it was found of this very bundle.

A certificate is part of the manifest and names the sha256 that the manifest has without it. That is proven with nothing but
the bundle: take the certificate out, write the manifest again, compare. So a certificate doesn't fit another bundle, nor its
own once a threshold was changed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from linegate.models.bundle import Bundle, write_bundle
from linegate.models.errors import BundleError
from linegate.models.manifest import Manifest, Parity

MUST_CATCH = "zero misses on past escapes and challenge parts"
APART = "the frozen set is apart from the training data"
CLASSES = "every class is shown to it"
ESCAPES = "few escapes on the frozen set"
FLIPS = "negative flips"
OVERKILL = "little overkill on the frozen set"
NO_WORSE = "overkill no worse"
BUILDS = "parity of every build"
CONDITIONS: Mapping[str, int] = {
    MUST_CATCH: 1,
    APART: 2,
    CLASSES: 2,
    ESCAPES: 2,
    FLIPS: 2,
    OVERKILL: 3,
    NO_WORSE: 3,
    BUILDS: 4,
}
"""What a certificate of format 1 must hold, by name, with the condition it is a part of. More conditions mean a new format:
a bundle that was released stays released."""
COMPARING = frozenset({FLIPS, NO_WORSE})
"""Conditions that compare with the live bundle; a first release has none."""

_SHA256 = r"^[0-9a-f]{64}$"
_REMEDY = "Put it through `linegate release` first."


class NotCertified(BundleError):
    """A bundle that may not go live: the release gate has not certified it, or certified something else."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Waiver(_Part):
    """What could not be tested, and why a person lets it pass all the same."""

    name: str = Field(min_length=1)
    why: str = Field(min_length=1)


class Condition(_Part):
    """One condition's outcome. ``count`` of ``total`` parts speak against it, at most a share of ``upper`` at the gate's
    confidence, where ``limit`` is allowed; all None where nothing is counted."""

    number: int
    name: str
    held: bool
    finding: str
    count: int | None = None
    total: int | None = None
    upper: float | None = None
    limit: float | None = None
    parts: tuple[str, ...] = ()
    """Pictures that speak against it."""
    waivers: tuple[Waiver, ...] = ()


class Findings(_Part):
    """What the gate found, before anybody approved."""

    format: Literal[1] = 1
    candidate: str = Field(pattern=_SHA256)
    """sha256 of the bundle without a certificate."""
    live: str = Field(pattern=_SHA256 + r"|^$")
    """sha256 of the bundle that it was compared with; "" for a first release."""
    training_sha256: str
    frozen_sha256: str
    must_catch_sha256: str
    frozen_parts: int = Field(ge=0)
    frozen_pictures: int = Field(ge=0)
    settings: dict[str, object]
    """How strict the gate was."""
    conditions: tuple[Condition, ...]
    parity: tuple[Parity, ...]
    """Of the training and of the gate, build by build."""
    commit: str
    """Of the gate that judged; the candidate's own is in its provenance."""
    training_commit: str
    seed: int
    shadow: dict[str, float] | None = None
    """What the shadow on the line came to, by name; None where it has not run."""
    report_sha256: str = ""

    @property
    def held(self) -> bool:
        """True when every condition holds, the waived ones included."""
        return all(condition.held for condition in self.conditions)


class Certificate(Findings):
    """Findings that a named person approved."""

    approved_by: str = Field(min_length=1)
    why: str = Field(min_length=1)
    approved_utc: str


def certificate_of(bundle: Bundle) -> Certificate:
    """The certificate of ``bundle``, proven to be its own and to let it go live. Raises NotCertified saying what is wrong."""
    if bundle.manifest.certificate is None:
        raise _refused(bundle, "no certificate")
    try:
        certificate = Certificate.model_validate(bundle.manifest.certificate)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(step) for step in first["loc"])
        raise _refused(bundle, f"one that can't be read: {key}: {first['msg']}") from None
    if certificate.candidate != bare_sha256(bundle.manifest):
        raise _refused(bundle, "one of another bundle, or this one was changed after it")
    fault = _fault(bundle.manifest, certificate)
    if fault:
        raise _refused(bundle, fault)
    return certificate


def why_uncertified(bundle: Bundle) -> str:
    """What keeps ``bundle`` from being a released one, in words; "" for one that is."""
    try:
        certificate_of(bundle)
    except NotCertified as error:
        return error.found
    return ""


def tried_build(bundle: Bundle, build: str) -> Parity | None:
    """What the gate that certified ``bundle`` found of this build (a session's ``device``, whatever its threads); None where
    it hasn't tried it. Where it tried it more than once, the worst. Raises NotCertified."""
    found = [p for p in certificate_of(bundle).parity if p.tried and _unthreaded(p.build) == _unthreaded(build)]
    return min(found, key=lambda parity: parity.within, default=None)


def _unthreaded(build: str) -> str:
    """ "openvino CPU bf16" of "openvino CPU bf16, 2 threads"."""
    return re.sub(r", \d+ threads?$", "", build)


def bare_sha256(manifest: Manifest) -> str:
    """sha256 of ``manifest`` without a certificate: the bundle that the gate judges."""
    return hashlib.sha256(_bytes(manifest, None)).hexdigest()


def certify(bundle: Bundle, findings: Findings, by: str, why: str, folder: Path) -> Bundle:
    """``bundle`` with its certificate, written to ``folder``, which must not exist. A certificate that it has already is
    replaced.

    Raises:
        NotCertified: a condition fails, the findings are of another bundle, or nobody's name or reason stands under them.
        BundleError: the disk.
    """
    if findings.candidate != bare_sha256(bundle.manifest):
        raise _refused(bundle, "findings about another bundle")
    if not by.strip() or not why.strip():
        raise _refused(bundle, f"approved by {by.strip() or 'nobody'}, reason {why.strip() or 'none'}", "Give both.")
    fault = _fault(bundle.manifest, findings)
    if fault:
        raise _refused(bundle, fault)
    fields = findings.model_dump(mode="json")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    certificate = Certificate.model_validate({**fields, "approved_by": by, "why": why, "approved_utc": now})
    manifest = _bytes(bundle.manifest, certificate.model_dump(mode="json"))
    return write_bundle(folder, manifest, bundle.model_bytes(), bundle.snapshot_bytes())


def _bytes(manifest: Manifest, certificate: dict[str, object] | None) -> bytes:
    """The manifest as it was written, with another certificate. Fields that came with later versions of Linegate are left
    out, for the bytes must be those of the day it was trained."""
    changed = manifest.model_copy(update={"certificate": certificate})
    return (changed.model_dump_json(indent=2, exclude_unset=True) + "\n").encode()


def _fault(manifest: Manifest, findings: Findings) -> str:
    """Why these findings don't let the bundle go live; "" where they do."""
    wanted = set(CONDITIONS) - (COMPARING if not findings.live else frozenset())
    left_out = wanted - {condition.name for condition in findings.conditions}
    if left_out:
        return f"a gate that did not look at: {_list(sorted(left_out))}"
    failed = [condition.name for condition in findings.conditions if not condition.held]
    if failed:
        return f"a gate that refused it: {_list(failed)}"
    apart = [parity.words() for parity in manifest.parity if not parity.within]
    return f"an export that doesn't judge as the network that was trained: {_list(apart)}" if apart else ""


def _list(words: Sequence[str]) -> str:
    return "; ".join(words)


def _refused(bundle: Bundle, found: str, remedy: str = _REMEDY) -> NotCertified:
    return NotCertified(f"bundle {bundle.label}", expected="the release gate's certificate", found=found, remedy=remedy)
