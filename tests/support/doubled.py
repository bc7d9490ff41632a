"""Two of everything: two processes of each service behind one gateway. Each has a network of its own to the servers."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Mapping

from tests.support.backends import as_role
from tests.support.links import Link, Links
from tests.support.system import Service, System

COMMAND, PROJECTOR, QUERY, SEALER, NOTIFY = "command", "projector", "query", "sealer", "notify"
SERVICES = (COMMAND, PROJECTOR, QUERY, SEALER, NOTIFY)
ON_NATS = (COMMAND, PROJECTOR, SEALER, NOTIFY)
COPIES = (1, 2)


class Doubled:
    """`processes` by their names (`command-1`, `command-2`, …), and `gateway`, whose address is `url`."""

    def __init__(self, system: System, processes: Mapping[str, Service], links: Mapping[str, Links]) -> None:
        self.system, self.processes, self._links = system, dict(processes), links
        heard = (COMMAND, PROJECTOR, QUERY)
        urls = {f"{service}_urls": ",".join(process.url for process in self.of(service)) for service in heard}
        self.gateway = system.gateway(**urls)
        self.gateway.name = "gateway"

    @property
    def url(self) -> str:
        return self.gateway.url

    def of(self, service: str) -> list[Service]:
        return [self.processes[f"{service}-{copy}"] for copy in COPIES]

    def to_postgres(self, name: str) -> list[Link]:
        """The links of a process to PostgreSQL, one for each host."""
        return self._links[name].to(self.system.postgres.url)

    def to_nats(self, name: str) -> list[Link]:
        return self._links[name].to(self.system.nats.url)

    async def start(self) -> None:
        """The first of each and then the second: so the first ones lead."""
        for copy in COPIES:
            services = [self.processes[f"{service}-{copy}"] for service in SERVICES]
            await asyncio.gather(*(asyncio.to_thread(service.start) for service in services))
        await asyncio.to_thread(self.gateway.start)

    async def stop(self) -> None:
        """Ends all, also those that stand still."""
        for service in (self.gateway, *self.processes.values()):
            service.signal(signal.SIGCONT)
            await asyncio.to_thread(service.stop, signal.SIGKILL)


@contextlib.asynccontextmanager
async def doubled(system: System, **settings: Mapping[str, str]) -> AsyncIterator[Doubled]:
    """Runs on a system that has started. `settings` are those of a service, by its name."""
    async with contextlib.AsyncExitStack() as networks:
        processes, links = {}, {}
        for service in SERVICES:
            for copy in COPIES:
                name = f"{service}-{copy}"
                links[name] = await networks.enter_async_context(Links())
                processes[name] = await process_of(system, service, links[name], settings.get(service, {}))
                processes[name].name = name
        made = Doubled(system, processes, links)
        try:
            await made.start()
            yield made
        finally:
            await made.stop()


async def process_of(system: System, service: str, links: Links, settings: Mapping[str, str]) -> Service:
    urls = {"database_url": await links.through(as_role(system.postgres.url, service))}
    if service in ON_NATS:
        urls["nats_url"] = await links.through(system.nats.url_of(service))
    making = {
        COMMAND: system.command,
        PROJECTOR: system.projector,
        QUERY: system.query,
        SEALER: system.sealer,
        NOTIFY: system.notify,
    }
    return making[service](**urls, **settings)
