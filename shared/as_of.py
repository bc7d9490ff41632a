"""The hours of a pool at any position: the last snapshot before it, plus the changes since."""

from __future__ import annotations

import zlib
from typing import NamedTuple

import numpy as np

from shared.capacity import DIMENSIONS, Vector
from shared.hours import hour_of, instant_of
from shared.postgres import Reader, hours_received

AMOUNTS = [*(f"{group}_{dimension}" for group in ("granted", "booked") for dimension in DIMENSIONS), "shares"]
WIDTH = len(AMOUNTS)


class Snapshot(NamedTuple):
    """All hours of a pool at a position: `cells` has shape (hours, 13), from the hour `base` on."""

    position: int
    base: int
    cells: Vector


SNAPSHOT = """
SELECT position, base, cells FROM past_hours WHERE pool = $1 AND position <= $2 ORDER BY position DESC LIMIT 1
"""


async def read_snapshot(reader: Reader, pool: int, position: int) -> Snapshot:
    """The last stored snapshot at `position` or before; an empty one at position 0 if there is none."""
    records = await reader.fetch(SNAPSHOT, pool, position)
    if not records:
        return Snapshot(0, 0, np.zeros((0, WIDTH), dtype=np.int64))
    stored_at, base, packed = records[0]
    return Snapshot(stored_at, base, np.frombuffer(zlib.decompress(packed), dtype="<i8").reshape(-1, WIDTH))


def pack(cells: Vector) -> bytes:
    """The cells as past_hours stores them: little-endian int64, compressed."""
    return zlib.compress(cells.astype("<i8").tobytes(), 1)


_SUMS = ", ".join(f"string_agg(int8send({name}), ''::bytea)" for name in AMOUNTS)
CHANGES = f"""
SELECT string_agg(timestamptz_send(starts), ''::bytea), string_agg(timestamptz_send(ends), ''::bytea), {_SUMS}
FROM past_change WHERE pool = $1 AND position > $2 AND position <= $3 AND ends > $4 AND starts < $5
"""


async def read_hours_at(reader: Reader, pool: int, position: int, start: int, end: int) -> Vector:
    """The hours `[start, end)` after the event at `position`, shape (end - start, 13): six counts that are granted, six
    that are booked, and the basis points that are shared out."""
    snapshot = await read_snapshot(reader, pool, position)
    cells = np.zeros((end - start, WIDTH), dtype=np.int64)
    low, high = max(start, snapshot.base), min(end, snapshot.base + len(snapshot.cells))
    if low < high:
        cells[low - start : high - start] = snapshot.cells[low - snapshot.base : high - snapshot.base]
    cells += await read_changes(reader, pool, snapshot.position, position, start, end)
    return cells


async def read_changes(reader: Reader, pool: int, after: int, until: int, start: int, end: int) -> Vector:
    """What the events after position `after` up to `until` add to the hours `[start, end)`, shape (end - start, 13)."""
    records = await reader.fetch(CHANGES, pool, after, until, instant_of(start), instant_of(end))
    starts, ends, *columns = records[0]
    steps = np.zeros((end - start + 1, WIDTH), dtype=np.int64)
    if starts is not None:
        first = np.maximum(hours_received(starts), start) - start
        last = np.minimum(hours_received(ends), end) - start
        amounts = np.stack([np.frombuffer(column, dtype=">i8").astype(np.int64) for column in columns], axis=1)
        np.add.at(steps, first, amounts)
        np.subtract.at(steps, last, amounts)
    summed: Vector = np.cumsum(steps, axis=0)[:-1]
    return summed


EXTENT = "SELECT min(starts), max(ends) FROM past_change WHERE pool = $1 AND position > $2 AND position <= $3"


async def read_all_hours(reader: Reader, pool: int, position: int) -> Snapshot:
    """A snapshot at `position`: all hours of the pool that an event up to it has changed."""
    snapshot = await read_snapshot(reader, pool, position)
    starts, ends = (await reader.fetch(EXTENT, pool, snapshot.position, position))[0]
    if starts is None:
        return snapshot._replace(position=position)
    low, high = hour_of(starts), hour_of(ends)
    if len(snapshot.cells):
        low, high = min(low, snapshot.base), max(high, snapshot.base + len(snapshot.cells))
    return Snapshot(position, low, await read_hours_at(reader, pool, position, low, high))
