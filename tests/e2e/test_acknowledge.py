"""HOURBOOK_ACKNOWLEDGE=stream: no answer before the stream has the event. Killed at each moment, nothing is lost or
doubled."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import httpx
import msgspec
import nats
import pytest

from services.cli.up.embedded_nats import EmbeddedNats
from services.command.settings import Settings
from shared.event_store import EventStore
from shared.jetstream import STREAM
from shared.settings import settings_from
from tests.support.backends import connected
from tests.support.proxy import Proxy
from tests.support.replay import BOUND_S, assert_all_is_there_once
from tests.support.system import Service, System

PERIOD = {"startdate": "2086-01-01", "enddate": "2086-01-03"}
SHORT_S = 10.0  # long enough for many answers on a busy machine


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


async def test_nothing_is_answered_before_the_stream_has_it_and_killed_at_each_moment_a_repeat_gets_the_answer(
    system: System,
) -> None:
    if not isinstance(system.nats, EmbeddedNats):
        pytest.skip("needs a NATS server that can be paused")
    async with Proxy(system.nats.url_of("command")) as proxy:
        with system.projector(), system.command(acknowledge="stream", nats_url=proxy.url) as command:
            await begin(command)
            with system.command(acknowledge="stream") as other:
                booked = await answered_by_each(system, command, other)
            booked += await killed_while_nats_is_silent(system, system.nats, command)
            booked += await killed_between_the_publish_and_the_answer(system, proxy, command)
            await assert_all_is_there_once(system, booked)


async def answered_by_each(system: System, first: Service, second: Service) -> list[str]:
    """One of them publishes the events of both. Returns the ids of the bookings."""
    booked = []
    for command in (first, second) * 10:
        answer = (await book(command)).json()
        assert answer["position"] <= await last_of(system)
        booked.append(answer["id"])
    return booked


async def killed_while_nats_is_silent(system: System, server: EmbeddedNats, command: Service) -> list[str]:
    """Only what makes an event waits, and then the process is killed: the event is stored and not published."""
    before = await last_of(system)
    assert server.process is not None
    server.process.send_signal(signal.SIGSTOP)
    booking = asyncio.create_task(book(command, "silent"))
    async with asyncio.timeout(SHORT_S):
        assert (await book(command, path="/bookings/create?dry_run=true")).status_code == 200
        assert (await book(command, cores=10_000)).status_code == 409
    assert not booking.done()
    await stored(system, before + 1)
    await asyncio.to_thread(command.crash)
    with pytest.raises(httpx.TransportError):
        await booking
    server.process.send_signal(signal.SIGCONT)
    again = await book(command, "silent")
    assert again.status_code == 200
    assert again.json()["position"] == before + 1 == await last_of(system)
    return [again.json()["id"]]


async def stored(system: System, position: int) -> None:
    async with connected(system.postgres.url) as connection, asyncio.timeout(BOUND_S):
        while await EventStore(connection).head() < position:
            await asyncio.sleep(0.01)


async def killed_between_the_publish_and_the_answer(system: System, proxy: Proxy, command: Service) -> list[str]:
    booked = [(await book(command)).json()["id"]]
    before = await last_of(system)
    proxy.arm("answer", b"HPUB hourbook.events.gaia.BookingCreated")
    booking = asyncio.create_task(book(command, "published"))
    async with asyncio.timeout(BOUND_S):
        await proxy.struck.wait()
        while await last_of(system) == before:
            await asyncio.sleep(0.01)
    assert not booking.done()
    await asyncio.to_thread(command.crash)
    with pytest.raises(httpx.TransportError):
        await booking
    again = await book(command, "published")
    assert (again.status_code, again.json()["position"]) == (200, before + 1)
    return [*booked, again.json()["id"]]


def test_without_a_nats_server_it_does_not_start() -> None:
    settings = {"HOURBOOK_DATABASE_URL": "postgresql://nobody@127.0.0.1/none", "HOURBOOK_ACKNOWLEDGE": "stream"}
    words = "HOURBOOK_ACKNOWLEDGE is stream: then HOURBOOK_NATS_URL should name the NATS server"
    with pytest.raises(msgspec.ValidationError, match=words):
        settings_from(settings, Settings)
