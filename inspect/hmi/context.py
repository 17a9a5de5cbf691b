"""What the routes share: one object, ``request.app.state.screens``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine
from starlette.requests import HTTPConnection

from linegate.inspect.hmi.accounts import Accounts
from linegate.inspect.hmi.auth import Sessions
from linegate.inspect.hmi.desk import Desk
from linegate.inspect.hmi.hub import LiveHub
from linegate.inspect.hmi.links import LogProbe
from linegate.inspect.hmi.lockout import ClientLockout
from linegate.inspect.hmi.previews import Previews
from linegate.inspect.settings import ScreenSettings


@dataclass(frozen=True, slots=True)
class Screens:
    """The screens' process.

    Attributes:
        settings, data: as given to ``create_app``.
        reader: engine that reads the log; for worker threads.
        writer: engine that writes it (users, labels, audit; never part rows).
        desk: sends commands to the line and writes the audit.
        closing: called in turn when the process ends.
    """

    settings: ScreenSettings
    data: Path
    reader: Engine
    writer: Engine
    accounts: Accounts
    sessions: Sessions
    clients: ClientLockout
    hub: LiveHub
    previews: Previews
    desk: Desk
    probe: LogProbe
    closing: list[Callable[[], Awaitable[None]]] = field(default_factory=list)


def screens_of(connection: HTTPConnection) -> Screens:
    """The process's shared object; also usable as a dependency."""
    screens: Screens = connection.app.state.screens
    return screens
