"""The gateway in front of services that answer, stream, stop, or never started."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from io import BytesIO

import pytest
from aiohttp import ClientSession, web

from services.cli.up.gateway import STOP_TIMEOUT_S, Gateway
from services.cli.up.upstreams import on_loopback
from shared.http.owners import COMMAND, PROJECTOR, QUERY, Target, route

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
BIG = bytes(range(256)) * 8192


@asynccontextmanager
async def backend(handler: Handler) -> AsyncIterator[int]:
    application = web.Application(client_max_size=2 * len(BIG))
    application.router.add_route("*", "/{path:(?s:.*)}", handler)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    listening = bound()
    await web.SockSite(runner, listening).start()
    try:
        yield listening.getsockname()[1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def gateway(unread_timeout_s: float = 60.0, **ports: int) -> AsyncIterator[ClientSession]:
    proxy, listening = Gateway(on_loopback(ports.get), unread_timeout_s=unread_timeout_s), bound()
    await proxy.start(listening)
    try:
        async with ClientSession(f"http://127.0.0.1:{listening.getsockname()[1]}") as session:
            yield session
    finally:
        await proxy.stop()


def bound() -> socket.socket:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    return listening


def unused() -> int:
    with bound() as listening:
        return int(listening.getsockname()[1])


def echo(name: str) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        body = await request.read()
        return web.json_response(
            {"name": name, "method": request.method, "path": request.raw_path, "size": len(body)},
            headers={"Hourbook-Position": "7", "Content-Language": request.headers.get("X-Asked", "")},
        )

    return handler


@pytest.mark.parametrize(
    ("method", "path", "target"),
    [
        ("GET", "/available/select?project=a", Target(QUERY, "/available/select?project=a")),
        ("HEAD", "/events", Target(QUERY, "/events")),
        ("POST", "/projects/create", Target(COMMAND, "/projects/create")),
        ("DELETE", "/novaquota/1", Target(COMMAND, "/novaquota/1")),
        ("GET", "/schema/command", Target(COMMAND, "/schema")),
        ("GET", "/schema/command/openapi.json", Target(COMMAND, "/schema/openapi.json")),
        ("GET", "/schema/commander", Target(QUERY, "/schema/commander")),
        ("GET", "/health/query", Target(QUERY, "/health")),
        ("GET", "/health/command?x=1", Target(COMMAND, "/health?x=1")),
        ("GET", "/metrics/projector", Target(PROJECTOR, "/metrics")),
        ("GET", "/metrics", Target(QUERY, "/metrics")),
        ("GET", "/sign-in/ways", Target(COMMAND, "/sign-in/ways")),
        ("HEAD", "/sign-in/iam?to=/", Target(COMMAND, "/sign-in/iam?to=/")),
        ("GET", "/sign-in/iam/callback?code=a", Target(COMMAND, "/sign-in/iam/callback?code=a")),
        ("GET", "/sign-ing", Target(QUERY, "/sign-ing")),
        ("POST", "/sign-out", Target(COMMAND, "/sign-out")),
    ],
)
def test_reads_go_to_the_query_service_but_for_sign_in_and_the_rest_to_the_command_service(
    method: str, path: str, target: Target
) -> None:
    assert route(method, path) == target


async def test_a_request_and_its_answer_pass_unchanged() -> None:
    async with backend(echo("q")) as query, backend(echo("c")) as command, gateway(query=query, command=command) as ask:
        async with ask.get("/a%20b/c%2Fd?x=%C3%BC&x=2", headers={"X-Asked": "de"}) as answer:
            assert await answer.json() == {"name": "q", "method": "GET", "path": "/a%20b/c%2Fd?x=%C3%BC&x=2", "size": 0}
            assert (answer.headers["Hourbook-Position"], answer.headers["Content-Language"]) == ("7", "de")
        async with ask.get("/a%0Ab") as answer:
            assert (await answer.json())["path"] == "/a%0Ab"
        async with ask.head("/events") as answer:
            assert (answer.status, await answer.read()) == (200, b"")
            assert int(answer.headers["Content-Length"]) > 0
        async with ask.post("/projects/create", json={"id": "a"}) as answer:
            assert await answer.json() == {"name": "c", "method": "POST", "path": "/projects/create", "size": 11}
        async with ask.delete("/novaquota/1") as answer:
            assert (await answer.json())["method"] == "DELETE"


@pytest.mark.parametrize("path", ["/metrics/projector", "/metrics/projector?x=1", "/schema/projector"])
async def test_what_the_projector_tells_is_for_those_who_may_see_the_metrics_of_the_query_service(path: str) -> None:
    async def query_service(request: web.Request) -> web.Response:
        asked.append((request.method, request.path, await request.read()))
        viewer = request.headers.get("Authorization") == "Bearer viewer"
        return web.Response(status=200 if viewer else 401, text="of the query service")

    asked: list[tuple[str, str, bytes]] = []
    async with (
        backend(query_service) as query,
        backend(echo("p")) as projector,
        gateway(query=query, projector=projector) as ask,
    ):
        for headers in ({}, {"Authorization": "Bearer stranger"}):
            async with ask.get(path, headers=headers, data=b"body") as answer:
                assert (answer.status, await answer.text()) == (401, "of the query service")
            async with ask.head(path, headers=headers) as answer:
                assert answer.status == 401
        assert asked == 2 * [("GET", "/metrics", b""), ("HEAD", "/metrics", b"")]
        async with ask.get(path, headers={"Authorization": "Bearer viewer"}) as answer:
            assert (await answer.json())["name"] == "p"
        async with ask.get("/health/projector") as answer:
            assert (await answer.json())["name"] == "p"
    async with backend(echo("p")) as projector, gateway(projector=projector) as ask, ask.get(path) as answer:
        assert answer.status == 503


async def test_bodies_stream_both_ways() -> None:
    async def mirror(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        async for piece in request.content.iter_any():
            await response.write(piece)
        return response

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(BIG), 65536):
            yield BIG[start : start + 65536]

    async with backend(mirror) as command, gateway(command=command) as ask:
        async with ask.post("/", data=pieces()) as answer:  # chunked
            assert await answer.read() == BIG
        async with ask.post("/", data=BytesIO(BIG)) as answer:  # with its length
            assert await answer.read() == BIG


async def test_live_events_arrive_as_they_are_sent_and_a_reader_who_leaves_is_noticed() -> None:
    left = asyncio.Event()
    go_on = asyncio.Event()

    async def live(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: 1\n\n")
        await go_on.wait()
        await response.write(b"data: 2\n\n")
        while request.transport is not None and not request.transport.is_closing():
            await asyncio.sleep(0.01)
        left.set()
        return response

    async with backend(live) as query, gateway(query=query) as ask:
        async with ask.get("/events/stream") as answer:
            assert await answer.content.readany() == b"data: 1\n\n"
            go_on.set()
            assert await answer.content.readany() == b"data: 2\n\n"
        answer.close()
        await asyncio.wait_for(left.wait(), 5)


async def test_an_answer_without_end_does_not_hold_up_the_stop() -> None:
    async def live(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: 1\n\n")
        while request.transport is not None and not request.transport.is_closing():
            await asyncio.sleep(0.01)
        return response

    async with backend(live) as query:
        proxy, listening = Gateway(on_loopback({"query": query}.get)), bound()
        await proxy.start(listening)
        async with ClientSession() as session:
            answer = await session.get(f"http://127.0.0.1:{listening.getsockname()[1]}/events/stream")
            assert await answer.content.readany() == b"data: 1\n\n"
            async with asyncio.timeout(STOP_TIMEOUT_S / 2):
                await proxy.stop()


async def test_a_service_that_is_not_there_is_a_503_that_says_nothing_was_done() -> None:
    async with gateway(command=unused()) as ask:
        for method, service in (("GET", "query"), ("POST", "command")):
            async with ask.request(method, "/x", data=b"{}" if method == "POST" else None) as answer:
                assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
                assert answer.content_type == "application/problem+json"
                body = await answer.json(content_type=None)
                assert (body["code"], body["status"]) == ("service_unavailable", 503)
                assert service in body["detail"]


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
async def test_a_command_whose_answer_is_lost_is_not_sent_again(method: str) -> None:
    seen = []

    async def dies(request: web.Request) -> web.StreamResponse:
        if request.method == "PATCH":  # leaves a connection open, to be used again
            return web.Response()
        seen.append(await request.read())
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with backend(dies) as command, gateway(command=command) as ask:
        await (await ask.request("PATCH", "/x")).read()
        for _ in range(2):  # on a connection that was used before, and on a new one
            async with ask.request(method, "/x", data=b"{}") as answer:
                assert answer.status == 502
                assert (await answer.json(content_type=None))["code"] == "outcome_unknown"
    assert seen == [b"{}", b"{}"]


async def test_a_command_whose_short_answer_breaks_off_has_an_unknown_outcome() -> None:
    async with backend(half_an_answer) as command, gateway(command=command) as ask:
        answer = await ask.post("/bookings/create", data=b"{}")
        assert (answer.status, (await answer.json(content_type=None))["code"]) == (502, "outcome_unknown")


async def half_an_answer(request: web.Request) -> web.StreamResponse:
    """Says how long the answer is, and ends in its middle."""
    response = web.StreamResponse(headers={"Content-Length": "40", "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"pools": [')
    assert request.transport is not None
    request.transport.abort()
    return response


async def test_an_answer_that_breaks_off_is_not_passed_on_as_if_it_were_whole() -> None:
    async def breaks(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"[1, 2")
        assert request.transport is not None
        request.transport.abort()
        return response

    async with backend(breaks) as query, gateway(query=query) as ask:
        with pytest.raises(Exception, match=r"(?i)payload|disconnect|reset"):
            await (await ask.get("/events")).read()


async def test_a_reader_who_takes_nothing_of_any_answer_is_left_and_holds_up_no_other() -> None:
    """The gateway reads from the service only as fast as the client does, and closes both connections in the end."""
    made, left = [0], asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        if request.path == "/small":
            return web.json_response({"small": True})
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        try:
            while True:
                await response.write(BIG)
                made[0] += len(BIG)
        finally:
            left.set()

    async with backend(endless) as query, gateway(unread_timeout_s=0.5, query=query) as session:
        base = session._base_url
        assert base is not None
        _, idle = await asyncio.open_connection(base.host, base.port, limit=1)
        idle.write(b"GET /available/select HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with asyncio.timeout(20), session.get("/small") as other:
            assert await other.json() == {"small": True}
        async with asyncio.timeout(20):
            await left.wait()
        assert made[0] < 16 * len(BIG)
        idle.transport.abort()
