"""What proving costs and how fast it goes: verify, replay, export, seal, and what sealing takes from the appends."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import httpx

from services.cli.audit.export import export
from services.projector.as_of.historian import load_writer
from services.projector.rebuild.rebuild import rebuild
from services.projector.rebuild.verification import Report, prove, replay
from services.sealer.sealer import seal
from shared.audit.notes import Signer, load_key, verifier_of
from shared.audit.store import latest_checkpoint, read_keys, read_tree
from tests.bench.history import History
from tests.bench.load import drive
from tests.bench.measures import PROJECT, Row, bookings, warm
from tests.support.backends import as_role
from tests.support.system import System

PAIRS = 7


async def proven(system: System, most: int, seconds: float) -> AsyncIterator[Row]:
    async for row in sealing_beside_appends(system, seconds):
        yield row
    connection = await asyncpg.connect(system.postgres.url)
    history = History(connection, "long", clusters=19)
    await history.begin()
    head = int(await connection.fetchval("SELECT position FROM event_head"))
    await history.grow(most)
    latest, signer = await latest_checkpoint(connection), Signer("hourbook", load_key(system.audit_key))
    tree = await read_tree(connection, latest.size if latest else 0)
    begun, began = tree.size, time.perf_counter()
    while await seal(connection, tree, signer):
        pass
    yield Row(
        "events sealed by a sealer that is far behind", f"{(tree.size - begun) / (time.perf_counter() - began):,.0f}/s"
    )
    await rebuild(as_role(system.postgres.url, "projector"))
    async for row in past(system, connection, head):
        yield row
    report, keys = Report(), [verifier_of(key) for key in await read_keys(connection)]
    began = time.perf_counter()
    await prove(connection, report, [], keys, _silent)
    tree_s = time.perf_counter() - began
    yield Row("events verified: Merkle tree and columns", f"{report.events / tree_s:,.0f}/s", aim="≥ 100,000/s")
    reader = await asyncpg.connect(system.postgres.url)
    began = time.perf_counter()
    await replay(connection, reader, report, _silent)
    replay_s = time.perf_counter() - began
    cells = sum(model.cells for model in report.models)
    yield Row(
        f"events replayed into fresh tables, {cells:,} cells compared",
        f"{report.replayed / replay_s:,.0f}/s",
        aim="≥ 100,000/s",
    )
    yield Row("events verified by all of `hourbook audit verify`", f"{report.events / (tree_s + replay_s):,.0f}/s")
    if not report.holds:
        raise RuntimeError(f"the bench's own history does not hold: {report}")
    await reader.close()
    await connection.close()
    yield await asyncio.to_thread(_exported, system.postgres.url, system.directory / "export")


async def past(system: System, connection: asyncpg.Connection[asyncpg.Record], begun: int) -> AsyncIterator[Row]:
    """A month by hour as of twenty positions after `begun`, each asked once."""
    kept, began = await load_writer(connection), time.perf_counter()
    while await kept.advance(200):
        pass
    yield Row("events written for point-in-time reads", f"{kept.position / (time.perf_counter() - began):,.0f}/s")
    month = "/available/select?project=long&range=2030-01-01,2030-01-31&grain=hour&shape=columns"
    with system.query() as query:
        async with httpx.AsyncClient(base_url=query.url, timeout=60) as client:
            taken = []
            for number in range(21):
                began = time.perf_counter()
                as_of = kept.position - number * (kept.position - begun) // 25
                (await client.get(f"{month}&as_of={as_of}")).raise_for_status()
                taken.append(time.perf_counter() - began)
            began = time.perf_counter()
            (await client.get(month)).raise_for_status()
            live = time.perf_counter() - began
    slowest = max(taken[1:])  # the first makes its session
    yield Row(
        "read of a month by hour with `as_of`",
        f"{slowest * 1000:.0f} ms at most",
        f"{live * 1000:.0f} ms: without `as_of`",
        f"{slowest / live:.1f}",
        "≤ 1 s",
    )


async def sealing_beside_appends(system: System, seconds: float) -> AsyncIterator[Row]:
    """Rounds with and without a sealer in turn, each on the same service."""
    connection = await asyncpg.connect(system.postgres.url)
    await History(connection, PROJECT).begin()
    await connection.close()
    rates: dict[bool, list[float]] = {True: [], False: []}
    with system.command() as command:
        await warm(command.port)
        for number in range(2 * PAIRS):
            with_sealer = number % 4 in (1, 2)  # without, with, with, without: what drifts weighs on both alike
            service = system.sealer()
            if with_sealer:
                service.start()
            await drive(command.port, bookings(), seconds=seconds / 4)
            rates[with_sealer].append((await drive(command.port, bookings(), seconds=seconds)).rate)
            service.stop()
    sealed, alone = statistics.median(rates[True]), statistics.median(rates[False])
    yield Row(
        "bookings accepted over HTTP while they are sealed",
        f"{sealed:,.0f}/s",
        f"{alone:,.0f}/s: without a sealer",
        f"{(1 - sealed / alone) * 100:+.1f}%",
        "< 2% slower",
    )


def _exported(url: str, directory: Path) -> Row:
    began = time.perf_counter()
    exported = export(url, directory)
    seconds = time.perf_counter() - began
    return Row(
        f"events exported, {exported.bytes / 1e6:,.0f} MB as NDJSON and Parquet", f"{exported.size / seconds:,.0f}/s"
    )


def _silent(_what: str, _done: int, _of: int) -> None:
    """Nobody looks on."""
