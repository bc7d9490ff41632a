"""Our rule of roles compared with Cedar, another engine of access rules, on random pools, bindings and principals."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple, get_args
from uuid import UUID

import cedarpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.command.domain import (
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
    LeaseAmount,
    RemoveAccountMember,
    RequestResize,
    RequireRole,
    ResizeCluster,
    RevokeRole,
    SetLimits,
    SettleConflicts,
    WithdrawGrant,
)
from services.command.domain.access import authorise
from services.command.domain.state import Account, Booking, Grant, ProjectState
from shared.capacity import NOTHING
from shared.errors import UnknownId
from shared.events import Limits
from shared.hours import Period, hour_of
from shared.identity.errors import Forbidden
from shared.identity.principals import Principal
from shared.identity.roles import NOBODY, RIGHTS, ROLES, Limit, Policy, Right, rights_on
from shared.timeline import Timeline

POOLS = ("gaia", "gaia.spark", "gaia.spark2", "gaia.spark.deep", "gaia.spark.deep.er", "gaia.other")
LEDGER = "the whole ledger"  # as a pool of Cedar: the one around all projects
PEOPLE, GROUPS = ("egi:ada", "egi:bob", "ours:ada"), ("group:egi:ops", "group:egi:team", "group:ours:ops")
ACCOUNTS = ("team", "crew", "egi:ada", "group:egi:ops", "unlisted")
# The actions of each role, in Cedar's words. `book` is for accounts that one belongs to, `book any` for all.
ACTIONS = {
    "viewer": ("see",),
    "reader": ("see", "names"),
    "member": ("see", "names", "book"),
    "manager": ("see", "names", "book", "book any", "manage"),
    "admin": ("see", "names", "book", "book any", "manage", "administer", "audit"),
    "auditor": ("see", "names", "audit"),
}
RIGHT_OF = {"see": Right.SEE, "names": Right.NAMES, "book": Right.BOOK, "manage": Right.MANAGE}
RIGHT_OF |= {"administer": Right.ADMINISTER, "audit": Right.AUDIT}
T0 = hour_of(datetime(2086, 1, 1, tzinfo=UTC))
DAY = Period(T0, T0 + 24)
GRANT, BOOKING, SERIES, NOTHING_THERE = (UUID(int=number) for number in (1, 2, 3, 4))


class World(NamedTuple):
    """Who has which role where, and who acts. `bindings`: (pool, member, role). `accounts`: members of listed ones."""

    everyone: bool
    ledger: list[tuple[str, str]]
    bindings: list[tuple[str, str, str]]
    accounts: dict[str, frozenset[str]]
    principal: Principal
    groups: frozenset[str]

    def policy(self) -> Policy:
        held: dict[str, int] = {}
        for member, role in self.ledger:
            held[member] = held.get(member, 0) | RIGHTS[role]
        return Policy(RIGHTS["viewer"] if self.everyone else 0, held)

    def state(self, pool: str, account: str) -> ProjectState:
        """The project gaia with these bindings, and a grant, a booking and a series in `pool` of `account`."""
        state = ProjectState(name="Gaia", version=1)
        for scope, member, role in self.bindings:
            here = state.bindings.setdefault(scope, {})
            here[member] = here.get(member, frozenset()) | {role}
        state.accounts = {name: Account(Limits(), True, Timeline(), {}) for name in self.accounts}
        state.members = dict(self.accounts)
        booking = Booking(pool, account, *DAY[:1], *DAY, NOTHING)
        state.bookings, state.grants = {BOOKING: booking, SERIES: booking}, {GRANT: Grant("gaia", *DAY, NOTHING)}
        state.series = {SERIES: 1}
        return state


members = st.sampled_from([*PEOPLE, *GROUPS])
roles = st.sampled_from(ROLES)
limits = st.lists(st.builds(Limit, roles, st.sampled_from([None, *POOLS, "beta"])), max_size=3).map(tuple)


@st.composite
def worlds(draw: Callable[[Any], Any]) -> World:
    person = draw(st.sampled_from(PEOPLE))
    groups = draw(st.frozensets(st.sampled_from(GROUPS)))
    kind = draw(st.sampled_from(["person", "token", "operator"]))
    if kind == "person":
        principal = Principal(id=person, auth="oidc", members=groups | {person})
    elif kind == "token":
        named = groups | {person, "token:1"}
        principal = Principal(id="token:1", auth="token", members=named, maker=person, limits=draw(limits))
    else:
        principal = Principal(
            id="token:1", auth="token", members=frozenset({"token:1"}), limits=draw(limits), trusted=True
        )
    return World(
        draw(st.booleans()),
        draw(st.lists(st.tuples(members, roles), max_size=2)),
        draw(st.lists(st.tuples(st.sampled_from(POOLS), members, roles), max_size=5)),
        draw(st.dictionaries(st.sampled_from(ACCOUNTS[:3]), st.frozensets(members), max_size=3)),
        principal,
        groups,
    )


def uid(kind: str, name: str) -> str:
    return f"{kind}::{json.dumps(name)}"


class Cedar:
    """What Cedar says of a world."""

    def __init__(self, world: World) -> None:
        self._principal = uid("Member", world.principal.id)
        self._policies = cedarpy.PolicySet.from_str("\n".join(policies_of(world)))
        self._entities = cedarpy.Entities.from_json_str(json.dumps(entities_of(world)))

    def allow(self, asked: list[tuple[str, str | None, str]]) -> list[bool]:
        """Whether each of (action, pool, account) is allowed."""
        requests = [
            {
                "principal": self._principal,
                "action": uid("Action", action),
                "resource": uid("Pool", pool or LEDGER),
                "context": {"account": {"__entity": {"type": "Account", "id": account}}},
            }
            for action, pool, account in asked
        ]
        answers = cedarpy.is_authorized_batch(requests, self._policies, self._entities)
        assert not [answer.diagnostics.errors for answer in answers if answer.diagnostics.errors]
        return [answer.allowed for answer in answers]


def policies_of(world: World) -> list[str]:
    permit = "permit (principal in {}, action in {}, resource in {});"
    given = [
        permit.format(uid("Member", member), uid("Action", role), uid("Pool", LEDGER)) for member, role in world.ledger
    ]
    given += [
        permit.format(uid("Member", member), uid("Action", role), uid("Pool", pool))
        for pool, member, role in world.bindings
    ]
    if world.everyone:
        given.append(f"permit (principal, action in {uid('Action', 'viewer')}, resource);")
    if world.principal.trusted:
        given.append(f"permit (principal == {uid('Member', world.principal.id)}, action, resource);")
    if (bounds := world.principal.limits) is not None:
        within = [
            f"(action in {uid('Action', limit.role)} && resource in {uid('Pool', limit.pool or LEDGER)})"
            for limit in bounds
        ]
        given.append(f"forbid (principal, action, resource) unless {{ {' || '.join(within) or 'false'} }};")
    given.append(
        f"forbid (principal, action == {uid('Action', 'book')}, resource) unless {{ principal in context.account }};"
    )
    return given


def entities_of(world: World) -> list[dict[str, Any]]:
    def entity(kind: str, name: str, *parents: tuple[str, str]) -> dict[str, Any]:
        around = [{"type": one, "id": parent} for one, parent in parents]
        return {"uid": {"type": kind, "id": name}, "attrs": {}, "parents": around}

    pools = [entity("Pool", pool, ("Pool", pool.rpartition(".")[0] or LEDGER)) for pool in (*POOLS, "gaia.new", "beta")]
    names = {*PEOPLE, *GROUPS, world.principal.id}
    around: dict[str, set[tuple[str, str]]] = {name: {("Account", name)} for name in names}
    own = world.principal.maker or world.principal.id
    around[own] |= {("Member", group) for group in world.groups if not world.principal.trusted}
    if world.principal.maker is not None:
        around[world.principal.id].add(("Member", world.principal.maker))
    for account, belonging in world.accounts.items():
        for member in belonging:
            around[member].add(("Account", account))
    held = [entity("Member", name, *sorted(parents)) for name, parents in around.items()]
    actions = {action for every in ACTIONS.values() for action in every}
    doing = [
        entity("Action", action, *[("Action", role) for role, every in ACTIONS.items() if action in every])
        for action in sorted(actions)
    ]
    return [*pools, *held, *doing, *(entity("Action", role) for role in ACTIONS)]


@settings(max_examples=150, derandomize=True)
@given(worlds())
def test_the_rights_on_every_pool_are_those_that_cedar_gives(world: World) -> None:
    cedar, state = Cedar(world), world.state("gaia", "team")
    asked = [(action, pool, world.principal.id) for action in RIGHT_OF for pool in (None, *POOLS, "beta")]
    for (action, pool, _), allowed in zip(asked, cedar.allow(asked), strict=True):
        held = rights_on(world.policy(), state.bindings, world.principal, pool)
        assert bool(held & RIGHT_OF[action]) == allowed, (action, pool)


class Asked(NamedTuple):
    """A command, and what it needs in Cedar's words: the action on the pool, and the action to see what it names."""

    command: Command
    action: str
    pool: str | None
    sees: str | None = "see"
    account: str = "none"


