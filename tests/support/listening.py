"""An application of ours behind a real socket, in the test's own event loop: for answers that never end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

from services.cli.up.embedded import free_port
from shared.http.connection_limits import ConnectionLimits
from shared.http.entrance import LOCAL, Entrance
from shared.http.serving import Server, uvicorn_config

BOUND_S = 20


class _Server(Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:  # they stay pytest's
        yield


@contextlib.asynccontextmanager
async def listening(
    app: Any,
    limits: ConnectionLimits = ConnectionLimits(),  # noqa: B008  (it is frozen)
    entrance: Entrance = LOCAL,
) -> AsyncIterator[str]:
    """The address; what is being answered at the end of the block is broken off."""
    port = free_port()
    options: dict[str, Any] = {"log_level": "critical", "timeout_graceful_shutdown": 1, "loop": "none"}
    config = uvicorn_config(app, limits, entrance, port=port, **options)
    server = _Server(config, limits)
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
