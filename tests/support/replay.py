"""What must hold after anything whatsoever: each acknowledged command is there once, and every table is a replay."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from uuid import UUID

import asyncpg
import nats

from services.projector.rebuild.rebuild import rebuild
from shared import postgres
from shared.event_store import EventStore
from shared.events import decode_event
from shared.jetstream import STREAM
from tests.support.backends import as_role
from tests.support.oracle import bound, bound_rows, oracle, table
from tests.support.system import System

BOUND_S = 60.0


async def assert_all_is_there_once(system: System, acknowledged: Iterable[str]) -> None:
    """`acknowledged` are the ids of all bookings."""
    connection = await postgres.connect(system.postgres.url)
    store = EventStore(connection)
    head = await store.head()
    await level(connection, head)
    stored = await store.after(0, head)
    events = [decode_event(event.data) for event in stored]
    booked = [event.command_id for event in stored if event.type == "BookingCreated"]
    assert len(booked) == len(set(booked))
    assert sorted(map(UUID, acknowledged)) == sorted(booked)
    assert await table(connection) == await oracle(connection, events)
    assert await bound_rows(connection) == bound(events)
    client = await nats.connect(system.nats.url)
    async with asyncio.timeout(BOUND_S):
        while (state := (await client.jetstream().stream_info(STREAM)).state).last_seq < head:
            await asyncio.sleep(0.05)
    assert (state.messages, state.last_seq) == (head, head)
    for position in (1, head // 2, head):
        assert (await client.jetstream().get_msg(STREAM, position)).data == stored[position - 1].data
    await client.close()
    assert (await rebuild(as_role(system.postgres.url, "projector"))).differences == []
    await connection.close()


async def level(connection: asyncpg.Connection[asyncpg.Record], head: int) -> None:
    async with asyncio.timeout(BOUND_S):
        while await connection.fetchval("SELECT position FROM generation WHERE live") < head:
            await asyncio.sleep(0.02)
