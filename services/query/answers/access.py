"""Access: who has which role where, and who belongs to which account, of all projects, in memory.

It is as fresh as the answer that it guards: the statement that reads the version of a scope also says where a role
changed last. Access reads the roles again only when that has moved, and then those of the changed projects alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import cache

import msgspec

from services.query.answers.cache import Scope
from services.query.answers.freshness import Fresh, Freshness, RolesVersion
from services.query.database import Database, live
from shared.identity.roles import Bindings
from shared.postgres import Reader, Record

ROWS_AT_ONCE = 5_000  # are taken in before other tasks get their turn: a few milliseconds


class Known(msgspec.Struct, frozen=True):
    """The roles and the members of accounts as they were at some position, `version.changed` or a later one.

    `pools` are the pools of each project on which there are roles. `accounts` are the members of each account, by
    project.
    """

    version: RolesVersion
    bindings: Bindings
    pools: Mapping[str, Sequence[str]]
    accounts: Mapping[str, Mapping[str, frozenset[str]]]


NONE_YET = Known(RolesVersion(0, -1), {}, {}, {})


class Access:
    """The roles of now, for any number of tasks. Every method raises asyncpg's errors, and NoGeneration: a request then
    has no rights, and fails.

    `position`: everything that was decided up to it is in `known`.
    """

    def __init__(self, database: Database, freshness: Freshness) -> None:
        self._database, self._freshness = database, freshness
        self._task: asyncio.Task[None] | None = None
        self.known = NONE_YET
        self.position = -1

    def forget(self) -> None:
        """The roles are read again, all of them."""
        self.known, self.position = NONE_YET, -1

    async def current(self) -> Bindings:
        """The roles at a moment after the call. One statement serves all that ask at the same time."""
        return (await self.fresh(None))[1]

    async def fresh(self, scope: Scope | None) -> tuple[Fresh, Bindings]:
        """The version of the scope, and the roles at its position or a later one, with one statement for both."""
        fresh, version = await self._freshness.with_roles(scope)
        await self._follow(version)
        self.position = fresh.position
        return fresh, self.known.bindings

    async def since(self, position: int) -> Bindings:
        """The roles at `position` or a later one. It asks nobody when they are known already."""
        return self.known.bindings if position <= self.position else await self.current()

    async def _follow(self, version: RolesVersion) -> None:
        """Reads the roles unless they are those of `version`. One task reads at a time. A read that was under way may
        have begun too early; the one behind it has not."""
        for _ in range(2):
            if self.known.version == version:
                return
            if self._task is None:
                self._task = asyncio.create_task(self._load())
            await asyncio.shield(self._task)

    async def _load(self) -> None:
        try:
            async with self._database.snapshot() as reader:
                self.known = await load(reader, self.known)
        finally:
            self._task = None


LIVE = "SELECT generation, roles_changed FROM generation WHERE live"
CHANGED = "SELECT project FROM role_head WHERE generation = $1 AND changed > $2"
ROLES = """
SELECT t.project, r.pool, r.member, string_agg(r.role, ',' ORDER BY r.role) AS roles
FROM unnest($2::text[]) AS t (project) CROSS JOIN LATERAL (
    SELECT pool, member, role FROM role WHERE generation = $1 AND pool = t.project
    UNION ALL
    SELECT pool, member, role FROM role WHERE generation = $1 AND pool > t.project || '.' AND pool < t.project || '/'
) r GROUP BY t.project, r.pool, r.member
"""
MEMBERS = """
SELECT project, account, array_agg(member) AS members FROM account_member
WHERE generation = $1 AND project = ANY ($2) GROUP BY project, account
"""


async def load(reader: Reader, before: Known) -> Known:
    """The roles and members as `reader` sees them: those of `before`, but for the projects that changed since. Raises
    NoGeneration."""
    version = RolesVersion(*live(await reader.fetchrow(LIVE)))
    after = before.version.changed if before.version.generation == version.generation else -1
    kept = before if after >= 0 else NONE_YET
    projects = [record["project"] for record in await reader.fetch(CHANGED, version.generation, after)]
    pools, accounts, bindings = dict(kept.pools), dict(kept.accounts), dict(kept.bindings)
    for project in projects:
        accounts.pop(project, None)
        for pool in pools.pop(project, ()):
            del bindings[pool]
    pools |= await _bind(bindings, await reader.fetch(ROLES, version.generation, projects))
    accounts |= await _belong(await reader.fetch(MEMBERS, version.generation, projects))
    return Known(version, bindings, pools, accounts)


async def _bind(bindings: dict[str, Mapping[str, frozenset[str]]], records: Sequence[Record]) -> dict[str, list[str]]:
    """Adds the roles of the records to the bindings. Returns the pools of each project."""
    pools: dict[str, list[str]] = {}
    held: dict[str, dict[str, frozenset[str]]] = {}
    for number, (project, pool, member, roles) in enumerate(records, 1):
        if pool not in held:
            held[pool] = {}
            pools.setdefault(project, []).append(pool)
        held[pool][member] = roles_in(roles)
        if number % ROWS_AT_ONCE == 0:
            await asyncio.sleep(0)
    bindings |= held
    return pools


async def _belong(records: Sequence[Record]) -> dict[str, dict[str, frozenset[str]]]:
    """The members of each account in the records, by project."""
    accounts: dict[str, dict[str, frozenset[str]]] = {}
    for number, (project, account, members) in enumerate(records, 1):
        accounts.setdefault(project, {})[account] = frozenset(members)
        if number % ROWS_AT_ONCE == 0:
            await asyncio.sleep(0)
    return accounts


@cache
def roles_in(text: str) -> frozenset[str]:
    """The roles that stand in the text, with commas between them. Equal texts give one object."""
    return frozenset(text.split(","))
