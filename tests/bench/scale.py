"""What grows with the work: each read on a small and on a large ground, measured in turns.

`python -m tests.bench scale` prints a row for each. Processor time is that of the query service and of PostgreSQL
together. The cache of answers is off, so each answer is made anew.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime

import httpx
import msgspec
import psutil

from shared.hours import hour_of, iso

TIMES = 5  # each read is measured so often, and the least counts
PATIENCE_S = 120.0
# Reads that do not end, or that need what the grounds do not have.
LEFT_OUT = {
    "/events/stream",
    "/notices/stream",
    "/entitlements/stream",
    "/sign-in/{issuer}",
    "/sign-in/{issuer}/callback",
    "/sign-in/ways",
    "/health/command",
    "/audit/checkpoint",
    "/audit/consistency",
    "/audit/inclusion",
    "/audit/key",
    "/tokens",
    "/feeds",
    "/webhooks/{webhook}",
    "/webhooks/{webhook}/dead-letters",
    "/bookings/series/{series}",
    "/people",
    "/people/{person}",
    "/magcluster/{cluster}/resizes",
}


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


class Measure:
    """Asks one query service. `postgres` is the process id of its postmaster."""

    def __init__(self, port: int, service: int, postgres: int) -> None:
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S)
        self._service, self._postgres = psutil.Process(service), psutil.Process(postgres)

    def close(self) -> None:
        self._client.close()

    def cost(self, url: str, times: int = TIMES) -> Cost:
        """The cost of an answer: the mean of processor times, the least time until it is there."""
        answer = self._client.get(url)
        began, walls = self._used(), []
        while len(walls) < times or (
            sum(walls) < 0.2 and len(walls) < 20 * times
        ):  # processor times have steps of 10 ms
            at = time.perf_counter()
            answer = self._client.get(url)
            walls.append(time.perf_counter() - at)
            if sum(walls) > 5.0:
                break
        ended = self._used()
        service, postgres = (1000 * (after - before) / len(walls) for before, after in zip(began, ended, strict=True))
        return Cost(service, postgres, 1000 * min(walls), len(answer.content), answer.status_code)

    def _used(self) -> tuple[float, float]:
        return _seconds(self._service), sum(_seconds(child) for child in self._postgres.children())


def _seconds(process: psutil.Process) -> float:
    with process.oneshot():
        times = process.cpu_times()
    return float(times.user + times.system)
