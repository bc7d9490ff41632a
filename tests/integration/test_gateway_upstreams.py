"""The gateway in front of several processes of a service, of which some are dead, silent or ill."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Mapping, Sequence

import pytest
from aiohttp import ClientSession, web

from services.cli.failure import Failure
from services.cli.up.gateway import CONNECT_TIMEOUT_S, Gateway
from services.cli.up.gateway_command import urls_from
from services.cli.up.resolving import Resolving
from shared.http.owners import COMMAND, QUERY
from tests.integration.test_gateway import Handler, backend, bound, half_an_answer, unused
from tests.support.waiting import until

SOON_S = 5.0


@contextlib.asynccontextmanager
async def before(urls: Mapping[str, Sequence[str]]) -> AsyncIterator[ClientSession]:
    proxy, listening = Gateway(lambda service: urls.get(service, [])), bound()
    await proxy.start(listening)
    try:
        async with ClientSession(f"http://127.0.0.1:{listening.getsockname()[1]}") as session:
            yield session
    finally:
        await proxy.stop()


def at(*ports: int) -> list[str]:
    return [f"http://127.0.0.1:{port}" for port in ports]


def says(name: str, health: int = 200) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        if request.path == "/health":
            return web.Response(status=health)
        return web.Response(text=name + (await request.read()).decode())

    return handler


def breaks(seen: list[str]) -> Handler:
    """A service that takes every request, and closes the connection without an answer."""

    async def handler(request: web.Request) -> web.Response:
        if request.path != "/health":
            seen.append(f"{request.method} {(await request.read()).decode()}")
            assert request.transport is not None
            request.transport.abort()
        return web.Response()

    return handler


async def text(session: ClientSession, method: str = "GET", body: bytes | None = None) -> tuple[int, str]:
    async with session.request(method, "/x", data=body) as answer:
        return answer.status, await answer.text()


async def test_a_process_that_takes_no_connection_is_passed_over_for_commands_and_for_reads() -> None:
    async with backend(says("alive")) as alive, before({c: at(unused(), alive) for c in (COMMAND, QUERY)}) as one:
        for _ in range(3):
            assert await text(one) == (200, "alive")
            assert await text(one, "POST", b"!") == (200, "alive!")


async def test_a_machine_that_is_silent_holds_a_command_up_for_two_seconds_and_only_one() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as silent, contextlib.ExitStack() as full:
        port = silent.getsockname()[1]
        for _ in range(3):  # the queue is full: the kernel drops whoever else wants to connect, as if nothing was there
            waiting = full.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        async with backend(says("alive")) as alive, before({COMMAND: at(port, alive)}) as one:
            began = time.monotonic()
            assert await text(one, "POST", b"!") == (200, "alive!")
            assert time.monotonic() - began < CONNECT_TIMEOUT_S + 2


async def test_a_command_that_may_have_arrived_is_never_sent_to_the_other_and_a_read_is() -> None:
    seen: list[str] = []
    async with (
        backend(breaks(seen)) as breaking,
        backend(says("alive")) as alive,
        before({COMMAND: at(breaking, alive), QUERY: at(breaking, alive)}) as one,
    ):
        status, problem = await text(one, "POST", b"once")
        assert (status, "outcome_unknown" in problem) == (502, True)
        assert seen == ["POST once"]
        assert await text(one, "POST", b"!") == (200, "alive!")  # the other one is left aside for a second
        assert {await text(one) for _ in range(2)} == {(200, "alive")}


async def test_a_read_whose_short_answer_breaks_off_is_asked_of_the_next_and_answered_whole() -> None:
    async with (
        backend(half_an_answer) as breaking,
        backend(says("alive")) as alive,
        before({QUERY: at(breaking, alive)}) as one,
    ):
        assert {await text(one) for _ in range(3)} == {(200, "alive")}


async def test_reads_go_to_each_in_turn_and_commands_to_the_first() -> None:
    async with backend(says("a")) as a, backend(says("b")) as b, before({COMMAND: at(a, b), QUERY: at(a, b)}) as one:
        assert sorted([(await text(one))[1] for _ in range(4)]) == ["a", "a", "b", "b"]
        assert {await text(one, "POST") for _ in range(3)} == {(200, "a")}


async def test_a_process_that_says_it_is_ill_or_says_nothing_is_asked_last() -> None:
    async def hangs(_: web.Request) -> web.Response:
        await asyncio.sleep(3 * SOON_S)
        return web.Response()

    async with backend(says("ill", health=503)) as ill, backend(says("well")) as well, backend(hangs) as paused:
        async with before({COMMAND: at(ill, well), QUERY: at(paused, well)}) as one:

            async def all_are_well() -> bool:
                """Without waiting for the one that hangs."""
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(SOON_S):
                        return {await text(one, method) for method in ("GET", "POST") * 6} == {(200, "well")}
                return False

            await until(all_are_well)
        async with before({COMMAND: at(ill)}) as one:
            assert await text(one, "POST") == (200, "ill")


async def test_a_name_with_several_addresses_is_several_processes() -> None:
    addresses = {"commands.test": ["10.0.0.8", "10.0.0.7", "10.0.0.7"], "queries.test": ["fd00::7"]}

    async def look_up(host: str) -> list[str]:
        if not addresses.get(host):
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return addresses[host]

    names = Resolving(
        {COMMAND: ["http://commands.test:8081"], QUERY: ["http://queries.test:8082", "https://safe.test"]}, look_up
    )
    assert names.urls_of(COMMAND) == ["http://commands.test:8081"]
    await names.look()
    assert names.urls_of(COMMAND) == ["http://10.0.0.7:8081", "http://10.0.0.8:8081"]
    assert names.urls_of(QUERY) == ["http://[fd00::7]:8082", "https://safe.test"]
    addresses |= {"commands.test": [], "queries.test": ["fd00::8"]}
    await names.look()
    assert names.urls_of(COMMAND) == ["http://10.0.0.7:8081", "http://10.0.0.8:8081"]
    assert names.urls_of(QUERY) == ["http://[fd00::8]:8082", "https://safe.test"]


async def test_the_one_address_is_live_without_its_services() -> None:
    async with before({}) as one, one.get("/live") as answer:
        assert (answer.status, await answer.text()) == (200, "ok")


@pytest.mark.parametrize("wrong", ["", "10.0.0.7:8081", "ftp://a", "http://a/path", "http://a,nonsense"])
def test_a_setting_that_names_no_address_is_said(wrong: str) -> None:
    with pytest.raises(Failure, match="HOURBOOK_COMMAND_URLS"):
        urls_from(COMMAND, wrong)


def test_addresses_are_separated_by_commas() -> None:
    assert urls_from(QUERY, "http://a:1/, https://b") == ["http://a:1", "https://b"]
