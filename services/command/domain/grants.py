"""Grants: they give capacity to a project, for a period."""

from __future__ import annotations

from services.command.domain.capacity_check import check_capacity, remaining_period, require_non_zero
from services.command.domain.commands import Context, CreateGrant, WithdrawGrant
from services.command.domain.event_fields import meta_of, times_of
from services.command.domain.state import ProjectState
from shared.errors import UnknownId
from shared.events import Event, GrantCreated, GrantWithdrawn


def create_grant(project: str, command: CreateGrant, context: Context) -> list[Event]:
    require_non_zero(command.capacity)
    return [
        GrantCreated(
            grant=command.grant,
            capacity=command.capacity,
            source=command.source,
            **times_of(command.period),
            **meta_of(context, project),
        )
    ]


def withdraw_grant(state: ProjectState, project: str, command: WithdrawGrant, context: Context) -> list[Event]:
    """Takes back the hours that have not begun. No event if the grant was withdrawn before, or ends with this hour."""
    grant = state.grants.get(command.grant)
    if grant is None:
        raise UnknownId("id", "grant", str(command.grant))
    rest = None if grant.gone else remaining_period(grant.start, grant.end, context, f"grant {command.grant}")
    if rest is None:
        return []
    check_capacity(state.pools[grant.pool], grant.pool, rest, grant.capacity.vector(), context, "withdrawing the grant")
    return [GrantWithdrawn(grant=command.grant, capacity=grant.capacity, **times_of(rest), **meta_of(context, project))]
