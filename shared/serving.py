"""How an HTTP service is run: one process, one event loop, uvicorn on uvloop and httptools."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

import uvicorn

UNREAD_TIMEOUT_S = 90  # after so long without the peer taking anything, the kernel drops what waits for it


def serve(app: Any, host: str, port: int, on_stop: Callable[[], None] = lambda: None) -> None:
    """Serves an ASGI application until SIGTERM or SIGINT; `on_stop` ends what would go on for ever.

    Proxies' headers are not looked at (nothing depends on the peer's address), and the collector of cycles runs rarely:
    requests make many objects and next to no cycles, while a project's state is a million objects that stay.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    config = uvicorn.Config(app, host=host, port=port, access_log=False, proxy_headers=False, server_header=False)
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=config.backlog)
    except OSError as error:
        why = os.strerror(error.errno or 0)
        sys.exit(f"hourbook: port {port} of {host} cannot be used ({why}): choose another with HOURBOOK_…_PORT")
    if sys.platform == "linux":  # a connection inherits it
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_TIMEOUT_S * 1000)
    with contextlib.suppress(KeyboardInterrupt):
        Server(config, on_stop).run([listening])


class Server(uvicorn.Server):
    """Calls `on_stop` before it waits for the answers that are under way."""

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stop = on_stop

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_stop()
        await super().shutdown(sockets)
