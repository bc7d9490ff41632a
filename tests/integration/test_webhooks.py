"""Webhooks: signed, in order, repeated until accepted or given up. A slow receiver delays no other."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from aiohttp import web
from litestar.testing import AsyncTestClient
from standardwebhooks import Webhook

from services.cli.up.embedded import free_port
from services.command.app import create_app as create_command
from services.command.settings import Settings as CommandSettings
from services.notify.webhooks import Retries, Webhooks
from services.query.app import create_app as create_query
from services.query.settings import Settings as QuerySettings
from shared.event_store import EventStore, Pending
from shared.identity.roles import Policy
from shared.tasks import end_tasks
from tests.support.backends import as_role, connected
from tests.support.listening import BOUND_S, listening
from tests.support.waiting import until

FAST = Retries(first_s=0.02, most_s=0.1, attempts_max=4, timeout_s=BOUND_S)


class Receiver:
    """A web server that records its requests. `answer` decides its answer."""

    def __init__(self) -> None:
        self.port = free_port()
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answer: Callable[[str], int | None] = lambda _: 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.got]

    async def handle(self, request: web.Request) -> web.Response:
        self.got.append(({name.lower(): value for name, value in request.headers.items()}, await request.read()))
        status = self.answer(self.ids[-1])
        if status is None:
            await asyncio.sleep(60)
        return web.Response(status=status or 500, headers={"Location": f"http://127.0.0.1:{self.port}/elsewhere"})

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator["Receiver"]:
        application = web.Application()
        application.router.add_post("/{path:.*}", self.handle)
        runner = web.AppRunner(application, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        try:
            yield self
        finally:
            await runner.cleanup()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver().listening() as receiver:
        yield receiver


@pytest.fixture
async def other() -> AsyncIterator[Receiver]:
    async with Receiver().listening() as receiver:
        yield receiver


@pytest.fixture
def hosts(receiver: Receiver, other: Receiver) -> str:
    return f"127.0.0.1:{receiver.port}, 127.0.0.1:{other.port}"


@pytest.fixture
async def command(database_url: str, hosts: str) -> AsyncIterator[AsyncTestClient[Any]]:
    settings = CommandSettings(database_url=as_role(database_url, "command"), webhook_hosts=hosts)
    async with AsyncTestClient(create_command(settings)) as client:
        yield client


@pytest.fixture
async def query(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        listening(create_query(QuerySettings(database_url=as_role(database_url, "query")))) as url,
        httpx.AsyncClient(base_url=url) as client,
    ):
        yield client


class Ledger:
    def __init__(self, pool: Any, notify: Any, store: EventStore) -> None:
        self.pool, self.notify, self._store = pool, notify, store  # as the owner, as the notifier, and as the owner
        self._versions: dict[str, int] = {}

    async def append(self, count: int, project: str = "gaia", kind: str = "BookingCreated") -> None:
        """Appends events and moves the projection to show them."""
        version = self._versions.get(project, 0)
        data = json.dumps({"type": kind, "at": "2086-01-01T00:00:00Z"}).encode()
        events = [Pending(project, version + n, uuid4(), 0, b"", kind, data) for n in range(1, count + 1)]
        assert (await self._store.append({project: version}, events)).outcome == "stored"
        await self.pool.execute("UPDATE generation SET position = (SELECT position FROM event_head) WHERE live")
        self._versions[project] = version + count

    async def notice(self, seq: int, kind: str, project: str = "gaia") -> None:
        await self.pool.execute(
            "INSERT INTO notice VALUES ($1, $2, $3, $4, 'b', '2086-01-01T00:00:00Z', $5)",
            seq,
            f"{kind.replace('.', '-')}_b_{seq}",
            kind,
            project,
            json.dumps({"booking": "b"}),
        )
        await self.pool.execute("UPDATE notice_head SET seq = $1", seq)


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[Ledger]:
    async with (
        asyncpg.create_pool(database_url, min_size=1, max_size=1) as pool,
        asyncpg.create_pool(as_role(database_url, "notify"), min_size=1, max_size=4) as notify,
        connected(database_url) as connection,
    ):
        yield Ledger(pool, notify, EventStore(connection))


@contextlib.asynccontextmanager
async def delivering(
    ledger: Ledger, hosts: str, retries: Retries = FAST, policy: Policy | None = None
) -> AsyncIterator[None]:
    allowed = [host.strip() for host in hosts.split(",")]
    webhooks = Webhooks(ledger.notify, allowed, retries, policy=policy, poll_s=0.02)
    task = asyncio.create_task(webhooks.run())
    try:
        yield
    finally:
        await end_tasks(task)


async def register(command: AsyncTestClient[Any], receiver: Receiver, **wanted: Any) -> dict[str, Any]:
    answer = await command.post("/webhooks", json={"url": receiver.url} | wanted, headers={"X-Hourbook-Actor": "ada"})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def shown(query: httpx.AsyncClient, webhook: dict[str, Any]) -> dict[str, Any]:
    return dict((await query.get(f"/webhooks/{webhook['id']}")).json())


async def test_events_are_signed_and_delivered_in_order(
    command: AsyncTestClient[Any], ledger: Ledger, receiver: Receiver, hosts: str
) -> None:
    await ledger.append(2)
    webhook = await register(command, receiver)
    async with delivering(ledger, hosts):
        for _ in range(5):
            await ledger.append(10)
        await until(lambda: len(receiver.got) == 50)
    assert receiver.ids == [f"evt_{position}" for position in range(3, 53)]  # those before it were not asked for
    headers, body = receiver.got[0]
    assert Webhook(webhook["secret"]).verify(body, headers) == {
        "type": "BookingCreated",
        "timestamp": "2086-01-01T00:00:00Z",
        "data": {"position": 3, "version": 3, "event": {"type": "BookingCreated", "at": "2086-01-01T00:00:00Z"}},
    }
    key = base64.b64decode(webhook["secret"].removeprefix("whsec_"))  # as the specification says, by hand
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    assert headers["webhook-signature"] == "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


async def test_only_what_is_wanted_from_where_it_is_wanted(
    command: AsyncTestClient[Any], ledger: Ledger, receiver: Receiver, other: Receiver, hosts: str
) -> None:
    for project, kind in (("gaia", "GrantCreated"), ("other", "BookingCreated"), ("gaia", "BookingCreated")):
        await ledger.append(2, project, kind)
    await register(command, receiver, after=0, project="gaia", types=["BookingCreated", "booking.ended"])
    await register(command, other, after=4, notices=True)
    async with delivering(ledger, hosts):
        await ledger.notice(1, "booking.started")
        await ledger.notice(2, "booking.ended")
        await ledger.notice(3, "booking.ended", "other")
        await until(lambda: len(receiver.got) == 3 and len(other.got) == 5)
        await ledger.append(1500, "other", "GrantCreated")
        await ledger.append(1)
        await until(lambda: len(receiver.got) == 4)
    assert sorted(receiver.ids) == sorted(["evt_5", "evt_6", "booking-ended_b_2", "evt_1507"])
    assert set(other.ids) >= {"evt_5", "evt_6", "booking-started_b_1", "booking-ended_b_2", "booking-ended_b_3"}


async def test_one_that_hangs_delays_no_other_and_goes_on_when_it_is_back(
    command: AsyncTestClient[Any],
    query: httpx.AsyncClient,
    ledger: Ledger,
    receiver: Receiver,
    other: Receiver,
    hosts: str,
) -> None:
    stuck = await register(command, receiver)
    await register(command, other)
    receiver.answer = lambda _: None
    patient = Retries(first_s=0.02, most_s=0.1, attempts_max=1000, timeout_s=0.2)
    async with delivering(ledger, hosts, patient):
        await ledger.append(200)
        await until(lambda: len(other.got) == 200)
        await until(lambda: len(receiver.got) >= 3)
        state = await shown(query, stuck)
        assert (state["position"], state["attempts"] >= 2, state["retry_at"] is not None) == (0, True, True)
        assert "TimeoutError" in state["last_error"]
        receiver.answer = lambda _: 204
        await until(lambda: "evt_200" in receiver.ids)
    accepted = [webhook_id for n, webhook_id in enumerate(receiver.ids) if webhook_id not in receiver.ids[n + 1 :]]
    assert accepted == [f"evt_{n}" for n in range(1, 201)]
    assert (await shown(query, stuck))["failures"] == 0


async def test_what_is_refused_too_often_is_given_up_listed_and_delivered_again(
    command: AsyncTestClient[Any], query: httpx.AsyncClient, ledger: Ledger, receiver: Receiver, hosts: str
) -> None:
    webhook = await register(command, receiver, notices=True)
    bad = {"evt_2", "evt_4", "booking-ended_b_1"}
    receiver.answer = lambda webhook_id: 302 if webhook_id in bad else 200
    path = f"/webhooks/{webhook['id']}/dead-letters"
    async with delivering(ledger, hosts):
        await ledger.append(5)
        await ledger.notice(1, "booking.ended")
        await until(lambda: "evt_5" in receiver.ids and receiver.ids.count("booking-ended_b_1") == 4)
        async with asyncio.timeout(BOUND_S):
            while len((letters := (await query.get(path)).json())["dead_letters"]) < 3:
                await asyncio.sleep(0.02)
        assert [(one["message"], one["source"], one["number"], one["attempts"]) for one in letters["dead_letters"]] == [
            ("booking-ended_b_1", "notice", 1, 4),
            ("evt_2", "event", 2, 4),
            ("evt_4", "event", 4, 4),
        ]
        assert letters["dead_letters"][1]["error"] == "it answered 302"
        assert receiver.ids.count("evt_2") == 4  # at the webhook's URL, and not at the redirect's target
        first = {name: receiver.got[receiver.ids.index("evt_2")][0][name] for name in ("webhook-id",)}
        bad -= {"evt_2", "booking-ended_b_1"}
        one = await command.post(f"{path}/evt_2/redeliver")
        assert (one.status_code, one.json()) == (202, {"redelivered": 1})
        await until(lambda: receiver.ids.count("evt_2") == 5)
        async with asyncio.timeout(BOUND_S):
            while (await shown(query, webhook))["dead_letters"] > 2:
                await asyncio.sleep(0.02)
        assert receiver.got[-1][0]["webhook-id"] == first["webhook-id"]
        assert (await command.post(f"{path}/redeliver")).json()["redelivered"] == 2
        await until(lambda: receiver.ids.count("evt_4") == 5 and receiver.ids.count("booking-ended_b_1") == 5)
        async with asyncio.timeout(BOUND_S):
            while len(left := (await query.get(path)).json()["dead_letters"]) > 1 or left[0]["redeliver"]:
                await asyncio.sleep(0.02)
        assert [(one["message"], one["attempts"], one["redeliver"]) for one in left] == [("evt_4", 5, False)]
    assert (await command.post(f"{path}/evt_9/redeliver")).status_code == 404
    page = (await query.get(f"{path}?limit=1")).json()
    assert (len(page["dead_letters"]), page["next"]) == (1, None)
    assert (await shown(query, webhook))["dead_letters"] == 1


async def test_attempts_are_those_of_one_message_also_when_events_come_while_a_notice_is_refused(
    command: AsyncTestClient[Any], query: httpx.AsyncClient, ledger: Ledger, receiver: Receiver, hosts: str
) -> None:
    webhook = await register(command, receiver, notices=True)
    bad = {"booking-ended_b_1", "evt_1"}
    receiver.answer = lambda webhook_id: 500 if webhook_id in bad else 200
    async with delivering(ledger, hosts):
        await ledger.notice(1, "booking.ended")
        await until(lambda: receiver.ids != [])
        await ledger.append(2)
        await until(lambda: "evt_2" in receiver.ids)
    assert receiver.ids == ["booking-ended_b_1"] * 4 + ["evt_1"] * 4 + ["evt_2"]
    letters = (await query.get(f"/webhooks/{webhook['id']}/dead-letters")).json()["dead_letters"]
    assert [(one["message"], one["attempts"]) for one in letters] == [("booking-ended_b_1", 4), ("evt_1", 4)]


async def test_a_restart_goes_on_where_it_was(
    command: AsyncTestClient[Any], ledger: Ledger, receiver: Receiver, hosts: str
) -> None:
    await register(command, receiver, after=0)
    await ledger.append(300)
    for enough in (50, 150, 300):
        async with delivering(ledger, hosts):
            await until(lambda enough=enough: len(set(receiver.ids)) >= enough)  # type: ignore[misc]
    assert sorted(set(receiver.ids), key=lambda name: int(name[4:])) == [f"evt_{n}" for n in range(1, 301)]
    assert len(receiver.ids) <= 302  # each stop repeats at most one delivery


async def test_a_receiver_that_is_gone_is_told_no_more(
    command: AsyncTestClient[Any], query: httpx.AsyncClient, ledger: Ledger, receiver: Receiver, hosts: str
) -> None:
    webhook = await register(command, receiver)
    receiver.answer = lambda _: 410
    async with delivering(ledger, hosts):
        await ledger.append(3)
        async with asyncio.timeout(BOUND_S):
            while (state := await shown(query, webhook))["disabled"] is None:
                await asyncio.sleep(0.02)
    assert "410" in state["disabled"]
    assert receiver.ids == ["evt_1"]


async def test_a_deleted_webhook_gets_nothing_more_and_a_new_one_is_served_at_once(
    command: AsyncTestClient[Any],
    query: httpx.AsyncClient,
    ledger: Ledger,
    receiver: Receiver,
    other: Receiver,
    hosts: str,
) -> None:
    webhook = await register(command, receiver)
    async with delivering(ledger, hosts):
        await ledger.append(1)
        await until(lambda: receiver.ids == ["evt_1"])
        assert (await command.delete(f"/webhooks/{webhook['id']}")).json() == {"id": webhook["id"]}
        await register(command, other)
        await ledger.append(1)
        await until(lambda: other.ids == ["evt_2"])
    assert receiver.ids == ["evt_1"]
    assert (await command.delete(f"/webhooks/{webhook['id']}")).status_code == 404
    assert (await query.get(f"/webhooks/{webhook['id']}")).status_code == 404


async def test_a_host_that_is_taken_off_the_list_gets_nothing(
    command: AsyncTestClient[Any], query: httpx.AsyncClient, ledger: Ledger, receiver: Receiver
) -> None:
    webhook = await register(command, receiver)
    async with delivering(ledger, "hooks.example.org"):
        await ledger.append(1)
        async with asyncio.timeout(BOUND_S):
            while not (state := await shown(query, webhook))["failures"]:
                await asyncio.sleep(0.02)
    assert "not an allowed host" in state["last_error"]
    assert receiver.got == []


@pytest.mark.parametrize(
    ("wanted", "status", "code"),
    [
        ({"url": "http://127.0.0.1:1/x"}, 403, "host_not_allowed"),
        ({"url": "http://localhost/x"}, 403, "host_not_allowed"),
        ({"url": "http://[::1]/x"}, 403, "host_not_allowed"),
        ({"url": "ftp://127.0.0.1/x"}, 400, "invalid_field"),
        ({"url": "http://user:secret@127.0.0.1/x"}, 400, "invalid_field"),
        ({"url": "http://127.0.0.1:99999/x"}, 400, "invalid_field"),
        ({"url": "/x"}, 400, "invalid_field"),
        ({"types": ["Nothing"]}, 400, "invalid_field"),
        ({"types": []}, 400, "invalid_field"),
        ({"after": 7}, 400, "invalid_field"),
        ({"after": -1}, 400, "invalid_field"),
        ({"project": "No Slug"}, 400, "invalid_field"),
        ({"project": "gaia\n"}, 400, "invalid_field"),
        ({"colour": "red"}, 400, "invalid_field"),
    ],
)
async def test_what_cannot_be_registered_is_named(
    command: AsyncTestClient[Any], receiver: Receiver, wanted: dict[str, Any], status: int, code: str
) -> None:
    answer = await command.post("/webhooks", json={"url": receiver.url} | wanted)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


async def test_the_list_shows_no_secret(
    command: AsyncTestClient[Any], query: httpx.AsyncClient, ledger: Ledger, receiver: Receiver
) -> None:
    await ledger.append(1)
    one = await register(command, receiver, project="gaia", types=["GrantCreated", "booking.ending"])
    two = await register(command, receiver)
    assert (one["types"], one["notices"], two["types"], two["notices"]) == (
        ["GrantCreated"],
        ["booking.ending"],
        None,
        [],
    )
    listed = (await query.get("/webhooks")).json()["webhooks"]
    assert [webhook["id"] for webhook in listed] == [one["id"], two["id"]]
    assert (listed[0]["created_by"], listed[0]["url"], listed[0]["dead_letters"]) == ("ada", receiver.url, 0)
    assert one["secret"] not in (await query.get("/webhooks")).text
    assert [webhook["id"] for webhook in (await query.get("/webhooks?project=gaia")).json()["webhooks"]] == [one["id"]]
