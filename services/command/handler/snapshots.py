"""Snapshots: a project's state at a version, so that a start does not read the whole stream. They are not history.

A snapshot is a list of pieces: the head, what each pool and account holds, and blocks of bookings. A piece never
changes, and its id is made of its bytes. So the next snapshot writes only the pieces that are new. A snapshot that this
code does not understand, or that lacks a piece, is not used.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from sys import intern
from typing import NamedTuple
from uuid import UUID

import msgspec
import numpy as np

from services.command.domain import ProjectState
from services.command.domain.blocks import COLUMNS, Block
from services.command.domain.booking_table import BookingTable, with_loose
from services.command.domain.state import Account, Grant, Pool, Resize, ResizeOutcome
from shared.capacity import Capacity
from shared.events import Layout, Limits
from shared.hours import Period
from shared.postgres import Connection
from shared.timeline import Timeline

FORMAT = b"hourbook snapshot 9\n"  # the last format in one row was 8
ID_BYTES = 16
CHANGED = b""

Ids = dict[str, bytes]  # the pieces of pools or accounts, by their names


class SavedTimeline(msgspec.Struct, array_like=True, frozen=True):
    """`starts` and `rows` are the `runs()` of a timeline."""

    base: int
    end: int
    width: int
    starts: bytes
    rows: bytes


class SavedHead(msgspec.Struct, array_like=True, frozen=True, tag=True):
    """`bookings`: how many ids the blocks have."""

    floor: int
    name: str | None
    templates: dict[str, list[Capacity]]
    requests: dict[UUID, Resize]
    resize_outcomes: dict[UUID, ResizeOutcome]
    series: dict[UUID, int]
    names: set[str]
    cluster_hours: int
    bindings: dict[str, dict[str, frozenset[str]]]
    members: dict[str, frozenset[str]]
    grants: list[tuple[bytes, tuple[str, int, int, Capacity, bool]]]
    bookings: int


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


class SavedBlock(msgspec.Struct, array_like=True, frozen=True, tag=True):
    """`ids` are the first two columns: nothing makes them smaller. `columns` are the others, each compressed."""

    ids: list[bytes]
    columns: list[bytes]
    pools: list[str]
    accounts: list[str]
    capacities: list[Capacity]


class Manifest(msgspec.Struct, array_like=True, frozen=True):
    """The ids of the pieces; of the blocks, the newest first. The pools are in the order of their creation: decisions
    look at parents before children."""

    head: bytes
    pools: Ids
    accounts: Ids
    blocks: list[bytes]

    def ids(self) -> set[bytes]:
        return {self.head, *self.pools.values(), *self.accounts.values(), *self.blocks}


class Snapshot(NamedTuple):
    """A list of pieces, as it is stored, and the bytes of those that may be new."""

    manifest: bytes
    pieces: Mapping[bytes, bytes]


class Mark(msgspec.Struct):
    """What is stored of a project's state: at which version, and the pieces of pools and accounts. CHANGED stands for
    the piece of one that has changed since, and keeps its place. `foreign`: another process stored it."""

    version: int = 0
    pools: Ids = {}
    accounts: Ids = {}
    foreign: bool = False

    def changed(self, names: Iterable[str]) -> None:
        """These pools and accounts have changed since they were stored."""
        for name in names:
            for pieces in (self.pools, self.accounts):
                if name in pieces:
                    pieces[name] = CHANGED


Saved = SavedHead | SavedPool | SavedAccount | SavedBlock
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Saved] = msgspec.msgpack.Decoder(Saved)
_manifests = msgspec.msgpack.Decoder(Manifest)


def encode_state(state: ProjectState, mark: Mark | None = None) -> Snapshot:
    """The stored form of a state. With `mark`, the state has only the pools and accounts that `mark` does not have, and
    blocks that were encoded before are not encoded again."""
    pools, accounts = ({}, {}) if mark is None else (mark.pools, mark.accounts)
    pieces: dict[bytes, bytes] = {}

    def put(piece: Saved) -> bytes:
        data = _encoder.encode(piece)
        key = blake2b(data, digest_size=ID_BYTES).digest()
        pieces[key] = data if isinstance(piece, SavedBlock) else zlib.compress(data, 1)
        return key

    pools = pools | {name: put(_saved_pool(name, pool)) for name, pool in state.pools.items()}
    accounts = accounts | {name: put(_saved_account(name, account)) for name, account in state.accounts.items()}
    blocks = []
    for block in with_loose(state.bookings):
        if block.piece is None or mark is None:
            block.piece = put(_saved_block(block))
        blocks.append(block.piece)
    manifest = Manifest(put(_head(state)), pools, accounts, blocks)
    return Snapshot(FORMAT + _encoder.encode(manifest), pieces)


def decode_state(saved: Snapshot, version: int) -> ProjectState:
    """Raises msgspec.DecodeError for a snapshot of another version of this code, and KeyError if a piece is missing."""
    manifest = read_manifest(saved.manifest)

    def get(key: bytes) -> Saved:
        return _decoder.decode(zlib.decompress(saved.pieces[key]))

    head = get(manifest.head)
    if not isinstance(head, SavedHead):
        raise msgspec.DecodeError("the head of a snapshot is something else")
    state = _with_head(head, version)
    for key in (*manifest.pools.values(), *manifest.accounts.values()):
        _restore(state, get(key))
    blocks = []
    for key in manifest.blocks:
        blocks.append(_block(_decoder.decode(saved.pieces[key])))
        blocks[-1].piece = key
    state.bookings = BookingTable(None, tuple(blocks), head.bookings)
    for found in state.bookings.blocks(lambda block: block.tentative()):
        state.tentative |= {key: None for key, one in found.items()}
    holders: list[Pool | Account] = [*state.pools.values(), *state.accounts.values()]
    for timeline in (one for holder in holders for one in holder.timelines()):
        timeline.drop_before(state.floor)
        state.timeline_bytes += timeline.held
    state.account_hours = sum(account.hours() for account in state.accounts.values())
    state.overcommits = any(pool.beyond_hours is not None for pool in state.pools.values())
    return state


def read_manifest(saved: bytes) -> Manifest:
    """Raises msgspec.DecodeError for one of another format."""
    if not saved.startswith(FORMAT):
        raise msgspec.DecodeError("a snapshot of another format")
    return _manifests.decode(saved[len(FORMAT) :])


def _head(state: ProjectState) -> SavedHead:
    return SavedHead(
        state.floor,
        state.name,
        state.templates,
        state.requests,
        dict(state.resize_outcomes),
        dict(state.series),
        state.names,
        state.cluster_hours,
        state.bindings,
        state.members,
        [(key.bytes, msgspec.structs.astuple(grant)) for key, grant in state.grants.items()],
        len(state.bookings),
    )


def _with_head(head: SavedHead, version: int) -> ProjectState:
    return ProjectState(
        version=version,
        floor=head.floor,
        name=head.name,
        templates=head.templates,
        requests=head.requests,
        resize_outcomes=head.resize_outcomes,
        series=head.series,
        names=set(map(intern, head.names)),
        cluster_hours=head.cluster_hours,
        bindings=head.bindings,
        members=head.members,
        grants={UUID(bytes=key): Grant(*rest) for key, rest in head.grants},
    )


def _saved_pool(name: str, pool: Pool) -> SavedPool:
    return SavedPool(
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


def _saved_account(name: str, account: Account) -> SavedAccount:
    shares = {pool_id: _saved(timeline) for pool_id, timeline in account.shares.items()}
    return SavedAccount(name, account.limits, account.open, _saved(account.held), shares)


def _saved_block(block: Block) -> SavedBlock:
    high, low, *columns = (block.columns[name].tobytes() for name in COLUMNS)
    return SavedBlock(
        [high, low], [zlib.compress(column, 1) for column in columns], block.pools, block.accounts, block.capacities
    )


def _block(piece: Saved) -> Block:
    if not isinstance(piece, SavedBlock):
        raise msgspec.DecodeError("a block of a snapshot is something else")
    pairs = zip(COLUMNS.items(), (*piece.ids, *map(zlib.decompress, piece.columns)), strict=True)
    columns = {name: np.frombuffer(saved, dtype=kind) for (name, kind), saved in pairs}
    return Block(columns, [*map(intern, piece.pools)], [*map(intern, piece.accounts)], piece.capacities)


def _restore(state: ProjectState, piece: Saved) -> None:
    match piece:
        case SavedPool():
            state.pools[piece.pool] = Pool(
                piece.parent,
                piece.period,
                _timeline(piece.size),
                _timeline(piece.free),
                _timeline(piece.shares),
                piece.beyond_hours,
                piece.layout,
                None if piece.growth is None else _timeline(piece.growth),
                piece.order,
                piece.born,
            )
        case SavedAccount():
            shares = {pool: _timeline(timeline) for pool, timeline in piece.shares.items()}
            state.accounts[piece.account] = Account(piece.limits, piece.open, _timeline(piece.held), shares)
        case _:
            raise msgspec.DecodeError("a pool or an account of a snapshot is something else")


# One statement, so that the list and the pieces are of one moment.
LOAD = """
SELECT version, position, NULL AS id, state AS data FROM snapshot WHERE stream = $1
UNION ALL SELECT NULL, NULL, id, data FROM snapshot_piece WHERE stream = $1
"""


class Stored(NamedTuple):
    """A state as a snapshot has it, the position of its last event, and what is stored of it."""

    state: ProjectState
    position: int
    mark: Mark


async def load_snapshot(connection: Connection, stream: str) -> Stored:
    """An empty state and the position 0 if there is no snapshot that can be used."""
    first, *records = await connection.fetch(LOAD, stream) or (None,)
    if first is None or first["version"] is None:
        return Stored(ProjectState(), 0, Mark())
    saved = Snapshot(first["data"], {record["id"]: record["data"] for record in records})
    try:
        state = await asyncio.to_thread(decode_state, saved, first["version"])
        manifest = read_manifest(saved.manifest)
    except (msgspec.DecodeError, ValueError, KeyError, zlib.error):
        return Stored(ProjectState(), 0, Mark())
    return Stored(state, first["position"], Mark(first["version"], manifest.pools, manifest.accounts))


SAVE = """
INSERT INTO snapshot (stream, version, position, state) VALUES ($1, $2, $3, $4)
ON CONFLICT (stream) DO UPDATE SET version = excluded.version, position = excluded.position, state = excluded.state
WHERE snapshot.version <= excluded.version RETURNING true
"""
IDS = "SELECT id FROM snapshot_piece WHERE stream = $1"
PUT = "INSERT INTO snapshot_piece (stream, id, data) VALUES ($1, $2, $3)"
DELETE = "DELETE FROM snapshot_piece WHERE stream = $1 AND id = ANY ($2)"


class PiecesLost(Exception):
    """A piece of which the snapshot thought that it is stored is not. Nothing was saved: save all."""


async def save_snapshot(
    connection: Connection, stream: str, saved: Snapshot, version: int, position: int, make: Callable[[bytes], bytes]
) -> bool:
    """Saves a snapshot with its new pieces, and deletes the pieces that it does not need. False: one that is newer is
    stored. `make` gives the bytes of a piece that is not stored and not in `saved`; it raises PiecesLost."""
    wanted = read_manifest(saved.manifest).ids()
    async with connection.transaction():
        if await connection.fetchval(SAVE, stream, version, position, saved.manifest) is None:
            return False
        stored = {record["id"] for record in await connection.fetch(IDS, stream)}
        for key in wanted - stored:
            await connection.execute(PUT, stream, key, saved.pieces.get(key) or make(key))
        await connection.execute(DELETE, stream, [*(stored - wanted)])
    return True


def block_maker(blocks: Iterable[Block]) -> Callable[[bytes], bytes]:
    """Makes the bytes of a block's piece again: another process may have deleted them."""
    by_id = {block.piece: block for block in blocks}

    def make(key: bytes) -> bytes:
        if key not in by_id:
            raise PiecesLost
        return _encoder.encode(_saved_block(by_id[key]))

    return make


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
