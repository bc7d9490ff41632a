"""The first booking after a start of the command service, in a project with a long history."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import NamedTuple

import asyncpg

from tests.bench.history import T0, History, ten_years
from tests.bench.load import CLIENT, Requests
from tests.bench.processor import peak_mb
from tests.bench.setting import Bench, bookings, warm
from tests.bench.table import Row, spread
from tests.support.waiting import until

MANY, LIVE = 5_000_000, 10_000
# So that no bound refuses the bookings of a longer history than a project may have.
WIDE = {"bookings_max": "100000000", "state_bytes_max": str(1 << 40)}
VERSION = "SELECT version FROM stream_head WHERE stream = $1"
SAVED = "SELECT version, length(state) AS size FROM snapshot WHERE stream = $1"
HAS_PIECES = "SELECT to_regclass('snapshot_piece') IS NOT NULL"
PIECES_SIZE = "SELECT coalesce(sum(length(data)), 0) FROM snapshot_piece WHERE stream = $1"
SINCE_MAX = 5000  # events since the last snapshot of a project that takes events


class Started(NamedTuple):
    """Seconds from the first request until a booking was accepted, the refusals before, the most memory in MB, and the
    number of events that were replayed."""

    seconds: float
    refused: int
    peak_mb: float
    replayed: int


class Known(NamedTuple):
    """What an earlier version reached: seconds without and with a snapshot, memory, and the size of the snapshot."""

    without: str = ""
    with_one: str = ""
    peak: str = ""
    size: str = ""


EARLIER = Known("25 s (two answers 503 before)", "3.4 s", "860 MB", "68 MB")


async def first_booking(bench: Bench) -> AsyncIterator[Row]:
    """Starts without a snapshot, and with the one that the last of them has written."""
    history = await bench.grown(1_000_000)
    assert bench.connection is not None
    stored = f"{history.bookings:,} bookings in the project"
    async for row in _starts(bench, bench.connection, history, stored, T0, EARLIER):
        yield row


async def first_booking_of_many(bench: Bench) -> AsyncIterator[Row]:
    """As `first_booking`, with ten years of history. Only if so many bookings are asked for."""
    if bench.most < MANY:
        return
    connection = await asyncpg.connect(bench.system.postgres.url)
    history = History(connection, "decade", clusters=19)
    now = await ten_years(history, MANY, LIVE)
    stored = f"{MANY:,} bookings in ten years, {LIVE:,} of them live"
    async for row in _starts(bench, connection, history, stored, now, Known()):
        yield row
    await connection.close()


async def _starts(
    bench: Bench,
    connection: asyncpg.Connection[asyncpg.Record],
    history: History,
    stored: str,
    first: int,
    before: Known,
) -> AsyncIterator[Row]:
    project, requests = history.project, bookings(history.project, first=first)
    without: list[Started] = []
    for _ in range(bench.runs):
        await _forget(connection, project)
        without.append(await _start(bench, connection, project, requests, saves=True))
    _version, size = await _saved(connection, project)
    with_one = []
    for _ in range(bench.runs):
        await history.grow(min(SINCE_MAX, history.bookings // 200), first)
        with_one.append(await _start(bench, connection, project, requests, saves=False))
    yield _row(f"first booking after a start without a snapshot, {stored}", without, before.without, "≤ 4 s")
    yield _row(f"first booking after a start with a snapshot, {stored}", with_one, before.with_one, "≤ 1 s")
    for what, starts in (("without", without), ("with", with_one)):
        yield Row(
            what=f"most memory of the command service then, {what} a snapshot",
            measured=spread([one.peak_mb for one in starts], unit=" MB"),
            before=before.peak,
            aim="≤ 200 MB",
        )
    yield Row(what="the snapshot of that project", measured=f"{size / 1e6:,.1f} MB", before=before.size, aim="small")
    replayed = spread([one.replayed for one in with_one])
    yield Row(what="events that a start with a snapshot replays", measured=replayed, aim="≤ 10,000")


async def _start(
    bench: Bench, connection: asyncpg.Connection[asyncpg.Record], project: str, requests: Requests, *, saves: bool
) -> Started:
    """`saves`: waits at the end until the process has written a snapshot."""
    saved, _size = await _saved(connection, project)
    replayed = await connection.fetchval(VERSION, project) - saved
    with bench.system.command(**WIDE) as command:
        began = time.perf_counter()
        refused = await warm(command.port, requests)
        seconds = time.perf_counter() - began
        if saves and replayed > SAVED_FROM:
            await until(lambda: connection.fetchval("SELECT EXISTS (SELECT FROM snapshot WHERE stream = $1)", project))
        return Started(seconds, refused, peak_mb(command.pid), replayed)


async def _forget(connection: asyncpg.Connection[asyncpg.Record], project: str) -> None:
    for table in ("snapshot", "snapshot_piece")[: 1 + await connection.fetchval(HAS_PIECES)]:
        await connection.execute(f"DELETE FROM {table} WHERE stream = $1", project)


async def _saved(connection: asyncpg.Connection[asyncpg.Record], project: str) -> tuple[int, int]:
    """The version and the bytes of a project's snapshot, with its pieces; zeros if there is none."""
    version, size = await connection.fetchrow(SAVED, project) or (0, 0)
    pieces = await connection.fetchval(HAS_PIECES) and await connection.fetchval(PIECES_SIZE, project)
    return version, size + pieces


SAVED_FROM = 10_000  # a shorter history may have no snapshot


def _row(what: str, starts: list[Started], before: str, aim: str) -> Row:
    refused = max(one.refused for one in starts)
    measured = spread([one.seconds for one in starts], ".2f", " s")
    return Row(
        what=what, by=CLIENT, measured=f"{measured}, {refused or 'no'} answers 503 before", before=before, aim=aim
    )
