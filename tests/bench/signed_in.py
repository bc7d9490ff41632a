"""Bookings accepted with a token, compared with a ledger where nobody signs in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from shared.identity.roles import Limit
from tests.bench.load import DRIVER, Requests, drive
from tests.bench.setting import PROJECT, Bench, bookings, project, warm
from tests.bench.table import Row, ratios, spread
from tests.support.signed_in import ADMIN, auth_file, with_token
from tests.support.system import Service


async def signed_in_against_open(bench: Bench) -> AsyncIterator[Row]:
    """Two processes on one database, in turns: one is open, and one takes a token with limits, whose maker is a
    manager. Each round begins with the other one."""
    async with project(bench.system):
        token = await with_token(bench.system.postgres.url, Limit("manager", PROJECT), maker=ADMIN)
    proven = bookings().with_header(f"Authorization: {token['Authorization']}")
    auth = auth_file(Path(bench.system.directory))
    with bench.system.command() as nobody, bench.system.command(auth_file=auth) as signed:
        await warm(nobody.port)
        await warm(signed.port, proven)
        turns = {nobody: bookings(), signed: proven}
        rounds = []
        for number in range(bench.runs):
            order = list(turns)[:: 1 if number % 2 else -1]
            rounds.append({service: await turn(service, turns[service], bench.seconds) for service in order})
    for place, what, unit in (
        (0, "bookings accepted with a token, 64 connections", "/s"),
        (1, "bookings with a token that a second of processor time accepts", ""),
    ):
        measured, beside = ([one[which][place] for one in rounds] for which in (signed, nobody))
        yield Row(
            what=what,
            by=DRIVER,
            measured=spread(measured, unit=unit),
            beside=f"{spread(beside, unit=unit)}: where nobody signs in",
            ratio=ratios(measured, beside),
            aim="≥ 0.95",
        )


async def turn(service: Service, requests: Requests, seconds: float) -> tuple[float, float]:
    """Bookings accepted in a second, and in a second of the service's processor time."""
    before = service.processor_s()
    load = await drive(service.port, requests, seconds=seconds)
    return load.rate, load.accepted / (service.processor_s() - before)