def asked_of(kind: type[Command], pool: str, account: str, *, known: bool) -> Asked | None:
    """A command of this kind about a pool; `known`: about the grant, the booking or the series that there is. None:
    nobody can need a right for it."""
    parent = pool.rpartition(".")[0] or pool
    grant, booking, series = (one if known else NOTHING_THERE for one in (GRANT, BOOKING, SERIES))
    new = CreateBooking(booking=NOTHING_THERE, pool=pool, account=account, period=DAY)
    resize = ResizeCluster(cluster=pool)
    match kind.__name__:
        case "CreateProject":
            return Asked(CreateProject(project="gaia", name="Gaia"), "administer", None, None)
        case "SettleConflicts":
            return Asked(SettleConflicts(), "administer", None, None)
        case "CreateGrant":
            return Asked(CreateGrant(grant=NOTHING_THERE, period=DAY, capacity=NOTHING), "manage", "gaia")
        case "WithdrawGrant":
            return Asked(WithdrawGrant(grant=grant), "manage", "gaia", "names") if known else None
        case "CreateCluster":
            return Asked(CreateCluster(cluster=f"{pool}.new", parent=pool, kind="k", period=DAY), "manage", pool)
        case "ResizeCluster":
            return Asked(resize, "manage", parent)
        case "RequestResize":
            return Asked(RequestResize(request=NOTHING_THERE, resize=resize), "manage", parent)
        case "ApplyResize":
            return Asked(ApplyResize(cluster=pool, request=NOTHING_THERE), "manage", parent)
        case "FailResize":
            return Asked(FailResize(cluster=pool, request=NOTHING_THERE, error="no"), "manage", parent)
        case "CreateTemplate":
            return Asked(CreateTemplate(template="small", capacity=NOTHING), "manage", "gaia")
        case "CreateAccount":
            return Asked(CreateAccount(account=account, name=account), "manage", "gaia")
        case "SetLimits":
            return Asked(SetLimits(account=account, limits=Limits()), "manage", "gaia")
        case "CloseAccount":
            return Asked(CloseAccount(account=account), "manage", "gaia")
        case "AddAccountMember":
            return Asked(AddAccountMember(account=account, member="egi:eve"), "manage", "gaia")
        case "RemoveAccountMember":
            return Asked(RemoveAccountMember(account=account, member="egi:eve"), "manage", "gaia")
        case "GrantRole":
            return Asked(GrantRole(pool=pool, role="admin", member="egi:eve"), "administer", pool)
        case "RevokeRole":
            return Asked(RevokeRole(pool=pool, role="viewer", member="egi:eve"), "administer", pool)
        case "RequireRole":
            return Asked(RequireRole(pool=pool, role="manager"), "manage", pool)
        case "CreateBooking":
            return Asked(new, "book", pool, "see", account)
        case "AskLease":
            place: Any = {"pool": pool, "openstack_project": account, "issuers": ("nobody",)}
            wanted = AskLease(period=DAY, amount=LeaseAmount(), booking=NOTHING_THERE, **place)
            return Asked(wanted, "manage", pool)
        case "EndLease":
            return Asked(EndLease(pool=pool, openstack_project=account, issuers=("nobody",)), "manage", pool)
        case "CreateSeries":
            made = CreateSeries(booking=new, periods=(DAY,), rrule="FREQ=DAILY", timezone="UTC")
            return Asked(made, "book", pool, "see", account)
        case "CreateExclusive":
            made_too = CreateExclusive(
                booking=NOTHING_THERE, cluster=f"{pool}.new", parent=pool, account=account, period=DAY, capacity=NOTHING
            )
            return Asked(made_too, "book", pool, "see", account)
        case "AmendBooking":
            return Asked(AmendBooking(booking=booking), "book", pool, "names", account) if known else None
        case "CancelBooking":
            return Asked(CancelBooking(booking=booking), "book", pool, "names", account) if known else None
        case "AmendSeries":
            return Asked(AmendSeries(series=series), "book", pool, "names", account) if known else None
        case "CancelSeries":
            return Asked(CancelSeries(series=series), "book", pool, "names", account) if known else None
    pytest.fail(f"{kind.__name__} has no line here")


