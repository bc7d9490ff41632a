"""`hourbook up`: the one address compared with the services' own ports, and what a booking costs in all processes."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import asyncpg
import httpx
import msgspec

from services.cli.up.directory import Run
from shared.progress import read_progress
from tests.bench.load import DRIVER, Load, Requests, drive, get
from tests.bench.processor import by_process_us, used_s
from tests.bench.setting import PROJECT, Bench, bookings, warm
from tests.bench.table import Row, ratios, spread
from tests.support.running import Running

MONTH_BY_DAY = f"/available/select?project={PROJECT}&range=2030-01-01,2030-01-31&grain=day&shape=columns"
BEFORE = {64: ("1,110 µs", "≤ 500 µs"), 8: ("2,030 µs", "≤ 1,000 µs"), 1: ("6,590 µs", "≤ 3,000 µs")}
SETTLE_TIMEOUT_S = 60.0


class Cost(msgspec.Struct):
    """A load, and the microseconds of processor time that each of its bookings took, by process."""

    load: Load
    by_process: dict[str, float]

    @property
    def total(self) -> float:
        return sum(self.by_process.values())


async def through_the_one_address(bench: Bench) -> AsyncIterator[Row]:
    """A whole `hourbook up`, with data that reach the disc."""
    with Running(bench.system.directory / "up.log", "--data-dir", str(bench.system.directory / "up")) as up:
        run = msgspec.json.decode((bench.system.directory / "up" / "run.json").read_bytes(), type=Run)
        await begin(run)
        await warm(up.port)
        async with settled(run) as settle:
            command, query = (run.processes[name].port or 0 for name in ("command", "query"))
            direct = []
            costs: dict[int, list[Cost]] = {connections: [] for connections in BEFORE}
            for _ in range(bench.runs):
                direct.append(await drive(command, bookings(), seconds=bench.seconds))
                for connections, measured in costs.items():
                    measured.append(await cost(run, up.port, settle, connections, bench.seconds))
            reads = Requests((get(MONTH_BY_DAY),))
            await settle()
            pairs = [
                (await drive(up.port, reads, seconds=bench.seconds), await drive(query, reads, seconds=bench.seconds))
                for _ in range(bench.runs)
            ]
            resting = await at_rest(run)
    for row in (*compared([one.load for one in costs[64]], direct, pairs), *cost_rows(costs), resting):
        yield row


async def begin(run: Run) -> None:
    """Makes the project to book in."""
    grant = {"project": PROJECT, "startdate": "2030-01-01", "enddate": "2030-12-31", "cores": 10**9, "memory": 10**9}
    async with httpx.AsyncClient(base_url=run.address, timeout=30) as client:
        (await client.post("/projects/create", json={"id": PROJECT, "name": "Bench"})).raise_for_status()
        (await client.post("/resources/create", json=grant)).raise_for_status()


class Settle:
    """Called, it returns when all that follows the events has them: read models, index, past, checkpoints, notices."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self.connection = connection

    async def __call__(self) -> int:
        """The last position."""
        async with asyncio.timeout(SETTLE_TIMEOUT_S):
            while True:
                now = await read_progress(self.connection)
                if now.head == now.position == now.indexed == now.past == now.sealed == now.noticed:
                    return now.head
                await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def settled(run: Run) -> AsyncIterator[Settle]:
    connection = await asyncpg.connect(run.database_urls["command"])
    try:
        yield Settle(connection)
    finally:
        await connection.close()


async def cost(run: Run, port: int, settle: Settle, connections: int, seconds: float) -> Cost:
    """A load with all that follows from it, until nothing is behind."""
    first, before = await settle(), used(run)
    load = await drive(port, bookings(), connections=connections, seconds=seconds)
    last = await settle()
    return Cost(load, by_process_us(before, used(run), last - first))


def used(run: Run) -> Counter[str]:
    """The processor time of `hourbook up` and all its processes."""
    return used_s(run.pid)


async def at_rest(run: Run, seconds: float = 3.0) -> Row:
    before = used(run)
    await asyncio.sleep(seconds)
    costs = by_process_us(before, used(run), 1)
    shares = ", ".join(f"{name} {used_us / seconds / 1e3:.0f}" for name, used_us in costs.items())
    total = sum(costs.values()) / seconds / 1e3
    return Row(what="processor time of all processes while nobody asks", measured=f"{total:.0f} ms a second: {shares}")


def compared(booked: Sequence[Load], direct: Sequence[Load], reads: Sequence[tuple[Load, Load]]) -> list[Row]:
    """The one address beside the services' own ports."""
    rates, beside = [one.rate for one in booked], [one.rate for one in direct]
    through, own = ([one.rate for one in loads] for loads in zip(*reads, strict=True))
    return [
        Row(
            what="bookings accepted through the one address of `hourbook up`, 64 connections",
            by=DRIVER,
            measured=spread(rates, unit="/s"),
            beside=f"{spread(beside, unit='/s')}: at the command service's own port",
            ratio=ratios(rates, beside),
            before="0.56",
            aim="≥ 0.9",
        ),
        Row(
            what="reads of a month by day through the one address, 64 connections",
            by=DRIVER,
            measured=spread(through, unit="/s"),
            beside=f"{spread(own, unit='/s')}: at the query service's own port",
            ratio=ratios(through, own),
            before="0.49",
            aim="≥ 0.9",
        ),
    ]


def cost_rows(costs: dict[int, list[Cost]]) -> list[Row]:
    rows = [
        Row(
            what=f"processor time of all processes for one booking, {connections} connection{'s'[: connections > 1]}",
            by=DRIVER,
            measured=spread([one.total for one in measured], unit=" µs"),
            beside=shares(measured),
            before=BEFORE[connections][0],
            aim=BEFORE[connections][1],
        )
        for connections, measured in costs.items()
    ]
    p50 = spread([one.load.p50 * 1000 for one in costs[1]], ".2f", " ms")
    what = "p50 of one booking through the one address, one client"
    return [*rows, Row(what=what, by=DRIVER, measured=p50, before="3.7 ms", aim="≤ 2.5 ms")]


def shares(costs: Sequence[Cost]) -> str:
    """The median of each process."""
    names = costs[0].by_process
    medians = {name: sorted(one.by_process.get(name, 0.0) for one in costs)[len(costs) // 2] for name in names}
    return ", ".join(f"{name} {used_us:,.0f}" for name, used_us in medians.items() if used_us >= 1)
