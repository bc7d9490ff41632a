"""Measure 9: bookings accepted with a token, compared with a ledger where nobody signs in."""

from __future__ import annotations

import statistics
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncpg

from shared.identity.roles import Limit
from tests.bench.history import History
from tests.bench.load import drive
from tests.bench.measures import PROJECT, Row, bookings, warm
from tests.support.signed_in import ADMIN, auth_file, with_token
from tests.support.system import Service, System

ROUNDS = 6


async def signed_in_against_open(system: System, _: int, seconds: float) -> AsyncIterator[Row]:
    """Two processes on one database, in turns: one is open, and one takes a token with limits, whose maker is a
    manager. Each round begins with the other one."""
    connection = await asyncpg.connect(system.postgres.url)
    await History(connection, PROJECT).begin()
    await connection.close()
    token = await with_token(system.postgres.url, Limit("manager", PROJECT), maker=ADMIN)
    proven = with_headers(bookings(), f"Authorization: {token['Authorization']}")
    directory = Path(system.directory)
    with system.command() as nobody, system.command(auth_file=auth_file(directory)) as signed:
        await warm(nobody.port)
        await drive(signed.port, proven, connections=1, seconds=0.5)
        turns = {nobody: bookings(), signed: proven}
        rounds = []
        for number in range(ROUNDS):
            order = list(turns)[:: 1 if number % 2 else -1]
            rounds.append({service: await turn(service, turns[service], seconds / 2) for service in order})
    for place, what, unit in (
        (0, "bookings accepted with a token, 64 connections", "{:,.0f}/s"),
        (1, "bookings with a token that a second of processor time accepts", "{:,.0f}"),
    ):
        measured, beside = (statistics.median(one[which][place] for one in rounds) for which in (signed, nobody))
        ratio = f"{statistics.median(one[signed][place] / one[nobody][place] for one in rounds):.2f}"
        yield Row(what, unit.format(measured), f"{unit.format(beside)}: where nobody signs in", ratio, "≥ 0.95")


async def turn(service: Service, request: Callable[[], bytes], seconds: float) -> tuple[float, float]:
    """Bookings accepted in a second, and in a second of the service's processor time."""
    before = service.processor_s()
    load = await drive(service.port, request, seconds=seconds)
    return load.rate, load.rate * load.seconds / (service.processor_s() - before)


def with_headers(next_request: Callable[[], bytes], *headers: str) -> Callable[[], bytes]:
    """The same requests with more headers."""
    more = "".join(f"{header}\r\n" for header in headers).encode()

    def request() -> bytes:
        head, _, rest = next_request().partition(b"\r\n")
        return b"%b\r\n%b%b" % (head, more, rest)

    return request
