"""PostgreSQL has no disc or memory left: what is refused, what waits, and that it goes on when there is room."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from litestar.testing import AsyncTestClient

from services.command.app import EXIT_STATUS, create_app
from services.command.domain import CreateProject
from services.command.domain.commands import Context
from services.command.handler import handler as handler_module
from services.command.handler.errors import StoreUnavailable
from services.command.handler.handler import CommandHandler
from services.command.settings import Settings
from services.projector.consumer import Projector
from shared.event_store import EventStore
from shared.identity.principals import trusted
from shared.nats_server import NatsServer
from shared.tasks import end_tasks
from tests.support.backends import as_role, connected
from tests.support.histories import append_history
from tests.support.project import Project
from tests.support.waiting import BOUND_S, until

PERIOD = {"startdate": "2086-01-01", "enddate": "2086-01-03"}
HOOK = {"url": "https://hooks.example/x"}
REFUSE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = '{code}'; END $$;
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse();
"""
ROOM = "DROP FUNCTION refuse CASCADE"


@contextlib.asynccontextmanager
async def refusing(database_url: str, code: str, table: str) -> AsyncIterator[None]:
    """While the block runs, PostgreSQL answers what is written to the table with the error `code`, as when it has no
    room."""
    async with connected(database_url) as owner:
        await owner.execute(REFUSE.format(code=code, table=table))
        yield
        await owner.execute(ROOM)


@pytest.mark.parametrize("code", ["53100", "53200", "58030"], ids=["disc", "memory", "io"])
async def test_commands_are_refused_while_the_store_has_no_room_and_then_accepted(database_url: str, code: str) -> None:
    settings = Settings(database_url=as_role(database_url, "command"), webhook_hosts="hooks.example")
    async with AsyncTestClient(create_app(settings)) as client:

        async def create(project: str) -> Any:
            return await client.post(
                "/projects/create", json={"id": project, "name": "G"}, headers={"Idempotency-Key": project}
            )

        assert (await create("before")).status_code == 201
        async with refusing(database_url, code, "event"):
            answers = await asyncio.gather(*(create(f"p{number}") for number in range(9)))
            assert {answer.status_code for answer in answers} == {503}
            assert {answer.json()["code"] for answer in answers} <= {"store_full", "store_unavailable"}
            assert answers[0].headers["retry-after"] == "1"
            assert (await create("alone")).json()["code"] == "store_full"
            health = (await client.get("/health")).json()
            assert "No space left on device" in health["trouble"]
            assert health["position"] == 1
        assert (await create("alone")).status_code == 201
        health = (await client.get("/health")).json()
        assert (health["trouble"], health["position"]) == (None, 2)
        async with refusing(database_url, code, "webhook"):
            answer = await client.post("/webhooks", json=HOOK)
            assert (answer.status_code, answer.json()["code"]) == (503, "store_full")
        assert (await client.post("/webhooks", json=HOOK)).status_code == 201
    async with connected(database_url) as connection:
        assert await connection.fetchval("SELECT count(*) FROM event") == 2


async def test_a_command_waits_while_postgresql_has_no_connection_left(database_url: str) -> None:
    name = urlsplit(database_url).path[1:]
    handler = CommandHandler(as_role(database_url, "command"))
    writing = asyncio.create_task(handler.run())
    async with connected(database_url) as owner:
        await owner.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 0")
        context = Context(command=uuid4(), principal=trusted("ada"), at=datetime.now(UTC))
        waiting = asyncio.create_task(handler.submit("gaia", CreateProject(project="gaia", name="G"), context))
        await asyncio.sleep(0.5)  # some attempts
        assert not waiting.done()
        await owner.execute(f"ALTER DATABASE {name} CONNECTION LIMIT -1")
        assert (await waiting).position == 1
    await end_tasks(writing)


async def test_a_command_that_finds_no_memory_is_a_503_and_no_other_one_is_harmed(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decide_batch(*_: Any) -> Any:
        return bytearray(2**60)

    settings = Settings(database_url=as_role(database_url, "command"))
    async with AsyncTestClient(create_app(settings)) as client:
        with monkeypatch.context() as without:
            without.setattr(handler_module, "decide_batch", decide_batch)
            answer = await client.post("/projects/create", json={"id": "gaia", "name": "G"})
            assert (answer.status_code, answer.json()["code"]) == (503, "out_of_memory")
            assert "no memory" in (await client.get("/health")).json()["trouble"]
        assert (await client.post("/projects/create", json={"id": "gaia", "name": "G"})).status_code == 201
        assert (await client.get("/health")).json()["trouble"] is None


def test_a_process_ends_when_a_part_of_it_does_and_says_why() -> None:
    """Without it commands would wait for ever; whoever started the process starts it again."""
    program = (
        "import asyncio, logging\nfrom services.command.app import running\nlogging.basicConfig()\n"
        "async def work(): raise MemoryError\n"
        "async def main():\n    async with running(work()): await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=BOUND_S, check=False)
    assert ended.returncode == EXIT_STATUS
    assert b"a part of the service ended, so the process ends: MemoryError()" in ended.stderr


async def test_an_event_that_finds_no_room_is_not_parked(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with connected(database_url) as connection:
        project = Project()
        project.grant(0, 10, 10)
        for hour in range(5):
            project.book(hour, hour + 1, 1)
        projector = Projector(as_role(database_url, "projector"), NatsServer("nats://127.0.0.1:1"), poll_s=0.1)
        async with refusing(database_url, "53100", "live_booking"):
            await append_history(EventStore(connection), project.history)
            task = asyncio.create_task(projector.run())
            await until(lambda: caplog.text.count("projector: DiskFullError") == 1)
            await until(lambda: projector.position == 2)  # of a batch that has no room, what comes before it is written
            assert await connection.fetchval("SELECT parked_position FROM generation WHERE live") is None
        await until(lambda: projector.position == len(project.history))
        await end_tasks(task)


async def test_what_is_said_of_a_lost_store_is_why_it_is_lost() -> None:
    """Also when the time ran out at last: that alone says nothing."""
    handler = CommandHandler("postgresql://127.0.0.1:1/none", patience_s=1.0)
    writing = asyncio.create_task(handler.run())
    context = Context(command=uuid4(), principal=trusted("ada"), at=datetime.now(UTC))
    with pytest.raises(StoreUnavailable, match="did not answer: ConnectionRefusedError"):
        await handler.submit("gaia", CreateProject(project="gaia", name="G"), context)
    assert "Connect call failed" in (handler.trouble.problem or "")
    await end_tasks(writing)
