"""A project whose load takes long is loaded beside the writer: only its own commands wait."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from services.command.domain import CreateBooking, CreateProject
from services.command.domain.commands import Command, Context
from services.command.handler import replaying
from services.command.handler.errors import StoreUnavailable
from services.command.handler.handler import CommandHandler
from services.command.handler.lookup import ProjectLookup
from services.command.handler.states import Loading, States
from shared.capacity import Capacity
from shared.event_store import EventStore
from shared.hours import Period
from shared.identity.principals import trusted
from shared.postgres import Connection
from tests.bench.history import T0, History
from tests.support.backends import as_role, connected
from tests.support.handling import handling
from tests.support.project import frozen
from tests.support.waiting import until

BOOKINGS = 300


class SlowLookup(ProjectLookup):
    """Loses its connection at first, and then loads when it is told to."""

    def __init__(self, database_url: str) -> None:
        super().__init__(database_url, 60.0)
        self.may, self.asked = asyncio.Event(), 0

    async def load_on(self, project: str, loading: Loading) -> None:
        self.asked += 1
        if self.asked == 1:
            raise StoreUnavailable("the connection is lost")
        await self.may.wait()
        await super().load_on(project, loading)


def booked() -> CreateBooking:
    return CreateBooking(
        booking=uuid4(), pool="gaia", account="ada", period=Period(T0, T0 + 2), capacity=Capacity(cores=1)
    )


async def long_and_slow(connection: Connection, handler: CommandHandler, database_url: str) -> SlowLookup:
    """Gives the project gaia a history that takes long to load; and the handler a lookup that waits."""
    grown = History(connection, "gaia")
    await grown.begin()
    await grown.grow(BOOKINGS)
    lookup = handler._aside.first_loads._lookup = SlowLookup(as_role(database_url, "command"))
    return lookup


async def send(handler: CommandHandler, project: str, command: Command) -> Any:
    key = command.booking if isinstance(command, CreateBooking) else uuid4()
    context = Context(command=key, principal=trusted("ada"), at=datetime.now(UTC))
    return await handler.submit(project, command, context)


async def test_others_go_on_while_a_project_is_loaded_and_its_commands_keep_their_order(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaying, "READ_MAX", 60)
    monkeypatch.setattr(replaying, "FEW", 0)
    async with connected(database_url) as connection, handling(database_url, patience_s=1.0) as handler:
        lookup = await long_and_slow(connection, handler, database_url)
        with pytest.raises(StoreUnavailable, match="still being read"):
            await send(handler, "gaia", booked())
        waiting = [asyncio.create_task(send(handler, "gaia", booked())) for _ in range(20)]
        await send(handler, "ska", CreateProject(project="ska", name="SKA"))
        assert not any(task.done() for task in waiting)
        assert "gaia" not in handler.remembered
        lookup.may.set()
        results = await asyncio.gather(*waiting, send(handler, "gaia", booked()))
        assert [result.version for result in results] == [BOOKINGS + 3 + number for number in range(21)]
        assert lookup.asked == 2
        states = States(1 << 30)
        await states.load(EventStore(connection), "gaia")
        assert frozen(states["gaia"]) == frozen(handler._states["gaia"])
        assert len(states["gaia"].bookings) == BOOKINGS + 21


async def test_what_was_read_of_a_store_of_another_term_is_forgotten(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaying, "READ_MAX", 60)
    monkeypatch.setattr(replaying, "FEW", 0)
    async with connected(database_url) as connection, handling(database_url, patience_s=60.0) as handler:
        lookup = await long_and_slow(connection, handler, database_url)
        waiting = asyncio.create_task(send(handler, "gaia", booked()))
        await until(lambda: lookup.asked == 2)
        handler._term = uuid4()
        await send(handler, "ska", CreateProject(project="ska", name="SKA"))
        await until(lambda: lookup.asked == 3)  # it is loaded anew
        assert not waiting.done()
        lookup.may.set()
        assert (await waiting).version == BOOKINGS + 3