@settings(max_examples=100, derandomize=True)
@given(worlds(), st.sampled_from(POOLS), st.sampled_from(ACCOUNTS), st.booleans())
def test_every_command_is_allowed_denied_or_hidden_as_cedar_says(
    world: World, pool: str, account: str, known: bool
) -> None:
    cedar, state = Cedar(world), world.state(pool, account)
    for kind in get_args(Command):
        asked = asked_of(kind, pool, account, known=known)
        command = CancelBooking(booking=NOTHING_THERE) if asked is None else asked.command
        got = outcome(state, command, world)
        if asked is None:
            assert got == "allowed", kind  # what is not there is refused by the decision
            continue
        actions = (asked.sees or "see", asked.action, "book any")
        sees, does, any_account = cedar.allow([(action, asked.pool, asked.account) for action in actions])
        allowed = does or (asked.action == "book" and any_account)
        hidden = asked.sees is not None and not sees
        assert got == ("hidden" if hidden else "allowed" if allowed else "forbidden"), asked


def outcome(state: ProjectState, command: Command, world: World) -> str:
    try:
        authorise(state, "gaia", command, world.principal, world.policy())
    except (UnknownId, Forbidden) as error:
        denial = error
    else:
        return "allowed"
    assert denial.denied
    assert {**denial.facts, **denial.lacked}["needs"] in ROLES
    return "hidden" if isinstance(denial, UnknownId) else "forbidden"


def test_nobody_may_do_anything_without_a_binding() -> None:
    nobody = Principal(id="egi:eve", auth="oidc", members=frozenset({"egi:eve"}))
    assert not any(rights_on(NOBODY, {}, nobody, pool) for pool in (None, *POOLS))
