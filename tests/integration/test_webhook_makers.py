"""A webhook ends with the right of its maker, and goes on when a manager resumes it."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
import pytest

from services.command import webhook_table
from services.notify.makers import end_those_without_right
from services.notify.webhooks import Retries
from services.projector.generation import load_generation, prepare, write_batch
from shared.event_store import EventStore
from shared.identity.errors import PersonNeeded
from shared.identity.principals import person
from shared.identity.roles import RIGHTS, Limit, Policy
from tests.integration.test_webhooks import Receiver, delivering, until
from tests.support.backends import as_role
from tests.support.ground import DAY, Ground, grounded
from tests.support.listening import BOUND_S
from tests.support.signed_in import ADMIN, signed_in, with_token

POLICY = Policy(0, {ADMIN: RIGHTS["admin"], "egi:boss": RIGHTS["manager"]})
BOOKING = {"project": "gaia", "account": "team", "cores": 1, **DAY}
Headers = dict[str, str]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver().listening() as receiver:
        yield receiver


@pytest.fixture
def hosts(receiver: Receiver) -> str:
    return f"127.0.0.1:{receiver.port}"


@pytest.fixture
async def ground(database_url: str, tmp_path: Path, hosts: str) -> AsyncIterator[Ground]:
    bindings = {"admin": [ADMIN], "manager": ["egi:boss"]}
    async with grounded(database_url, tmp_path, ledger=bindings, webhook_hosts=hosts) as ground:
        yield ground


class Notifier:
    """`notify` is the notifier's database, `pool` the owner's. `project` brings the read models to the newest event."""

    def __init__(self, pool: Any, notify: Any) -> None:
        self.pool, self.notify = pool, notify

    async def project(self) -> None:
        async with self.pool.acquire() as connection:
            await prepare(connection)
            generation = await load_generation(connection)
            events = await EventStore(connection).data_after(generation.position, 10_000)
            if events:
                await write_batch(connection, generation, events)

    async def ended(self) -> dict[str, str | None]:
        """Why each webhook has ended, after the notifier has looked."""
        await end_those_without_right(self.pool, POLICY)
        return {str(one["id"]): one["ended"] for one in await self.pool.fetch("SELECT id, ended FROM webhook")}


@pytest.fixture
async def notifier(database_url: str) -> AsyncIterator[Notifier]:
    async with (
        asyncpg.create_pool(database_url, min_size=1, max_size=4) as pool,
        asyncpg.create_pool(as_role(database_url, "notify"), min_size=1, max_size=4) as notify,
    ):
        yield Notifier(pool, notify)


async def register(ground: Ground, who: Headers, receiver: Receiver, project: str | None = "gaia") -> str:
    asked = {"url": receiver.url, "types": ["BookingCreated"]} | ({} if project is None else {"project": project})
    answer = await ground.client.post("/webhooks", json=asked, headers=who)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def revoke(ground: Ground, member: str, role: str = "manager", pool: str = "gaia") -> None:
    body = {"pool": pool, "role": role, "member": member}
    answer = await ground.client.post("/roles/revoke", json=body, headers=ground.root)
    assert answer.status_code == 201, answer.text


async def resume(ground: Ground, who: Headers, webhook: str) -> int:
    answer = await ground.client.post(f"/webhooks/{webhook}/resume", headers=who)
    return int(answer.status_code)


async def test_deliveries_end_within_five_seconds_and_go_on_where_they_ended(
    ground: Ground, notifier: Notifier, receiver: Receiver, hosts: str
) -> None:
    await ground.give("gaia", "manager", "egi:ada")
    ada = await signed_in(ground.database_url, "egi:ada")
    await notifier.project()
    webhook = await register(ground, ada, receiver)
    patient = Retries(first_s=0.02, most_s=0.1, attempts_max=10_000, timeout_s=BOUND_S)

    async def book() -> None:
        await ground.make("_", "/bookings/create", **BOOKING)
        await notifier.project()

    async with delivering(notifier, hosts, patient, POLICY):  # type: ignore[arg-type]
        await book()
        await until(lambda: len(receiver.got) == 1)
        receiver.answer = lambda _: 500  # a message is on its way
        await book()
        await revoke(ground, "egi:ada")
        revoked_at = time.monotonic()
        await notifier.project()
        async with asyncio.timeout(BOUND_S):
            while await notifier.pool.fetchval("SELECT ended FROM webhook") is None:
                await asyncio.sleep(0.02)
        assert time.monotonic() - revoked_at < 5.0
        await asyncio.sleep(0.3)  # the worker is cancelled at the next look
        receiver.answer = lambda _: 200
        receiver.got.clear()
        await book()
        await notifier.pool.execute("UPDATE webhook SET retry_at = NULL")
        await asyncio.sleep(0.5)
        assert receiver.got == []
        assert await resume(ground, ada, webhook) == 404
        boss = await signed_in(ground.database_url, "egi:boss")
        assert await resume(ground, boss, webhook) == 200
        await until(lambda: len(set(receiver.ids)) == 2)  # nothing is lost
    row = await notifier.pool.fetchrow("SELECT maker, ended, created_by FROM webhook")
    assert tuple(row) == ("egi:boss", None, "egi:ada")


async def test_a_webhook_goes_on_while_its_maker_is_a_manager_by_whatever_way(
    ground: Ground, notifier: Notifier, receiver: Receiver
) -> None:
    await ground.give("gaia", "admin", "egi:ada")
    await ground.give("gaia", "manager", "group:egi:ops")
    boss = await signed_in(ground.database_url, "egi:boss")
    makers = {
        "a person": await register(ground, await signed_in(ground.database_url, "egi:ada"), receiver),
        "a group": await register(ground, await signed_in(ground.database_url, "egi:zoe", ["group:egi:ops"]), receiver),
        "the ledger": await register(ground, boss, receiver),
        "all projects": await register(ground, boss, receiver, None),
        "a token": await register(
            ground, await with_token(ground.database_url, Limit("manager", "gaia"), maker="egi:ada"), receiver
        ),
        "the operator": await register(
            ground, await with_token(ground.database_url, Limit("manager", "gaia")), receiver
        ),
    }
    await notifier.project()
    assert set((await notifier.ended()).values()) == {None}

    async def end(statement: str, *which: str) -> None:
        await notifier.pool.execute(statement)
        ended = await notifier.ended()
        assert {name for name, webhook in makers.items() if ended.pop(webhook, None)} == set(which), statement

    await end("UPDATE person SET groups = '{}' WHERE id = 'egi:zoe'", "a group")
    await end("UPDATE token SET revoked_at = now() WHERE maker IS NULL", "a group", "the operator")
    await end("DELETE FROM person WHERE id = 'egi:boss'", "a group", "the operator", "the ledger", "all projects")
    await revoke(ground, "egi:ada", "admin")
    assert (await notifier.ended())[makers["a token"]] is None  # the read models have not got there
    await notifier.project()
    assert set((await notifier.ended()).values()) == {"forbidden"}


async def test_a_role_that_the_read_models_have_not_yet_ends_nothing(
    ground: Ground, notifier: Notifier, receiver: Receiver
) -> None:
    await notifier.project()
    await ground.give("gaia", "manager", "egi:ada")
    ada = await signed_in(ground.database_url, "egi:ada")
    webhook = await register(ground, ada, receiver)
    assert (await notifier.ended())[webhook] is None
    await notifier.project()
    assert (await notifier.ended())[webhook] is None


async def test_where_people_sign_in_a_webhook_without_a_maker_is_ended(
    ground: Ground, notifier: Notifier, receiver: Receiver
) -> None:
    boss = await signed_in(ground.database_url, "egi:boss")
    webhook = await register(ground, boss, receiver)
    await notifier.pool.execute("UPDATE webhook SET maker = NULL, created_by = 'egi:boss'")
    await notifier.project()
    assert await notifier.ended() == {webhook: "unproven"}
    assert await resume(ground, boss, webhook) == 200
    assert await notifier.ended() == {webhook: None}


async def test_where_nobody_signs_in_the_webhooks_of_those_who_did_wait(
    ground: Ground, notifier: Notifier, receiver: Receiver, hosts: str
) -> None:
    boss = await signed_in(ground.database_url, "egi:boss")
    await notifier.project()  # a webhook begins after what the read models have
    await register(ground, boss, receiver)
    await ground.make("_", "/bookings/create", **BOOKING)
    await notifier.project()
    async with delivering(notifier, hosts):  # type: ignore[arg-type]
        await asyncio.sleep(0.5)
        assert receiver.got == []
    async with delivering(notifier, hosts, policy=POLICY):  # type: ignore[arg-type]
        await until(lambda: len(receiver.got) == 1)


async def test_an_application_credential_makes_no_webhook_and_changes_nothing_of_its_user(notifier: Notifier) -> None:
    """Its user may have more rights, and has them for longer."""
    database = notifier.pool
    user = person("ours", "u1", ("p1",), "keystone")
    program = msgspec.structs.replace(user, members=user.members - {user.id})
    webhook = uuid4()
    what: Any = {"url": "https://a.example", "project": None, "types": None, "kinds": [], "secret": "", "after": None}
    with pytest.raises(PersonNeeded):
        await webhook_table.register(database, webhook, principal=program, **what)
    with pytest.raises(PersonNeeded):
        await webhook_table.resume(database, webhook, program)
    assert await database.fetchval("SELECT count(*) FROM person") == 0
    assert await database.fetchval("SELECT count(*) FROM webhook") == 0
