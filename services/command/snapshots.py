"""A stream's state at a version, so that a cold start does not read the whole stream. Never history: only a shortcut.

A snapshot is written by whoever has just paid for a long replay, which is off the path of any decision. It is thrown
away when this code does not understand it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import msgspec
import numpy as np

from services.command.domain import ProjectState
from services.command.domain.state import Claim, Pool
from shared.capacity import DIMENSIONS, Capacity
from shared.hours import Period
from shared.timeline import Timeline

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

FORMAT = 1
TAIL_MIN = 1000  # a shorter replay is not worth a snapshot
TAIL_SHARE = 0.1

SavedTimeline = tuple[int, bytes]
SavedPool = tuple[str | None, Period | None, SavedTimeline, SavedTimeline]
SavedClaim = tuple[bytes, str, int, int, Capacity]


class Saved(msgspec.Struct, array_like=True, frozen=True):
    """The stored form of a ProjectState, as MessagePack."""

    format: int
    name: str | None
    pools: dict[str, SavedPool]
    grants: list[SavedClaim]
    bookings: list[SavedClaim]


_encoder, _decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(Saved)


def encode_state(state: ProjectState) -> bytes:
    pools: dict[str, SavedPool] = {
        name: (pool.parent, pool.period, _saved(pool.size), _saved(pool.free)) for name, pool in state.pools.items()
    }
    return _encoder.encode(Saved(FORMAT, state.name, pools, _claims(state.grants), _claims(state.bookings)))


def decode_state(saved: bytes, version: int) -> ProjectState:
    """Raises msgspec.DecodeError on what another version of this code has written."""
    held = _decoder.decode(saved)
    if held.format != FORMAT:
        raise msgspec.DecodeError(f"a snapshot of format {held.format}, not {FORMAT}")
    return ProjectState(
        version=version,
        name=held.name,
        pools={
            name: Pool(parent=parent, period=period, size=_timeline(size), free=_timeline(free))
            for name, (parent, period, size, free) in held.pools.items()
        },
        grants={UUID(bytes=key): Claim(pool, start, end, amount) for key, pool, start, end, amount in held.grants},
        bookings={UUID(bytes=key): Claim(pool, start, end, amount) for key, pool, start, end, amount in held.bookings},
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
    cells = sum(pool.size.cells.nbytes + pool.free.cells.nbytes for pool in state.pools.values())
    return cells + 1000 * len(state.pools) + 400 * (len(state.grants) + len(state.bookings))


def _claims(claims: dict[UUID, Claim]) -> list[SavedClaim]:
    return [(key.bytes, claim.pool, claim.start, claim.end, claim.capacity) for key, claim in claims.items()]


def _saved(timeline: Timeline) -> SavedTimeline:
    return timeline.base, timeline.cells.astype("<i8").tobytes()


def _timeline(saved: SavedTimeline) -> Timeline:
    base, cells = saved
    return Timeline(base, np.frombuffer(cells, dtype="<i8").astype(np.int64).reshape(-1, len(DIMENSIONS)))
