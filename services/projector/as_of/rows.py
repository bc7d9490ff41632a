"""The versions of rows in PostgreSQL: loading those that are open, writing those that an event made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from services.projector.as_of.versions import HourChange, Key, Rows, Versions
from services.projector.projections.bookings import BookingRow
from services.projector.projections.catalogue import AccountRow, TemplateRow
from services.projector.projections.grants import GrantRow
from services.projector.projections.pools import PoolRow, Pools
from services.projector.projections.resizes import ResizeRow
from services.projector.rows.catalogue import encoded
from services.projector.rows.pools import layout_columns
from shared.as_of import AMOUNTS
from shared.capacity import DIMENSIONS
from shared.events import ClusterCreated, Event, FromTemplate, GrantWithdrawn, Layout, Limits
from shared.hours import hour_of, instant_of
from shared.postgres import Connection

LAYOUT = ["masterflavor", "mastercount", "workerflavor", "workercount"]
OPEN = "until = 9223372036854775807"

POOLS = f"SELECT * FROM past_pool WHERE {OPEN} ORDER BY pool"
OPEN_POOLS = f"SELECT * FROM past_pool WHERE {OPEN} AND pool = ANY ($1)"
OPEN_GRANTS = f"SELECT * FROM past_grant WHERE {OPEN} AND id = ANY ($1)"
OPEN_BOOKINGS = f"SELECT * FROM past_booking WHERE {OPEN} AND id = ANY ($1)"
OPEN_ACCOUNTS = f"""
SELECT a.* FROM unnest($1::text[], $2::text[]) AS t (project, account)
JOIN past_account a ON a.project = t.project AND a.account = t.account AND a.{OPEN}
"""
OPEN_RESIZES = f"SELECT * FROM past_resize WHERE {OPEN} AND request = ANY ($1)"


async def read_past_pools(connection: Connection) -> Pools:
    """The tree, as far as the past is kept."""
    pools = Pools()
    for row in await connection.fetch(POOLS):
        pools.add(row["id"], row["pool"], row["parent"], row["beyond_hours"])
    return pools


async def load_rows(connection: Connection, pools: Pools, events: Sequence[Event]) -> Rows:
    """The open rows that these events may change."""
    rows = Rows(pools)
    clusters = {pools.numbers[name] for event in events if (name := getattr(event, "cluster", "")) in pools.numbers}
    renewed = tuple(f"{event.cluster}." for event in events if isinstance(event, ClusterCreated))
    if renewed:
        clusters |= {number for name, number in pools.numbers.items() if name.startswith(renewed)}
    bookings = {booking for event in events if (booking := getattr(event, "booking", None)) is not None}
    grants = {event.grant for event in events if isinstance(event, GrantWithdrawn)}
    requests = {request for event in events if (request := getattr(event, "request", None)) is not None}
    accounts = {
        (event.project, account) for event in events if (account := getattr(event, "account", None)) is not None
    }
    for record in await connection.fetch(OPEN_POOLS, list(clusters)) if clusters else ():
        rows.pools.open[(record["pool"],)] = _pool(record)
    for record in await connection.fetch(OPEN_GRANTS, list(grants)) if grants else ():
        rows.grants.open[(record["id"],)] = _grant(record)
    for record in await connection.fetch(OPEN_BOOKINGS, list(bookings)) if bookings else ():
        rows.bookings.open[record["id"], record["segment"]] = _booking(record)
        rows.segments.setdefault(record["id"], set()).add(record["segment"])
    if accounts:
        projects, names = zip(*accounts, strict=True)
        for record in await connection.fetch(OPEN_ACCOUNTS, projects, names):
            rows.accounts.open[record["project"], record["account"]] = _account(record)
    for record in await connection.fetch(OPEN_RESIZES, list(requests)) if requests else ():
        rows.resizes.open[record["pool"], record["position"]] = _resize(record)
        rows.requests[record["request"]] = (record["pool"], record["position"])
    return rows


class Model(NamedTuple):
    """How the versions of one read model are written: `end` closes open ones by key, `columns` and `values` are of the
    rows after since and until."""

    table: str
    end: str
    columns: list[str]
    values: Callable[[Key, Any], tuple[Any, ...]]


END_POOLS = f"""
UPDATE past_pool p SET until = t.until FROM unnest($1::int[], $2::bigint[]) AS t (pool, until)
WHERE p.pool = t.pool AND p.{OPEN}
"""
END_GRANTS = f"""
UPDATE past_grant g SET until = t.until FROM unnest($1::uuid[], $2::bigint[]) AS t (id, until)
WHERE g.id = t.id AND g.{OPEN}
"""
END_BOOKINGS = f"""
UPDATE past_booking b SET until = t.until FROM unnest($1::uuid[], $2::int[], $3::bigint[]) AS t (id, segment, until)
WHERE b.id = t.id AND b.segment = t.segment AND b.{OPEN}
"""
END_ACCOUNTS = f"""
UPDATE past_account a SET until = t.until
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS t (project, account, until)
WHERE a.project = t.project AND a.account = t.account AND a.{OPEN}
"""
END_RESIZES = f"""
UPDATE past_resize r SET until = t.until FROM unnest($1::int[], $2::bigint[], $3::bigint[]) AS t (pool, position, until)
WHERE r.pool = t.pool AND r.position = t.position AND r.{OPEN}
"""
END_TEMPLATES = f"""
UPDATE past_template m SET until = t.until
FROM unnest($1::text[], $2::text[], $3::int[], $4::bigint[]) AS t (project, name, version, until)
WHERE m.project = t.project AND m.name = t.name AND m.version = t.version AND m.{OPEN}
"""


def _pool_values(key: Key, row: PoolRow) -> tuple[Any, ...]:
    starts, ends = (None if hour is None else instant_of(hour) for hour in (row.start, row.end))
    return (
        *key,
        row.id,
        row.parent,
        row.project,
        row.name,
        row.kind,
        starts,
        ends,
        row.beyond_hours,
        row.tentative,
        row.claimed,
        *layout_columns(row.layout),
    )


def _grant_values(key: Key, row: GrantRow) -> tuple[Any, ...]:
    pool, start, end, counts, actor, source = row
    return (*key, pool, instant_of(start), instant_of(end), *counts, actor, source)


def _booking_values(key: Key, row: BookingRow) -> tuple[Any, ...]:
    pool, start, end, counts, actor, account, share, tentative, created, claimed, _, template, series, _ = row
    origin = (None, None, None) if template is None else (template.name, template.version, template.count)
    return (
        *key,
        pool,
        instant_of(start),
        instant_of(end),
        *counts,
        actor,
        account,
        share,
        tentative,
        created,
        claimed,
        *origin,
        series,
    )


def _account_values(key: Key, row: AccountRow) -> tuple[Any, ...]:
    return (*key, row.name, encoded(row.limits), row.closed, row.created)


def _resize_values(key: Key, row: ResizeRow) -> tuple[Any, ...]:
    return (
        *key,
        row.decided,
        row.request,
        row.state,
        instant_of(row.start),
        instant_of(row.end),
        *row.counts,
        *layout_columns(row.layout),
        row.lapsed,
        row.error,
        row.actor,
    )


def _template_values(key: Key, row: TemplateRow) -> tuple[Any, ...]:
    return (*key, *row.counts, row.actor, row.created)


POOL = Model(
    "past_pool",
    END_POOLS,
    [
        "pool",
        "id",
        "parent",
        "project",
        "name",
        "kind",
        "starts",
        "ends",
        "beyond_hours",
        "tentative",
        "claimed",
        *LAYOUT,
    ],
    _pool_values,
)
GRANT = Model("past_grant", END_GRANTS, ["id", "pool", "starts", "ends", *DIMENSIONS, "actor", "source"], _grant_values)
BOOKING = Model(
    "past_booking",
    END_BOOKINGS,
    [
        "id",
        "segment",
        "pool",
        "starts",
        "ends",
        *DIMENSIONS,
        "actor",
        "account",
        "share",
        "tentative",
        "created",
        "claimed",
        "template",
        "template_version",
        "template_count",
        "series",
    ],
    _booking_values,
)
ACCOUNT = Model(
    "past_account", END_ACCOUNTS, ["project", "account", "name", "limits", "closed", "created"], _account_values
)
RESIZE = Model(
    "past_resize",
    END_RESIZES,
    [
        "pool",
        "position",
        "decided",
        "request",
        "state",
        "starts",
        "ends",
        *DIMENSIONS,
        *LAYOUT,
        "lapsed",
        "error",
        "actor",
    ],
    _resize_values,
)
TEMPLATE = Model(
    "past_template", END_TEMPLATES, ["project", "name", "version", *DIMENSIONS, "actor", "created"], _template_values
)


async def write_rows(connection: Connection, rows: Rows) -> None:
    """Ends what has ended, then adds what began."""
    models: list[tuple[Model, Versions]] = [
        (POOL, rows.pools),
        (GRANT, rows.grants),
        (BOOKING, rows.bookings),
        (ACCOUNT, rows.accounts),
        (RESIZE, rows.resizes),
        (TEMPLATE, rows.templates),
    ]
    for model, versions in models:
        if versions.ended:
            keyed = [(*key, until) for key, until in versions.ended]
            await connection.execute(model.end, *(list(column) for column in zip(*keyed, strict=True)))
        if made := [(since, until, *model.values(key, row)) for since, until, key, row in versions.made()]:
            columns = ["since", "until", *model.columns]
            await connection.copy_records_to_table(model.table, records=made, columns=columns)
    if rows.hours:
        await _add_hours(connection, rows.hours)


async def _add_hours(connection: Connection, changes: Iterable[HourChange]) -> None:
    records = [
        (
            change.position,
            change.pool,
            instant_of(change.start),
            instant_of(change.end),
            *change.granted,
            *change.booked,
            change.shares,
        )
        for change in changes
    ]
    columns = ["position", "pool", "starts", "ends", *AMOUNTS]
    await connection.copy_records_to_table("past_change", records=records, columns=columns)


def _counts(record: asyncpg.Record) -> tuple[int, int, int, int, int, int]:
    a, b, c, d, e, f = (record[dimension] for dimension in DIMENSIONS)
    return a, b, c, d, e, f


def _layout(record: asyncpg.Record) -> Layout | None:
    return None if record["masterflavor"] is None else Layout(**{name: record[name] for name in LAYOUT})


def _pool(record: asyncpg.Record) -> PoolRow:
    start, end = (None if record[edge] is None else hour_of(record[edge]) for edge in ("starts", "ends"))
    return PoolRow(
        record["id"],
        record["parent"],
        record["project"],
        record["name"],
        record["kind"],
        start,
        end,
        record["beyond_hours"],
        record["tentative"],
        record["claimed"],
        _layout(record),
    )


def _grant(record: asyncpg.Record) -> GrantRow:
    start, end = hour_of(record["starts"]), hour_of(record["ends"])
    return (record["pool"], start, end, _counts(record), record["actor"], record["source"])


def _booking(record: asyncpg.Record) -> BookingRow:
    name, version, count = record["template"], record["template_version"], record["template_count"]
    series: UUID | None = record["series"]
    changed = record["since"] if record["since"] > record["claimed"] else None  # a version begins with what changed it
    return (
        record["pool"],
        hour_of(record["starts"]),
        hour_of(record["ends"]),
        _counts(record),
        record["actor"],
        record["account"],
        record["share"],
        record["tentative"],
        record["created"],
        record["claimed"],
        record["segment"],
        None if name is None else FromTemplate(name=name, version=version, count=count),
        series,
        changed,
    )


def _account(record: asyncpg.Record) -> AccountRow:
    limits = msgspec.json.decode(record["limits"], type=Limits)
    return AccountRow(record["project"], record["account"], record["name"], limits, record["closed"], record["created"])


def _resize(record: asyncpg.Record) -> ResizeRow:
    return ResizeRow(
        record["pool"],
        record["position"],
        record["decided"],
        record["request"],
        record["state"],
        hour_of(record["starts"]),
        hour_of(record["ends"]),
        _counts(record),
        _layout(record),
        record["lapsed"],
        record["error"],
        record["actor"],
    )
