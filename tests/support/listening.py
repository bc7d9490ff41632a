"""An application of ours behind a real socket, in the test's own event loop: for answers that never end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, NamedTuple

from services.cli.up.embedded import free_port
from services.cli.up.gateway import Gateway
from shared.http.connection_limits import ConnectionLimits
from shared.http.entrance import LOCAL, Entrance
from shared.http.handover import make_line
from shared.http.owners import COMMAND, QUERY
from shared.http.serving import Server, uvicorn_config

BOUND_S = 20
NO_LIMITS = ConnectionLimits()


class _Server(Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:  # they stay pytest's
        yield

    async def main_loop(self) -> None:
        """As uvicorn's, which looks ten times a second whether it should end."""
        await self.on_tick(0)
        while not self.should_exit:
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def listening(
    app: Any,
    limits: ConnectionLimits = NO_LIMITS,
    entrance: Entrance = LOCAL,
    service: str = "",
    line: socket.socket | None = None,
) -> AsyncIterator[str]:
    """The address; what is being answered at the end of the block is broken off. `line`: the end of a line to a
    gateway, which hands over the connections of `service`."""
    port = free_port()
    options: dict[str, Any] = {"log_level": "critical", "timeout_graceful_shutdown": 1, "loop": "none"}
    config = uvicorn_config(app, limits, entrance, port=port, **options)
    server = _Server(config, limits, lambda: None, service, line)
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(BOUND_S):
        while not server.started:
            assert not serving.done(), serving.result()
            await asyncio.sleep(0.005)
    try:
        yield f"{'https' if entrance.tls else 'http'}://127.0.0.1:{port}"
    finally:
        end_streams = getattr(app.state, "end_streams", None)
        if end_streams is not None:
            end_streams()
        server.should_exit = True
        await asyncio.wait_for(serving, BOUND_S)


class Addresses(NamedTuple):
    """The services' own addresses, and the one address of two gateways: one hands connections over, the other passes
    requests on. `stop_command` ends the command service."""

    query: str
    command: str
    handed: str
    passed: str
    stop_command: Callable[[], Awaitable[None]] = lambda: asyncio.sleep(0)


@contextlib.asynccontextmanager
async def one_address(
    query: Any,
    command: Any,
    limits: ConnectionLimits = NO_LIMITS,
    service_limits: ConnectionLimits = NO_LIMITS,
    *,
    signed_in: bool = False,
) -> AsyncIterator[Addresses]:
    """The two applications behind two gateways. `limits` are those of the gateways."""
    async with contextlib.AsyncExitStack() as stack:
        urls: dict[str, str] = {}
        endings: list[contextlib.AsyncExitStack] = []
        gateways = [Gateway(lambda service: [urls[service]], limits, signed_in=signed_in) for _ in range(2)]
        for service, app in ((QUERY, query), (COMMAND, command)):
            ours, theirs = make_line()
            ending = await stack.enter_async_context(contextlib.AsyncExitStack())
            endings.append(ending)
            served = listening(app, service_limits, LOCAL, service, theirs)
            urls[service] = await ending.enter_async_context(served)
            gateways[0].link(service, ours)
        for gateway in gateways:
            taken = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            urls[str(id(gateway))] = f"http://127.0.0.1:{taken.getsockname()[1]}"
            await gateway.start(taken)
            stack.push_async_callback(gateway.stop)
        try:
            yield Addresses(*urls.values(), endings[1].aclose)
        finally:  # both services at the same time
            await asyncio.gather(*(ending.aclose() for ending in endings))
