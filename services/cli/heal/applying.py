"""Gives back to the store what it has lost, and begins a term without the stream. Both as the owner of the database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import asyncpg

from services.cli.failure import Failure
from services.cli.heal.comparing import Comparer, Ends
from services.cli.heal.lost import LostEvents
from services.cli.heal.reading import compare_after, read_end, read_known
from shared.event_store import EventStore, Stored
from shared.event_store.terms import Term, begin_term, claimed_event, read_term
from shared.postgres import Connection
from shared.progress_bar import Tell
from shared.stream_messages import MessageReader

TERM_WAIT_S = 15.0
LOOK_S = 0.2

HEAL = "SELECT heal_events($1, $2, $3, $4, $5, $6, $7, $8, $9)"


async def give_back(connection: Connection, reader: MessageReader, ends: Ends, tell: Tell) -> None:
    """Appends the events that the store has lost, a batch in each transaction, and compares them. After a kill, the
    next run goes on where this one ended. Raises Failure."""
    lost = LostEvents(await read_end(connection))
    async for messages in reader.between(ends.store, ends.stream):
        events = lost.take(messages, await read_known(connection, messages))
        if lost.problems:
            raise Failure(f"stopped after position {lost.position - len(messages)}: {lost.problems[0]}")
        await _append(connection, events)
        tell("given back", lost.position, ends.stream)
    comparer = Comparer(ends)
    await compare_after(connection, reader, comparer, ends.store, ends.stream, lambda _: None)
    if (compared := comparer.compared()).same != ends.stream or compared.changed:
        raise Failure(
            "what was given back is not the same as the stream: run `hourbook heal` again and keep its output"
        )


async def _append(connection: Connection, events: Sequence[Stored]) -> None:
    columns = (
        [event.stream for event in events],
        [event.version for event in events],
        [event.command_id for event in events],
        [event.ordinal for event in events],
        [event.request_id for event in events],
        [event.request_hash for event in events],
        [event.type for event in events],
        [event.data for event in events],
    )
    after = events[0].position - 1
    try:
        appended = await connection.fetchval(HEAL, after, *columns)
    except asyncpg.InsufficientPrivilegeError:
        raise Failure(
            "this role of PostgreSQL may not give events back: set HOURBOOK_DATABASE_URL to the role with which "
            "`hourbook migrate` runs"
        ) from None
    if not appended:
        raise Failure(f"the store does not end at {after} any more: somebody appends to it. Run `hourbook heal` again")


async def begin_alone(connection: Connection) -> int | None:
    """Begins the term of this primary without asking the stream. Returns its position; None if it has begun already.
    Raises Failure."""
    term = await read_term(connection)
    if term.begun:
        return None
    stored = await claimed_event(connection, term, await EventStore(connection).head())
    if not await begin_term(connection, stored):
        raise Failure("somebody else is about to begin the term: run `hourbook heal` again")
    return stored.position


async def until_begun(connection: Connection) -> Term:
    """Waits TERM_WAIT_S at most until a command service has begun the term. Returns the last reading."""
    deadline = time.monotonic() + TERM_WAIT_S
    while not (term := await read_term(connection)).begun and time.monotonic() < deadline:
        await asyncio.sleep(LOOK_S)
    return term
