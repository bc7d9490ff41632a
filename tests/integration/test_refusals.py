"""The log of refusals is apart from the events, and delays no answer."""

import asyncio
import csv
import io
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from litestar.testing import AsyncTestClient

from services.command import refusal_log as refusals_module
from services.command.app import create_app as create_command
from services.command.domain import CreateProject
from services.command.domain.commands import Context
from services.command.refusal_log import BATCH_MAX, DENIALS_MAX, WAITING_MAX, Rates, RefusalLog
from services.command.settings import Settings as CommandSettings
from services.query.app import create_app as create_query
from services.query.settings import Settings as QuerySettings
from shared.errors import AlreadyExists, UnknownId
from shared.identity.principals import Principal, person, trusted
from shared.identity.roles import Limit
from shared.tasks import end_tasks
from tests.support.backends import as_role
from tests.support.ground import grounded
from tests.support.listening import BOUND_S, listening
from tests.support.signed_in import signed_in, with_token

MONTH = {"startdate": "2086-01-01", "enddate": "2086-01-31"}
BOOKING = {"project": "gaia", "account": "ada", "cores": 11, **MONTH}
COUNT = "SELECT count(*) FROM refusal"


@pytest.fixture
async def command(database_url: str) -> AsyncIterator[AsyncTestClient[Any]]:
    async with AsyncTestClient(
        create_command(CommandSettings(database_url=as_role(database_url, "command")))
    ) as client:
        await client.post("/projects/create", json={"id": "gaia", "name": "Gaia"})
        await client.post("/resources/create", json={"project": "gaia", "cores": 10, **MONTH})
        yield client


@pytest.fixture
async def query(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        listening(create_query(QuerySettings(database_url=as_role(database_url, "query")))) as url,
        httpx.AsyncClient(base_url=url) as client,
    ):
        yield client


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def kept(connection: Any, count: int) -> None:
    async with asyncio.timeout(BOUND_S):
        while await connection.fetchval(COUNT) < count:
            await asyncio.sleep(0.02)


async def test_who_tried_what_and_why_it_was_refused(
    command: AsyncTestClient[Any], query: httpx.AsyncClient, connection: Any
) -> None:
    began = datetime.now(UTC)
    by = {"X-Hourbook-Actor": "grace"}
    refused = await command.post("/bookings/create", json=BOOKING | {"reason": "my thesis"}, headers=by)
    assert refused.status_code == 409
    assert (await command.post("/projects/create", json={"id": "gaia", "name": "Again"})).status_code == 409
    assert (await command.post("/resources/create", json={"project": "none", "cores": 1, **MONTH})).status_code == 404
    assert (await command.post("/bookings/create", json=BOOKING | {"cores": -1})).status_code == 400  # no command yet
    assert (await command.post("/bookings/create", json=BOOKING | {"cores": 1})).status_code == 201
    await kept(connection, 3)
    rows = (await query.get("/refusals")).json()["refusals"]
    assert [(row["actor"], row["command"], row["code"], row["dropped"]) for row in rows] == [
        ("grace", "CreateBooking", "capacity_exceeded", 0),
        ("anonymous", "CreateProject", "already_exists", 0),
        ("anonymous", "CreateGrant", "unknown_id", 0),
    ]
    first = rows[0]
    assert (first["project"], first["reason"], first["detail"]) == ("gaia", "my thesis", refused.json()["detail"])
    assert first["asked"]["period"] == {"start": "2086-01-01T00:00:00Z", "end": "2086-02-01T00:00:00Z"}
    assert (first["asked"]["account"], first["asked"]["capacity"]["cores"]) == ("ada", 11)
    assert first["facts"]["shortages"] == refused.json()["shortages"]
    assert began - timedelta(seconds=1) < datetime.fromisoformat(first["at"]) < datetime.now(UTC)
    assert await connection.fetchval("SELECT position FROM event_head") == 3  # no refusal is an event


