"""What the review routes share, beside the screens' own context: ``request.app.state.review``."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request

from linegate.inspect.hmi.auth import Session
from linegate.inspect.hmi.context import Screens
from linegate.inspect.hmi.errors import ScreenError
from linegate.inspect.hmi.review.classes import add_class, known_classes
from linegate.inspect.hmi.review.heat import HeatMaker
from linegate.inspect.hmi.review.pictures import Pictures
from linegate.inspect.hmi.review.presence import Presence
from linegate.inspect.hmi.review.queues import key_of
from linegate.inspect.part import PartKey
from linegate.inspect.partlog.audit import Act, acting
from linegate.inspect.partlog.commands import CommandBox
from linegate.inspect.partlog.labels import LabelStore
from linegate.inspect.partlog.queries import Reading
from linegate.models.verified import VerifiedBundles


@dataclass(frozen=True, slots=True)
class Review:
    """The review screen's shared parts. All of them may be used from any worker thread. ``importing`` is held by the one
    import there may be at a time."""

    screens: Screens
    labels: LabelStore
    pictures: Pictures
    heat: HeatMaker
    presence: Presence
    commands: CommandBox
    bundles: VerifiedBundles = field(default_factory=VerifiedBundles)
    importing: threading.Lock = field(default_factory=threading.Lock)

    def audit(self, act: Act) -> None:
        """An act that changes nothing here, such as taking data out of the house. Raises LogError."""
        with acting(self.screens.writer, act):
            pass

    def classes(self) -> list[str]:
        """Classes one may paint with: the newest bundle's, then those that people added."""
        with Reading(self.screens.reader) as connection:
            return known_classes(connection)

    def add_class(self, name: str, act: Act) -> list[str]:
        """A class the model does not know yet; it takes part in the next training. Returns all of them.
        Raises ScreenError 409 for one that is there already, LogError."""
        with acting(self.screens.writer, act) as connection:
            return add_class(connection, name)


def act_of(who: Session, action: str, subject: str = "", **detail: Any) -> Act:
    """What the signed-in person is about to do."""
    return Act(who.name, str(who.role), action, subject, detail)


def review_of(request: Request) -> Review:
    """The shared object; a dependency."""
    review: Review = request.app.state.review
    return review


def parse_key(text: str) -> PartKey:
    """ "1a2b-17" → PartKey. Raises ScreenError."""
    key = key_of(text)
    if key is None:
        raise ScreenError("review.error.key", 404, part=text[:40])
    return key


def utc_text(utc_ns: int) -> str:
    """UTC as ISO text, to the second; for files that leave the house."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(utc_ns / 1e9))
