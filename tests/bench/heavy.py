"""Measure 8: the heaviest commands that are accepted, and what others wait for them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import asyncpg
import msgspec

from services.command.domain import (
    CancelBooking,
    Command,
    CreateAccount,
    CreateBooking,
    CreateCluster,
    CreateGrant,
    CreateProject,
    CreateSeries,
    ProjectState,
    WithdrawGrant,
    decide,
    evolve,
    nearest,
)
from services.command.domain.bounds import DEFAULT
from services.command.domain.commands import Context
from shared.capacity import NOTHING, Capacity
from shared.errors import HourbookError
from shared.events import Limits, Overcommit, Policy
from shared.hours import PERIOD_HOURS_MAX, Period, instant_of
from shared.identity.principals import trusted
from tests.bench.history import T0, History
from tests.bench.load import Client, drive, post
from tests.bench.measures import PROJECT, Row, bookings, warm
from tests.support.system import System

SERIES = {
    "project": PROJECT,
    "account": "ada",
    "cores": 1,
    "startdate": "2030-01-01",
    "enddate": "2030-01-07",
    "rrule": "FREQ=WEEKLY;COUNT=500",
    "skip": True,
}
PLENTY = Limits(capacity={"cores": 10**9}, monthly_hours={"cores": 10**12})


async def heaviest(system: System, _: int, seconds: float) -> AsyncIterator[Row]:
    for what, state, command in cases():
        yield Row(f"processor time for {what}", f"{cpu_ms(state, command):.0f} ms", aim="< 50 ms")
    connection = await asyncpg.connect(system.postgres.url)
    await History(connection, PROJECT).begin()
    heavy = post("/bookings/create?dry_run=true", msgspec.json.encode(SERIES))
    with system.command() as service:
        await warm(service.port)
        alone = await drive(service.port, bookings(), connections=8, seconds=seconds)
        async with repeated(service.port, heavy):
            beside = await drive(service.port, bookings(), connections=8, seconds=seconds)
    p99, without = beside.percentile(99) * 1000, alone.percentile(99) * 1000
    yield Row(
        "p99 of bookings while dry runs of 500 weeks go on",
        f"{p99:.1f} ms (p50 {beside.percentile(50) * 1000:.1f} ms)",
        f"{without:.1f} ms: without",
        f"{p99 / without:.1f}",
    )
    await connection.close()


@contextlib.asynccontextmanager
async def repeated(port: int, request: bytes) -> AsyncIterator[None]:
    """Asks for the same, over and over, as long as the block runs."""
    client = Client(port)

    async def ask() -> None:
        while True:
            status, _ = await client.ask(request)
            assert status == 200

    task = asyncio.create_task(ask())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.close()


def cpu_ms(state: ProjectState, command: Command) -> float:
    """The best of five: what others use of the machine is not this command's."""
    return min(once(state, command) for _ in range(5)) * 1000


def once(state: ProjectState, command: Command) -> float:
    began = time.thread_time()
    try:
        decide(state, PROJECT, command, context())
    except HourbookError:
        nearest(state, PROJECT, command, context())
    return time.thread_time() - began


def cases() -> Iterator[tuple[str, ProjectState, Command]]:
    plain = made(granted(10**6))
    yield "500 occurrences of 24 hours", plain, series(500, 24, 24)
    yield "500 occurrences of 168 hours", plain, series(500, 168, 168)
    yield "ten years", plain, booking(years(10))
    yield "ten years, refused, and the nearest", plain, booking(years(10), 10**7)
    short = made(CreateGrant(grant=uuid4(), period=Period(T0, T0 + 744), capacity=Capacity(cores=10**6)))
    yield "500 occurrences of 168 hours, all but four left out", short, series(500, 168, 168, skip=True)
    cluster = CreateCluster(
        cluster=f"{PROJECT}.c", parent=PROJECT, kind="x", period=years(10), capacity=Capacity(cores=900)
    )
    plenty = CreateAccount(account="ada", name="Ada", limits=PLENTY)
    listed = made(granted(10**6), plenty, cluster)
    share = msgspec.structs.replace(booking(Period(T0, T0 + 24), 0), pool=f"{PROJECT}.c", share=1)
    shares = msgspec.structs.replace(series(500, 24, 24), booking=share)
    yield "500 occurrences of a share, by an account with limits", listed, shares
    most = DEFAULT.tentative
    for count, asked in ((10, 10), (10**6, 1)):
        over = made(granted(count), policy=Overcommit(beyond_hours=1))
        for number in range(most):
            apply(over, booking(Period(T0 + 100 + number, T0 + 600 + number), asked))
        if over.tentative:
            yield f"a cancel among {most} tentative claims", over, CancelBooking(booking=next(iter(over.bookings)))
        else:
            (grant,) = over.grants
            yield f"a grant withdrawn from under {most} bookings", over, WithdrawGrant(grant=grant)


def granted(cores: int) -> CreateGrant:
    return CreateGrant(grant=uuid4(), period=years(20), capacity=Capacity(cores=cores))


def made(*commands: Command, policy: Policy = "never") -> ProjectState:
    state = ProjectState()
    for command in (CreateProject(project=PROJECT, name="Bench", overcommit=policy), *commands):
        apply(state, command)
    return state


def apply(state: ProjectState, command: Command) -> None:
    for event in decide(state, PROJECT, command, context()):
        evolve(state, event)


def context() -> Context:
    return Context(command=uuid4(), principal=trusted("bench"), at=instant_of(T0))


def years(count: int) -> Period:
    return Period(T0, T0 + count * PERIOD_HOURS_MAX // 10)


def booking(period: Period, count: int = 1) -> CreateBooking:
    capacity = Capacity(cores=count) if count else NOTHING
    return CreateBooking(booking=uuid4(), pool=PROJECT, account="ada", period=period, capacity=capacity)


def series(count: int, hours: int, every: int, *, skip: bool = False) -> CreateSeries:
    starts = itertools.islice(itertools.count(T0, every), count)
    periods = tuple(Period(start, start + hours) for start in starts)
    first = booking(periods[0])
    return CreateSeries(booking=first, periods=periods, rrule="FREQ=DAILY", timezone="UTC", skip=skip)