async def test_by_project_actor_code_and_time_in_pages_and_as_csv(query: httpx.AsyncClient, connection: Any) -> None:
    await connection.executemany(
        """INSERT INTO refusal (at, project, actor, command, asked, code, detail, facts)
           VALUES ($1, $2, $3, 'CreateBooking', '{}', $4, 'no, "not" this', '{"a":1}')""",
        [
            (datetime(2086, 1, n, tzinfo=UTC), f"p{n % 2}", f"a{n % 3}", "refused" if n % 5 else "unknown_id")
            for n in range(1, 31)
        ],
    )

    async def ids(**asked: Any) -> list[int]:
        answer = await query.get("/refusals", params=asked)
        assert answer.status_code == 200, answer.text
        return [row["id"] for row in answer.json()["refusals"]]

    assert await ids(project="p1", actor="a0") == [3, 9, 15, 21, 27]
    assert await ids(code="unknown_id", since="2086-01-10T00:00:00Z", until="2086-01-25T00:00:00Z") == [10, 15, 20]
    page = (await query.get("/refusals?limit=4&after=2")).json()
    assert ([row["id"] for row in page["refusals"]], page["next"]) == ([3, 4, 5, 6], 6)
    assert (await query.get("/refusals?after=26&limit=4")).json()["next"] is None
    newest = (await query.get("/refusals?order=newest&limit=3")).json()
    assert ([row["id"] for row in newest["refusals"]], newest["next"]) == ([30, 29, 28], 28)
    rest = (await query.get("/refusals?order=newest&after=3&project=p1&limit=3")).json()
    assert ([row["id"] for row in rest["refusals"]], rest["next"]) == ([1], None)
    bad = await query.get("/refusals?order=alphabetical")
    assert (bad.status_code, bad.json()["errors"][0]["field"]) == (400, "order")
    table = await query.get("/refusals?limit=3", headers={"Accept": "text/csv"})
    rows = list(csv.DictReader(io.StringIO(table.text, newline="")))
    assert ([row["id"] for row in rows], table.headers["Hourbook-Next"]) == (["1", "2", "3"], "3")
    assert (rows[0]["detail"], rows[0]["facts"], rows[0]["at"]) == ('no, "not" this', '{"a":1}', "2086-01-01T00:00:00Z")
    bad = await query.get("/refusals?since=soon")
    assert (bad.status_code, bad.json()["errors"][0]["field"]) == (400, "since")


def note(log: RefusalLog, count: int) -> None:
    context = Context(command=uuid4(), principal=trusted("ada"), at=datetime.now(UTC))
    for _ in range(count):
        log.note("gaia", CreateProject(project="gaia", name="Gaia"), context, AlreadyExists("id: taken"))


async def test_a_flood_is_counted_and_not_kept(database_url: str, connection: Any) -> None:
    log = RefusalLog(as_role(database_url, "command"), kept_days=1, kept_max=10_000, interval_s=0.01)
    note(log, WAITING_MAX + 700)
    assert log.dropped == 700
    running = asyncio.create_task(log.run())
    await kept(connection, WAITING_MAX)
    note(log, 1)
    await kept(connection, WAITING_MAX + 1)
    assert await connection.fetchval("SELECT dropped FROM refusal ORDER BY id DESC LIMIT 1") == 700
    assert log.dropped == 700
    await end_tasks(running)


async def test_what_waits_at_the_end_is_written(database_url: str, connection: Any) -> None:
    log = RefusalLog(as_role(database_url, "command"), kept_days=1, kept_max=10_000, interval_s=60)
    running = asyncio.create_task(log.run())
    await asyncio.sleep(0)
    note(log, BATCH_MAX)
    await asyncio.sleep(0)
    await end_tasks(running)
    assert await connection.fetchval(COUNT) == BATCH_MAX


async def test_old_ones_and_too_many_are_deleted(database_url: str, connection: Any) -> None:
    insert = """INSERT INTO refusal (at, project, actor, command, asked, code, detail, facts)
                SELECT $1, 'p', 'a', 'c', '{}', 'x', '', '{}' FROM generate_series(1, $2::int)"""
    await connection.execute(insert, datetime.now(UTC) - timedelta(days=3), 5)
    await connection.execute(insert, datetime.now(UTC) - timedelta(hours=3), 20)
    for days, most, left in ((1, 1000, 21), (1, 10, 10)):
        log = RefusalLog(as_role(database_url, "command"), kept_days=days, kept_max=most, interval_s=0.01)
        note(log, 1)
        running = asyncio.create_task(log.run())
        async with asyncio.timeout(BOUND_S):
            while await connection.fetchval(COUNT) != left:
                await asyncio.sleep(0.01)
        await end_tasks(running)


