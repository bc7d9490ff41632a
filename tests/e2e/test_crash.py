"""Kill any process at any moment: nothing acknowledged is lost or doubled, the table is what a replay gives."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from services.cli.up.embedded import EmbeddedServerFailed
from tests.support.backends import Backend
from tests.support.replay import BOUND_S, assert_all_is_there_once
from tests.support.system import Service, System
from tests.support.writers import PERIOD, Writers


class Whole(Writers):
    """The whole system, and clients that write to it without a pause."""

    def __init__(self, system: System, command: Service, projector: Service) -> None:
        super().__init__(command.url)
        self.system, self.command, self.projector = system, command, projector


@pytest.fixture
async def whole(own_directory: Path, backend: Backend) -> AsyncIterator[Whole]:
    system = System(own_directory / f"crash-{uuid4().hex}", backend)
    system.start()
    try:
        with system.projector() as projector, system.command() as command:
            whole = Whole(system, command, projector)
            await whole.begin()
            yield whole
    finally:
        system.stop()


def crash_command(whole: Whole) -> None:
    whole.command.crash()


def crash_projector(whole: Whole) -> None:
    whole.projector.crash()


def crash_nats(whole: Whole) -> None:
    whole.system.nats.stop(signal.SIGKILL)
    whole.system.nats.start()


def crash_postgres(whole: Whole) -> None:
    whole.system.postgres.stop(signal.SIGKILL)
    for _ in range(50):  # the backends notice by and by that their postmaster is gone; until then it does not start
        with contextlib.suppress(EmbeddedServerFailed):
            whole.system.postgres.start()
            return
    raise AssertionError("PostgreSQL did not start again")


@pytest.mark.parametrize("crash", [crash_command, crash_projector, crash_nats, crash_postgres])
async def test_a_kill_under_load_loses_and_doubles_nothing(whole: Whole, crash: Callable[[Whole], None]) -> None:
    writers = [asyncio.create_task(whole.write()) for _ in range(8)]
    for _ in range(3):
        await whole.grown_by(100)
        await asyncio.to_thread(crash, whole)
    await whole.grown_by(100)
    whole.stop()
    await asyncio.gather(*writers)
    await assert_all_is_there_once(whole.system, whole.acknowledged)


async def test_two_command_processes_accept_exactly_what_fits(whole: Whole) -> None:
    every_one_at_once = httpx.Limits(max_connections=None)
    with whole.system.command() as other:
        async with httpx.AsyncClient(limits=every_one_at_once, timeout=BOUND_S) as client:
            await client.post(f"{other.url}/projects/create", json={"id": "small", "name": "Small"})
            await client.post(f"{other.url}/resources/create", json={"project": "small", "cores": 10, **PERIOD})
            body = {"project": "small", "account": "ada", "cores": 1, **PERIOD}
            answers = await asyncio.gather(
                *(
                    client.post(f"{[whole.command, other][number % 2].url}/bookings/create", json=body)
                    for number in range(200)
                )
            )
    statuses = [answer.status_code for answer in answers]
    assert (statuses.count(201), statuses.count(409)) == (10, 190)
    accepted = [answer.json() for answer in answers if answer.status_code == 201]
    assert sorted(answer["version"] for answer in accepted) == list(range(3, 13))
    refused = [answer.json() for answer in answers if answer.status_code == 409]
    assert all(answer["shortages"][0]["available"] == 0 for answer in refused)
    await assert_all_is_there_once(whole.system, [answer["id"] for answer in accepted])
