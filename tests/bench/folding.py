"""Folding: by a live projector that is far behind, in a rebuild, for the past, to verify; and what proving takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import httpx
import msgspec
import psutil

from services.cli.audit.export import export
from services.projector.as_of.historian import BATCH_MAX, load_writer
from services.projector.rebuild.rebuild import rebuild
from services.projector.rebuild.verification import Report, prove, replay
from services.sealer.sealer import seal
from shared.audit.notes import Signer, load_key, verifier_of
from shared.audit.store import latest_checkpoint, read_keys, read_tree
from tests.bench.processor import used_s
from tests.bench.setting import HEAD, LONG, POSITION, Bench, postgres_pid
from tests.bench.table import Row, spread
from tests.support.backends import as_role
from tests.support.system import System

SIZE = 500_000
PAST_MIN = 2000


class Folded(msgspec.Struct):
    """So many events in so many seconds, with the processor time of Python and of PostgreSQL."""

    events: int
    seconds: float
    python_s: float
    postgres_s: float

    @property
    def rate(self) -> float:
        return self.events / self.seconds


class Watch:
    """Measures a block: time, and the processor time of PostgreSQL and of a process; without `pid`, of this one."""

    def __init__(self, system: System, pid: int | None = None) -> None:
        self._postgres, self._pid = postgres_pid(system), pid

    def start(self) -> Watch:
        self._began, self._python, self._server = time.perf_counter(), self._own_s(), used_s(self._postgres).total()
        return self

    def folded(self, events: int) -> Folded:
        seconds = time.perf_counter() - self._began
        return Folded(events, seconds, self._own_s() - self._python, used_s(self._postgres).total() - self._server)

    def _own_s(self) -> float:
        return own_s() if self._pid is None else used_s(self._pid).total()


def own_s() -> float:
    """The processor time of this process, with its children that have ended."""
    times = psutil.Process().cpu_times()
    return times.user + times.system + times.children_user + times.children_system


def each(folded: list[Folded]) -> str:
    """What an event costs, of Python and of PostgreSQL."""
    python, postgres = (
        spread([getattr(one, used) * 1e6 / one.events for one in folded], ".1f") for used in ("python_s", "postgres_s")
    )
    return f"Python {python}, PostgreSQL {postgres} µs an event"


async def folded_live(bench: Bench) -> AsyncIterator[Row]:
    """The long history grows in pieces; after each, a projector begins that is as far behind."""
    history, runs = await bench.grown(0), []
    assert bench.connection is not None
    piece = max(1, (min(SIZE, bench.most) - history.bookings) // bench.runs)
    for _ in range(bench.runs):
        await history.grow(piece)
        runs.append(await _catch_up(bench.system, bench.connection))
    yield Row(
        what=f"events folded by a live projector that is {piece:,} behind",
        measured=spread([one.rate for one in runs], unit="/s"),
        beside=each(runs),
        before="40,000 to 53,000/s",
        aim="≥ 80,000/s",
    )


async def _catch_up(system: System, connection: asyncpg.Connection[asyncpg.Record]) -> Folded:
    """From the first batch of a projector until it has all."""
    head, stood = await connection.fetchval(HEAD), await connection.fetchval(POSITION) or 0
    with system.projector() as projector:
        watch = Watch(system, projector.pid).start()
        async with asyncio.timeout(300):
            while (begun := await connection.fetchval(POSITION) or 0) <= stood:
                await asyncio.sleep(0.005)
            if begun < head:
                stood, watch = begun, watch.start()
            while await connection.fetchval(POSITION) < head:
                await asyncio.sleep(0.005)
        return watch.folded(head - stood)


async def rebuilt(bench: Bench) -> AsyncIterator[Row]:
    """The read models of 500,000 bookings, again and again."""
    await bench.grown(SIZE)
    watch, runs = Watch(bench.system), []
    for _ in range(bench.runs):
        watch.start()
        position = (await rebuild(as_role(bench.system.postgres.url, "projector"))).position
        runs.append(watch.folded(position))
    yield Row(
        what=f"events folded in a rebuild of {runs[0].events:,}",
        measured=spread([one.rate for one in runs], unit="/s"),
        beside=each(runs),
        before="74,000 to 78,000/s (8.2 and 5.3 to 6.8 µs)",
        aim="≥ 200,000/s",
    )


async def kept_past(bench: Bench) -> AsyncIterator[Row]:
    """What point-in-time reads need, of equal pieces of the history; then reads of a month as of twenty positions."""
    history = await bench.grown(SIZE)
    connection = await asyncpg.connect(bench.system.postgres.url)
    kept, watch, runs = await load_writer(connection), Watch(bench.system), []
    begun, missing = kept.position, await connection.fetchval(HEAD) - kept.position
    await history.grow(max(0, PAST_MIN * bench.runs - missing))  # a projector that ran may have kept the past of all
    head, piece = await connection.fetchval(HEAD), min(100_000, max(PAST_MIN, missing // bench.runs))
    for _ in range(bench.runs):
        first = kept.position
        watch.start()
        while kept.position < min(head, first + piece):
            await kept.advance(BATCH_MAX)
        runs.append(watch.folded(max(1, kept.position - first)))
    await connection.close()
    yield Row(
        what="events of which the past is kept",
        measured=spread([one.rate for one in runs], unit="/s"),
        beside=each(runs),
        before="16,000 to 20,000/s",
        aim="≥ 50,000/s",
    )
    yield await as_of(bench.system, begun, kept.position)


async def as_of(system: System, begun: int, kept: int) -> Row:
    """A month by hour as of twenty positions between these, each asked once."""
    month = f"/available/select?project={LONG}&range=2030-01-01,2030-01-31&grain=hour&shape=columns"
    with system.query() as query:
        async with httpx.AsyncClient(base_url=query.url, timeout=60) as client:
            asked = [f"{month}&as_of={kept - number * (kept - begun) // 25}" for number in range(21)]
            await timed(client, asked[0])  # it makes the session
            taken = [await timed(client, one) for one in asked[1:]]
            live = await timed(client, month)
    return Row(
        what="read of a month by hour with `as_of`",
        by="own client",
        measured=spread([one * 1000 for one in taken], ".1f", " ms"),
        beside=f"{live * 1000:.1f} ms: without `as_of`",
        aim="≤ 1 s",
    )


async def timed(client: httpx.AsyncClient, path: str) -> float:
    """Seconds until the answer is there."""
    began = time.perf_counter()
    (await client.get(path)).raise_for_status()
    return time.perf_counter() - began


async def verified(bench: Bench) -> AsyncIterator[Row]:
    """All that is proven of 500,000 bookings: sealed once in pieces, then verified again and again."""
    await bench.grown(SIZE)
    connection, reader = [await asyncpg.connect(bench.system.postgres.url) for _ in range(2)]
    yield await _sealed(bench, connection)
    await rebuild(as_role(bench.system.postgres.url, "projector"))
    keys = [verifier_of(key) for key in await read_keys(connection)]
    watch, proven, replayed = Watch(bench.system), [], []
    for _ in range(bench.runs):
        report = Report()
        watch.start()
        await prove(connection, report, [], keys, _silent)
        proven.append(watch.folded(report.events))
        watch.start()
        await replay(connection, reader, report, _silent)
        replayed.append(watch.folded(report.replayed))
        if not report.holds:
            raise RuntimeError(f"the bench's own history does not hold: {report}")
    await connection.close()
    await reader.close()
    yield Row(
        what="events verified: Merkle tree and columns",
        measured=spread([one.rate for one in proven], unit="/s"),
        beside=each(proven),
        aim="≥ 100,000/s",
    )
    cells = sum(model.cells for model in report.models)
    yield Row(
        what=f"events replayed by `hourbook audit verify`, {cells:,} cells compared",
        measured=spread([one.rate for one in replayed], unit="/s"),
        beside=each(replayed),
        before="73,000 to 83,000/s",
        aim="≥ 200,000/s",
    )
    whole = [one.events / (one.seconds + other.seconds) for one, other in zip(proven, replayed, strict=True)]
    yield Row(what="events verified by all of `hourbook audit verify`", measured=spread(whole, unit="/s"))
    yield await asyncio.to_thread(_exported, bench, bench.system.directory / "export")


async def _sealed(bench: Bench, connection: asyncpg.Connection[asyncpg.Record]) -> Row:
    latest, signer = await latest_checkpoint(connection), Signer("hourbook", load_key(bench.system.audit_key))
    tree, rates = await read_tree(connection, latest.size if latest else 0), []
    while True:
        first, began = tree.size, time.perf_counter()
        while tree.size < first + SIZE // bench.runs and await seal(connection, tree, signer):
            pass
        if tree.size == first:
            break
        rates.append((tree.size - first) / (time.perf_counter() - began))
    return Row(what="events sealed by a sealer that is far behind", measured=spread(rates, unit="/s"))


def _exported(bench: Bench, directory: Path) -> Row:
    rates = []
    for number in range(bench.runs):
        began = time.perf_counter()
        exported = export(bench.system.postgres.url, directory / str(number))
        rates.append(exported.size / (time.perf_counter() - began))
    what = f"events exported, {exported.bytes / 1e6:,.0f} MB as NDJSON and Parquet"
    return Row(what=what, measured=spread(rates, unit="/s"))


def _silent(_what: str, _done: int, _of: int) -> None:
    """Nobody looks on."""
