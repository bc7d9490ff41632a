"""The accounts that a project lists, and the usage of an account."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from services.query.answers.answers import ViewResult
from services.query.answers.cache import CacheEntry, Version
from services.query.database import Database, live
from services.query.questions.calendar import too_many_blocks
from services.query.questions.model import AccountsQuestion, EntitlementsQuestion, UsageQuestion
from services.query.questions.roles import row_text
from services.query.render.blocks import render_object, span
from services.query.render.tables import table
from services.query.rollup import Cells, instants, scatter
from services.query.views.overlapping import overlaps
from shared.capacity import DIMENSIONS, reserved
from shared.hours import Period, block_starts, hour_of, instant_of, parse_zone
from shared.names import composed, spellings
from shared.postgres import Reader, hours_received

ACCOUNTS = """
SELECT g.generation, g.position, p.touched, a.account, a.name, a.limits, a.closed, a.created
FROM generation g
LEFT JOIN pool p ON p.generation = g.generation AND p.id = $1
LEFT JOIN LATERAL (
    SELECT * FROM account WHERE account.generation = g.generation AND account.project = p.id AND account.account > $2
    ORDER BY account.account LIMIT $3
) a ON true
WHERE g.live ORDER BY a.account
"""


async def read_accounts(database: Database, question: AccountsQuestion) -> ViewResult:
    """`{project, position, accounts: [{account, name, limits, closed, created}], next}`."""
    records = live(await database.fetch(ACCOUNTS, question.project, question.after, question.limit + 1))
    generation, position, touched, *_ = records[0]
    if touched is None:
        raise question.unknown()
    rows: list[dict[str, Any]] = [
        {"account": account, "name": name, "limits": msgspec.Raw(limits.encode()), "closed": closed, "created": created}
        for _, _, _, account, name, limits, closed, created in records[: question.limit]
        if account is not None
    ]
    version, following = Version(generation, touched), None
    if len(records) > len(rows) > 0:
        following = row_text(rows[-1]["account"])
    if question.csv:
        flat = [{**row, "limits": bytes(row["limits"]).decode()} for row in rows]
        names = ["account", "name", "limits", "closed", "created"]
        return ViewResult(position, CacheEntry(version, table(flat, names), None, following))
    rest = {"accounts": rows, "next": following}
    return ViewResult(position, CacheEntry(version, *render_object({"project": question.project}, rest), following))


async def read_usage(database: Database, question: UsageQuestion) -> ViewResult:
    """`{account, project, range, grain, timezone, position, blocks: [{start, end, hours, used: {<dimension>: n}}]}`.
    `used` is in resource-hours: the sum over the hours of the block."""
    starts = block_starts(question.period, question.grain, parse_zone(question.zone))
    if len(starts) > BLOCKS_MAX:
        raise too_many_blocks(BLOCKS_MAX)
    async with database.snapshot() as snapshot:
        position, version = await read_version(snapshot, question)
        used = await _counted(snapshot, version.generation, question)
        used += await _shared(snapshot, version.generation, question)
    edges = np.array(starts, dtype=np.int64)
    ends = np.append(edges[1:], question.period.end)
    sums = np.add.reduceat(used, edges - question.period.start, axis=1)
    places = [DIMENSIONS.index(dimension) for dimension in question.dimensions]
    blocks = [
        {"start": start, "end": end, "hours": hours, "used": dict(zip(question.dimensions, counts, strict=True))}
        for start, end, hours, counts in zip(
            instants(edges), instants(ends), (ends - edges).tolist(), sums[places].T.tolist(), strict=True
        )
    ]
    return ViewResult(position, CacheEntry(version, *_rendered(question, blocks)))


BLOCKS_MAX = 10_000


def _rendered(question: UsageQuestion, blocks: list[dict[str, Any]]) -> tuple[bytes, bytes | None]:
    if question.csv:
        names = [f"used_{dimension}" for dimension in question.dimensions]
        flat = [{**block, **dict(zip(names, block["used"].values(), strict=True))} for block in blocks]
        return table(flat, ["start", "end", "hours", *names]), None
    opening = {
        "account": composed(question.account),
        "project": question.project,
        "range": span(question.period),
        "grain": question.grain if isinstance(question.grain, str) else f"{question.grain}h",
        "timezone": question.zone,
    }
    return render_object(opening, {"blocks": blocks})


VERSION = """
SELECT g.generation, g.position, CASE WHEN $1::text IS NULL THEN g.position ELSE (
    SELECT max(p.touched) FROM pool p WHERE p.generation = g.generation AND p.project = $1) END
FROM generation g WHERE g.live
"""


async def read_version(reader: Reader, question: UsageQuestion | EntitlementsQuestion) -> tuple[int, Version]:
    """The position of the live generation, and the version of the question's scope. Raises UnknownId, NoGeneration."""
    record = live(await reader.fetchrow(VERSION, question.project))
    generation, position, touched = record
    if touched is None:
        raise question.unknown()
    return position, Version(generation, touched)


