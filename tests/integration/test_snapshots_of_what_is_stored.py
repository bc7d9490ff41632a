"""A snapshot has what the store has, no more and no less; and one that lacks what is needed is not used."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from services.command.domain import CreateBooking, CreateGrant, CreateProject, ProjectState, copies, decide, evolve
from services.command.domain.commands import CancelBooking, Command, Context, CreateAccount
from services.command.domain.copies import freeze
from services.command.domain.pruning import prune
from services.command.handler.snapshot_writer import SnapshotWriter
from services.command.handler.snapshots import block_maker, decode_state, encode_state, load_snapshot, save_snapshot
from services.command.handler.states import States
from shared.capacity import Capacity
from shared.event_store import EventStore, Pending
from shared.events import Event, Limits, encode_event
from shared.hours import Period, hour_of
from shared.identity.principals import trusted
from tests.bench.history import T0, History
from tests.support.backends import as_role, connected

ADA = trusted("ada")
NOW = hour_of(datetime.now(UTC))


def booking(start: int, hours: int = 2) -> CreateBooking:
    return CreateBooking(
        booking=uuid4(), pool="gaia", account="ada", period=Period(start, start + hours), capacity=Capacity(cores=1)
    )


def decided(state: ProjectState, command: Command) -> list[Event]:
    events = decide(state, "gaia", command, Context(command=uuid4(), principal=ADA, at=datetime.now(UTC)))
    for event in events:
        evolve(state, event)
    return events


async def saved(connection: Any) -> int:
    return await connection.fetchval("SELECT max(version) FROM snapshot") or 0


async def test_a_snapshot_has_the_events_that_are_stored_and_pools_in_their_order(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "AT_ONCE", 3)  # it is frozen in turns
    async with connected(database_url) as connection:
        grown = History(connection, "gaia", clusters=9)
        await grown.begin()
        states, store = States(1 << 30), EventStore(connection)
        writer = SnapshotWriter(as_role(database_url, "command"))
        for term in (uuid4(), None, None):
            await grown.grow(1100)
            await states.load(store, "gaia")
            before, stored = await saved(connection), states["gaia"].version
            writer.want("gaia")
            await writer.begin(states, term=term)
            decided(states["gaia"], booking(T0 + 5))  # a batch that is being appended, and is refused then
            prune(states["gaia"], states["gaia"].floor)  # other blocks, as a replay of many events makes
            assert writer._saving is not None
            await writer._saving
            states.drop(["gaia"])
            assert await saved(connection) == (stored if term is None else before), term
            if term is None:
                names = ["gaia", *(f"gaia.c{number}" for number in range(9))]
                assert list((await load_snapshot(connection, "gaia")).state.pools) == names


async def test_a_snapshot_that_lacks_what_a_later_event_changes_is_not_used(database_url: str) -> None:
    """A clock that was ahead made it forget a booking that was not over."""
    async with connected(database_url) as connection:
        grown, store = History(connection, "gaia"), EventStore(connection)
        await grown.begin(NOW - 1000, NOW + 9000)
        await grown.grow(50, NOW + 10)
        states = States(1 << 30)
        await states.load(store, "gaia")
        whole = states["gaia"]
        some = next(iter(whole.bookings))
        ahead = freeze(whole)
        prune(ahead, NOW + 5000)
        assert some not in ahead.bookings
        snapshot, make = encode_state(ahead), block_maker(())
        assert await save_snapshot(connection, "gaia", snapshot, ahead.version, 9, make)
        events = decided(whole, CancelBooking(booking=some))
        await store.append({"gaia": ahead.version}, [_pending(whole.version, event) for event in events])
        states = States(1 << 30)
        loaded = await states.load(store, "gaia")
        assert (loaded.changed, loaded.cold) == (True, True)
        found = states["gaia"]
        assert (found.version, len(found.bookings)) == (whole.version, len(whole.bookings) - 1)
        assert (found.pools["gaia"].free.read(NOW, NOW + 9000) == whole.pools["gaia"].free.read(NOW, NOW + 9000)).all()


def _pending(version: int, event: Event) -> Pending:
    return Pending("gaia", version, event.command, 0, b"", type(event).__name__, encode_event(event))


def test_a_snapshot_keeps_the_past_of_an_account_that_was_listed_later() -> None:
    """Its past counts for limits when somebody records the past; not for the bounds."""
    state, long_ago = ProjectState(), NOW - 5000
    decided(state, CreateProject(project="gaia", name="Gaia"))
    decided(state, CreateGrant(grant=uuid4(), period=Period(long_ago, NOW + 500), capacity=Capacity(cores=9)))
    for start in (long_ago, long_ago + 400, NOW + 50):
        decided(state, booking(start))
    decided(state, CreateAccount(account="ada", name="Ada", limits=Limits(capacity={"cores": 1})))
    again = decode_state(encode_state(freeze(state)), state.version)
    whole, held = state.accounts["ada"].held, again.accounts["ada"].held
    assert whole.read(long_ago, NOW + 500).sum() == 6
    assert (whole.read(long_ago, NOW + 500) == held.read(long_ago, NOW + 500)).all()
    prune(again, long_ago + 300)
    assert again.accounts["ada"].held.read(long_ago, NOW + 500).sum() == 4
