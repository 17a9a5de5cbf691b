"""The station's users, for its admin: ``/api/people``."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from linegate.inspect.hmi.api_session import Body, Shared, known_language
from linegate.inspect.hmi.auth import Session, require
from linegate.inspect.hmi.roles import Role

router = APIRouter(prefix="/api/people", dependencies=[Depends(require(Role.ADMIN))])
Admin = Annotated[Session, Depends(require(Role.ADMIN))]


class NewPerson(Body):
    """A new user."""

    name: str = Field(max_length=64)
    role: Role
    pin: str = Field(max_length=16)
    language: str = "en"


class ChangedPerson(Body):
    """What changes; None leaves it. ``badge`` "" takes the badge away."""

    role: Role | None = None
    pin: str | None = Field(None, max_length=16)
    badge: str | None = Field(None, max_length=256)
    disabled: bool | None = None


@router.get("")
async def people(screens: Shared) -> list[dict[str, Any]]:
    """All users."""
    return await run_in_threadpool(screens.accounts.people)


@router.post("")
async def add(body: NewPerson, screens: Shared, admin: Admin) -> list[dict[str, Any]]:
    """Add one."""
    language = known_language(body.language)

    def apply() -> list[dict[str, Any]]:
        person = screens.accounts.add(body.name, body.role, body.pin, language)
        screens.desk.note(
            "person added", by=admin.name, role=str(admin.role), subject=person.name, as_role=str(body.role)
        )
        return screens.accounts.people()

    return await run_in_threadpool(apply)


@router.patch("/{name}")
async def change(name: str, body: ChangedPerson, screens: Shared, admin: Admin) -> list[dict[str, Any]]:
    """Change one; whoever is changed is signed out everywhere. Only an admin with a new PIN or badge stays, at this screen."""
    stays = name == admin.name and body.role is None and body.disabled is None
    keep = admin.token_sha256 if stays else ""

    def apply() -> list[dict[str, Any]]:
        screens.accounts.change(
            name, role=body.role, pin=body.pin, badge=body.badge, disabled=body.disabled, keep_session=keep
        )
        screens.sessions.end_all_of(name, keep)
        changed = sorted(body.model_dump(exclude_none=True))
        screens.desk.note("person changed", by=admin.name, role=str(admin.role), subject=name, changed=changed)
        return screens.accounts.people()

    return await run_in_threadpool(apply)
