"""The roles and members that the query service has in memory: as fresh as the answers that they guard."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.projector.rebuild.rebuild import rebuild
from services.query.answers.access import Access
from services.query.answers.cache import Scope
from services.query.answers.freshness import Freshness
from services.query.database import Database
from shared.events import Event
from tests.support.backends import connected
from tests.support.histories import history
from tests.support.oracle import bound
from tests.support.querying import append_and_show


class Counted(Database):
    """Counts the snapshots, each of which reads roles."""

    loads = 0

    def snapshot(self) -> Any:
        self.loads += 1
        return super().snapshot()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Counted]:
    database = Counted(database_url, 4)
    async with database.opened():
        yield database


@pytest.fixture
async def access(database: Counted) -> Access:
    return Access(database, Freshness(database))


async def project_events(url: str, events: list[Event]) -> None:
    async with connected(url) as connection:
        await append_and_show(connection, events)


def flat(access: Access) -> set[tuple[str, str, str]]:
    known = access.known.bindings
    return {(pool, member, role) for pool in known for member, roles in known[pool].items() for role in roles}


def belonging(access: Access) -> set[tuple[str, str, str]]:
    return {
        (project, account, member)
        for project, accounts in access.known.accounts.items()
        for account, members in accounts.items()
        for member in members
    }


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_the_roles_in_memory_are_those_of_the_last_position(access: Access, database_url: str, seed: int) -> None:
    events, reached = history(seed, 600), 0
    for end in (2, 40, 41, 200, 390, 600):
        await project_events(database_url, events[reached:end])
        reached = end
        fresh, bindings = await access.fresh(Scope("pool", "project-0"))
        roles, members = bound(events[:end])
        assert (fresh.position, access.position) == (end, end)
        assert bindings is access.known.bindings
        assert (flat(access), belonging(access)) == (set(roles), set(members))
        pools: dict[str, set[str]] = defaultdict(set)
        for pool, _, _ in roles:
            pools[pool.split(".")[0]].add(pool)
        assert {project: set(of) for project, of in access.known.pools.items() if of} == pools
    assert roles
    assert members
    await rebuild(database_url)
    await access.current()
    assert access.known.version.generation == 2
    assert (flat(access), belonging(access)) == (set(roles), set(members))


async def test_roles_are_read_again_only_when_one_has_changed(
    access: Access, database: Counted, database_url: str
) -> None:
    events = history(4, 300)
    changed = [number for number, event in enumerate(events) if type(event).__name__.startswith("Role")]
    await project_events(database_url, events[: changed[0]])
    await asyncio.gather(*(access.current() for _ in range(50)))
    assert database.loads == 1
    before = access.known
    await asyncio.gather(*(access.current() for _ in range(50)))
    assert (database.loads, access.known) == (1, before)
    await project_events(database_url, events[changed[0] : changed[0] + 1])
    assert await access.since(changed[0]) is before.bindings  # known already, so nobody is asked
    assert await access.since(changed[0] + 1) is not before.bindings
    assert (database.loads, access.position) == (2, changed[0] + 1)


async def test_a_role_that_was_revoked_while_the_roles_were_read_is_gone(access: Access, database_url: str) -> None:
    """Each answer of `fresh` has at least the changes up to the position that it names, whoever else asks meanwhile."""
    events = history(6, 200)
    done = asyncio.Event()

    async def ask() -> int:
        asked = 0
        while not done.is_set():
            fresh, bindings = await access.fresh(None)
            least = bound(events[: fresh.position])[0]
            assert access.known.bindings is bindings
            if access.known.version.changed <= fresh.position:
                assert flat(access) == set(least)
            asked += 1
        return asked

    asking = [asyncio.create_task(ask()) for _ in range(4)]
    for start in range(0, 200, 10):
        await project_events(database_url, events[start : start + 10])
    done.set()
    assert min(await asyncio.gather(*asking)) > 5
