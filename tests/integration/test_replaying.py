"""A project without a snapshot is read from the store: in pieces, and again from where it was broken off."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import asyncpg
import msgspec
import pytest

from services.command.domain import CreateBooking, CreateSeries, ProjectState, decide, evolve
from services.command.domain.pruning import prune
from services.command.handler import replaying
from services.command.handler.replaying import Replaying
from shared.event_store import EventStore, Pending
from shared.events import BookingCreated, encode_event
from shared.hours import Period, hour_of
from tests.support import histories
from tests.support.histories import append_history, history
from tests.support.project import T0, Project, cores

PIECE = 60
HISTORY = histories.T0


@pytest.mark.parametrize("floor", [0, HISTORY + 60])
async def test_a_load_that_is_broken_off_again_and_again_makes_the_same_state(
    database_url: str, monkeypatch: pytest.MonkeyPatch, floor: int
) -> None:
    events = history(8, 700, projects=1)
    store = EventStore(await asyncpg.connect(database_url))
    await append_history(store, events)
    monkeypatch.setattr(replaying, "READ_MAX", PIECE)
    monkeypatch.setattr(replaying, "FEW", 0)
    loading, broken_off = Replaying(ProjectState(floor=floor), 0), 0
    while True:
        task = asyncio.create_task(loading.run(store, "project-0"))
        version = loading.state.version
        while not task.done() and loading.state.version == version:
            await asyncio.sleep(0)
        if task.done():
            break
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        broken_off += 1
    task.result()
    assert broken_off > 3
    expected = ProjectState(floor=floor)
    events = [event for event in events if event.project == "project-0"]
    for event in events:
        evolve(expected, event)
    for state in (loading.state, expected):
        prune(state, floor)
    assert loading.state.version == len(events)
    assert dict(loading.state.bookings.items()) == dict(expected.bookings.items())
    hours = (max(floor, HISTORY - 100), hour_of(events[-1].at) + 2000)
    for name, pool in expected.pools.items():
        assert (loading.state.pools[name].free.read(*hours) == pool.free.read(*hours)).all()
    await store.connection.close()


async def test_the_first_event_of_a_booking_is_found_by_its_id_and_that_of_an_occurrence_too(database_url: str) -> None:
    store, made = EventStore(await asyncpg.connect(database_url)), {}
    gaia, pending = Project(), []
    gaia.grant(0, 500, 9)
    first = CreateBooking(booking=uuid4(), pool="gaia", account="ada", period=Period(T0 + 1, T0 + 2), capacity=cores(1))
    periods = tuple(Period(T0 + start, T0 + start + 2) for start in (10, 20, 30))
    for command in (first, CreateSeries(booking=another(first), periods=periods, rrule="FREQ=DAILY", timezone="UTC")):
        key = command.booking if isinstance(command, CreateBooking) else command.booking.booking
        for ordinal, event in enumerate(decide(gaia.state, "gaia", command, gaia.context())):
            pending.append(
                Pending("gaia", len(pending) + 1, key, ordinal, b"", type(event).__name__, encode_event(event))
            )
            if isinstance(event, BookingCreated):
                made[event.booking] = hour_of(event.start)
    await store.append({"gaia": 0}, pending)
    assert replaying.began_of(await store.booked_with([*made])) == made
    assert len(made) == 4
    await store.connection.close()


def another(first: CreateBooking) -> CreateBooking:
    return msgspec.structs.replace(first, booking=uuid4())
