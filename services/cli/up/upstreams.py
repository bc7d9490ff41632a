"""The upstreams of the one address: where each service can be asked, and in which order."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence

from aiohttp import ClientError, ClientSession, ClientTimeout

from shared.http.owners import COMMAND, SERVICES

ASIDE_S = 1.0
LOOK_S = 1.0
SILENT = (ClientError, OSError)  # TimeoutError is an OSError

UrlsOf = Callable[[str], Sequence[str]]


def on_loopback(port_of: Callable[[str], int | None]) -> UrlsOf:
    """One upstream for each service: its port on the loopback interface; none while the service does not listen."""
    return lambda service: [f"http://127.0.0.1:{port}"] if (port := port_of(service)) is not None else []


class Upstreams:
    """`urls_of` answers the addresses of a service's processes, such as `http://10.0.0.7:8081`.

    An upstream that fails is left aside for `ASIDE_S`. `watch` looks at each one that is not alone: it is left aside
    while it does not answer /health within `LOOK_S`, or answers 500 or more. One that is left aside is asked last, when
    no other takes a connection.
    """

    def __init__(self, urls_of: UrlsOf) -> None:
        self._urls_of = urls_of
        self._aside_until: dict[str, float] = {}
        self._turn = itertools.count()

    def in_order(self, service: str) -> list[str]:
        """The addresses to ask, the first one first. Commands go to the first that is well: two processes that decide
        about the same project have to read each other's events. Reads go to each in turn."""
        urls = list(self._urls_of(service))
        if service != COMMAND and len(urls) > 1:
            first = next(self._turn) % len(urls)
            urls = urls[first:] + urls[:first]
        now = time.monotonic()
        return sorted(urls, key=lambda url: self._aside_until.get(url, 0.0) > now)

    def leave_aside(self, url: str, seconds: float = ASIDE_S) -> None:
        self._aside_until[url] = time.monotonic() + seconds

    async def watch(self, session: ClientSession) -> None:
        """Looks at the upstreams until it is cancelled."""
        while True:
            lists = [self._urls_of(service) for service in SERVICES]
            await asyncio.gather(*(self._look(session, url) for urls in lists if len(urls) > 1 for url in urls))
            await asyncio.sleep(LOOK_S)

    async def _look(self, session: ClientSession, url: str) -> None:
        try:
            async with session.get(f"{url}/health", timeout=ClientTimeout(total=LOOK_S)) as answer:
                is_well = answer.status < 500
        except SILENT:
            is_well = False
        if not is_well:
            self.leave_aside(url, 3 * LOOK_S)  # until the next look has had its time
        else:
            self._aside_until.pop(url, None)
