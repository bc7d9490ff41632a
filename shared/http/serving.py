"""How an HTTP service is run: one process, one event loop, uvicorn on uvloop and httptools."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

import uvicorn

from shared.http.connection_limits import Bounds, leave_who_reads_nothing, room, watch
from shared.http.middleware import Methods
from shared.http.problem_document import EVERY_ANSWER
from shared.http.uvicorn_protocol import bounded, keep_quiet
from shared.tasks import end_tasks


def serve(app: Any, host: str, port: int, on_stop: Callable[[], None] = lambda: None) -> None:
    """Serves an ASGI application until SIGTERM or SIGINT; `on_stop` ends what would go on for ever.

    Proxies' headers are not looked at (nothing depends on the peer's address), and the collector of cycles runs rarely:
    requests make many objects and next to no cycles, while a project's state is a million objects that stay.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    keep_quiet()
    bounds = Bounds(connections=room())
    config = configured(app, bounds, host=host, port=port)
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=config.backlog)
    except OSError as error:
        why = os.strerror(error.errno or 0)
        sys.exit(f"hourbook: port {port} of {host} cannot be used ({why}): choose another with HOURBOOK_…_PORT")
    leave_who_reads_nothing(listening)
    with contextlib.suppress(KeyboardInterrupt):
        Server(config, bounds, on_stop).run([listening])


def configured(app: Any, bounds: Bounds, **settings: Any) -> uvicorn.Config:
    """How every service speaks HTTP."""
    return uvicorn.Config(
        Methods(app),
        http=bounded(bounds),
        ws="none",
        interface="asgi3",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        headers=list(EVERY_ANSWER.items()),
        **settings,
    )


class Server(uvicorn.Server):
    """Watches who owes a request. Calls `on_stop` before it waits for the answers that are under way."""

    def __init__(self, config: uvicorn.Config, bounds: Bounds, on_stop: Callable[[], None] = lambda: None) -> None:
        super().__init__(config)
        self._bounds, self._on_stop = bounds, on_stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._watching = asyncio.create_task(watch(self._connections, self._bounds))

    def _connections(self) -> Any:
        return self.server_state.connections

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_stop()
        await super().shutdown(sockets)
        await end_tasks(self._watching)
