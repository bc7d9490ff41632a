"""A ledger with one thing of every kind, made by `egi:root`: for tests of who may see and change it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from litestar.testing import AsyncTestClient

from services.command.app import create_app
from services.command.settings import Settings
from tests.support.backends import as_role, connected
from tests.support.matrix import everybody
from tests.support.signed_in import ADMIN, auth_file, signed_in

MONTH = {"startdate": "2086-01-01", "enddate": "2086-01-31"}
DAY = {"startdate": "2086-01-01", "enddate": "2086-01-01"}
FLAVORS = {"masterflavor": "small", "mastercount": 1, "workerflavor": "small", "workercount": 1}
HOOK = "https://hooks.example/x"
CREDENTIALS = {"token": UUID(int=3), "feed": UUID(int=4)}
HOOKS = {"hook": UUID(int=1), "ledger_hook": UUID(int=2)}
PLANT = """
INSERT INTO webhook (id, url, project, kinds, secret, created_by, maker, position, notice)
VALUES ($1, 'https://hooks.example/x', $2, '{}', 'whsec_c2VjcmV0', 'egi:root', 'egi:root', 0, 0) ON CONFLICT DO NOTHING
"""
PLANT_LETTER = """
INSERT INTO webhook_dead_letter SELECT $1, 'm1', 'event', 1, 1, 'no', now() ON CONFLICT DO NOTHING
"""
PLANT_TOKEN = """
INSERT INTO token (id, hash, name, maker, limits, expires_at)
VALUES ($1, sha256('token'), 'planted', 'egi:root', '[]', now() + interval '1 day') ON CONFLICT DO NOTHING
"""
PLANT_FEED = """
INSERT INTO feed_address (id, hash, path, maker) VALUES ($1, sha256('feed'), '/projects/gaia.ics', 'egi:root')
ON CONFLICT DO NOTHING
"""


class Ground:
    """`ids` names what was made. Everything is in gaia.spark (bookings in its pool deep, too), but for what a project
    alone can have."""

    def __init__(self, client: AsyncTestClient[Any], database_url: str) -> None:
        self.client, self.database_url = client, database_url
        self.ids: dict[str, str] = {name: str(made) for name, made in (HOOKS | CREDENTIALS).items()}
        self.root: dict[str, str] = {}

    async def make(self, what: str, path: str, **body: Any) -> None:
        answer = await self.client.post(path, json=body, headers=self.root)
        assert answer.status_code == 201, answer.text
        self.ids[what] = answer.json()["id"]

    async def fill(self) -> None:
        self.root = await signed_in(self.database_url, ADMIN)
        for project in ("gaia", "beta"):
            await self.make(project, "/projects/create", id=project, name=project)
            await self.make("grant", "/resources/create", project=project, servers=99, cores=200, memory=200, **MONTH)
            await self.make("small", "/templates/create", project=project, name="small", cores=1)
            await self.make("team", "/accounts/create", project=project, account="team")
            await self.make("spark", "/clusters/create", parent=project, name="spark", cores=90, servers=20, **MONTH)
        await self.make("grant", "/resources/create", project="gaia", cores=1, **MONTH)
        await self.make("spark2", "/clusters/create", parent="gaia", name="spark2", cores=3, **MONTH)
        await self.make("deep", "/clusters/create", parent="gaia.spark", name="deep", cores=9, **MONTH)
        await self.make("m", "/magcluster/create", parent="gaia.spark", name="m", **FLAVORS, **MONTH)
        await self.make("wish", "/magcluster/gaia.spark.m/resize", workercount=3, status="requested")
        booking = {"clusterid": "gaia.spark", "account": "team", "cores": 2, **DAY}
        await self.make("booking", "/bookings/create", **booking)
        await self.make("series", "/bookings/create", rrule="FREQ=DAILY;COUNT=3", **booking)

    async def give(self, pool: str, role: str, member: str) -> None:
        await self.make("_", "/roles/grant", pool=pool, role=role, member=member)

    async def give_everybody_their_role(self) -> None:
        for who in everybody():
            if who.role is not None and who.place is not None:
                await self.give(who.place, who.role, who.id)
            if who.belongs:
                await self.make("_", "/accounts/team/members/add", project="gaia", member=who.id)

    async def plant(self) -> None:
        """One webhook of gaia and one of the whole ledger, each with a dead letter, and a token and a feed address of
        the admin, as far as they are not there."""
        async with connected(self.database_url) as connection:
            for name, project in (("hook", "gaia"), ("ledger_hook", None)):
                await connection.execute(PLANT, HOOKS[name], project)
                await connection.execute(PLANT_LETTER, HOOKS[name])
            await connection.execute(PLANT_TOKEN, CREDENTIALS["token"])
            await connection.execute(PLANT_FEED, CREDENTIALS["feed"])

    async def ask(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Any:
        return await self.client.request(method, path.format_map(self.ids), json=body, headers=headers)


@contextlib.asynccontextmanager
async def grounded(
    database_url: str,
    directory: Path,
    *,
    ledger: Mapping[str, Sequence[str]] | None = None,
    webhook_hosts: str = "hooks.example",
) -> AsyncIterator[Ground]:
    """The ground behind a command service of its own. `ledger` has the members of a role, as `auth_file` takes them;
    the file is written into `directory`."""
    settings = Settings(
        database_url=as_role(database_url, "command"),
        auth_file=auth_file(directory, ledger=ledger),
        webhook_hosts=webhook_hosts,
    )
    async with AsyncTestClient(create_app(settings)) as client:
        ground = Ground(client, database_url)
        await ground.fill()
        yield ground
