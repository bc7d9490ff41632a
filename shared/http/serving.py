"""Runs an HTTP service with uvicorn: one process, one event loop (uvloop), httptools as its parser."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import uvicorn

from shared import tracing
from shared.http.calls import called
from shared.http.connection_limits import (
    ConnectionLimits,
    close_late_connections,
    connections_allowed,
    set_unread_timeout,
)
from shared.http.entrance import LOCAL, Entrance, entrance_of
from shared.http.guard import GuardMiddleware
from shared.http.handed_connections import handed_protocol
from shared.http.handover import HANDOVER_FD, Line, adopt, inherited_line
from shared.http.middleware import MethodMiddleware
from shared.http.server_settings import CannotServe, ServerSettings
from shared.http.uvicorn_protocol import limited_protocol, mute_bad_requests
from shared.tasks import end_tasks

GIVE_BACK_S = 2.0  # at the end, for connections to leave to a gateway that is busy


def serve(
    app: Any, settings: ServerSettings, service: str, port: int, on_stop: Callable[[], None] = lambda: None
) -> None:
    """Serves an ASGI application until SIGTERM or SIGINT: at its port, and on connections that the gateway of
    `hourbook up` hands over. `service`: its name at the gateway. `on_stop` must end endless responses. Exits with a
    message if the port or a setting cannot be used.

    The garbage collector for cycles runs rarely. Requests make many objects but almost no cycles, and a project's state
    is a million objects that stay.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    mute_bad_requests()
    limits, host = ConnectionLimits(connections=connections_allowed()), settings.host
    try:
        config = uvicorn_config(app, limits, entrance_of(settings), host=host, port=port)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=config.backlog)
        line = None if settings.handover_fd is None else line_at(settings.handover_fd)
    except CannotServe as error:
        sys.exit(f"hourbook: {error}")
    except OSError as error:
        why = os.strerror(error.errno or 0)
        sys.exit(f"hourbook: port {port} of {host} cannot be used ({why}): choose another with HOURBOOK_…_PORT")
    set_unread_timeout(listening)
    with contextlib.suppress(KeyboardInterrupt):
        Server(config, limits, on_stop, service, line).run([listening])


def line_at(descriptor: int) -> socket.socket:
    try:
        return inherited_line(descriptor)
    except OSError as error:
        raise CannotServe(f"{HANDOVER_FD}: {error}: only `hourbook up` sets it") from None


def uvicorn_config(app: Any, limits: ConnectionLimits, entrance: Entrance = LOCAL, **settings: Any) -> uvicorn.Config:
    """uvicorn's configuration for every service. It ignores the headers of proxies: no service uses the client's
    address."""
    if entrance.tls is not None:
        settings["ssl_context_factory"] = lambda *_: entrance.tls
    return uvicorn.Config(
        called(GuardMiddleware(MethodMiddleware(app), entrance.guard)),
        http=limited_protocol(limits),
        ws="none",
        interface="asgi3",
        access_log=False,
        log_config=None,  # its log is a part of ours, in the same form
        proxy_headers=False,
        server_header=False,
        headers=list(entrance.headers.items()),
        **settings,
    )


class Server(uvicorn.Server):
    """uvicorn's server, with timeouts for requests. Calls `on_stop` before it waits for responses that have begun.

    `line` is its end of the line to the gateway, over which it gets the connections for `service`."""

    def __init__(
        self,
        config: uvicorn.Config,
        limits: ConnectionLimits,
        on_stop: Callable[[], None] = lambda: None,
        service: str = "",
        line: socket.socket | None = None,
    ) -> None:
        super().__init__(config)
        self._limits, self._on_stop = limits, on_stop
        self._service, self._inherited = service, line
        self._line: Line | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._inherited is not None:
            self._line = Line(self._inherited, self._take, lambda client, _: client.close())
            self._handed = handed_protocol(self._limits, self._service, self._line)
        self._closing_late = asyncio.create_task(close_late_connections(self._connections, self._limits))

    def _connections(self) -> Any:
        return self.server_state.connections

    def _take(self, client: socket.socket, begun: bytes) -> None:
        """Serves a connection that the gateway has given; while this server stops, gives it back."""
        if self.should_exit and self._line is not None:
            self._line.give(client, begun)
            return
        adopt(partial(self._handed, self.config, self.server_state, self.lifespan.state, begun=begun), client)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_stop()
        if self._line is not None:
            self._line.take_no_more()
        await super().shutdown(sockets)
        if self._line is not None:
            await self._line.emptied(GIVE_BACK_S)
            self._line.close()
        await end_tasks(self._closing_late)
        tracing.end()  # here: uvicorn ends the process by the signal that it got