COUNTED = f"""
SELECT string_agg(timestamptz_send(greatest(b.starts, $3)), ''::bytea),
    string_agg(timestamptz_send(least(b.ends, $4)), ''::bytea),
    string_agg(int8send(b.servers), ''::bytea), string_agg(int8send(b.cores), ''::bytea),
    string_agg(int8send(b.memory), ''::bytea), string_agg(int8send(b.tempdisc), ''::bytea),
    string_agg(int8send(b.userdisc), ''::bytea), string_agg(int8send(b.datadisc), ''::bytea)
FROM live_booking b
WHERE b.generation = $1 AND b.account = ANY ($2::text[]) AND {overlaps("$3", "$4")} AND b.share = 0
    AND ($5::text IS NULL OR b.pool IN (SELECT p.pool FROM pool p WHERE p.generation = $1 AND p.project = $5))
    AND ($6::text[] IS NULL OR b.pool IN (
        SELECT p.pool FROM pool p
        WHERE p.generation = $1 AND p.project = ANY ($6) AND (p.project = ANY ($7) OR EXISTS (
            SELECT FROM unnest($8::text[]) AS r (root) WHERE p.id = root OR starts_with(p.id, root || '.')
        ))
    ))
"""


async def _counted(reader: Reader, generation: int, question: UsageQuestion) -> Cells:
    """The amounts that the bookings of counts hold in each hour, shape (6, hours)."""
    start, end = question.period
    record = await reader.fetchrow(COUNTED, *_arguments(generation, question))
    steps = np.zeros((len(DIMENSIONS), end - start + 1), dtype=np.int64)
    if record is not None and record[0] is not None:
        first, after = (hours_received(edge, since=start) for edge in record[:2])
        for row, packed in zip(steps, record[2:], strict=True):
            counts = np.frombuffer(packed, dtype=">i8").astype(np.int64)
            np.add.at(row, first, counts)
            np.subtract.at(row, after, counts)
    held: Cells = np.cumsum(steps, axis=1)[:, :-1]
    return held


def _arguments(generation: int, question: UsageQuestion) -> tuple[Any, ...]:
    """The arguments of COUNTED and SHARED."""
    start, end = (instant_of(hour) for hour in question.period)
    within = question.within
    roots = (None, None, None) if within.everything else (within.around, within.projects, within.clusters)
    return generation, spellings(question.account), start, end, question.project, *roots


SHARED = f"""
SELECT b.pool, b.starts, b.ends, b.share
FROM live_booking b
WHERE b.generation = $1 AND b.account = ANY ($2::text[]) AND {overlaps("$3", "$4")} AND b.share > 0
    AND ($5::text IS NULL OR b.pool IN (SELECT p.pool FROM pool p WHERE p.generation = $1 AND p.project = $5))
    AND ($6::text[] IS NULL OR b.pool IN (
        SELECT p.pool FROM pool p
        WHERE p.generation = $1 AND p.project = ANY ($6) AND (p.project = ANY ($7) OR EXISTS (
            SELECT FROM unnest($8::text[]) AS r (root) WHERE p.id = root OR starts_with(p.id, root || '.')
        ))
    ))
"""


async def _shared(reader: Reader, generation: int, question: UsageQuestion) -> Cells:
    """The amounts that the shares of clusters reserve in each hour, shape (6, hours). The shares of one cluster are
    added first, and then rounded up."""
    start, end = question.period
    shares: dict[int, Cells] = {}
    for pool, starts, ends, share in await reader.fetch(SHARED, *_arguments(generation, question)):
        points = shares.setdefault(pool, np.zeros((1, end - start), dtype=np.int64))
        points[:, max(hour_of(starts), start) - start : min(hour_of(ends), end) - start] += share
    held = np.zeros((len(DIMENSIONS), end - start), dtype=np.int64)
    for pool, points in shares.items():
        held += reserved(await read_sizes(reader, generation, pool, question.period), points)
    return held


SIZES = """
SELECT string_agg(timestamptz_send(hour), ''::bytea),
    string_agg(int8send(granted_servers), ''::bytea), string_agg(int8send(granted_cores), ''::bytea),
    string_agg(int8send(granted_memory), ''::bytea), string_agg(int8send(granted_tempdisc), ''::bytea),
    string_agg(int8send(granted_userdisc), ''::bytea), string_agg(int8send(granted_datadisc), ''::bytea)
FROM availability_hour WHERE generation = $1 AND pool = $2 AND hour >= $3 AND hour < $4
"""


async def read_sizes(reader: Reader, generation: int, pool: int, period: Period) -> Cells:
    """The sizes of a cluster in each hour, shape (6, hours). An hour without a size is zero."""
    record = await reader.fetchrow(SIZES, generation, pool, instant_of(period.start), instant_of(period.end))
    hours, *packed = record or (None,) * (1 + len(DIMENSIONS))
    return scatter(period, hours or b"", [column or b"" for column in packed])
