"""Who may do what. operator < lead < quality and maintenance (side by side) < admin."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """A person's role. ``covers`` says whether it includes another."""

    OPERATOR = "operator"
    LEAD = "lead"
    QUALITY = "quality"
    MAINTENANCE = "maintenance"
    ADMIN = "admin"

    def covers(self, needed: Role) -> bool:
        """Whether someone with this role may do what ``needed`` may do."""
        return needed in _COVERS[self]


_COVERS = {
    Role.OPERATOR: {Role.OPERATOR},
    Role.LEAD: {Role.OPERATOR, Role.LEAD},
    Role.QUALITY: {Role.OPERATOR, Role.LEAD, Role.QUALITY},
    Role.MAINTENANCE: {Role.OPERATOR, Role.LEAD, Role.MAINTENANCE},
    Role.ADMIN: set(Role),
}
