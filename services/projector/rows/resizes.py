"""Writes the table cluster_resize."""

from __future__ import annotations

from typing import Any

from services.projector.projections.resizes import ResizeChanges, ResizeRow
from services.projector.rows.pools import layout_columns
from shared.hours import instant_of
from shared.postgres import Connection

ADD = """
INSERT INTO cluster_resize (
    generation, pool, position, decided, request, state, starts, ends, servers, cores, memory, tempdisc, userdisc,
    datadisc, masterflavor, mastercount, workerflavor, workercount, layout, lapsed, error, actor
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)
"""
APPLY = """
UPDATE cluster_resize SET
    state = 'applied', decided = $3, starts = $4, ends = $5, servers = $6, cores = $7, memory = $8, tempdisc = $9,
    userdisc = $10, datadisc = $11, masterflavor = $12, mastercount = $13, workerflavor = $14, workercount = $15,
    layout = $16, lapsed = $17
WHERE generation = $1 AND request = $2
"""
FAIL = "UPDATE cluster_resize SET state = 'failed', decided = $3, error = $4 WHERE generation = $1 AND request = $2"


async def write_resizes(connection: Connection, generation: int, changes: ResizeChanges) -> None:
    if changes.created:
        rows = [
            (
                generation,
                row.pool,
                row.position,
                row.decided,
                row.request,
                row.state,
                *_sized(row),
                row.lapsed,
                row.error,
                row.actor,
            )
            for row in changes.created
        ]
        await connection.executemany(ADD, rows)
    if changes.applied:
        applied = changes.applied.items()
        await connection.executemany(
            APPLY, [(generation, request, row.decided, *_sized(row), row.lapsed) for request, row in applied]
        )
    if changes.failed:
        await connection.executemany(FAIL, [(generation, request, *why) for request, why in changes.failed.items()])


def _sized(row: ResizeRow) -> tuple[Any, ...]:
    return (instant_of(row.start), instant_of(row.end), *row.counts, *layout_columns(row.layout))
