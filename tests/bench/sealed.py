"""What sealing takes from the bookings, in a measure that shows two percent."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator

import asyncpg
import msgspec

from tests.bench.load import DRIVER, drive
from tests.bench.processor import used_s
from tests.bench.setting import HEAD, PROJECT, Bench, bookings, postgres_pid, project, warm
from tests.bench.table import Row, median_between, spread
from tests.support.waiting import until

PAIRS_PER_RUN = 5
SEALED = "SELECT coalesce(max(size), 0) FROM audit_checkpoint"


class Turn(msgspec.Struct):
    """Bookings a second, and the microseconds of processor time of a booking: of command and PostgreSQL together."""

    rate: float
    cpu_us: float


async def sealing_beside_bookings(bench: Bench) -> AsyncIterator[Row]:
    """Pairs of short loads on the same service, with a sealer and without, each pair beginning with the other one. The
    sealer is one process throughout, which stands still in the turns without it, and catches up before those with it.
    """
    pairs: list[tuple[Turn, Turn]] = []
    async with project(bench.system, PROJECT) as connection:
        with bench.system.command() as command, bench.system.sealer() as sealer:
            await warm(command.port)
            await _catch_up(connection)
            roots = (command.pid, postgres_pid(bench.system))
            for number in range(PAIRS_PER_RUN * bench.runs):
                turns: dict[bool, Turn] = {}
                for with_sealer in (True, False) if number % 2 else (False, True):
                    sealer.signal(signal.SIGCONT)
                    await _catch_up(connection)
                    if not with_sealer:
                        sealer.signal(signal.SIGSTOP)
                    turns[with_sealer] = await _turn(command.port, roots, bench.seconds)
                pairs.append((turns[True], turns[False]))
            sealer.signal(signal.SIGCONT)
    yield _row("bookings accepted while they are sealed", pairs, "rate")
    yield _row("processor time of one booking while they are sealed: command and PostgreSQL", pairs, "cpu_us")


async def _catch_up(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    async def level() -> bool:
        return bool(await connection.fetchval(SEALED) == await connection.fetchval(HEAD))

    await until(level)


async def _turn(port: int, roots: tuple[int, ...], seconds: float) -> Turn:
    before = used_s(*roots).total()
    load = await drive(port, bookings(), seconds=seconds)
    return Turn(load.rate, (used_s(*roots).total() - before) * 1e6 / load.accepted)


def _row(what: str, pairs: list[tuple[Turn, Turn]], field: str) -> Row:
    """The median of the ratios of the pairs, with the interval in which it lies with 95%."""
    with_it, without = ([getattr(turn, field) for turn in turns] for turns in zip(*pairs, strict=True))
    form, unit = (",.0f", "/s") if field == "rate" else (",.0f", " µs")
    middle, low, high = (
        (ratio - 1) * 100 for ratio in median_between([one / two for one, two in zip(with_it, without, strict=True)])
    )
    return Row(
        what=f"{what} ({len(pairs)} pairs)",
        by=DRIVER,
        measured=spread(with_it, form, unit),
        beside=f"{spread(without, form, unit)}: without a sealer",
        ratio=f"{middle:+.1f}% ({low:+.1f}% to {high:+.1f}% with 95%)",
        before="−1% to −13%" if field == "rate" else "",
        aim="< 2%",
    )
