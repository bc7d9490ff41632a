"""A stream's state at a version, so that a cold start does not read the whole stream. Never history: only a shortcut.

A snapshot is written by whoever has just paid for a long replay, which is off the path of any decision. It is thrown
away when this code does not understand it.
"""

from __future__ import annotations

from sys import intern
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import msgspec
import numpy as np

from services.command.domain import ProjectState
from services.command.domain.state import Account, Booking, Claim, Pool, Resize
from shared.capacity import Capacity
from shared.events import Layout, Limits
from shared.hours import Period
from shared.timeline import Timeline

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

FORMAT = 4
TAIL_MIN = 1000  # a shorter replay is not worth a snapshot
TAIL_SHARE = 0.1


class SavedTimeline(msgspec.Struct, array_like=True, frozen=True):
    base: int
    width: int
    cells: bytes


class SavedPool(msgspec.Struct, array_like=True, frozen=True):
    parent: str | None
    period: Period | None
    size: SavedTimeline
    free: SavedTimeline
    shares: SavedTimeline
    beyond_hours: int | None
    layout: Layout | None
    growth: SavedTimeline | None
    order: int


class SavedAccount(msgspec.Struct, array_like=True, frozen=True):
    limits: Limits
    open: bool
    held: SavedTimeline
    shares: dict[str, SavedTimeline]


SavedGrant = tuple[bytes, str, int, int, Capacity]
SavedBooking = tuple[bytes, str, str, int, int, int, Capacity, int, int, bool]


class Saved(msgspec.Struct, array_like=True, frozen=True):
    """The stored form of a ProjectState, as MessagePack."""

    format: int
    name: str | None
    pools: dict[str, SavedPool]
    grants: list[SavedGrant]
    bookings: list[SavedBooking]
    templates: dict[str, list[Capacity]]
    accounts: dict[str, SavedAccount]
    requests: dict[UUID, Resize]
    series: dict[UUID, int]


class _Format(msgspec.Struct, array_like=True):
    format: int


_encoder, _decoder, _format = (
    msgspec.msgpack.Encoder(),
    msgspec.msgpack.Decoder(Saved),
    msgspec.msgpack.Decoder(_Format),
)


def encode_state(state: ProjectState) -> bytes:
    pools = {
        name: SavedPool(
            pool.parent, pool.period, _saved(pool.size), _saved(pool.free), _saved(pool.shares), pool.beyond_hours,
            pool.layout, None if pool.growth is None else _saved(pool.growth), pool.order,
        )
        for name, pool in state.pools.items()
    }  # fmt: skip
    accounts = {
        name: SavedAccount(
            account.limits, account.open, _saved(account.held),
            {pool: _saved(timeline) for pool, timeline in account.shares.items()},
        )
        for name, account in state.accounts.items()
    }  # fmt: skip
    grants = [(key.bytes, *msgspec.structs.astuple(grant)) for key, grant in state.grants.items()]
    bookings = [(key.bytes, *msgspec.structs.astuple(booking)) for key, booking in state.bookings.items()]
    saved = Saved(
        FORMAT, state.name, pools, grants, bookings, state.templates, accounts, state.requests, dict(state.series)
    )
    return _encoder.encode(saved)


def decode_state(saved: bytes, version: int) -> ProjectState:
    """Raises msgspec.DecodeError on what another version of this code has written."""
    if (written := _format.decode(saved).format) != FORMAT:
        raise msgspec.DecodeError(f"a snapshot of format {written}, not {FORMAT}")
    held = _decoder.decode(saved)
    bookings = {
        UUID(bytes=key): Booking(intern(pool), intern(account), began, start, end, capacity, share, order, tentative)
        for key, pool, account, began, start, end, capacity, share, order, tentative in held.bookings
    }
    return ProjectState(
        version=version,
        name=held.name,
        pools={name: _pool(pool) for name, pool in held.pools.items()},
        grants={UUID(bytes=key): Claim(pool, start, end, amount) for key, pool, start, end, amount in held.grants},
        bookings=bookings,
        templates=held.templates,
        accounts={name: _account(account) for name, account in held.accounts.items()},
        requests=held.requests,
        tentative={key: None for key, booking in bookings.items() if booking.tentative},
        series=held.series,
    )


LOAD = "SELECT version, position, state FROM snapshot WHERE stream = $1"


async def load_snapshot(connection: Connection, stream: str) -> tuple[ProjectState, int]:
    """The state and the position of its last event; an empty state and 0 when what is there is of no use."""
    record = await connection.fetchrow(LOAD, stream)
    if record is None:
        return ProjectState(), 0
    try:
        return decode_state(record["state"], record["version"]), record["position"]
    except (msgspec.DecodeError, ValueError):
        return ProjectState(), 0


SAVE = """
INSERT INTO snapshot (stream, version, position, state) VALUES ($1, $2, $3, $4)
ON CONFLICT (stream) DO UPDATE SET version = excluded.version, position = excluded.position, state = excluded.state
WHERE snapshot.version < excluded.version
"""


async def save_snapshot(connection: Connection, stream: str, state: ProjectState, position: int) -> None:
    await connection.execute(SAVE, stream, state.version, position, encode_state(state))


def worth_saving(replayed: int, version: int) -> bool:
    """Whether so long a replay should be spared the next reader."""
    return replayed >= max(TAIL_MIN, TAIL_SHARE * version)


def size_of(state: ProjectState) -> int:
    """Roughly the bytes that a state holds in memory."""
    cells = sum(
        pool.size.cells.nbytes + pool.free.cells.nbytes + pool.shares.cells.nbytes for pool in state.pools.values()
    )
    held = sum(
        timeline.cells.nbytes
        for account in state.accounts.values()
        for timeline in (account.held, *account.shares.values())
    )
    return cells + held + 1000 * len(state.pools) + 400 * (len(state.grants) + len(state.bookings))


def _saved(timeline: Timeline) -> SavedTimeline:
    return SavedTimeline(timeline.base, timeline.cells.shape[1], timeline.cells.astype("<i8").tobytes())


def _timeline(saved: SavedTimeline) -> Timeline:
    cells = np.frombuffer(saved.cells, dtype="<i8").astype(np.int64).reshape(-1, saved.width)
    return Timeline(saved.base, cells)


def _pool(saved: SavedPool) -> Pool:
    return Pool(
        saved.parent, saved.period, _timeline(saved.size), _timeline(saved.free), _timeline(saved.shares),
        saved.beyond_hours, saved.layout, None if saved.growth is None else _timeline(saved.growth), saved.order,
    )  # fmt: skip


def _account(saved: SavedAccount) -> Account:
    shares = {pool: _timeline(timeline) for pool, timeline in saved.shares.items()}
    return Account(saved.limits, saved.open, _timeline(saved.held), shares)
