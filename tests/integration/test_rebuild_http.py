"""A rebuild while clients read over HTTP: no read fails, and none gets an older answer than before."""

import asyncio
from itertools import pairwise

import asyncpg
import httpx

from services.command.relay import Relay
from services.projector.consumer import Projector
from services.projector.rebuild.rebuild import rebuild
from services.query.app import create_app
from services.query.settings import Settings
from shared.event_store import EventStore
from shared.tasks import end_tasks
from tests.support.backends import Nats, as_role, nats_of
from tests.support.histories import append_history, history
from tests.support.listening import listening
from tests.support.oracle import oracle, table

BOUND_S = 30
QUESTION = "/available/select?project=project-0&range=2086-01-01,2086-01-10&grain=hour"


async def test_no_query_fails_while_the_read_models_are_built_anew(database_url: str, nats_server: Nats) -> None:
    events = history(8, 1200, projects=3)
    connection = await asyncpg.connect(database_url)
    store = EventStore(connection)
    await append_history(store, events[:600])
    relay, projector = (
        Relay(as_role(database_url, "command"), nats_of(nats_server, "command"), poll_s=0.05),
        Projector(as_role(database_url, "projector"), nats_of(nats_server, "projector")),
    )
    running = [asyncio.create_task(one.run()) for one in (relay, projector)]
    answers: list[tuple[str, int, int]] = []  # time of the request, status, position of the answer
    phase = "before"

    async def ask(address: str) -> None:
        async with httpx.AsyncClient(base_url=address, timeout=BOUND_S) as client:
            while True:
                asked, answer = phase, await client.get(QUESTION)
                answers.append((asked, answer.status_code, int(answer.headers.get("Hourbook-Position", -1))))

    async def asked_in(wanted: str) -> None:
        while not [asked for asked, _, _ in answers if asked == wanted]:
            await asyncio.sleep(0.005)

    async with listening(
        create_app(Settings(database_url=as_role(database_url, "query"), query_cache_bytes=0))
    ) as address:
        async with asyncio.timeout(BOUND_S):
            while await connection.fetchval("SELECT position FROM generation WHERE live") < 600:
                await asyncio.sleep(0.01)
            asking = asyncio.create_task(ask(address))
            await asked_in("before")
            phase = "during"
            rebuilding = asyncio.create_task(rebuild(as_role(database_url, "projector")))
            for start in range(600, 1200, 50):
                await append_history(store, events[start : start + 50])
            rebuilt = await rebuilding
            phase = "after"
            await asked_in("after")
            while await connection.fetchval("SELECT position FROM generation WHERE live") < 1200:
                await asyncio.sleep(0.01)
        await end_tasks(asking)
    await end_tasks(*running)
    assert {status for _, status, _ in answers} == {200}
    assert {asked for asked, _, _ in answers} == {"before", "during", "after"}
    positions = [position for _, _, position in answers]
    assert all(earlier <= later for earlier, later in pairwise(positions))
    assert await connection.fetchval("SELECT generation FROM generation WHERE live") == rebuilt.generation
    assert await table(connection) == await oracle(connection, events)
    await connection.close()