async def test_a_log_that_cannot_be_written_delays_no_answer(
    command: AsyncTestClient[Any], connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals_module, "WRITE_TIMEOUT_S", 2.0)
    await command.post("/bookings/create", json=BOOKING)
    await kept(connection, 1)
    async with connection.transaction():
        await connection.execute("LOCK TABLE refusal IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        for _ in range(50):
            assert (await command.post("/bookings/create", json=BOOKING)).status_code == 409
        assert time.monotonic() - began < BOUND_S / 2
        async with asyncio.timeout(BOUND_S):
            while not (await command.get("/health")).json()["refusals_dropped"]:
                await asyncio.sleep(0.05)
    await command.post("/bookings/create", json=BOOKING)
    await kept(connection, 2)
    dropped = await connection.fetchval("SELECT sum(dropped) FROM refusal")
    assert dropped == (await command.get("/health")).json()["refusals_dropped"] > 0


HIDDEN = UnknownId("project", "project", "gaia")
HIDDEN.denied = True


async def test_one_persons_denials_push_nobody_elses_refusals_out(database_url: str, connection: Any) -> None:
    log = RefusalLog(database_url, kept_days=1, kept_max=10_000, interval_s=0.01)
    tokens = [
        Principal(id=f"token:{n}", auth="token", members=frozenset(), maker="egi:eve", limits=()) for n in range(5)
    ]
    eve = person("egi", "eve", (), "oidc")
    for number in range(WAITING_MAX):
        sender = [eve, *tokens][number % 6]
        denied = HIDDEN if number % 2 else UnknownId("project", "project", f"p{number}")
        context = Context(command=uuid4(), principal=sender, at=datetime.now(UTC))
        log.note("gaia", CreateProject(project="gaia", name="Gaia"), context, denied)
    note(log, 50)
    assert DENIALS_MAX <= WAITING_MAX - log.dropped <= DENIALS_MAX + 5
    running = asyncio.create_task(log.run())
    await kept(connection, DENIALS_MAX + 50)
    await end_tasks(running)
    assert await connection.fetchval("SELECT count(*) FROM refusal WHERE actor = 'ada'") == 50
    assert await connection.fetchval("SELECT sum(dropped) FROM refusal") == log.dropped


def test_a_rate_is_used_up_and_comes_back_with_time() -> None:
    now = 0.0
    rates = Rates(3, 0.5, lambda: now)
    assert [rates.allows("eve") for _ in range(5)] == [True, True, True, False, False]
    assert rates.allows("ada")
    now = 2.0
    assert [rates.allows("eve") for _ in range(2)] == [True, False]
    now = 100.0
    assert [rates.allows("eve") for _ in range(4)] == [True, True, True, False]


async def test_a_denial_says_who_tried_what_where_and_what_was_needed(
    database_url: str, tmp_path: Path, connection: Any
) -> None:
    async with grounded(database_url, tmp_path) as ground:
        await ground.plant()
        await ground.give("gaia", "reader", "egi:ada")
        ada, eve = await signed_in(database_url, "egi:ada"), await signed_in(database_url, "egi:eve")
        booking = {"clusterid": "gaia.spark", "account": "team", "cores": 1, **MONTH}
        hook = {"url": "https://hooks.example/x", "project": "gaia"}
        for who, path, body, status in (
            (ada, "/bookings/create", booking, 403),
            (eve, "/bookings/create", booking, 404),
            (eve, "/bookings/create?dry_run=true", booking, 404),
            (eve, f"/bookings/{ground.ids['booking']}/cancel", {}, 404),
            (ada, "/webhooks", hook, 403),
            (eve, "/webhooks/{hook}/resume", None, 404),
            (ada, "/webhooks", {"url": "https://hooks.example/x"}, 403),
            (eve, "/projects/create", {"id": "mine", "name": "Mine"}, 403),
        ):
            answer = await ground.ask("POST", path, body, who)
            assert answer.status_code == status, answer.text
        for headers, status in (({}, 401), ({"Authorization": "Bearer hbk_no"}, 401)):
            assert (await ground.ask("POST", "/bookings/create", booking, headers)).status_code == status
        await kept(connection, 8)
        operator = await with_token(database_url, Limit("viewer"))
        metrics = (await ground.client.get("/metrics", headers=operator)).text
    rows = await connection.fetch("SELECT actor, command, project, code, facts FROM refusal ORDER BY id")
    seen = [(row["actor"], row["command"], row["project"], row["code"], json.loads(row["facts"])) for row in rows]
    spark = {"needs": "member", "pool": "gaia.spark"}
    assert [(actor, command, project) for actor, command, project, *_ in seen] == [
        ("egi:ada", "CreateBooking", "gaia"),
        ("egi:eve", "CreateBooking", "gaia"),
        ("egi:eve", "CreateBooking", "gaia"),
        ("egi:eve", "CancelBooking", "gaia"),
        ("egi:ada", "RegisterWebhook", "gaia"),
        ("egi:eve", "ResumeWebhook", "gaia"),
        ("egi:ada", "RegisterWebhook", ""),
        ("egi:eve", "CreateProject", "mine"),
    ]
    assert {code for *_, code, _ in seen} == {"forbidden"}
    assert [{name: facts.get(name) for name in spark} for *_, facts in seen] == [
        *[spark] * 4,
        {"needs": "manager", "pool": "gaia"},
        {"needs": "manager", "pool": "gaia"},
        {"needs": "manager", "pool": None},
        {"needs": "admin", "pool": None},
    ]
    assert 'hourbook_sign_in_refused_total{reason="sign_in_required"} 1.0' in metrics
    assert 'hourbook_sign_in_refused_total{reason="invalid_credential"} 1.0' in metrics
