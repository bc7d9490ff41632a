"""Connections to an address with several hosts: which host is taken, how fast, and what is said when none is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import pytest

from services.cli.up.embedded import free_port
from shared import postgres
from shared.host_race import ASK_TIMEOUT_S, SILENT_S, NoHostTaken, first_taken
from shared.postgres import LOST
from shared.postgres_hosts import Host


@contextlib.asynccontextmanager
async def silent_port() -> AsyncIterator[int]:
    """A port that takes connections and never answers."""
    held = []
    server = await asyncio.start_server(lambda *streams: held.append(streams), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        for _, writer in held:
            writer.transport.abort()
        server.close()
        await server.wait_closed()


def beginning_with(port: int, url: str) -> str:
    """The address with a host before its own."""
    parts = urlsplit(url)
    login, _, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{login}@127.0.0.1:{port},{host}").geturl()


async def test_a_silent_host_delays_the_others_for_a_moment_only_and_is_asked_last_the_next_time(
    database_url: str,
) -> None:
    loop = asyncio.get_running_loop()
    async with silent_port() as port:
        url = beginning_with(port, database_url)
        took = []
        for _ in range(4):
            began = loop.time()
            connection = await postgres.connect(url)
            took.append(loop.time() - began)
            assert await connection.fetchval("SELECT 1") == 1
            await connection.close()
        assert SILENT_S <= took[0] < ASK_TIMEOUT_S, "the others do not wait until a silent host has had its time"
        assert min(took[1:]) < SILENT_S


async def test_when_no_host_is_taken_the_error_names_each_and_says_why_without_the_password() -> None:
    async with silent_port() as port:
        url = f"postgresql://user:secret@127.0.0.1:{port},127.0.0.1:{free_port()}/db?sslmode=disable"
        with pytest.raises(NoHostTaken) as raised:
            await postgres.connect(url)
    assert isinstance(raised.value, LOST)
    assert f"127.0.0.1:{port} did not answer within 2 s" in str(raised.value)
    assert "cannot be reached (Connection refused)" in str(raised.value)
    assert "secret" not in str(raised.value)


async def test_a_refusal_that_all_hosts_agree_on_is_raised_as_of_one_host(database_url: str) -> None:
    own = urlsplit(database_url).port
    assert own is not None
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await postgres.connect(beginning_with(own, database_url).replace("/test_", "/no_"))


async def test_a_pool_of_several_hosts_works_for_sessions_that_only_read(database_url: str) -> None:
    url = beginning_with(free_port(), database_url)
    read_only = {"default_transaction_read_only": "on"}
    async with postgres.create_pool(url, min_size=1, max_size=2, server_settings=read_only) as pool:
        assert await pool.fetchval("SHOW default_transaction_read_only") == "on"
    with pytest.raises(NoHostTaken, match="is a standby"):
        await postgres.connect(f"{url}&target_session_attrs=standby")
    preferring = await postgres.connect(f"{url}&target_session_attrs=prefer-standby")
    await preferring.close()


class Connected:
    """In place of a connection: says whether it was closed."""

    def __init__(self) -> None:
        self.closed = False

    def terminate(self) -> None:
        self.closed = True


async def test_the_connection_of_a_slower_host_is_closed() -> None:
    made: dict[str, Connected] = {}
    both = asyncio.Event()

    async def ask(host: Host) -> Connected:
        made[host.name] = Connected()
        if len(made) == 2:
            both.set()
        await both.wait()
        return made[host.name]

    taken, connection = await first_taken((Host("a", ""), Host("b", "")), ask, silent_s=0)
    await asyncio.sleep(0)
    other = made["b" if taken.name == "a" else "a"]
    assert not connection.closed
    assert other.closed


async def test_a_program_that_takes_one_host_is_given_the_one_that_takes_writes(database_url: str) -> None:
    url = beginning_with(free_port(), database_url)
    for address in (url, url.replace("/test_", "/not_made_yet_")):
        writer = urlsplit(await postgres.address_of_writer(address))
        assert (writer.port, writer.path) == (urlsplit(database_url).port, urlsplit(address).path)
    assert await postgres.address_of_writer(database_url) == database_url
