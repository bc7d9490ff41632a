"""How an HTTP service is run: one process, one event loop, uvicorn on uvloop and httptools."""

from __future__ import annotations

import gc
from typing import Any

import uvicorn


def serve(app: Any, host: str, port: int) -> None:
    """Serves an ASGI application until SIGTERM or SIGINT.

    Proxies' headers are not looked at (nothing depends on the peer's address), and the collector of cycles runs rarely:
    requests make many objects and next to no cycles, while a project's state is a million objects that stay.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    uvicorn.run(app, host=host, port=port, access_log=False, proxy_headers=False, server_header=False)
