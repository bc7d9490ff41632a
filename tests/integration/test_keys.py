"""An Idempotency-Key always gets the first answer again, from every route that writes and from every process."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from litestar.routes import HTTPRoute
from litestar.testing import AsyncTestClient

from services.command.app import create_app
from services.command.domain import CreateBooking, CreateGrant, CreateProject, CreateTemplate
from services.command.domain.commands import Context
from services.command.handler.handler import CommandHandler
from services.command.handler.results import CommandResult
from services.command.keys import Keys
from services.command.settings import Settings
from shared.capacity import Capacity
from shared.errors import CapacityExceeded, HourbookError
from shared.hours import Period, hour_of
from shared.identity.principals import trusted
from tests.support.backends import as_role
from tests.support.handling import handling
from tests.support.proxy import Proxy

MONTH = {"startdate": "2086-01-01", "enddate": "2086-01-31"}
T0 = hour_of(datetime(2086, 1, 1, tzinfo=UTC))
DAY = Period(T0, T0 + 24)
HOOK = "https://hooks.example/x"
NOBODY = "01890000-0000-7000-8000-000000000000"

FLAVORS = {"masterflavor": "small", "mastercount": 1, "workerflavor": "small", "workercount": 1}
ONE_DAY = {"startdate": "2086-01-01", "enddate": "2086-01-01"}
BOOKING = {"project": "gaia", "account": "ada", "cores": 1, **MONTH}
# Every route that writes: the path it is sent to (a name in braces stands for what `Ledger` has made), and the body.
IN_OTHER = {"project": "other"}
ROUTES: dict[tuple[str, str], tuple[str, dict[str, Any] | None]] = {
    ("POST", "/projects/create"): ("/projects/create", {"id": "new", "name": "New"}),
    ("POST", "/resources/create"): ("/resources/create", {"project": "gaia", "cores": 1, **MONTH}),
    ("POST", "/resources/{grant:uuid}/withdraw"): ("/resources/{grant}/withdraw", {}),
    ("POST", "/clusters/create"): ("/clusters/create", {"parent": "gaia", "cores": 1, **MONTH}),
    ("POST", "/clusters/{cluster:str}/resize"): ("/clusters/gaia.k/resize", {"cores": 4, "memory": 4}),
    ("POST", "/bookings/create"): ("/bookings/create", BOOKING),
    ("POST", "/bookings/{booking:uuid}/amend"): ("/bookings/{booking}/amend", {"cores": 3}),
    ("POST", "/bookings/{booking:uuid}/cancel"): ("/bookings/{booking}/cancel", {}),
    ("POST", "/bookings/series/{series:uuid}/amend"): ("/bookings/series/{series}/amend", {"cores": 2}),
    ("POST", "/bookings/series/{series:uuid}/cancel"): ("/bookings/series/{series}/cancel", {}),
    ("POST", "/templates/create"): ("/templates/create", {"project": "gaia", "name": "small", "cores": 1}),
    ("POST", "/accounts/create"): ("/accounts/create", {"project": "other", "account": "eve"}),
    ("POST", "/accounts/{account:str}/limits"): ("/accounts/bob/limits", {"project": "other", "limits": {}}),
    ("POST", "/accounts/{account:str}/close"): ("/accounts/bob/close", {"project": "other"}),
    ("POST", "/accounts/{account:str}/members/add"): ("/accounts/bob/members/add", IN_OTHER | {"member": "egi:bob"}),
    ("POST", "/accounts/{account:str}/members/remove"): (
        "/accounts/bob/members/remove",
        IN_OTHER | {"member": "egi:bob"},
    ),
    ("POST", "/accounts/create/members/add"): ("/accounts/create/members/add", IN_OTHER | {"member": "egi:bob"}),
    ("POST", "/accounts/create/members/remove"): ("/accounts/create/members/remove", IN_OTHER | {"member": "egi:bob"}),
    ("POST", "/roles/grant"): ("/roles/grant", {"pool": "other", "role": "reader", "member": "egi:bob"}),
    ("POST", "/roles/revoke"): ("/roles/revoke", {"pool": "other", "role": "reader", "member": "egi:bob"}),
    ("POST", "/accounts/create/limits"): ("/accounts/create/limits", {"project": "other", "limits": {}}),
    ("POST", "/accounts/create/close"): ("/accounts/create/close", {"project": "other"}),
    ("POST", "/novaquota/create"): ("/novaquota/create", {"project": "gaia", "cores": 1, **MONTH}),
    ("DELETE", "/novaquota/{grant:uuid}"): ("/novaquota/{grant}", None),
    ("POST", "/magcluster/create"): ("/magcluster/create", {"parent": "gaia", **FLAVORS, **MONTH}),
    ("POST", "/magcluster/{cluster:str}/resize"): ("/magcluster/gaia.m/resize", {"workercount": 2}),
    ("POST", "/magcluster/{cluster:str}/resizes/{wish:uuid}/apply"): ("/magcluster/gaia.m/resizes/{wish}/apply", {}),
    ("POST", "/magcluster/{cluster:str}/resizes/{wish:uuid}/fail"): (
        "/magcluster/gaia.m/resizes/{wish}/fail",
        {"error": "no"},
    ),
    ("POST", "/tokens/create"): ("/tokens/create", {"name": "sync", "limits": [{"role": "viewer", "pool": "gaia"}]}),
    ("POST", "/tokens/{token:uuid}/revoke"): (f"/tokens/{NOBODY}/revoke", None),
    ("POST", "/feeds/create"): ("/feeds/create", {"path": "/projects/gaia.ics"}),
    ("POST", "/feeds/{feed:uuid}/revoke"): (f"/feeds/{NOBODY}/revoke", None),
    ("POST", "/webhooks"): ("/webhooks", {"url": HOOK, "types": ["BookingCreated"]}),
    ("DELETE", "/webhooks/{webhook:uuid}"): ("/webhooks/{webhook}", None),
    ("POST", "/webhooks/{webhook:uuid}/resume"): ("/webhooks/{webhook}/resume", None),
    ("POST", "/webhooks/{webhook:uuid}/dead-letters/redeliver"): ("/webhooks/{webhook}/dead-letters/redeliver", None),
    ("POST", "/webhooks/{webhook:uuid}/dead-letters/{message:str}/redeliver"): (
        "/webhooks/{webhook}/dead-letters/m1/redeliver",
        None,
    ),
}


class Ledger:
    """The project `gaia` with 10 cores and one thing of every kind, and the project `other`, which lists accounts."""

    def __init__(self, client: AsyncTestClient[Any], database: Any) -> None:
        self.client, self.database, self.ids = client, database, dict[str, str]()

    async def ask(self, path: str, body: Any = None, key: str | None = None, method: str = "POST") -> Any:
        headers = {} if key is None else {"Idempotency-Key": key}
        return await self.client.request(method, path, json=body, headers=headers)

    async def make(self, what: str, path: str, **body: Any) -> None:
        answer = await self.ask(path, body)
        assert answer.status_code == 201, answer.text
        self.ids[what] = answer.json()["id"]

    async def fill(self) -> None:
        await self.make("gaia", "/projects/create", id="gaia", name="Gaia")
        await self.make("other", "/projects/create", id="other", name="Other")
        await self.make("grant", "/resources/create", project="gaia", servers=9, cores=20, memory=10, **MONTH)
        await self.make("small", "/templates/create", project="gaia", name="small", cores=1)
        await self.make("k", "/clusters/create", parent="gaia", name="k", cores=3, memory=4, **MONTH)
        await self.make("m", "/magcluster/create", parent="gaia", name="m", **FLAVORS, **MONTH)
        await self.make("wish", "/magcluster/gaia.m/resize", workercount=3, status="requested")
        await self.make("booking", "/bookings/create", **BOOKING)
        await self.make("series", "/bookings/create", rrule="FREQ=DAILY;COUNT=3", **BOOKING | ONE_DAY)
        await self.make("bob", "/accounts/create", project="other", account="bob", limits={"ahead_hours": 5})
        await self.make("webhook", "/webhooks", url=HOOK)

    async def state(self) -> Any:
        """The number of rows of each kind that a write can make."""
        return await self.database.fetchrow(
            "SELECT (SELECT position FROM event_head), (SELECT array_agg(id ORDER BY id) FROM webhook),"
            " (SELECT count(*) FROM webhook_dead_letter WHERE redeliver)"
        )


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def ledger(database_url: str, database: Any) -> AsyncIterator[Ledger]:
    settings = Settings(database_url=as_role(database_url, "command"), webhook_hosts="hooks.example")
    async with AsyncTestClient(create_app(settings)) as client:
        ledger = Ledger(client, database)
        await ledger.fill()
        yield ledger


async def test_a_key_means_the_first_answer_of_every_route_that_writes(ledger: Ledger) -> None:
    """A new route needs a line in ROUTES. The test sends each request twice. It is carried out once, and then every
    other request with the key is refused, also one to another route."""
    writing = {
        (method, route.path)
        for route in ledger.client.app.routes
        # sessions take no key, and Blazar sends none
        if isinstance(route, HTTPRoute) and not route.path.startswith(("/sign-", "/openstack/blazar/"))
        for method in route.route_handler_map
        if method in ("POST", "DELETE", "PUT", "PATCH")
    }
    assert writing == ROUTES.keys()
    await ledger.database.execute(
        "INSERT INTO webhook_dead_letter SELECT id, 'm1', 'event', 1, 1, 'no', now() FROM webhook"
    )
    for (method, route), (path, body) in ROUTES.items():
        key, path = f"{method} {route}", path.format_map(ledger.ids)
        first = await ledger.ask(path, body, key, method)
        assert first.status_code < 500, first.text
        there = await ledger.state()
        again = await ledger.ask(path, body, key, method)
        assert again.json() == first.json() | ({"secret": None} if "secret" in first.json() else {}), key
        assert again.status_code == (200 if first.status_code == 201 else first.status_code), key
        assert again.headers["content-type"] == first.headers["content-type"]
        assert (first.headers.get("Idempotent-Replayed"), again.headers["Idempotent-Replayed"]) == (None, "true"), key
        for other_path, other_body in (
            ("/bookings/create", BOOKING | {"reason": key}),
            (f"/bookings/{NOBODY}/cancel", {}),
            ("/clusters/no cluster/resize", {"cores": 1}),
            ("/webhooks", {"url": HOOK, "project": "gaia"}),
            ("/webhooks", {"url": "https://elsewhere.example/"}),
            (f"/webhooks/{NOBODY}/dead-letters/redeliver", None),
        ):
            other = await ledger.ask(other_path, other_body, key)
            assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused"), (key, other_path)
        assert await ledger.state() == there, key


MADE: list[tuple[str, dict[str, Any]]] = [
    ("/resources/create", {"project": "gaia", "cores": 1, **MONTH}),
    ("/novaquota/create", {"project": "gaia", "cores": 1, **MONTH}),
    ("/clusters/create", {"parent": "gaia", "cores": 1, **MONTH}),
    ("/clusters/create", {"parent": "gaia", "name": "named", "cores": 1, **MONTH}),
    ("/magcluster/create", {"parent": "gaia", **FLAVORS, **MONTH}),
    ("/magcluster/gaia.m/resize", {"workercount": 2, "status": "requested"}),
    ("/bookings/create", BOOKING),
    ("/bookings/create", BOOKING | {"servers": 1, "share": "100%"}),
    ("/bookings/create", BOOKING | ONE_DAY | {"rrule": "FREQ=DAILY;COUNT=3", "skip": True}),
]


async def test_no_secret_is_kept_with_an_answer(ledger: Ledger, database: Any) -> None:
    """Whoever lost the answer deletes the webhook, and registers it again: nobody shows the secret twice."""
    first = await ledger.ask("/webhooks", {"url": HOOK}, "hook")
    again = await ledger.ask("/webhooks", {"url": HOOK}, "hook")
    assert first.json()["secret"].startswith("whsec_")
    assert again.json() == first.json() | {"secret": None}
    kept = await database.fetch("SELECT convert_from(body, 'UTF8') AS body FROM remembered_answer")
    assert kept
    assert not [one["body"] for one in kept if "whsec_" in one["body"]]
    secret = await database.fetchval("SELECT secret FROM webhook WHERE id = $1", first.json()["id"])
    assert secret == first.json()["secret"]


async def test_a_repeat_in_another_process_names_what_the_first_request_made(ledger: Ledger, database_url: str) -> None:
    """The id of a new thing comes from its command, so another process answers with the same id."""
    async with AsyncTestClient(create_app(Settings(database_url=as_role(database_url, "command")))) as client:
        other = Ledger(client, ledger.database)
        for number, (path, body) in enumerate(MADE):
            first = await ledger.ask(path, body, str(number))
            assert first.status_code == 201, first.text
            again = await other.ask(path, body, str(number))
            assert (again.status_code, again.content) == (200, first.content)
            decided = first.json()["decided"]
            assert first.json()["id"] in {
                event.get(field) for event in decided for field in ("grant", "cluster", "request", "booking", "series")
            }


async def test_a_repeat_undoes_nothing_that_another_has_changed_since(ledger: Ledger) -> None:
    limits = {"project": "other", "limits": {"ahead_hours": 5}}
    first = await ledger.ask("/accounts/bob/limits", limits, "same")
    assert (first.status_code, first.json()["decided"]) == (200, [])
    assert (await ledger.ask("/accounts/bob/limits", {"project": "other", "limits": {}})).status_code == 201
    again = await ledger.ask("/accounts/bob/limits", limits, "same")
    assert (again.status_code, again.content) == (200, first.content)
    assert first.json()["id"] == "bob"
    assert (await ledger.ask("/accounts/bob/limits", limits)).status_code == 201, "no key: it is asked now"


async def test_a_refusal_is_the_answer_to_its_key_also_when_it_is_not_true_any_more(ledger: Ledger) -> None:
    asked = BOOKING | {"cores": 50}
    first = await ledger.ask("/bookings/create", asked, "big")
    assert first.json()["code"] == "capacity_exceeded"
    assert first.json()["shortages"]
    await ledger.make("more", "/resources/create", project="gaia", cores=50, **MONTH)
    again = await ledger.ask("/bookings/create", asked, "big")
    assert (again.status_code, again.content) == (409, first.content)
    assert (await ledger.ask("/bookings/create", asked, "another")).status_code == 201


async def test_what_has_no_such_template_yet_or_no_such_thing_keeps_its_answer(ledger: Ledger) -> None:
    by_template = BOOKING | {"cores": 0, "template": "big"}
    first = [
        await ledger.ask("/bookings/create", by_template, "t"),
        await ledger.ask(f"/bookings/{NOBODY}/cancel", {}, "n"),
    ]
    assert [answer.status_code for answer in first] == [400, 404]
    await ledger.make("big", "/templates/create", project="gaia", name="big", cores=2)
    assert (await ledger.ask("/bookings/create", by_template, "t")).content == first[0].content
    assert (await ledger.ask(f"/bookings/{NOBODY}/cancel", {}, "n")).content == first[1].content
    assert (await ledger.ask("/bookings/create", by_template)).status_code == 201


async def test_a_dry_run_and_a_body_that_cannot_be_read_leave_the_key_free(ledger: Ledger) -> None:
    assert (await ledger.ask("/bookings/create?dry_run=true", BOOKING | {"cores": 99}, "free")).status_code == 200
    assert (await ledger.ask("/bookings/create", BOOKING | {"startdate": "soon"}, "free")).status_code == 400
    assert (await ledger.ask("/bookings/create", BOOKING | {"cores": -1}, "free")).status_code == 400
    assert (await ledger.ask("/webhooks", {"url": "no url"}, "free")).status_code == 400
    assert (await ledger.ask("/bookings/create", BOOKING, "free")).status_code == 201


async def test_webhooks_are_made_once_however_many_ask_at_once_with_one_key(ledger: Ledger) -> None:
    asked = {"url": HOOK, "notices": True}
    answers = await asyncio.gather(*(ledger.ask("/webhooks", asked, "hook") for _ in range(12)))
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sorted(answer.status_code for answer in answers) == [200] * 11 + [201]
    assert [bool(answer.json()["secret"]) for answer in answers] == [answer.status_code == 201 for answer in answers]
    assert await ledger.database.fetchval("SELECT count(*) FROM webhook") == 2
    unkeyed = [await ledger.ask("/webhooks", asked) for _ in range(2)]
    assert len({answer.json()["id"] for answer in unkeyed}) == 2


async def test_the_position_of_a_kept_answer_is_the_one_that_was_given(database_url: str, database: Any) -> None:
    """A command of a batch may change nothing. Its position is that of the last event before it."""
    async with handling(database_url) as handler:
        await begin(handler, 10)
        small = CreateTemplate(template="small", capacity=Capacity(cores=1))
        sent = [
            send(handler, small),
            send(handler, small, uuid4()),
            send(handler, booking(1)),
            send(handler, small, uuid4()),
        ]
        positions = [answer.position for answer in await asyncio.gather(*sent)]
        alone = await send(handler, small, uuid4())
    assert (positions, alone.position) == ([3, 3, 4, 4], 4)
    kept = await database.fetch("SELECT convert_from(body, 'UTF8') FROM remembered_answer ORDER BY body")
    assert [row[0] for row in kept] == [
        f'{{"id":"small","position":{position},"version":{version},"decided":[]}}'
        for position, version in ((3, 3), (4, 4), (4, 4))
    ]


async def test_one_key_in_two_processes_has_one_answer_whether_it_fits_or_not(database_url: str) -> None:
    """In each round, four requests with one key and one without it compete for one core. All with the key get the same
    answer."""
    async with handling(database_url) as one, handling(database_url) as other:
        await begin(one, 12)
        for _ in range(20):
            key = uuid4()
            asked = [send(handler, booking(1), key) for handler in (one, other, one, other)]
            answers = await asyncio.gather(*asked, send(other, booking(1)), return_exceptions=True)
            told = {told_of(answer) for answer in answers[:4]}
            assert len(told) == 1, told


async def test_a_refusal_whose_keeping_had_no_known_outcome_is_settled_by_its_key(
    database_url: str, database: Any
) -> None:
    async with Proxy(database_url) as proxy, handling(proxy.url) as handler:
        await begin(handler, 1)
        proxy.arm("answer", b"capacity_exceeded")
        asked = asyncio.create_task(send(handler, booking(5), uuid4()))
        await asyncio.wait_for(proxy.struck.wait(), 20)
        async with asyncio.timeout(20):
            while not await database.fetchval("SELECT count(*) FROM remembered_answer"):
                await asyncio.sleep(0.01)
        await database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%append_and_keep%'"
            " AND datname = current_database() AND pid <> pg_backend_pid()"
        )
        answer = await asked
        assert answer.first is not None
        assert answer.first.status == 409
    assert await database.fetchval("SELECT count(*) FROM remembered_answer") == 1


async def test_the_oldest_answers_are_forgotten(database_url: str, database: Any) -> None:
    await database.execute(
        "INSERT INTO remembered_answer SELECT gen_random_uuid(), '', n, '', now() - n * interval '1 hour'"
        " FROM generate_series(0, 99) AS n"
    )
    left = "SELECT array_agg(status ORDER BY status) FROM remembered_answer"
    await Keys(as_role(database_url, "command"), kept_days=2, kept_max=1000).forget()
    assert await database.fetchval(left) == list(range(48))
    await Keys(as_role(database_url, "command"), kept_days=2, kept_max=10).forget()
    assert await database.fetchval(left) == list(range(10))


async def send(handler: CommandHandler, command: Any, request_id: Any = None) -> CommandResult:
    context = Context(command=uuid4(), principal=trusted("ada"), at=datetime.now(UTC))
    entity = command.template if isinstance(command, CreateTemplate) else ""
    return await handler.submit("gaia", command, context, request_id, b"same", entity=entity)


def booking(cores: int) -> CreateBooking:
    return CreateBooking(booking=uuid4(), pool="gaia", account="ada", period=DAY, capacity=Capacity(cores=cores))


async def begin(handler: CommandHandler, cores: int) -> None:
    await send(handler, CreateProject(project="gaia", name="Gaia"))
    await send(handler, CreateGrant(grant=uuid4(), period=DAY, capacity=Capacity(cores=cores)))


def told_of(answer: Any) -> str:
    """The last answer that the client gets."""
    if isinstance(answer, CapacityExceeded):
        return "refused"
    assert not isinstance(answer, HourbookError)
    return "refused" if answer.first is not None else f"position {answer.position}"
