"""Roles: who may do what on a pool and on what is inside it."""

from __future__ import annotations

from services.command.domain.capacity_check import known_pool
from services.command.domain.commands import Context, GrantRole, RevokeRole
from services.command.domain.event_fields import meta_of
from services.command.domain.state import ProjectState
from shared.errors import Refused
from shared.events import Event, RoleGranted, RoleRevoked


class LastAdmin(Refused):
    """It would take the role `admin` on a project from its last admin. Make another member the admin first."""

    code = "last_admin"
    title = "A project keeps an admin"


def grant_role(state: ProjectState, project: str, command: GrantRole, context: Context) -> list[Event]:
    """No event if the member has the role on this pool already."""
    known_pool(state, command.pool, "pool")
    if command.role in state.roles(command.pool, command.member):
        return []
    meta = meta_of(context, project)
    return [RoleGranted(pool=command.pool, role=command.role, member=command.member, **meta)]


def revoke_role(state: ProjectState, project: str, command: RevokeRole, context: Context) -> list[Event]:
    """No event if the member does not have the role on this pool. Raises LastAdmin."""
    known_pool(state, command.pool, "pool")
    if command.role not in state.roles(command.pool, command.member):
        return []
    admins = [member for member, roles in state.bindings[command.pool].items() if "admin" in roles]
    if command.pool == project and command.role == "admin" and len(admins) == 1:
        raise LastAdmin(
            f"member: {command.member!r} is the last admin of the project {project!r}; make another one first"
        )
    meta = meta_of(context, project)
    return [RoleRevoked(pool=command.pool, role=command.role, member=command.member, **meta)]
