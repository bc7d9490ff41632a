"""Who may give which command. The writer asks in the command's turn, on the state on which it decides the command.

Whoever may not see what a command names gets the same error as if it did not exist.
"""

from __future__ import annotations

from typing import NamedTuple, assert_never
from uuid import UUID

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
from services.command.domain.state import ProjectState
from shared.errors import HourbookError, UnknownId
from shared.identity.errors import Forbidden, forbidden
from shared.identity.principals import Principal
from shared.identity.roles import RIGHTS, ROLE_FOR, Policy, Right, belongs, pools_of, rights_on


class Needed(NamedTuple):
    """What a command needs: `right` on `pool` (None: on the whole ledger). With `account`, the principal must also
    belong to this account, or be a manager.

    `unknown` are the arguments of the UnknownId for whoever does not have the right `sees` on the pool."""

    pool: str | None
    right: Right
    unknown: tuple[str, str, str]
    account: str | None = None
    sees: Right = Right.SEE


def authorise(state: ProjectState, project: str, command: Command, principal: Principal, policy: Policy) -> None:
    """Raises Forbidden if the principal lacks the right for the command, and UnknownId if the principal may not see
    what the command names. A command on what does not exist passes: its decision refuses it."""
    if principal.unbounded:
        return
    needed = _needed(state, project, command)
    if needed is None:
        return
    held = rights_on(policy, state.bindings, principal, needed.pool)
    if needed.pool is not None and not held & needed.sees:
        error = _hidden(state, project, needed, principal, policy)
        role = command.role if isinstance(command, RequireRole) else ROLE_FOR[needed.right]
        error.denied, error.lacked = True, {"needs": role, "pool": needed.pool}
        raise error
    if not held & needed.right:
        raise forbidden(needed.pool, ROLE_FOR[needed.right])
    if needed.account is not None and not held & Right.MANAGE:
        _check_account(state, needed.pool, needed.account, principal)
    if isinstance(command, RequireRole) and RIGHTS[command.role] & ~held:
        raise forbidden(command.pool, command.role)
    if isinstance(command, GrantRole) and RIGHTS[command.role] & ~held:
        raise Forbidden(
            f"role: nobody gives what they have not, and you have less than {command.role!r} on {command.pool!r}",
            needs=command.role,
            pool=command.pool,
        )


def may_keep(refusal: HourbookError, *, unbounded: bool) -> bool:
    """Whether the refusal may be kept as the answer to an idempotency key. `unbounded`: no role bounds the principal.

    What is denied is not kept: the principal may get the right. What is unknown is not kept either where roles bound
    the principal: otherwise a repeat would tell what is hidden from what is not there."""
    return not refusal.denied and (unbounded or not isinstance(refusal, UnknownId))


def may_preview(state: ProjectState, refusal: HourbookError, principal: Principal, policy: Policy) -> bool:
    """Whether a dry run may answer that the command would be refused so, with the project's version. Otherwise the dry
    run is refused like the command itself.

    What is denied may not. What is unknown may only where the principal sees the project, and did not name it by an id
    that may be of something hidden."""
    if refusal.denied or principal.unbounded or not isinstance(refusal, UnknownId):
        return not refusal.denied
    by_id = refusal.facts["errors"][0]["field"] == "id"
    sees = rights_on(policy, state.bindings, principal, None) & Right.SEE or _sees_some_of(state, principal, policy)
    return state.name is not None and bool(sees) and not by_id


def _check_account(state: ProjectState, pool: str | None, account: str, principal: Principal) -> None:
    members = state.members.get(state.listed(account) or account, frozenset())
    if belongs(principal, account, members):
        return
    own = principal.person or principal.id
    way = "a manager can add you to it" if state.accounts else f"the project lists no accounts, so you book as {own!r}"
    raise Forbidden(
        f"account: you do not belong to {account!r}; {way}, and a manager can book for it",
        needs="manager",
        pool=pool,
        account=account,
    )


def _hidden(state: ProjectState, project: str, needed: Needed, principal: Principal, policy: Policy) -> UnknownId:
    """The error that an unknown project, cluster or entity has. Whoever sees nothing of a project must not learn from
    the error that there is one."""
    if needed.sees == Right.NAMES or _sees_some_of(state, principal, policy):
        return UnknownId(*needed.unknown)
    return UnknownId("project", "project", project)


