"""HOURBOOK_ACKNOWLEDGE=stream: no answer before the stream has the event. Killed at each moment, nothing is lost or
doubled."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import nats
import pytest

from services.cli.up.embedded_nats import EmbeddedNats
from shared.jetstream import STREAM
from tests.support.backends import Backend
from tests.support.proxy import Proxy
from tests.support.replay import BOUND_S, assert_all_is_there_once
from tests.support.system import Service, System

PERIOD = {"startdate": "2086-01-01", "enddate": "2086-01-03"}
SHORT_S = 1.0  # long enough for many answers


@pytest.fixture
async def system(own_directory: Path, backend: Backend) -> AsyncIterator[System]:
    system = System(own_directory / f"acknowledge-{uuid4().hex}", backend)
    system.start()
    try:
        yield system
    finally:
        system.stop()


async def post(command: Service, path: str, key: str = "", **body: Any) -> httpx.Response:
    async with httpx.AsyncClient(base_url=command.url, timeout=BOUND_S) as http:
        return await http.post(path, json=body, headers={"Idempotency-Key": key} if key else {})


async def book(command: Service, key: str = "", cores: int = 1, path: str = "/bookings/create") -> httpx.Response:
    return await post(command, path, key, project="gaia", account="ada", cores=cores, **PERIOD)


async def begin(command: Service) -> None:
    assert (await post(command, "/projects/create", id="gaia", name="Gaia")).status_code == 201
    assert (await post(command, "/resources/create", project="gaia", cores=1000, **PERIOD)).status_code == 201


async def last_of(system: System) -> int:
    client = await nats.connect(system.nats.url)
    last = (await client.jetstream().stream_info(STREAM)).state.last_seq
    await client.close()
    return last


async def test_the_process_that_publishes_and_another_answer_when_the_stream_has_it(system: System) -> None:
    with (
        system.projector(),
        system.command(acknowledge="stream") as first,
        system.command(acknowledge="stream") as second,
    ):
        await begin(first)
        acknowledged = []
        for command in (first, second) * 10:
            answer = (await book(command)).json()
            assert answer["position"] <= await last_of(system)
            acknowledged.append(answer["id"])
        await assert_all_is_there_once(system, acknowledged)


async def test_while_nats_is_silent_only_what_makes_an_event_waits_and_a_repeat_gets_the_answer(system: System) -> None:
    if not isinstance(system.nats, EmbeddedNats):
        pytest.skip("needs a NATS server that can be paused")
    assert system.nats.process is not None
    with system.projector(), system.command(acknowledge="stream") as command:
        await begin(command)
        system.nats.process.send_signal(signal.SIGSTOP)
        booking = asyncio.create_task(book(command, "the-key"))
        async with asyncio.timeout(SHORT_S):
            assert (await book(command, path="/bookings/create?dry_run=true")).status_code == 200
            assert (await book(command, cores=10_000)).status_code == 409
        assert not booking.done()
        await asyncio.to_thread(command.crash)  # stored, and not published
        with pytest.raises(httpx.TransportError):
            await booking
        system.nats.process.send_signal(signal.SIGCONT)
        again = await book(command, "the-key")
        assert again.status_code == 200
        assert again.json()["position"] == 3 == await last_of(system)
        await assert_all_is_there_once(system, [again.json()["id"], (await book(command)).json()["id"]])


async def test_killed_between_the_publish_and_the_answer_a_repeat_gets_the_answer(system: System) -> None:
    async with Proxy(system.nats.url_of("command")) as proxy:
        with system.projector(), system.command(acknowledge="stream", nats_url=proxy.url) as command:
            await begin(command)
            proxy.arm("answer", b"HPUB hourbook.events.gaia.BookingCreated")
            booking = asyncio.create_task(book(command, "the-key"))
            async with asyncio.timeout(BOUND_S):
                await proxy.struck.wait()
                while await last_of(system) < 3:
                    await asyncio.sleep(0.01)
            assert not booking.done()
            await asyncio.to_thread(command.crash)
            with pytest.raises(httpx.TransportError):
                await booking
            again = await book(command, "the-key")
            assert (again.status_code, again.json()["position"]) == (200, 3)
            await assert_all_is_there_once(system, [again.json()["id"]])


def test_without_a_nats_server_it_does_not_start() -> None:
    settings = {"HOURBOOK_DATABASE_URL": "postgresql://nobody@127.0.0.1/none", "HOURBOOK_ACKNOWLEDGE": "stream"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HOURBOOK_")} | settings
    ended = subprocess.run(
        [sys.executable, "-m", "services.command"], capture_output=True, text=True, check=False, env=environment
    )
    assert ended.returncode == 1
    assert "HOURBOOK_ACKNOWLEDGE is stream: then HOURBOOK_NATS_URL should name the NATS server" in ended.stderr
