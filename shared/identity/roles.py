"""Roles and rights: the one rule that says what a principal may do. It has no I/O. The writer and the readers use it.

A binding gives a role on a pool to a member. It holds for the pool and for every pool inside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from functools import cache, cached_property, reduce
from operator import or_
from typing import TYPE_CHECKING, TypeVar, get_args

import msgspec

from shared.events import Role

if TYPE_CHECKING:
    from shared.identity.principals import Principal


class Right(IntEnum):
    """What may be done, one bit each. An `int` holds several of them.

    SEE: availability, sizes, templates: numbers, no names. NAMES: who holds what, history, conflicts, feeds. BOOK:
    book, amend, cancel for accounts of which one is a member. MANAGE: grants, clusters, templates, accounts and their
    members, anybody's bookings, webhooks. ADMINISTER: roles; on the ledger, projects. AUDIT: refusals, proofs, exports.
    """

    SEE = 1
    NAMES = 2
    BOOK = 4
    MANAGE = 8
    ADMINISTER = 16
    AUDIT = 32


ROLES: tuple[Role, ...] = get_args(Role)
NOTHING = 0
READING = Right.SEE | Right.NAMES
EVERYTHING = reduce(or_, Right)
RIGHTS: Mapping[str, int] = {
    "viewer": Right.SEE,
    "reader": READING,
    "member": READING | Right.BOOK,
    "manager": READING | Right.BOOK | Right.MANAGE,
    "admin": EVERYTHING,
    "auditor": READING | Right.AUDIT,
}

T = TypeVar("T")

# The role that is enough for a right.
ROLE_FOR: Mapping[Right, Role] = {
    Right.SEE: "viewer",
    Right.NAMES: "reader",
    Right.BOOK: "member",
    Right.MANAGE: "manager",
    Right.ADMINISTER: "admin",
    Right.AUDIT: "auditor",
}

# The roles of members, by the pool on which they have them.
Bindings = Mapping[str, Mapping[str, frozenset[str]]]
NO_BINDINGS: Bindings = {}


class Limit(msgspec.Struct, frozen=True, gc=False):
    """The most that a token may do: the rights of `role` on `pool` and in it; None: on the whole ledger."""

    role: Role
    pool: str | None = None


limits_of = msgspec.json.Decoder(tuple[Limit, ...]).decode  # of the stored limits of a token


class Policy(msgspec.Struct, frozen=True):
    """The bindings for the whole ledger, which the auth file has. `everyone`: the rights of any principal."""

    everyone: int = NOTHING
    ledger: Mapping[str, int] = {}  # the rights of a member


NOBODY = Policy()


def pools_above(pool: str) -> Iterator[str]:
    """The pool itself, then each pool around it; the project is the last."""
    while True:
        yield pool
        pool, dot, _ = pool.rpartition(".")
        if not dot:
            return


@cache
def rights_of(roles: frozenset[str]) -> int:
    """All rights of these roles together."""
    return reduce(or_, (RIGHTS[role] for role in roles), NOTHING)


def rights_on(policy: Policy, bindings: Bindings, principal: Principal, pool: str | None) -> int:
    """The rights of a principal on a pool; on the whole ledger for None. `bindings` are those of the pool's project, or
    of more projects."""
    held = EVERYTHING if principal.trusted else _given(policy, bindings, principal.members, pool)
    if principal.limits is None:
        return held
    return held & limited(principal.limits, pool)


def administers(policy: Policy, principal: Principal) -> bool:
    """Whether the principal is an admin of the whole ledger."""
    return bool(rights_on(policy, NO_BINDINGS, principal, None) & Right.ADMINISTER)


def limited(limits: Iterable[Limit], pool: str | None) -> int:
    """The rights on a pool that the limits of a token leave; on the whole ledger for None."""
    left = NOTHING
    for limit in limits:
        if limit.pool is None or (pool is not None and is_in(pool, limit.pool)):
            left |= RIGHTS[limit.role]
    return left


def is_in(pool: str, around: str) -> bool:
    """Whether a pool is `around`, or lies inside it."""
    return pool == around or pool.startswith(f"{around}.")


def _given(policy: Policy, bindings: Bindings, members: frozenset[str], pool: str | None) -> int:
    held = policy.everyone
    if policy.ledger:
        for rights in _of(policy.ledger, members):
            held |= rights
    while pool:
        if here := bindings.get(pool):
            for roles in _of(here, members):
                held |= rights_of(roles)
        pool = pool.rpartition(".")[0]
    return held


def pools_of(bindings: Bindings, members: frozenset[str]) -> Iterator[str]:
    """The pools on which one of these members has a role of its own."""
    return (pool for pool, given in bindings.items() if _of(given, members))


class Places:
    """The pools on which each member has a role of its own. It looks through the bindings of all projects once, when it
    is first asked."""

    def __init__(self, bindings: Bindings) -> None:
        self._bindings = bindings

    @cached_property
    def _pools(self) -> Mapping[str, Sequence[str]]:
        found: dict[str, list[str]] = {}
        for pool, given in self._bindings.items():
            for member in given:
                found.setdefault(member, []).append(pool)
        return found

    def of(self, members: frozenset[str]) -> frozenset[str]:
        """The pools on which one of these members has a role."""
        return frozenset(pool for pools in _of(self._pools, members) for pool in pools)


def _of(given: Mapping[str, T], members: frozenset[str]) -> Iterable[T]:
    """What is given to these members. A pool may have thousands of bindings, and a person thousands of groups: it looks
    at the fewer ones."""
    if len(given) < len(members):
        return [what for member, what in given.items() if member in members]
    return [given[member] for member in members if member in given]


def belongs(principal: Principal, account: str, members: Iterable[str]) -> bool:
    """Whether a principal is a member of an account with these `members`. Everybody is a member of the account that has
    the principal's own id as its name."""
    return account in principal.members or not principal.members.isdisjoint(members)