def _sees_some_of(state: ProjectState, principal: Principal, policy: Policy) -> bool:
    """Whether the principal sees a pool of the project: one on which there is a role, or one that a token is for."""
    within = [limit.pool for limit in principal.limits or () if limit.pool in state.pools]
    seen = (*within, *pools_of(state.bindings, principal.members))
    return any(rights_on(policy, state.bindings, principal, pool) & Right.SEE for pool in seen)


def _needed(state: ProjectState, project: str, command: Command) -> Needed | None:
    """None for a command on what does not exist."""
    if state.name is None and not isinstance(command, CreateProject):
        return None
    match command:
        case CreateBooking():
            return _on_booked(command)
        case CreateProject():
            return Needed(None, Right.ADMINISTER, _unknown_pool(project, "id"))
        case SettleConflicts():
            return Needed(None, Right.ADMINISTER, _unknown_pool(project, "project"))
        case WithdrawGrant():
            unknown = "id", "grant", str(command.grant)
            return Needed(project, Right.MANAGE, unknown, sees=Right.NAMES) if command.grant in state.grants else None
        case (
            CreateGrant()
            | CreateTemplate()
            | CreateAccount()
            | SetLimits()
            | CloseAccount()
            | AddAccountMember()
            | RemoveAccountMember()
        ):
            return Needed(project, Right.MANAGE, _unknown_pool(project, "project"))
        case CreateCluster():
            return _on_pool(command.parent, "parent", Right.MANAGE)
        case ResizeCluster() | ApplyResize() | FailResize():
            return _on_parent(command.cluster)
        case RequestResize():
            return _on_parent(command.resize.cluster)
        case CreateSeries():
            return _on_booked(command.booking)
        case CreateExclusive():
            return Needed(command.parent, Right.BOOK, _unknown_pool(command.parent, "parent"), command.account)
        case AmendBooking() | CancelBooking():
            return _on_booking(state, command)
        case AmendSeries() | CancelSeries():
            return _on_series(state, command)
        case AskLease() | EndLease():
            # Who asks speaks for Blazar: a member could say that its own lease has ended, or name that of another.
            return _on_pool(command.pool, "pool", Right.MANAGE)
        case RequireRole():
            return _on_pool(command.pool or project, command.field, Right.SEE)
        case GrantRole() | RevokeRole():
            return _on_pool(command.pool, "pool", Right.ADMINISTER)
        case _:
            assert_never(command)


def _unknown_pool(pool: str, field: str) -> tuple[str, str, str]:
    return field, "cluster" if "." in pool else "project", pool


def _on_pool(pool: str, field: str, right: Right) -> Needed:
    return Needed(pool, right, _unknown_pool(pool, field))


def _on_parent(cluster: str) -> Needed:
    """A cluster takes its size from its parent, so the right is needed there. To see the parent is to see the
    cluster. A project has no parent; its decision says that it is no cluster."""
    parent = cluster.rpartition(".")[0] or cluster
    return Needed(parent, Right.MANAGE, _unknown_pool(cluster, "id"))


def _on_booked(booking: CreateBooking) -> Needed:
    field = "clusterid" if "." in booking.pool else "project"
    return Needed(booking.pool, Right.BOOK, _unknown_pool(booking.pool, field), booking.account)


def _on_booking(state: ProjectState, command: AmendBooking | CancelBooking) -> Needed | None:
    booking = state.bookings.get(command.booking)
    if booking is None:
        return None
    unknown = "id", "booking", str(command.booking)
    return Needed(booking.pool, Right.BOOK, unknown, booking.account, Right.NAMES)


def _on_series(state: ProjectState, command: AmendSeries | CancelSeries) -> Needed | None:
    """The pool and the account of a series are those of its first occurrence that was booked."""
    for number in range(state.series.get(command.series, 0)):
        if (booking := state.bookings.get(UUID(int=command.series.int + number))) is not None:
            unknown = "id", "series", str(command.series)
            return Needed(booking.pool, Right.BOOK, unknown, booking.account, Right.NAMES)
    return None
