"""/metrics, read with Prometheus's own parser, of the services on a real PostgreSQL."""

import asyncio
import time
from typing import Any

import asyncpg
import pytest
from aiohttp import ClientSession
from litestar.testing import AsyncTestClient
from prometheus_client.parser import text_string_to_metric_families

from services.cli.up.embedded import free_port
from services.command.app import create_app as command_app
from services.command.settings import Settings as CommandSettings
from services.projector.as_of.historian import load_writer
from services.projector.generation import load_generation, prepare, write_batch
from services.projector.indexer import index_batch
from services.projector.monitor import Watch, monitored
from services.query.app import create_app as query_app
from services.query.settings import Settings as QuerySettings
from shared.event_store import EventStore
from shared.events import encode_event
from shared.http.monitoring import PortTaken
from shared.telemetry import Telemetry
from tests.support.backends import as_role
from tests.support.histories import append_history, history

Figures = dict[tuple[str, ...], float]


def figures(text: str) -> Figures:
    """Each sample's value, by its name and its labels' values."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def told(client: AsyncTestClient[Any]) -> Figures:
    answer = await client.get("/metrics")
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/plain")
    return figures(answer.text)


async def test_the_command_service_tells_its_requests_its_queue_and_its_appends(database_url: str) -> None:
    async with AsyncTestClient(
        command_app(CommandSettings(database_url=as_role(database_url, "command"), queue_max=7))
    ) as client:
        for _ in range(2):
            await client.post("/projects/create", json={"id": "gaia", "name": "Gaia"})
        await client.post("/projects/create", json={})
        await client.get("/no/such/place")
        await client.post("/clusters/gaia.none/resize", json={"cores": 1})
        seen = await told(client)
    for path, status, count in (
        ("/projects/create", "201", 1),
        ("/projects/create", "409", 1),
        ("/projects/create", "400", 1),
        ("/clusters/{cluster}/resize", "404", 1),
    ):
        assert seen["hourbook_http_requests_total", "POST", path, status] == count
    assert seen["hourbook_http_requests_total", "GET", "", "404"] == 1
    assert (seen["hourbook_append_events_count",], seen["hourbook_append_events_sum",]) == (1, 1)
    assert 0 < seen["hourbook_append_seconds_sum",] < 10
    assert (seen["hourbook_queue_depth",], seen["hourbook_queue_limit",]) == (0, 7)
    assert (seen["hourbook_store_up",], seen["hourbook_head_position",]) == (1, 1)


async def test_lag_is_told_in_events_in_seconds_and_as_a_checkpoint_that_stands(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await prepare(connection)
    events = history(1, 30)
    await append_history(EventStore(connection), events)
    generation = await load_generation(connection)
    await write_batch(connection, generation, [encode_event(event) for event in events[:10]])
    async with AsyncTestClient(query_app(QuerySettings(database_url=as_role(database_url, "query")))) as client:
        behind = await told(client)
        await write_batch(connection, generation, [encode_event(event) for event in events[10:]])
        async with asyncio.timeout(10):
            while (level := await told(client))["hourbook_checkpoint_position",] < 30:
                await asyncio.sleep(0.1)
    assert (behind["hourbook_head_position",], behind["hourbook_checkpoint_position",]) == (30, 10)
    assert behind["hourbook_lag_events",] == 20
    age = time.time() - events[10].at.timestamp()
    assert behind["hourbook_lag_seconds",] == pytest.approx(age, abs=30)
    assert (level["hourbook_lag_events",], level["hourbook_lag_seconds",], level["hourbook_parked_position",]) == (
        0,
        0,
        0,
    )
    before, after = (seen["hourbook_checkpoint_moved_timestamp_seconds",] for seen in (behind, level))
    assert before < after <= time.time() + 1
    await connection.close()


async def test_what_follows_the_events_is_told_with_how_far_it_is(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await append_history(EventStore(connection), history(1, 30))
    for _ in range(2):
        assert await index_batch(connection, 10)
    past = await load_writer(connection)
    await past.advance(7)
    first = figures((await Telemetry(as_role(database_url, "query")).render()).decode())
    await connection.execute(
        "UPDATE notice_head SET told_until = date_trunc('hour', now()), position = 12, seq = 5, published = 3"
    )
    for position, disabled, types, kinds in (
        (9, None, None, []),
        (4, "gone", None, []),
        (11, None, None, []),
        (2, None, [], ["booking.ended"]),
    ):
        await connection.execute(
            "INSERT INTO webhook (id, url, types, kinds, secret, created_by, position, notice, disabled) "
            "VALUES (gen_random_uuid(), 'https://example.org', $3, $4, 'x', 'ada', $1, 1, $2)",
            position,
            disabled,
            types,
            kinds,
        )
    await connection.execute(
        "INSERT INTO webhook (id, url, kinds, secret, created_by, position, notice, ended) "
        "VALUES (gen_random_uuid(), 'https://example.org', '{booking.ended}', 'x', 'ada', 1, 0, 'forbidden')"
    )
    seen = figures((await Telemetry(as_role(database_url, "query")).render()).decode())
    await connection.close()
    names = "past_position", "index_position", "notice_position", "notices_unpublished", "webhook_dead_letters"
    assert [first[f"hourbook_{name}",] for name in names] == [7, 20, 0, 0, 0]
    assert ("hourbook_webhook_position",) not in first
    assert ("hourbook_notices_told_timestamp_seconds",) not in first
    assert [seen[f"hourbook_{name}",] for name in names] == [7, 20, 12, 2, 0]
    assert (seen["hourbook_webhook_position",], seen["hourbook_webhooks_disabled",]) == (9, 1)
    assert seen["hourbook_webhooks_ended",] == 1
    assert seen["hourbook_webhook_notices",] == 4
    assert time.time() - seen["hourbook_notices_told_timestamp_seconds",] == pytest.approx(1800, abs=1830)


async def test_without_the_database_it_is_told_that_it_is_not_there() -> None:
    telemetry = Telemetry(f"postgresql://nobody@127.0.0.1:{free_port()}/nowhere")
    telemetry.batches("fold", "a batch")(3, 0.5)
    seen = figures((await telemetry.render()).decode())
    assert seen["hourbook_store_up",] == 0
    assert seen["hourbook_fold_events_sum",] == 3
    assert ("hourbook_head_position",) not in seen


async def test_the_projector_answers_at_its_own_port_and_names_the_setting_when_it_is_taken(database_url: str) -> None:
    telemetry, port = Telemetry(as_role(database_url, "query")), free_port()
    watch = Watch(telemetry)
    async with (
        monitored("127.0.0.1", port, telemetry, lambda: 7, watch),
        ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        async with session.get("/health") as answer:
            assert (answer.status, await answer.json()) == (200, {"position": 7, "state": "ok", "why": None})
        async with session.get("/live") as answer:
            assert (answer.status, await answer.text()) == (200, "ok")
        async with session.get("/metrics") as answer:
            assert figures(await answer.text())["hourbook_lag_events",] == 0
        with pytest.raises(PortTaken, match=f"port {port} .*HOURBOOK_PROJECTOR_PORT"):
            async with monitored("127.0.0.1", port, telemetry, lambda: 7, watch):
                pass
