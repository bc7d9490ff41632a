"""What grows with the work: each read on a small and on a large ground, measured in turns; bookings in many projects.

`python -m tests.bench scale --most 5000000` prints a row for each. Processor time is that of the service and of
PostgreSQL together. The cache of answers is off, so each answer is made anew.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import asyncpg
import httpx
import msgspec
import psutil

from services.projector.indexer import index_batch
from services.projector.rebuild.rebuild import rebuild
from shared.hours import hour_of, iso
from tests.bench.load import Client, Requests, post
from tests.bench.processor import peak_mb
from tests.bench.scale_ground import SMALL, Size, fill
from tests.bench.setting import Bench, postgres_pid, warm
from tests.bench.table import Row
from tests.support.backends import as_role
from tests.support.system import System

TIMES = 5  # each read is measured so often at least
LEAST_S, MOST_S = 0.2, 5.0  # and for so long
PATIENCE_S = 120.0


class Read(msgspec.Struct, frozen=True):
    """A read to measure: the path in the OpenAPI document, and the address that is asked."""

    path: str
    url: str


class Cost(msgspec.Struct, frozen=True):
    """What an answer costs: milliseconds of the processors, milliseconds until it is there, bytes."""

    service_ms: float
    postgres_ms: float
    wall_ms: float
    size: int
    status: int

    @property
    def cpu_ms(self) -> float:
        return self.service_ms + self.postgres_ms


def reads(now: datetime, booking: str, grant: str) -> Iterator[Read]:
    """The reads of the grounds of `scale_ground`. `booking` is one of `long`, `grant` its grant."""
    hour = hour_of(now.replace(minute=0, second=0, microsecond=0))
    month = f"range={iso(hour)},{iso(hour + 31 * 24)}"
    few = f"range={iso(hour)},{iso(hour + 72)}"
    then = hour - 9 * 365 * 24
    past = f"range={iso(then)},{iso(then + 31 * 24)}"
    years = f"range={iso(hour - 10 * 365 * 24 + 24 * 100)},{iso(hour)}"
    yield Read("/health", "/health")
    yield Read("/me", "/me")
    yield Read("/asyncapi.json", "/asyncapi.json")
    yield Read("/asyncapi.yaml", "/asyncapi.yaml")
    yield Read("/schemas/events", "/schemas/events")
    yield Read("/schemas/events/{name}", "/schemas/events/BookingCreated")
    yield Read("/projects", "/projects")
    yield Read("/projects", "/projects?limit=10000")
    yield Read("/projects", "/projects?after=vzz&limit=100")
    yield Read("/pools", "/pools")
    yield Read("/pools", "/pools?limit=10000")
    yield Read("/pools", "/pools?project=p00007")
    yield Read("/pools", "/pools?project=wide")
    yield Read("/pools", "/pools?project=wide&limit=10000")
    for project in ("p00007", "wide"):
        of = f"project={project}"
        yield Read("/available/select", f"/available/select?{of}&{few}&grain=hour")
        yield Read("/available/now", f"/available/now?{of}")
        yield Read("/available/matrix", f"/available/matrix?{of}&{few}&grain=day")
        yield Read("/available/slots", f"/available/slots?{of}&duration=4&cores=1&{few}&tree=true")
        yield Read("/conflicts/select", f"/conflicts/select?{of}&{few}")
        yield Read("/bookings/load", f"/bookings/load?{of}&{few}&grain=day&by=cluster")
        yield Read("/bookings/select", f"/bookings/select?{of}&{few}&tree=true")
        yield Read("/magcluster/sizes", f"/magcluster/sizes?{of}&{few}")
    for span in (month, past, years):
        for grain in ("hour", "day", "month"):
            yield Read("/available/select", f"/available/select?project=long&{span}&grain={grain}&shape=columns")
        yield Read("/bookings/select", f"/bookings/select?clusterid=long.c03&{span}&grain=month")
        yield Read("/bookings/select", f"/bookings/select?project=long&{span}&tree=true&limit=400")
        yield Read("/bookings/load", f"/bookings/load?project=long&{span}&grain=month")
        yield Read("/resources/select", f"/resources/select?project=long&{span}&grain=month")
        yield Read("/available/matrix", f"/available/matrix?project=long&{span if span != years else past}&grain=week")
        yield Read("/novaquota/allocated", f"/novaquota/allocated?project=long&{span}&grain=month")
        yield Read("/novaquota/available", f"/novaquota/available?project=long&{span}&grain=month")
        yield Read("/accounts/{account}/usage", f"/accounts/account-7/usage?project=long&{span}&grain=month")
        yield Read("/projects/{feed}", f"/projects/long.ics?{span}")
        yield Read("/accounts/{feed}", f"/accounts/account-7.ics?{span}")
    yield Read("/available/slots", f"/available/slots?project=long&duration=24&cores=1&{month}")
    yield Read("/available/diff", "/available/diff?clusterid=long.c03&from=2&to=1000")
    yield Read("/clusters/{cluster}/sizes", "/clusters/long.c03/sizes?grain=month")
    yield Read("/clusters/{feed}", "/clusters/long.c03.ics")
    yield Read("/projects/{feed}", "/projects/long.ics")
    yield Read("/accounts/{feed}", "/accounts/account-7.ics")
    yield Read("/entitlements", "/entitlements?account=account-7")
    yield Read("/magcluster/{cluster}", "/magcluster/long.c03")
    yield Read("/novaquota/{grant}", f"/novaquota/{grant}")
    yield Read("/templates", "/templates?project=full")
    yield Read("/accounts", "/accounts?project=full")
    yield Read("/accounts/members", "/accounts/members?project=full")
    yield Read("/roles", "/roles?project=full")
    yield Read("/roles", "/roles")
    yield Read("/roles", "/roles?member=egi:person-7")
    yield Read("/events", "/events?limit=100")
    yield Read("/events", "/events?project=long&limit=100")
    yield Read("/events", "/events?account=account-7&type=BookingCreated&limit=100")
    yield Read("/events", "/events?pool=long.c03&actor=bench&limit=100")
    yield Read("/events", "/events?type=ProjectCreated&project=long&limit=100")
    yield Read("/events/{position}", "/events/77")
    yield Read("/bookings/{booking}/history", f"/bookings/{booking}/history")
    yield Read("/clusters/{cluster}/history", "/clusters/long.c03/history?limit=100")
    yield Read("/resources/{grant}/history", f"/resources/{grant}/history")
    yield Read("/notices", "/notices?limit=100")
    yield Read("/refusals", "/refusals?limit=100")
    yield Read("/webhooks", "/webhooks")
    yield Read("/metrics", "/metrics")


class Asker:
    """Asks one query service. `postgres` is the process id of its postmaster."""

    def __init__(self, port: int, service: int, postgres: int) -> None:
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S)
        self._used = Used(service, postgres)

    def close(self) -> None:
        self._client.close()

    def cost(self, url: str) -> Cost:
        """The cost of an answer: the mean of processor times, the least time until it is there. Processor times are
        counted in steps of 10 ms, so what is quick is asked often."""
        answer = self._client.get(url)
        began, walls = self._used.seconds(), list[float]()
        while (len(walls) < TIMES or (sum(walls) < LEAST_S and len(walls) < 20 * TIMES)) and sum(walls) < MOST_S:
            at = time.perf_counter()
            answer = self._client.get(url)
            walls.append(time.perf_counter() - at)
        ended = self._used.seconds()
        service, postgres = (1000 * (after - before) / len(walls) for before, after in zip(began, ended, strict=True))
        return Cost(service, postgres, 1000 * min(walls), len(answer.content), answer.status_code)


class Used:
    """The processor time of a service and of the sessions of PostgreSQL."""

    def __init__(self, service: int, postgres: int) -> None:
        self._service, self._postgres = psutil.Process(service), psutil.Process(postgres)

    def seconds(self) -> tuple[float, float]:
        return _seconds(self._service), sum(_seconds(child) for child in self._postgres.children())


def _seconds(process: psutil.Process) -> float:
    with process.oneshot():
        times = process.cpu_times()
    return float(times.user + times.system)


async def scaled(bench: Bench) -> AsyncIterator[Row]:
    """The reads and the bookings of a small ground and of a large one, each on servers of its own."""
    many = min(10_000, bench.most // 10)
    large = Size(projects=many, pools=many, listed=many, bookings=bench.most, live=many)
    with _another_system() as other:
        now = datetime.now(UTC)
        grounds = [await _filled(bench.system, SMALL, now), await _filled(other, large, now)]
        async for row in _reads(grounds, now):
            yield row
        async for row in _bookings(other, many, now):
            yield row


@contextlib.contextmanager
def _another_system() -> Iterator[System]:
    with tempfile.TemporaryDirectory(prefix="hourbook-bench-") as directory:
        Path(directory).chmod(0o711)  # root's PostgreSQL is another user
        other = System(Path(directory))
        other.start()
        try:
            yield other
        finally:
            other.stop()


class Ground(NamedTuple):
    """The servers of a ground, and the ids of a booking and of a grant in the project `long`."""

    system: System
    booking: str
    grant: str


NAMED = """
SELECT (SELECT b.id::text FROM live_booking b WHERE b.pool <> p.pool LIMIT 1), (
    SELECT l.id::text FROM live_grant l WHERE l.pool = p.pool LIMIT 1)
