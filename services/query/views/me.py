"""What a principal may do, and where: the answer of /me."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, Literal
from uuid import UUID

import msgspec

from services.query.answers.access import Known
from services.query.database import Database
from services.query.questions.sight import sight_of
from shared.identity.auth_file import AuthFile
from shared.identity.principals import GROUP, TOKEN, Principal
from shared.identity.roles import EVERYTHING, Bindings, Policy, Right, rights_on

POOLS_MAX = ACCOUNTS_MAX = GROUPS_MAX = 1000


class Held(msgspec.Struct, frozen=True, dict=True):
    """Where a principal stands: the bindings of the auth file, and those of the projects."""

    policy: Policy
    bindings: Bindings
    principal: Principal

    def rights(self, pool: str | None) -> int:
        """The rights on a pool; on the whole ledger for None."""
        return rights_on(self.policy, self.bindings, self.principal, pool)

    @cached_property
    def pools(self) -> list[str]:
        """The pools on which something is bound to the principal, or to which its token is limited, in order. A pool on
        which that gives no right is left out."""
        members = self.principal.members
        bound = {pool for pool, held in self.bindings.items() if not members.isdisjoint(held)}
        limited = {limit.pool for limit in self.principal.limits or () if limit.pool is not None}
        return sorted(pool for pool in bound | limited if self.rights(pool))

    def roots(self, rights: int) -> list[str] | None:
        """The pools on which the principal has one of these rights, without those inside another one. None: the whole
        ledger."""
        if self.rights(None) & rights:
            return None
        return [*sight_of(pool for pool in self.pools if self.rights(pool) & rights).roots]

    def sees(self, projects: Iterable[str]) -> set[str]:
        """Those of the projects of which the principal sees something."""
        roots = self.roots(Right.SEE)
        return set(projects) if roots is None else set(projects) & {pool.partition(".")[0] for pool in roots}


def words(rights: int) -> list[str]:
    """The rights as words, as `["see", "names"]`."""
    return [right.name.lower() for right in Right if rights & right]


def nobody() -> dict[str, Any]:
    """The answer where nobody signs in: everybody may do everything."""
    return {
        **dict.fromkeys(("id", "auth", "name", "email", "token")),
        "signed_in": False,
        "groups": [],
        "ledger": {"roles": [], "rights": words(EVERYTHING)},
        "pools": [],
        "accounts": [],
        "complete": True,
    }


PERSON = "SELECT name, email FROM person WHERE id = $1"
TOKEN_OF = "SELECT name, expires_at FROM token WHERE id = $1"


async def read_me(database: Database, file: AuthFile, held: Held, known: Known) -> dict[str, Any]:
    """The answer for a principal. `known` has the members of accounts."""
    principal = held.principal
    groups = sorted(member for member in principal.members if member.startswith(f"{GROUP}:"))
    pools, accounts = held.pools, accounts_of(held, known)
    ledger = [{"role": role, **of} for role, member in in_file(file) if (of := origin(principal, member)) is not None]
    person = await database.fetchrow(PERSON, principal.id)
    return {
        "signed_in": True,
        "id": principal.id,
        "auth": principal.auth,
        "name": None if person is None else person["name"],
        "email": None if person is None else person["email"],
        "groups": groups[:GROUPS_MAX],
        "token": await _token(database, principal),
        "ledger": {"roles": ledger, "rights": words(held.rights(None))},
        "pools": [pool_of(held, pool) for pool in pools[:POOLS_MAX]],
        "accounts": accounts[:ACCOUNTS_MAX],
        "complete": max(len(groups), len(pools), len(accounts)) <= POOLS_MAX,
    }


async def _token(database: Database, principal: Principal) -> dict[str, Any] | None:
    kind, _, number = principal.id.partition(":")
    if kind != TOKEN:
        return None
    record = await database.fetchrow(TOKEN_OF, UUID(number))
    return {
        "name": None if record is None else record["name"],
        "maker": principal.maker,
        "limits": [{"role": limit.role, "pool": limit.pool} for limit in principal.limits or ()],
        "expires": None if record is None else record["expires_at"],
    }


def in_file(file: AuthFile) -> Iterator[tuple[str, str | None]]:
    """The roles on the whole ledger, each with its member; None for everyone."""
    if file.everyone != "none":
        yield file.everyone, None
    for binding in file.ledger:
        for member in binding.members:
            yield binding.role, member


def origin(principal: Principal, member: str | None) -> dict[str, Any] | None:
    """Through which member the principal has a role; None: not at all."""
    if member is not None and member not in principal.members:
        return None
    how: Literal["direct", "group", "everyone"] = "direct"
    if member is None:
        how = "everyone"
    elif member.startswith(f"{GROUP}:"):
        how = "group"
    return {"from": how, "member": member}


def pool_of(held: Held, pool: str) -> dict[str, Any]:
    """`{pool, roles: [{role, from, member}], rights}`. The roles are those on the pool itself; the rights count what
    comes from around it, too."""
    roles = [
        {"role": role, **of}
        for member, given in sorted(held.bindings.get(pool, {}).items())
        if (of := origin(held.principal, member)) is not None
        for role in sorted(given)
    ]
    return {"pool": pool, "roles": roles, "rights": words(held.rights(pool))}


def accounts_of(held: Held, known: Known) -> list[dict[str, str]]:
    """The accounts of which the principal is a member, in projects of which it sees something."""
    members = held.principal.members
    found = [
        (project, account)
        for project, accounts in known.accounts.items()
        for account, belong in accounts.items()
        if not members.isdisjoint(belong)
    ]
    seen = held.sees({project for project, _ in found})
    return [{"project": project, "account": account} for project, account in sorted(found) if project in seen]
