"""Reasons in the reader's language: what ``verdict.py`` wrote into a row, taken apart into texts and their values.

The row keeps the words of the day it was judged. What is none of the forms below (another version's, a person's) is shown as
it stands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from linegate.inspect.part import Cause

_NUMBER = r"-?\d+(?:\.\d+)?"
_VIEW = re.compile(r"(?P<view>[a-z0-9_-]{1,32}): (?P<rest>.*)", re.DOTALL)
_PART_SCORE = re.compile(rf"Part score (?P<score>{_NUMBER}) \((?P<kind>limit|review from) (?P<limit>{_NUMBER})\)")
_NOTHING = re.compile(
    rf"No defect that counts; part score (?P<score>{_NUMBER}) \((?:limit (?P<limit>{_NUMBER})|not used)\)"
)
_REGION = re.compile(
    rf"(?P<name>.+?) (?P<length>{_NUMBER}) mm long, (?P<area>{_NUMBER}) mm², score (?P<score>{_NUMBER}) "
    rf"\((?P<limits>.*?)\) at (?P<x>{_NUMBER}), (?P<y>{_NUMBER}) mm(?: in zone (?P<zone>.+?))?(?: and (?P<more>\d+) more)?"
)
_LIMITS = {
    "length": re.compile(rf"limit (?P<limit>{_NUMBER}) mm"),
    "area": re.compile(rf"limit (?P<limit>{_NUMBER}) mm²"),
    "score": re.compile(rf"score limit (?P<limit>{_NUMBER})"),
    "count": re.compile(r"(?P<found>\d+) found, (?P<allowed>\d+) allowed"),
}


@dataclass(frozen=True, slots=True)
class Words:
    """One text of the dictionaries and its values; ``name`` among them is a defect class."""

    key: str
    args: dict[str, str] = field(default_factory=dict)


def reason_words(cause: str, reason: str) -> list[Words]:
    """The pieces of a reason, to be joined; [] where it is no form that is known."""
    if cause != Cause.JUDGED:
        return [Words(f"operator.cause.{cause}")] if cause in set(Cause) else []
    view = _VIEW.fullmatch(reason)
    if view is not None:
        rest = reason_words(cause, view["rest"])
        return [Words("review.reason.view", {"view": view["view"]}), *rest] if rest else []
    found = _PART_SCORE.fullmatch(reason)
    if found is not None:
        kind = "reject" if found["kind"] == "limit" else "review"
        return [Words(f"review.reason.part_{kind}", {"score": found["score"], "limit": found["limit"]})]
    found = _NOTHING.fullmatch(reason)
    if found is not None:
        if found["limit"] is None:
            return [Words("review.reason.nothing_unused", {"score": found["score"]})]
        return [Words("review.reason.nothing", {"score": found["score"], "limit": found["limit"]})]
    found = _REGION.fullmatch(reason)
    return [] if found is None else _region(found)


def _region(found: re.Match[str]) -> list[Words]:
    name = found["name"][:1].lower() + found["name"][1:]
    named = {"name": name, **{key: found[key] for key in ("length", "area", "score", "x", "y")}}
    words = [Words("review.reason.region", named)]
    if found["zone"] is not None:
        words.append(Words("review.reason.zone", {"zone": found["zone"]}))
    # "3 found, 2 allowed" holds the comma that also divides.
    for text in re.split(r", (?!\d+ allowed)", found["limits"]):
        limit = next(((kind, m) for kind, form in _LIMITS.items() if (m := form.fullmatch(text)) is not None), None)
        if limit is None:
            return []
        words.append(Words(f"review.reason.limit_{limit[0]}", limit[1].groupdict()))
    if found["more"] is not None:
        words.append(Words("review.reason.more", {"count": found["more"]}))
    return words