FROM pool p WHERE p.id = 'long'
"""


async def _filled(system: System, size: Size, now: datetime) -> Ground:
    connection = await asyncpg.connect(system.postgres.url)
    await fill(connection, size, now)
    await rebuild(as_role(system.postgres.url, "projector"))
    while await index_batch(connection):
        pass
    await connection.execute("VACUUM ANALYZE")
    booking, grant = await connection.fetchrow(NAMED) or ("", "")
    await connection.close()
    return Ground(system, booking, grant)


async def _reads(grounds: Sequence[Ground], now: datetime) -> AsyncIterator[Row]:
    with contextlib.ExitStack() as stack:
        askers = []
        for ground in grounds:
            service = stack.enter_context(ground.system.query(query_cache_bytes="0"))
            askers.append(Asker(service.port, service.pid, postgres_pid(ground.system)))
            stack.callback(askers[-1].close)
        for small, large in zip(*(reads(now, ground.booking, ground.grant) for ground in grounds), strict=True):
            one, other = askers[0].cost(small.url), askers[1].cost(large.url)
            yield Row(
                what=f"`GET {small.url}`" + ("" if other.status == 200 else f" (status {other.status})"),
                measured=said(other),
                beside=said(one),
                ratio=f"{other.cpu_ms / max(one.cpu_ms, 0.01):.1f}",
            )


def said(cost: Cost) -> str:
    return f"{cost.service_ms:.1f} + {cost.postgres_ms:.1f} ms, {cost.size / 1000:,.0f} kB"


async def _bookings(system: System, projects: int, now: datetime) -> AsyncIterator[Row]:
    """Bookings in one project, in a thousand again and again, and in all in turn."""
    start = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=4)

    def booking(number: int) -> bytes:
        period = {"startdate": start.isoformat(), "enddate": (start + timedelta(hours=8)).isoformat()}
        body = {"project": f"p{number:05d}", "account": "ada", "cores": 1, **period}
        return post("/bookings/create", msgspec.json.encode(body))

    with system.command() as service:
        await warm(service.port, Requests((booking(0),)))
        used, first = Used(service.pid, postgres_pid(system)), 0.0
        for what, numbers in (
            ("one project", [1] * 2000),
            ("1,000 projects again and again", [number % min(1000, projects) for number in range(4000)]),
            (f"{projects:,} projects in turn", range(projects)),
        ):
            client, before = Client(service.port), used.seconds()
            for number in numbers:
                status, answer = await client.ask(booking(number))
                assert status == 201, answer
            spent = 1e6 * (sum(used.seconds()) - sum(before)) / len(numbers)
            first = first or spent
            await client.close()
            yield Row(
                what=f"a booking, one after the other, in {what}",
                measured=f"{spent:,.0f} µs of processors; the service has had {peak_mb(service.pid):,.0f} MB at most",
                beside=f"{first:,.0f} µs: in one project",
                ratio=f"{spent / first:.1f}",
            )
