"""Writes a batch that only makes and ends bookings: in one statement, which is a transaction by itself.

Most batches are so, and most of them are small. Such a batch costs PostgreSQL a third of what it costs in statements of
their own: there is no temporary table to fill and to empty, and a run of equal hours is sent once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain, pairwise
from operator import add, sub
from typing import Any
from uuid import UUID

import numpy as np

from services.projector.projections import Changes
from services.projector.projections.availability import AMOUNTS_WIDTH, WIDTH, Amount, ShareAmount
from services.projector.projections.bookings import BookingChanges, BookingRow, BookingRows
from services.projector.projections.pools import Pools
from services.projector.rows.bookings import ends_of, table_of
from services.projector.rows.copying import columns_of
from shared.capacity import Vector
from shared.events import FromTemplate
from shared.hours import instant_of
from shared.postgres import Connection

EVENTS_MAX = 512  # COPY takes less time for more rows
COLUMNS = AMOUNTS_WIDTH - WIDTH  # of a run: six counts that are booked, and the basis points that are shared out
NO_COUNTS = (0,) * WIDTH
BOOKING_COLUMNS = 22  # of a row of live_booking, without the generation

# A pool; a run of its hours, from the first to the one after the last; what to add to each hour.
Run = tuple[int, int, int, Sequence[int]]

# Nothing is written unless the checkpoint is moved: each part joins `moved`.
WRITE = """
WITH moved AS (
    UPDATE generation SET position = $3, moved_at = now(), parked_position = NULL, parked_error = NULL
    WHERE generation = $1 AND position = $2 AND live = $4 RETURNING generation
), touched AS (
    UPDATE pool p SET touched = t.position
    FROM moved, unnest($5::int[], $6::bigint[]) AS t (pool, position)
    WHERE p.generation = $1 AND p.pool = t.pool
), gone AS (
    DELETE FROM {bookings} b USING moved, unnest($7::uuid[], $8::timestamptz[]) AS t (id, ends)
    WHERE b.generation = $1 AND b.id = t.id AND b.starts >= t.ends
), cut AS (
    UPDATE {bookings} b SET ends = t.ends, tentative = false, changed = t.changed
    FROM moved, unnest($7::uuid[], $8::timestamptz[], $9::bigint[]) AS t (id, ends, changed)
    WHERE b.generation = $1 AND b.id = t.id AND b.starts < t.ends AND b.ends > t.ends
), booked AS (
    INSERT INTO {bookings} (
        generation, id, segment, pool, starts, ends, servers, cores, memory, tempdisc, userdisc, datadisc, share,
        tentative, created, claimed, actor, account, template, template_version, template_count, series, changed
    )
    SELECT $1, t.* FROM moved, unnest(
        $10::uuid[], $11::int[], $12::int[], $13::timestamptz[], $14::timestamptz[], $15::bigint[], $16::bigint[],
        $17::bigint[], $18::bigint[], $19::bigint[], $20::bigint[], $21::int[], $22::bool[], $23::bigint[],
        $24::bigint[], $25::text[], $26::text[], $27::text[], $28::int[], $29::bigint[], $30::uuid[], $31::bigint[]
    ) AS t
), added AS (
    INSERT INTO {hours} AS a (
        generation, pool, hour, granted_servers, granted_cores, granted_memory, granted_tempdisc, granted_userdisc,
        granted_datadisc, booked_servers, booked_cores, booked_memory, booked_tempdisc, booked_userdisc,
        booked_datadisc, shares
    )
    SELECT $1, t.pool, timestamptz 'epoch' + make_interval(hours => hour), 0, 0, 0, 0, 0, 0,
        t.servers, t.cores, t.memory, t.tempdisc, t.userdisc, t.datadisc, t.shares
    FROM moved, unnest(
        $32::int[], $33::int[], $34::int[], $35::bigint[], $36::bigint[], $37::bigint[], $38::bigint[], $39::bigint[],
        $40::bigint[], $41::bigint[]
    ) AS t (pool, low, high, servers, cores, memory, tempdisc, userdisc, datadisc, shares),
    generate_series(t.low, t.high - 1) AS hour
    ON CONFLICT (generation, pool, hour) DO UPDATE SET
        booked_servers = a.booked_servers + excluded.booked_servers,
        booked_cores = a.booked_cores + excluded.booked_cores,
        booked_memory = a.booked_memory + excluded.booked_memory,
        booked_tempdisc = a.booked_tempdisc + excluded.booked_tempdisc,
        booked_userdisc = a.booked_userdisc + excluded.booked_userdisc,
        booked_datadisc = a.booked_datadisc + excluded.booked_datadisc,
        shares = a.shares + excluded.shares
)
SELECT count(*) FROM moved
"""


def runs_for_one_statement(changes: Changes, tree: Pools, events: int, hours_max: int) -> list[Run] | None:
    """What a batch of so many events adds to the hours, if `write_in_one_statement` can write it; else None.

    It can if the batch changes nothing but bookings that it makes or ends, in pools that never over-commit, and adds to
    `hours_max` hours at most.
    """
    if events > EVENTS_MAX or any(_others(changes)):
        return None
    if any(tree.policies[pool] is not None for pool in changes.pools.touched):
        return None
    return _runs_of_many(changes, hours_max) if changes.availability.many else _runs_of_few(changes, hours_max)


def _runs_of_many(changes: Changes, hours_max: int) -> list[Run] | None:
    hours = changes.availability.hours()
    if hours.total > hours_max:
        return None
    return [run for pool, each, amounts in hours.rows() for run in _runs_in(pool, each, amounts[:, WIDTH:])]


def _runs_in(pool: int, hours: Vector, amounts: Vector) -> Iterator[Run]:
    """The runs of hours that follow each other and have equal amounts. `amounts` has the shape (n, COLUMNS)."""
    if not len(hours):
        return
    ends = np.flatnonzero((np.diff(hours) != 1) | (amounts[1:] != amounts[:-1]).any(axis=1))
    firsts, lasts = [0, *(ends + 1).tolist()], [*ends.tolist(), len(hours) - 1]
    lows, highs = hours[firsts].tolist(), hours[lasts].tolist()
    for low, high, values in zip(lows, highs, amounts[firsts].tolist(), strict=True):
        yield pool, low, high + 1, values


def _runs_of_few(changes: Changes, hours_max: int) -> list[Run] | None:
    """As `_runs_of_many`, in less time for a few amounts."""
    booked, shares = changes.availability.booked, changes.availability.shares
    if any(start > end for start, end, _ in chain(*booked.values(), *shares.values())):  # no event of ours
        return None
    pools = sorted(booked.keys() | shares.keys())
    runs = [run for pool in pools for run in _runs(pool, booked.get(pool, ()), shares.get(pool, ()))]
    return runs if sum(high - low for _, low, high, _ in runs) <= hours_max else None


def _others(changes: Changes) -> Iterator[Collection[Any]]:
    """All changes but those that `write_in_one_statement` writes."""
    pools, bookings, grants, resizes = changes.pools, changes.bookings, changes.grants, changes.resizes
    catalogue = changes.catalogue
    yield from (pools.created, pools.renewed, pools.changed, bookings.known, bookings.tentative)
    yield from (changes.availability.granted, grants.created, grants.ends)
    yield from (resizes.created, resizes.applied, resizes.failed, changes.roles.heads)
    yield from (catalogue.templates, catalogue.accounts, catalogue.limits, catalogue.closed)


def _runs(pool: int, booked: Iterable[Amount], shares: Iterable[ShareAmount]) -> Iterator[Run]:
    """The sums of the amounts, over the hours in which there is one."""
    steps: defaultdict[int, list[int]] = defaultdict(lambda: [0] * (COLUMNS + 1))
    for start, end, counts in booked:
        steps[start] = [*map(add, steps[start], (*counts, 0, 1))]
        steps[end] = [*map(sub, steps[end], (*counts, 0, 1))]
    for start, end, share in shares:
        steps[start] = [*map(add, steps[start], (*NO_COUNTS, share, 1))]
        steps[end] = [*map(sub, steps[end], (*NO_COUNTS, share, 1))]
    edges = sorted(steps)
    total = [0] * (COLUMNS + 1)
    for low, high in pairwise(edges):
        total = [*map(add, total, steps[low])]
        if total[COLUMNS]:  # so many amounts cover these hours
            yield pool, low, high, tuple(total[:COLUMNS])


async def write_in_one_statement(
    connection: Connection, number: int, span: tuple[int, int], changes: Changes, runs: Sequence[Run], *, live: bool
) -> bool:
    """Writes a batch to the generation of this number. `span` is where its checkpoint is, and where it is moved to.
    `runs` is the answer of `runs_for_one_statement`. Returns False if the checkpoint is elsewhere, or the generation is
    not `live` as it should be: then nothing is written."""
    touched = changes.pools.touched
    moved = await connection.fetchval(
        WRITE.format(bookings=table_of(number), hours=f"availability_hour_{number}"),
        *(number, *span, live, list(touched), list(touched.values())),
        *ends_of(changes.bookings),
        *_bookings(changes.bookings),
        *_columns([(pool, low, high, *amounts) for pool, low, high, amounts in runs], 3 + COLUMNS),
    )
    return bool(moved)


def _bookings(changes: BookingChanges) -> list[list[Any]]:
    """The columns of the new rows."""
    columns = _columns([_booking(booking, row) for booking, row in changes.rows()], BOOKING_COLUMNS)
    if changes.many is not None:
        for column, more in zip(columns, _many_columns(changes.many), strict=True):
            column += more
    return columns


def _many_columns(rows: BookingRows) -> list[list[Any]]:
    events, count, positions = rows.events, rows.events.rows, rows.positions.tolist()
    templates = events.templates.each()
    return [
        [name.hex() for name in events.names()],
        [0] * count,
        rows.pools.tolist(),
        [instant_of(hour) for hour in events.starts.tolist()],
        [instant_of(hour) for hour in events.ends.tolist()],
        *events.counts.T.tolist(),
        events.shares.tolist(),
        events.tentative.tolist(),
        positions,
        positions,
        events.actors.each(),
        events.accounts.each(),
        *_columns([_template(template) for template in templates], 3),
        events.series.each(),
        [None] * count,
    ]


def _columns(rows: Sequence[Sequence[Any]], count: int) -> list[list[Any]]:
    return columns_of(rows) if rows else [[] for _ in range(count)]


def _booking(booking: UUID, row: BookingRow) -> tuple[Any, ...]:
    return (
        *(booking, row.segment, row.pool, instant_of(row.start), instant_of(row.end), *row.counts, row.share),
        *(row.tentative, row.created, row.claimed, row.actor, row.account),
        *_template(row.template),
        *(row.series, row.changed),
    )


def _template(template: FromTemplate | None) -> tuple[str | None, int | None, int | None]:
    return (None, None, None) if template is None else (template.name, template.version, template.count)
