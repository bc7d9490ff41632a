"""One run: clients and subscribers work while parts are broken and mended; then the whole is checked."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from aiohttp import ClientError, ClientSession, DummyCookieJar, TCPConnector

from services.cli.up.embedded import free_port
from shared.audit.notes import Signer, load_key
from shared.tasks import end_tasks
from tests.support.doubled import COMMAND, NOTIFY, SEALER, Doubled, doubled
from tests.support.nats_cluster import NatsCluster
from tests.support.system import System
from tests.torture.check import Verdict, check
from tests.torture.clients import WHOLE, Client, Reader, Writer
from tests.torture.clusters import REPLICAS
from tests.torture.faults import Process, parts_of
from tests.torture.followers import Place, follow_durable, follow_position, follow_sse, receiving
from tests.torture.plan import Fault
from tests.torture.record import Record

PROJECTS = ["gaia", "beta", "dune"]
WRITERS, READERS = 6, 3
WRITE_PAUSE_S, READ_PAUSE_S = 0.15, 0.2
QUIET_S = 120.0
SAY_S = 30.0

Say = Callable[[str], None]


class Done(NamedTuple):
    """A fault as it happened (monotonic seconds)."""

    kind: str
    since: float
    until: float


class Outcome(NamedTuple):
    verdict: Verdict
    record: Record
    done: list[Done]
    places: Sequence[Place]
    seconds: float


class Run:
    """`two` is the doubled set-up, with webhooks to `webhook_port` allowed. `say` tells a person how it goes on."""

    def __init__(self, two: Doubled, http: ClientSession, webhook_port: int, seed: int, say: Say) -> None:
        self.two, self.http, self.seed, self.say = two, http, seed, say
        self._webhook_port = webhook_port
        self.record, self.done = Record(), list[Done]()
        self.parts = parts_of(two)
        self._locks = {name: asyncio.Lock() for name in self.parts}
        self.sse = Place("server-sent events", self.record, once=True)
        self.durable = Place("durable consumer", self.record, orderly=False)
        self.position = Place("own position", self.record, once=True)
        self.webhook = Place("webhook", self.record)
        self.places = (self.sse, self.durable, self.position, self.webhook)
        self._going = asyncio.Event()
        self._going.set()

    async def whole(self, breaking: Callable[[], Awaitable[None]]) -> Outcome:
        """Clients work while `breaking` runs. After it, everything is mended and has to become quiet, and is checked.

        Ends early with the error of a client that fails.
        """
        began = time.monotonic()
        await self._prepare()
        async with self._followed() as following:
            kept = await self._checkpoint()
            working = [asyncio.create_task(work) for work in self._clients()]
            watching = [asyncio.create_task(self._supervise()), asyncio.create_task(self._tell(began))]
            try:
                await alongside(breaking(), [*working, *following])
                self._going.clear()
                await bounded("the writers know all outcomes", asyncio.gather(*working))
                await self._until_quiet()
            finally:
                await end_tasks(*working, *watching)
            key = Signer("hourbook", load_key(self.two.system.audit_key)).verifier.text()
            verdict = await check(self.two.system, self.record, self.places, kept, key)
        return Outcome(verdict, self.record, self.done, self.places, time.monotonic() - began)

    @contextlib.asynccontextmanager
    async def broken(self, name: str, way: str) -> AsyncIterator[None]:
        """The part is broken while the block runs. Waits until it is whole: it may still be starting."""
        part = self.parts[name]
        async with self._locks[name]:
            since = time.monotonic()
            try:
                await part.break_(way)
                yield
            finally:
                await part.mend(way)
            self.done.append(Done(f"{part.kind} {way}", since, time.monotonic()))

    async def follow_plan(self, plan: Sequence[Fault], seconds: float) -> None:
        """Breaks and mends by the plan, and ends after so many seconds."""
        began = time.monotonic()

        async def carry_out(fault: Fault) -> None:
            await asyncio.sleep(max(0.0, began + fault.at - time.monotonic()))
            async with self.broken(fault.part, fault.way):
                await asyncio.sleep(fault.seconds)

        faults = [asyncio.create_task(carry_out(fault)) for fault in plan]
        try:
            await asyncio.gather(asyncio.sleep(seconds), *faults)
        finally:
            await end_tasks(*faults)

    async def sealed(self) -> int:
        """How many events the newest checkpoint is signed over; 0 if it cannot be read."""
        with contextlib.suppress(ClientError, OSError):
            async with self.http.get(f"{self.two.url}/audit/checkpoint") as answer:
                return int((await answer.text()).split("\n")[1]) if answer.status == 200 else 0
        return 0

    def _clients(self) -> list[Any]:
        writers = [self._client(Writer, number, PROJECTS[number % len(PROJECTS)]) for number in range(WRITERS)]
        readers = [self._client(Reader, WRITERS + number) for number in range(READERS)]
        writing = [writer.run(WRITE_PAUSE_S) for writer in writers]
        return writing + [reader.run(PROJECTS, READ_PAUSE_S) for reader in readers]

    def _client(self, kind: Any, number: int, *first: Any) -> Any:
        return kind(*first, self.two.url, self.http, self.record, self.seed * 1000 + number, self._going)

    async def _prepare(self) -> None:
        client: Client = self._client(Client, 999)
        for project in PROJECTS:
            await client.command("/projects/create", {"id": project, "name": project.title()})
            await client.command("/resources/create", {"project": project, "cores": 200, "memory": 200, **WHOLE})
            cluster = {"parent": project, "name": "spark", "cores": 60, **WHOLE}
            await client.command("/clusters/create", cluster)
        hook = {"url": f"http://127.0.0.1:{self._webhook_port}/hook", "after": 0}
        status, told = await client.command("/webhooks", hook)
        if status != 201:
            raise RuntimeError(f"no webhook: {status} {told}")

    @contextlib.asynccontextmanager
    async def _followed(self) -> AsyncIterator[list[asyncio.Task[None]]]:
        nats = self.two.system.nats.url
        async with receiving(self.webhook, self._webhook_port):
            following = [
                asyncio.create_task(follow_sse(self.two.url, self.http, self.sse)),
                asyncio.create_task(follow_durable(nats, "torture", self.durable)),
                asyncio.create_task(follow_position(nats, self.position)),
            ]
            try:
                yield following
            finally:
                await end_tasks(*following)

    async def _checkpoint(self) -> str:
        """A signed checkpoint of the first events, to be kept outside."""
        async with asyncio.timeout(QUIET_S):
            while not await self.sealed():
                await asyncio.sleep(0.2)
            async with self.http.get(f"{self.two.url}/audit/checkpoint") as answer:
                return await answer.text()

    async def _supervise(self) -> None:
        """Starts again what has ended by itself, which is wrong."""
        processes = [part for part in self.parts.values() if isinstance(part, Process)]
        while True:
            for part in processes:
                if part.ended and not self._locks[part.name].locked():
                    async with self._locks[part.name]:
                        self.record.fail(f"{part.name} has ended by itself")
                        await part.mend("kill")
            await asyncio.sleep(1.0)

    async def _tell(self, began: float) -> None:
        while True:
            await asyncio.sleep(SAY_S)
            at = " ".join(str(place.position) for place in self.places)
            record, seconds = self.record, time.monotonic() - began
            done = f"{len(self.done)} faults, {len(record.acknowledged)} acknowledged"
            self.say(f"{seconds:5.0f} s: {done}, subscribers at {at}, {len(record.wrong)} wrong")

    async def _until_quiet(self) -> None:
        """Until every subscriber has been told everything that the store has, and everything is sealed."""
        began, last = time.monotonic(), max(made.position for made in self.record.acknowledged.values())
        while time.monotonic() - began < QUIET_S:
            found = {await self._head(), await self.sealed(), *(place.position for place in self.places)}
            if len(found) == 1 and min(found) >= last:
                return
            await asyncio.sleep(0.3)
        at = {place.name: place.position for place in self.places}
        sealed = await self.sealed()
        self.record.fail(f"not quiet after {QUIET_S:.0f} s: the last is {last}, told are {at}, sealed {sealed}")

    async def _head(self) -> int:
        with contextlib.suppress(ClientError, OSError):
            async with self.http.get(f"{self.two.url}/health") as answer:
                return int((await answer.json()).get("head", 0))
        return 0


async def alongside(work: Any, others: Sequence[asyncio.Task[None]]) -> None:
    """Runs `work` to its end. Raises the error of one of the others at once."""
    task = asyncio.create_task(work)
    try:
        while not task.done():
            await asyncio.wait([task], timeout=0.5)
            for other in others:
                if other.done():
                    other.result()
        task.result()
    finally:
        await end_tasks(task)


async def bounded(what: str, work: Awaitable[Any]) -> None:
    try:
        async with asyncio.timeout(QUIET_S):
            await work
    except TimeoutError:
        raise RuntimeError(f"not within {QUIET_S:.0f} s after everything was mended: {what}") from None


@contextlib.asynccontextmanager
async def two_of_everything(system: System, seed: int, say: Say) -> AsyncIterator[Run]:
    """A run on a system that has started."""
    port = free_port()
    hosts = {"webhook_hosts": f"127.0.0.1:{port}"}
    retries = {"webhook_first_retry_s": "0.2", "webhook_last_retry_s": "2", "webhook_attempts_max": "1000000"}
    streams = {"stream_replicas": str(REPLICAS)} if isinstance(system.nats, NatsCluster) else {}
    settings = {COMMAND: streams | hosts, SEALER: streams, NOTIFY: streams | hosts | retries}
    async with (
        doubled(system, **settings) as two,
        ClientSession(connector=TCPConnector(limit=0), cookie_jar=DummyCookieJar()) as http,
    ):
        say("two of everything run")
        yield Run(two, http, port, seed, say)
