"""Projects, and the grants that give them capacity."""

from __future__ import annotations

from services.command.domain.capacity_check import admit, meta_of, rest_of, something, span
from services.command.domain.commands import Context, CreateGrant, CreateProject, WithdrawGrant
from services.command.domain.state import ProjectState
from shared.errors import AlreadyExists, UnknownId
from shared.events import Event, GrantCreated, GrantWithdrawn, ProjectCreated


def create_project(state: ProjectState, command: CreateProject, context: Context) -> list[Event]:
    if state.name is not None:
        raise AlreadyExists(f"id: the project {command.project!r} exists; choose another id", id=command.project)
    meta = meta_of(context, command.project)
    return [ProjectCreated(name=command.name, overcommit=command.overcommit, **meta)]


def create_grant(project: str, command: CreateGrant, context: Context) -> list[Event]:
    something(command.capacity)
    return [
        GrantCreated(
            grant=command.grant,
            capacity=command.capacity,
            source=command.source,
            **span(command.period),
            **meta_of(context, project),
        )
    ]


def withdraw_grant(state: ProjectState, project: str, command: WithdrawGrant, context: Context) -> list[Event]:
    """Nothing when it is withdrawn already, or ends with the hour that has begun."""
    grant = state.grants.get(command.grant)
    if grant is None:
        raise UnknownId("id", "grant", str(command.grant))
    rest = None if grant.gone else rest_of(grant.start, grant.end, context, f"grant {command.grant}")
    if rest is None:
        return []
    admit(state.pools[grant.pool], grant.pool, rest, grant.capacity.vector(), context, "withdrawing the grant")
    return [GrantWithdrawn(grant=command.grant, capacity=grant.capacity, **span(rest), **meta_of(context, project))]
