"""Reading a range of positions: every event of it, or EventsMissing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from shared.postgres import Connection

BATCH_MAX = 20_000


class EventsMissing(LookupError):
    """The store does not hold every event of a range. This cannot happen while the store is whole."""


DATA = "SELECT data FROM event WHERE position > $1 AND position <= $2 ORDER BY position"


async def read_events(connection: Connection, after: int, end: int) -> list[bytes]:
    """The stored bytes of the events after position `after` up to `end`, in order. Raises EventsMissing."""
    stored = [record[0] for record in await connection.fetch(DATA, after, end)]
    check_whole(len(stored), after, end)
    return stored


JOINED = """
SELECT string_agg(data, ','::bytea ORDER BY position), count(*) FROM event WHERE position > $1 AND position <= $2
"""


async def read_joined(connection: Connection, after: int, end: int, size: int) -> list[tuple[bytes, int]]:
    """The same bytes in pieces of `size` events: (the events with commas between them, their number). Takes half the
    time of `read_events`. Raises EventsMissing."""
    pieces = []
    for start in range(after, end, size):
        last = min(end, start + size)
        record = await connection.fetchrow(JOINED, start, last)
        assert record is not None
        check_whole(record[1], start, last)
        pieces.append((record[0], record[1]))
    return pieces


async def stream_columns(
    connection: Connection, names: Sequence[str], end: int, batch_max: int = BATCH_MAX
) -> AsyncIterator[list[list[Any]]]:
    """The columns `names` of all events up to position `end`, in order: a list a column, `batch_max` events at a time.
    Raises EventsMissing. Arrays are read a fifth faster than rows; PostgreSQL makes none of more than 1 GiB."""
    arrays = ", ".join(f"array_agg({name} ORDER BY position)" for name in names)
    statement = f"SELECT {arrays} FROM event WHERE position > $1 AND position <= $2"
    for after in range(0, end, batch_max):
        last = min(end, after + batch_max)
        record = await connection.fetchrow(statement, after, last)
        assert record is not None
        columns = [column or [] for column in record]
        check_whole(len(columns[0]), after, last)
        yield columns


def check_whole(count: int, after: int, end: int) -> None:
    """Raises EventsMissing unless `count` is the number of positions after `after` up to `end`."""
    if count != end - after:
        raise EventsMissing(f"of the events {after + 1} to {end} only {count} are there")
