"""The classes that one may paint with: those of the newest bundle, then those that people added."""

from __future__ import annotations

import json

from sqlalchemy import Connection, select

from linegate.inspect.hmi.errors import ScreenError
from linegate.inspect.partlog.queries import get_state, set_state
from linegate.inspect.partlog.schema import bundle, region

CLASSES_KEY = "review.classes"
MOST_CLASSES = 254
"""A mask's byte tells no more apart; 255 stays free."""
LONGEST_CLASS = 64


def known_classes(connection: Connection) -> list[str]:
    """All of them, in the order that new labels number them by."""
    text = connection.execute(select(bundle.c.manifest).order_by(bundle.c.first_used_utc_ns.desc()).limit(1)).scalar()
    try:
        names = [str(name) for name in json.loads(text or "{}").get("classes", [])]
    except (ValueError, AttributeError):
        names = []
    if not names:
        found = connection.execute(select(region.c.defect_class).distinct().limit(64)).scalars()
        names = sorted(name for name in found if name)
    added = json.loads(get_state(connection, CLASSES_KEY) or "[]")
    return list(dict.fromkeys([*names, *added]))


def add_class(connection: Connection, name: str) -> list[str]:
    """A class the model does not know yet; it takes part in the next training. Returns all of them. Raises ScreenError 409 for
    one that is there already, or one too many."""
    known = known_classes(connection)
    if name.lower() in {other.lower() for other in known}:
        raise ScreenError("review.error.class_taken", 409, name=name)
    if len(known) >= MOST_CLASSES:
        raise ScreenError("review.error.too_many_classes", 409)
    added = json.loads(get_state(connection, CLASSES_KEY) or "[]")
    set_state(connection, CLASSES_KEY, json.dumps([*added, name], ensure_ascii=False))
    return [*known, name]


def class_name(text: str) -> str | None:
    """A name as a class gets it, single spaces between its words; None for what can be none."""
    name = " ".join(text.split())
    return name if name.isprintable() and 0 < len(name) <= LONGEST_CLASS else None
