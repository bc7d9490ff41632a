"""Upstreams by name: a name with several addresses, as a headless service of Kubernetes has, is several processes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence

from yarl import URL

LOOK_S = 1.0

AddressesOf = Callable[[str], Awaitable[Sequence[str]]]


async def addresses_of(host: str) -> Sequence[str]:
    """The addresses of a name, as the machine's resolver answers. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(one[4][0]) for one in found]


class Resolving:
    """The addresses of each service in `urls`, with the addresses of a name in place of the name: so each process is
    asked, and left aside, by itself. A name is looked up again every second; what it meant before stays when it is not
    found. An `https` address keeps its name, because the certificate is for it."""

    def __init__(self, urls: Mapping[str, Sequence[str]], look_up: AddressesOf = addresses_of) -> None:
        self._urls, self._look_up = urls, look_up
        self._found: dict[str, list[str]] = {}

    def urls_of(self, service: str) -> list[str]:
        return [one for url in self._urls[service] for one in self._found.get(url, [url])]

    async def run(self) -> None:
        """Looks until it is cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Looks each name up once."""
        named = {url for urls in self._urls.values() for url in urls if URL(url).scheme == "http"}
        await asyncio.gather(*map(self._look, named))

    async def _look(self, url: str) -> None:
        parts = URL(url)
        try:
            found = await self._look_up(parts.host or "")
        except OSError:
            return
        self._found[url] = [str(parts.with_host(host)) for host in sorted(set(found))]
