"""The table of Blazar's leases that were allowed and have not ended: every SQL statement on it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec

from services.command.connections import Connections
from services.command.domain import LeaseAmount, LeaseUse
from services.command.settings import BlazarPolicy
from shared.hours import Period, hour_of, instant_of, next_hour
from shared.postgres import Connection

LOCK = "LOCK TABLE blazar_lease IN SHARE ROW EXCLUSIVE MODE"
FORGET = "DELETE FROM blazar_lease WHERE pool = $1 AND ends < now() - interval '30 days'"


class Lease(NamedTuple):
    """A lease as Blazar tells it. `id` is None while Blazar has given it none. Its instants have a time zone."""

    openstack_project: str
    id: str | None
    name: str
    starts: datetime
    ends: datetime
    amount: LeaseAmount

    def period(self) -> Period:
        """The hours that it touches."""
        return hours_around(self.starts, self.ends)


class Known(NamedTuple):
    """A row: its id, and what a call has booked for the lease."""

    row: UUID
    booking: UUID | None


class Leases:
    """`policy`: a lease must be booked already, or the call may book it. `issuers` are the names of the Keystones that
    are trusted; empty: any."""

    def __init__(self, database_url: str, policy: BlazarPolicy, issuers: tuple[str, ...]) -> None:
        self.books, self.issuers = policy == "book", issuers
        self._connections = Connections(database_url)

    @contextlib.asynccontextmanager
    async def one_at_a_time(self, pool: str) -> AsyncIterator[LeaseRows]:
        """The rows of a pool. No other call about leases is answered until the block ends: two of them would both find
        the same booking unused. Raises StoreUnavailable."""
        async with self._connections.one() as connection, connection.transaction():
            await connection.execute(LOCK)
            await connection.execute(FORGET, pool)
            yield LeaseRows(connection, pool)


BY_ID = "SELECT id, booking FROM blazar_lease WHERE pool = $1 AND lease = $2"
# Blazar asks before a lease has its id. Of leases that are alike it does not matter which one is taken.
ALIKE = """
SELECT id, booking FROM blazar_lease
WHERE pool = $1 AND openstack_project = $2 AND lease IS NULL AND starts = $3 AND ends = $4
    AND (amount = $5 OR name = $6)
ORDER BY amount = $5 DESC, name = $6 DESC LIMIT 1
"""
OTHERS = """
SELECT openstack_project, starts, ends, amount, booking FROM blazar_lease
WHERE pool = $1 AND id IS DISTINCT FROM $2 AND starts < $4 AND ends > $3
"""
ADD = """
INSERT INTO blazar_lease (pool, openstack_project, lease, name, starts, ends, amount, booking)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
CHANGE = """
UPDATE blazar_lease SET lease = coalesce($2, lease), name = $3, starts = $4, ends = $5, amount = $6, booking = $7
WHERE id = $1
"""
REMOVE = "DELETE FROM blazar_lease WHERE id = $1"


class LeaseRows:
    """The rows of one pool, in a transaction that has the lock."""

    def __init__(self, connection: Connection, pool: str) -> None:
        self._connection, self._pool = connection, pool

    async def by_id(self, lease: Lease) -> Known | None:
        """The row with Blazar's id of the lease."""
        if lease.id is None:
            return None
        found = await self._connection.fetchrow(BY_ID, self._pool, lease.id)
        return None if found is None else Known(*found)

    async def find(self, lease: Lease) -> Known | None:
        """The row of the lease: by its id, or one without an id that is like it."""
        if (known := await self.by_id(lease)) is not None:
            return known
        alike = (lease.openstack_project, lease.starts, lease.ends, _text(lease.amount), lease.name)
        found = await self._connection.fetchrow(ALIKE, self._pool, *alike)
        return None if found is None else Known(*found)

    async def others(self, known: Known | None, lease: Lease) -> Sequence[LeaseUse]:
        """All leases but `known` that touch an hour of `lease`."""
        first, last = map(instant_of, lease.period())
        row = None if known is None else known.row
        found = await self._connection.fetch(OTHERS, self._pool, row, first, last)
        return [
            LeaseUse(
                openstack_project=one["openstack_project"],
                period=hours_around(one["starts"], one["ends"]),
                amount=msgspec.json.decode(one["amount"], type=LeaseAmount),
                booking=one["booking"],
            )
            for one in found
        ]

    async def put(self, known: Known | None, lease: Lease, booking: UUID | None) -> None:
        """Keeps the lease, in the place of the row `known`."""
        values = (lease.id, lease.name, lease.starts, lease.ends, _text(lease.amount), booking)
        if known is None:
            await self._connection.execute(ADD, self._pool, lease.openstack_project, *values)
        else:
            await self._connection.execute(CHANGE, known.row, *values)

    async def remove(self, known: Known) -> None:
        await self._connection.execute(REMOVE, known.row)


def hours_around(starts: datetime, ends: datetime) -> Period:
    """The hours that have an instant between the two."""
    return Period(hour_of(starts), next_hour(ends))


def _text(amount: LeaseAmount) -> str:
    return msgspec.json.encode(amount).decode()
