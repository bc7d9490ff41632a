"""Snapshots: a project's state at a version, so that a start does not read the whole stream. They are not history.

The process that has just made a long replay writes one, in another thread, while decisions go on. A snapshot that this
code does not understand is not used.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterator, Mapping
from itertools import islice
from sys import intern
from typing import TypeVar
from uuid import UUID

import msgspec
import numpy as np

from services.command.domain import ProjectState
from services.command.domain.state import Account, Booking, Grant, Pool, Resize, ResizeOutcome
from shared import postgres
from shared.capacity import Capacity
from shared.events import Layout, Limits
from shared.hours import Period
from shared.postgres import Connection
from shared.timeline import Timeline

FORMAT = b"hourbook snapshot 8\n"  # older formats were an array that began with its number
LENGTH = struct.Struct(">I")
CLAIMS_PER_PIECE = 2000  # packing a piece keeps the GIL, so the writer waits for it
TAIL_MIN = 1000  # a shorter replay is not worth a snapshot
TAIL_SHARE = 0.1


class SavedTimeline(msgspec.Struct, array_like=True, frozen=True):
    """`starts` and `rows` are the `runs()` of a timeline."""

    base: int
    end: int
    width: int
    starts: bytes
    rows: bytes


class SavedHead(msgspec.Struct, array_like=True, frozen=True, tag=True):
    name: str | None
    templates: dict[str, list[Capacity]]
    requests: dict[UUID, Resize]
    resize_outcomes: dict[UUID, ResizeOutcome]
    series: dict[UUID, int]
    cluster_hours: int
    bindings: dict[str, dict[str, frozenset[str]]]
    members: dict[str, frozenset[str]]


class SavedPool(msgspec.Struct, array_like=True, frozen=True, tag=True):
    pool: str
    parent: str | None
    period: Period | None
    size: SavedTimeline
    free: SavedTimeline
    shares: SavedTimeline
    beyond_hours: int | None
    layout: Layout | None
    growth: SavedTimeline | None
    order: int
    born: int


class SavedAccount(msgspec.Struct, array_like=True, frozen=True, tag=True):
    account: str
    limits: Limits
    open: bool
    held: SavedTimeline
    shares: dict[str, SavedTimeline]


class SavedGrants(msgspec.Struct, array_like=True, frozen=True, tag=True):
    grants: list[tuple[bytes, str, int, int, Capacity, bool]]


class SavedBookings(msgspec.Struct, array_like=True, frozen=True, tag=True):
    bookings: list[tuple[bytes, str, str, int, int, int, Capacity, int, int, bool, bool]]


Saved = SavedHead | SavedPool | SavedAccount | SavedGrants | SavedBookings
_encoder, _decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(Saved)


def encode_state(state: ProjectState) -> bytes:
    """The stored form of a state: pieces of MessagePack, each after its length."""
    encoded = map(_encoder.encode, _pieces(state))
    return FORMAT + b"".join(part for piece in encoded for part in (LENGTH.pack(len(piece)), piece))


def _pieces(state: ProjectState) -> Iterator[Saved]:
    yield SavedHead(
        state.name,
        state.templates,
        state.requests,
        dict(state.resize_outcomes),
        dict(state.series),
        state.cluster_hours,
        state.bindings,
        state.members,
    )
    for name, pool in state.pools.items():
        yield SavedPool(
            name,
            pool.parent,
            pool.period,
            _saved(pool.size),
            _saved(pool.free),
            _saved(pool.shares),
            pool.beyond_hours,
            pool.layout,
            None if pool.growth is None else _saved(pool.growth),
            pool.order,
            pool.born,
        )
    for name, account in state.accounts.items():
        shares = {pool_id: _saved(timeline) for pool_id, timeline in account.shares.items()}
        yield SavedAccount(name, account.limits, account.open, _saved(account.held), shares)
    for grants in _in_pieces(state.grants):
        yield SavedGrants([(key.bytes, *msgspec.structs.astuple(grant)) for key, grant in grants])
    for bookings in _in_pieces(state.bookings):
        yield SavedBookings([(key.bytes, *msgspec.structs.astuple(booking)) for key, booking in bookings])


def decode_state(saved: bytes, version: int) -> ProjectState:
    """Raises msgspec.DecodeError for a snapshot of another version of this code."""
    if not saved.startswith(FORMAT):
        raise msgspec.DecodeError("a snapshot of another format")
    state = ProjectState(version=version)
    place = len(FORMAT)
    while place < len(saved):
        (length,) = LENGTH.unpack_from(saved, place)
        place += LENGTH.size + length
        _restore(state, _decoder.decode(memoryview(saved)[place - length : place]))
    holders: list[Pool | Account] = [*state.pools.values(), *state.accounts.values()]
    state.timeline_bytes = sum(timeline.held for holder in holders for timeline in holder.timelines())
    state.tentative = {key: None for key, booking in state.bookings.items() if booking.tentative}
    state.names = {booking.account for booking in state.bookings.values()} | state.accounts.keys()
    state.overcommits = any(pool.beyond_hours is not None for pool in state.pools.values())
    return state


def _restore(state: ProjectState, piece: Saved) -> None:
    match piece:
        case SavedHead():
            state.name, state.templates = piece.name, piece.templates
            state.requests, state.resize_outcomes, state.series = piece.requests, piece.resize_outcomes, piece.series
            state.cluster_hours, state.bindings, state.members = piece.cluster_hours, piece.bindings, piece.members
        case SavedPool():
            growth = None if piece.growth is None else _timeline(piece.growth)
            state.pools[piece.pool] = Pool(
                piece.parent,
                piece.period,
                _timeline(piece.size),
                _timeline(piece.free),
                _timeline(piece.shares),
                piece.beyond_hours,
                piece.layout,
                growth,
                piece.order,
                piece.born,
            )
        case SavedAccount():
            shares = {pool: _timeline(timeline) for pool, timeline in piece.shares.items()}
            state.accounts[piece.account] = Account(piece.limits, piece.open, _timeline(piece.held), shares)
        case SavedGrants():
            for key, pool, start, end, amount, gone in piece.grants:
                state.grants[UUID(bytes=key)] = Grant(pool, start, end, amount, gone)
        case SavedBookings():
            for key, pool, account, began, start, end, capacity, share, order, tentative, gone in piece.bookings:
                state.bookings[UUID(bytes=key)] = Booking(
                    intern(pool), intern(account), began, start, end, capacity, share, order, tentative, gone
                )


LOAD = "SELECT version, position, state FROM snapshot WHERE stream = $1"


async def load_snapshot(connection: Connection, stream: str) -> tuple[ProjectState, int]:
    """The state and the position of its last event; an empty state and 0 if there is no snapshot that can be used."""
    record = await connection.fetchrow(LOAD, stream)
    if record is None:
        return ProjectState(), 0
    try:
        return await asyncio.to_thread(decode_state, record["state"], record["version"]), record["position"]
    except (msgspec.DecodeError, ValueError, struct.error):
        return ProjectState(), 0


SAVE = """
INSERT INTO snapshot (stream, version, position, state) VALUES ($1, $2, $3, $4)
ON CONFLICT (stream) DO UPDATE SET version = excluded.version, position = excluded.position, state = excluded.state
WHERE snapshot.version <= excluded.version
"""


async def save_snapshot(database_url: str, stream: str, frozen: ProjectState, position: int) -> None:
    """Saves a frozen state, on a connection of its own: a large one takes long."""
    encoded = await asyncio.to_thread(encode_state, frozen)
    connection = await postgres.connect(database_url)
    try:
        await connection.execute(SAVE, stream, frozen.version, position, encoded)
    finally:
        connection.terminate()


def worth_saving(replayed: int, version: int) -> bool:
    """Whether a replay of `replayed` events was so long that the next process should be spared it."""
    return replayed >= max(TAIL_MIN, TAIL_SHARE * version)


Key = TypeVar("Key")
Value = TypeVar("Value")


def _in_pieces(items: Mapping[Key, Value]) -> Iterator[list[tuple[Key, Value]]]:
    rest = iter(items.items())
    while piece := [*islice(rest, CLAIMS_PER_PIECE)]:
        yield piece


def _saved(timeline: Timeline) -> SavedTimeline:
    starts, rows = timeline.runs()
    return SavedTimeline(
        timeline.base, timeline.end, timeline.width, starts.astype("<i8").tobytes(), rows.astype("<i8").tobytes()
    )


def _timeline(saved: SavedTimeline) -> Timeline:
    starts = np.frombuffer(saved.starts, dtype="<i8").astype(np.int64)
    rows = np.frombuffer(saved.rows, dtype="<i8").astype(np.int64).reshape(-1, saved.width)
    timeline = Timeline(width=saved.width)
    timeline.write_runs(starts, rows[:-1])
    timeline.base, timeline.end = saved.base, saved.end
    return timeline
