"""Wishes to the line: ``/api/command``."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from linegate.inspect.hmi.api_session import Body, Shared
from linegate.inspect.hmi.auth import Session, is_local, may_view, session_of
from linegate.inspect.hmi.context import Screens
from linegate.inspect.hmi.desk import KINDS, NOBODY, check_args
from linegate.inspect.hmi.errors import ScreenError
from linegate.inspect.hmi.roles import Role

router = APIRouter(prefix="/api/command")


class CommandIn(Body):
    """One wish. ``args`` by kind, see ``desk.KINDS``. ``shown`` is the name the page showed when the hand came down: another
    tab of the same browser may have signed somebody else in, and nothing is done in a name that nobody saw."""

    kind: str = Field(max_length=48)
    shown: str | None = Field(None, max_length=64)
    args: dict[str, Any] = Field(default_factory=dict, max_length=8)


@router.post("")
async def send(body: CommandIn, request: Request, screens: Shared) -> dict[str, Any]:
    """Send a command; the line answers in its row, see ``GET``."""
    kind = KINDS.get(body.kind)
    if kind is None:
        raise ScreenError("operator.error.command", 404, kind=body.kind)
    session = await session_of(request)
    _check_role(body, session, request, screens.hub.status)
    check_args(body.kind, body.args)
    if body.kind == "lot":
        await run_in_threadpool(_no_badge, screens, body.args)
    by = session.name if session else NOBODY
    role = str(session.role if session else Role.OPERATOR)
    command_id = await run_in_threadpool(lambda: screens.desk.send(body.kind, body.args, by=by, role=role))
    return {"id": command_id}


def _check_role(body: CommandIn, session: Session | None, request: Request, status: dict[str, Any] | None) -> None:
    """Stopping and calling for help need no sign-in at the machine itself; the product the PLC asks for needs no lead."""
    needed = KINDS[body.kind].role
    if needed is None:
        if session is None and not is_local(request):
            raise ScreenError("operator.error.sign_in_first", 401)
        return
    if (
        body.kind == "recipe"
        and status
        and status.get("recipe_asked")
        and status["recipe_asked"] == body.args.get("id")
    ):
        needed = Role.OPERATOR
    if session is None:
        raise ScreenError("operator.error.sign_in_first", 401)
    if body.shown is not None and body.shown != session.name:
        raise ScreenError("operator.error.someone_else", 409, name=session.name)
    if not session.role.covers(needed):
        raise ScreenError("operator.error.role", 403, roles=[str(needed)])


def _no_badge(screens: Screens, args: dict[str, Any]) -> None:
    """Who scans their badge while the batch is asked for means to sign in; as a batch's name it would stand readable in every
    row, and a badge is as good as a PIN."""
    for name in ("lot", "serial"):
        if name in args and screens.accounts.is_badge(args[name].strip()):
            raise ScreenError("operator.error.lot_badge", 422)


@router.get("/{command_id}", dependencies=[Depends(may_view)])
async def answer(command_id: int, screens: Shared) -> dict[str, Any]:
    """What became of a command: waiting, taken, done (``ok``, ``answer``) or expired."""
    return await run_in_threadpool(screens.desk.answer, command_id)
