"""`decide(state, command, context) -> events`, or the exact refusal, raised. Each command's rules are in its module."""

from __future__ import annotations

from typing import assert_never

from services.command.domain.accounts import add_member, close_account, create_account, remove_member, set_limits
from services.command.domain.bookings import amend_booking, cancel_booking, create_booking, create_exclusive
from services.command.domain.bounds import BOUNDLESS, DEFAULT, Bounds, check_command, check_growth
from services.command.domain.capacity_check import known_pool
from services.command.domain.clusters import apply_resize, create_cluster, fail_resize, request_resize, resize_cluster
from services.command.domain.commands import (
    AddAccountMember,
    AmendBooking,
    AmendSeries,
    ApplyResize,
    AskLease,
    CancelBooking,
    CancelSeries,
    CloseAccount,
    Command,
    Context,
    CreateAccount,
    CreateBooking,
    CreateCluster,
    CreateExclusive,
    CreateGrant,
    CreateProject,
    CreateSeries,
    CreateTemplate,
    EndLease,
    FailResize,
    GrantRole,
    RemoveAccountMember,
    RequestResize,
    RequireRole,
    ResizeCluster,
    RevokeRole,
    SetLimits,
    SettleConflicts,
    WithdrawGrant,
)
from services.command.domain.grants import create_grant, withdraw_grant
from services.command.domain.leases import ask_lease, end_lease
from services.command.domain.overcommit import consequences
from services.command.domain.projects import create_project
from services.command.domain.roles import grant_role, revoke_role
from services.command.domain.series import amend_series, cancel_series, create_series
from services.command.domain.settling import settle
from services.command.domain.state import ProjectState
from services.command.domain.templates import create_template
from shared.errors import UnknownId
from shared.events import Event


def decide(
    state: ProjectState, project: str, command: Command, context: Context, bounds: Bounds = DEFAULT
) -> list[Event]:
    """The events that `command` makes, and their consequences for tentative claims. No event if it is so already.
    Raises the HourbookError that refuses it. SettleConflicts has no bounds: it must never be refused."""
    if state.name is None and not isinstance(command, CreateProject):
        raise UnknownId("project", "project", project)
    if isinstance(command, SettleConflicts):
        bounds = BOUNDLESS
    check_command(state, command, context, bounds)
    events = _decide(state, project, command, context)
    events += consequences(state, project, events, context, bounds.reviewed)
    check_growth(state, project, events, context.at, bounds)
    return events


def _decide(state: ProjectState, project: str, command: Command, context: Context) -> list[Event]:
    match command:
        case CreateBooking():
            return create_booking(state, project, command, context)
        case CancelBooking():
            return cancel_booking(state, project, command, context)
        case AmendBooking():
            return amend_booking(state, project, command, context)
        case CreateExclusive():
            return create_exclusive(state, project, command, context)
        case CreateSeries():
            return create_series(state, project, command, context)
        case AmendSeries():
            return amend_series(state, project, command, context)
        case CancelSeries():
            return cancel_series(state, project, command, context)
        case CreateProject():
            return create_project(state, command, context)
        case CreateGrant():
            return create_grant(project, command, context)
        case WithdrawGrant():
            return withdraw_grant(state, project, command, context)
        case CreateCluster():
            return create_cluster(state, project, command, context)
        case ResizeCluster():
            return resize_cluster(state, project, command, context)
        case RequestResize():
            return request_resize(state, project, command, context)
        case ApplyResize():
            return apply_resize(state, project, command, context)
        case FailResize():
            return fail_resize(state, project, command, context)
        case CreateTemplate():
            return create_template(state, project, command, context)
        case CreateAccount():
            return create_account(state, project, command, context)
        case SetLimits():
            return set_limits(state, project, command, context)
        case CloseAccount():
            return close_account(state, project, command, context)
        case AddAccountMember():
            return add_member(state, project, command, context)
        case RemoveAccountMember():
            return remove_member(state, project, command, context)
        case GrantRole():
            return grant_role(state, project, command, context)
        case RevokeRole():
            return revoke_role(state, project, command, context)
        case RequireRole():
            known_pool(state, command.pool or project, command.field)
            return []
        case AskLease():
            return ask_lease(state, project, command, context)
        case EndLease():
            return end_lease(state, project, command, context)
        case SettleConflicts():
            return settle(state, project, context)
        case _:
            assert_never(command)
