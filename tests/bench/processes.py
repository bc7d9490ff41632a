"""Several command processes on one store, each behind a load of its own; and what an append takes under its lock."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from uuid import UUID

import asyncpg
import httpx
import msgspec
import uuid_utils

from shared.event_store import EventStore, Pending
from tests.bench.load import DRIVER, drive
from tests.bench.processor import by_process_us, used_s
from tests.bench.setting import Bench, bookings, postgres_pid, project, warm
from tests.bench.table import Row, ratios, spread
from tests.support.system import Service

COUNTS = (1, 2, 4)
SHARED = "process-shared"
AGAIN = re.compile(r"^hourbook_batches_decided_again (\S+)$", re.MULTILINE)
APPENDED = re.compile(r"^hourbook_append_events_count (\S+)$", re.MULTILINE)


class Together(msgspec.Struct):
    """Bookings a second of several processes together, how many of their batches were appended and how many of them
    were decided again, and the microseconds of processor time of a booking, by process."""

    rate: float
    appended: float
    again: float
    cost: dict[str, float]


async def several_processes(bench: Bench) -> AsyncIterator[Row]:
    """Up to four processes, each on a project of its own, and then all on one."""
    own = [f"process-{number}" for number in range(max(COUNTS))]
    async with AsyncExitStack() as stack:
        for name in (*own, SHARED):
            await stack.enter_async_context(project(bench.system, name))
        processes = [stack.enter_context(bench.system.command()) for _ in own]
        for process, name in zip(processes, own, strict=True):
            await warm(process.port, bookings(name))
            await warm(process.port, bookings(SHARED))
        measured: dict[tuple[int, bool], list[Together]] = {(n, one): [] for one in (False, True) for n in COUNTS}
        for _ in range(bench.runs):
            for (count, one), runs in measured.items():
                if count > 1 or not one:
                    names = [SHARED] * count if one else own[:count]
                    runs.append(await _together(bench, processes[:count], names))
    alone = measured[1, False]
    for (count, one), runs in measured.items():
        if runs:
            yield _row(count, one, runs, alone)


async def _together(bench: Bench, processes: Sequence[Service], names: Sequence[str]) -> Together:
    """`names` are the projects, one for each process."""
    pids = [process.pid for process in processes]
    appended, again = await _batches(processes)
    before = used_s(postgres_pid(bench.system), *pids)
    loads = await asyncio.gather(
        *(
            drive(process.port, bookings(name), seconds=bench.seconds)
            for process, name in zip(processes, names, strict=True)
        )
    )
    accepted = sum(load.accepted for load in loads)
    cost = by_process_us(before, used_s(postgres_pid(bench.system), *pids), accepted)
    appended_then, again_then = await _batches(processes)
    return Together(sum(load.rate for load in loads), appended_then - appended, again_then - again, cost)


async def _batches(processes: Sequence[Service]) -> tuple[float, float]:
    """How many batches they have appended, and how many of them they have decided again."""
    async with httpx.AsyncClient() as client:
        texts = [(await client.get(f"{process.url}/metrics")).text for process in processes]
    return tuple(sum(float(found[1]) for text in texts if (found := what.search(text))) for what in (APPENDED, AGAIN))  # type: ignore[return-value]


def _row(count: int, one: bool, runs: Sequence[Together], alone: Sequence[Together]) -> Row:
    rates, single = [run.rate for run in runs], [run.rate for run in alone]
    cost = ", ".join(f"{name} {spread([run.cost[name] for run in runs], '.0f', ' µs')}" for name in runs[0].cost)
    again = spread([100 * run.again / run.appended for run in runs], ".1f", "%")
    where = "" if count == 1 else " on one project" if one else " on projects of their own"
    return Row(
        what=f"bookings accepted by {count} command process{'es' if count > 1 else ''}{where}, 64 connections each",
        by=DRIVER,
        measured=f"{spread(rates, unit='/s')}; decided again: {again} of the batches",
        beside=f"a booking: {cost}",
        ratio=ratios(rates, single) if count > 1 else "",
    )


APPENDERS, EVENTS = 4, (1, 64, 512)


async def appended(bench: Bench) -> AsyncIterator[Row]:
    """Appends of several sessions at once, without any deciding: only the lock and the statement remain."""
    for events in EVENTS:
        rates, locked = [], []
        async with project(bench.system, "appended") as _:
            pass
        for run in range(bench.runs):
            streams = [f"append-{events}-{run}-{number}" for number in range(APPENDERS)]
            before, began = used_s(postgres_pid(bench.system)).total(), time.perf_counter()
            counts = await asyncio.gather(
                *(_append(bench.system.postgres.url, one, events, bench.seconds) for one in streams)
            )
            took = time.perf_counter() - began
            rates.append(sum(counts) / took)
            locked.append((used_s(postgres_pid(bench.system)).total() - before) * 1e6 / sum(counts))
        yield Row(
            what=f"events appended by {APPENDERS} sessions, {events} in each append",
            measured=spread(rates, unit="/s"),
            beside=f"{spread([1e6 * events / rate for rate in rates])} µs an append; "
            f"PostgreSQL {spread(locked, '.1f')} µs of processor time an event",
            before="42,000 to 59,000/s" if events == 512 else "",
        )


async def _append(url: str, stream: str, events: int, seconds: float) -> int:
    """Appends to a stream of its own for so long. Returns the number of events."""
    connection = await asyncpg.connect(url)
    store, version, until = EventStore(connection), 0, time.perf_counter() + seconds
    while time.perf_counter() < until:
        pending = [
            Pending(stream, version + number, UUID(int=uuid_utils.uuid7().int), 0, b"", "Measured", DATA)
            for number in range(1, events + 1)
        ]
        if (await store.append({stream: version}, pending)).outcome != "stored":
            raise RuntimeError(f"an append to {stream} was not stored")
        version += events
    await connection.close()
    return version


DATA = b"{}" * 150  # as many bytes as a booking has
