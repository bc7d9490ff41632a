"""The heaviest commands that are accepted, and what others wait for them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

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
from tests.bench.history import T0
from tests.bench.load import DRIVER, Client, drive, post
from tests.bench.setting import PROJECT, Bench, bookings, project, warm
from tests.bench.table import Row, ratios, spread

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


async def heaviest(bench: Bench) -> AsyncIterator[Row]:
    for what, state, command in cases():
        taken = [once(state, command) * 1000 for _ in range(bench.runs)]
        yield Row(what=f"processor time for {what}", measured=spread(taken, ".0f", " ms"), aim="< 50 ms")
    heavy = post("/bookings/create?dry_run=true", msgspec.json.encode(SERIES))
    alone, beside = [], []
    async with project(bench.system):
        with bench.system.command() as service:
            await warm(service.port)
            for _ in range(bench.runs):
                alone.append(await drive(service.port, bookings(), connections=8, seconds=bench.seconds))
                async with repeated(service.port, heavy):
                    beside.append(await drive(service.port, bookings(), connections=8, seconds=bench.seconds))
    p99, without = ([one.p99 * 1000 for one in loads] for loads in (beside, alone))
    yield Row(
        what="p99 of bookings while dry runs of 500 weeks go on, 8 connections",
        by=DRIVER,
        measured=f"{spread(p99, '.1f', ' ms')}, p50 {spread([one.p50 * 1000 for one in beside], '.1f', ' ms')}",
        beside=f"{spread(without, '.1f', ' ms')}: without",
        ratio=ratios(p99, without),
    )


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


def once(state: ProjectState, command: Command) -> float:
    """Seconds of processor time: what others use of the machine is not this command's."""
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
