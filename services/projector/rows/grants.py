"""Writes the table live_grant."""

from __future__ import annotations

import struct
from uuid import UUID

from services.projector.projections.grants import GrantChanges, GrantRow
from services.projector.rows.copying import COUNTS, packed_text
from shared.capacity import DIMENSIONS
from shared.hours import instant_of
from shared.postgres import EPOCH_HOUR, HOUR_US, Connection, copy_rows

COLUMNS = ["generation", "id", "pool", "starts", "ends", *DIMENSIONS, "actor", "source"]
KEY = struct.Struct(">h ii i16s ii iq iq")

CUT = """
UPDATE live_grant SET ends = t.ends FROM unnest($2::uuid[], $3::timestamptz[]) AS t (id, ends)
WHERE live_grant.generation = $1 AND live_grant.id = t.id
"""
DROP = "DELETE FROM live_grant WHERE generation = $1 AND id = ANY ($2) AND ends <= starts"


async def write_grants(connection: Connection, generation: int, changes: GrantChanges) -> None:
    if changes.created:
        packed = [_pack(generation, *created) for created in changes.created.items()]
        await copy_rows(connection, f"live_grant_{generation}", packed, COLUMNS)
    if changes.ends:
        ids, ends = list(changes.ends), [instant_of(end) for end in changes.ends.values()]
        await connection.execute(CUT, generation, ids, ends)
        await connection.execute(DROP, generation, ids)


def _pack(generation: int, grant: UUID, row: GrantRow) -> bytes:
    """A row in COPY's binary format: the number of columns, then each value after its length in bytes."""
    a, b, c, d, e, f = row.counts
    starts, ends = (row.start - EPOCH_HOUR) * HOUR_US, (row.end - EPOCH_HOUR) * HOUR_US
    fixed = KEY.pack(len(COLUMNS), 4, generation, 16, grant.bytes, 4, row.pool, 8, starts, 8, ends)
    fixed += COUNTS.pack(8, a, 8, b, 8, c, 8, d, 8, e, 8, f)
    return fixed + packed_text(row.actor) + packed_text(row.source)
