"""What a principal may do, and where: the answer of /me."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal
from uuid import UUID

from services.query.answers.access import Known
from services.query.database import Database
from services.query.questions.rights import Rights
from shared.identity.auth_file import AuthFile
from shared.identity.principals import GROUP, TOKEN, Principal
from shared.identity.roles import EVERYTHING, Right

POOLS_MAX = ACCOUNTS_MAX = GROUPS_MAX = 1000


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


async def read_me(database: Database, file: AuthFile, rights: Rights, known: Known) -> dict[str, Any]:
    """The answer for a principal. `known` has the members of accounts."""
    principal = rights.principal
    groups = sorted(member for member in principal.members if member.startswith(f"{GROUP}:"))
    pools = sorted(pool for pool in rights.named if rights.on(pool))
    accounts = accounts_of(rights, known)
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
        "ledger": {"roles": ledger, "rights": words(rights.on(None))},
        "pools": [pool_of(rights, pool) for pool in pools[:POOLS_MAX]],
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


def pool_of(rights: Rights, pool: str) -> dict[str, Any]:
    """`{pool, roles: [{role, from, member}], rights}`. The roles are those on the pool itself; the rights count what
    comes from around it, too."""
    roles = [
        {"role": role, **of}
        for member, given in sorted(rights.bindings.get(pool, {}).items())
        if (of := origin(rights.principal, member)) is not None
        for role in sorted(given)
    ]
    return {"pool": pool, "roles": roles, "rights": words(rights.on(pool))}


def accounts_of(rights: Rights, known: Known) -> list[dict[str, str]]:
    """The accounts of which the principal is a member, in projects of which it sees something."""
    members = rights.principal.members
    found = [
        (project, account)
        for project, accounts in known.accounts.items()
        for account, belong in accounts.items()
        if not members.isdisjoint(belong)
    ]
    sight = rights.sight(Right.SEE)
    around = set(sight.around)
    return [
        {"project": project, "account": account}
        for project, account in sorted(found)
        if sight.everything or project in around
    ]
