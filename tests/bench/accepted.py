"""Bookings that are accepted over HTTP: compared with a server that decides nothing, and with longer histories."""

from __future__ import annotations

from collections.abc import AsyncIterator

from tests.bench.history import History
from tests.bench.load import DRIVER, drive
from tests.bench.setting import Bench, bookings, ceiling_of, project, warm
from tests.bench.table import Row, ratios, spread


async def accepted_against_the_ceiling(bench: Bench) -> AsyncIterator[Row]:
    """In turns: bookings, the bare handler, and bookings with an idempotency key each."""
    plain, keyed = bookings(), bookings(keyed=True)
    async with project(bench.system):
        with bench.system.command() as command, ceiling_of(bench.system) as bare:
            await warm(command.port)
            rounds = [
                (
                    await drive(command.port, plain, seconds=bench.seconds),
                    await drive(bare.port, plain, seconds=bench.seconds),
                    await drive(command.port, keyed, seconds=bench.seconds),
                )
                for _ in range(bench.runs)
            ]
    booked, ceiling, with_key = zip(*rounds, strict=True)
    rates, beside = [one.rate for one in booked], [one.rate for one in ceiling]
    yield Row(
        what="bookings accepted, 64 connections, at the command service's own port",
        by=DRIVER,
        measured=spread(rates, unit="/s"),
        beside=f"{spread(beside, unit='/s')}: the bare handler: the same HTTP server, which only decodes the body",
        ratio=ratios(rates, beside),
        before="0.51 to 0.67",
        aim="≥ 0.75",
    )
    yield Row(
        what="processor time of the driver for one request of the bare handler",
        by=DRIVER,
        measured=spread([one.driver_s * 1e6 / one.accepted for one in ceiling], ".1f", " µs"),
    )
    yield Row(
        what="p99 of these bookings", by=DRIVER, measured=spread([one.p99 * 1000 for one in booked], ".1f", " ms")
    )
    keyed_rates = [one.rate for one in with_key]
    yield Row(
        what="bookings accepted with a new `Idempotency-Key` each",
        by=DRIVER,
        measured=spread(keyed_rates, unit="/s"),
        beside=f"{spread(rates, unit='/s')}: without",
        ratio=ratios(keyed_rates, rates),
    )


SIZES = (10, 10_000)


async def accepted_as_the_project_grows(bench: Bench) -> AsyncIterator[Row]:
    """In turns, in one process: projects with few and with many bookings."""
    longest = await bench.grown(1_000_000)
    assert bench.connection is not None
    requests = {longest.bookings: bookings(longest.project)}
    for size in (size for size in SIZES if size < longest.bookings):
        history = History(bench.connection, f"grown-{size}")
        await history.begin()
        await history.grow(size)
        requests[size] = bookings(history.project)
    with bench.system.command() as command:
        for one in requests.values():
            await warm(command.port, one)
        rates: dict[int, list[float]] = {size: [] for size in sorted(requests)}
        for _ in range(bench.runs):
            for size, measured in rates.items():
                measured.append((await drive(command.port, requests[size], seconds=bench.seconds)).rate)
    fewest = min(rates)
    for size, measured in rates.items():
        yield Row(
            what=f"bookings accepted, {size:,} bookings stored before",
            by=DRIVER,
            measured=spread(measured, unit="/s"),
            beside=f"{spread(rates[fewest], unit='/s')}: with {fewest:,} stored before" if size != fewest else "",
            ratio=ratios(rates[fewest], measured) if size != fewest else "",
            aim="≤ 1.3" if size != fewest else "",
        )
