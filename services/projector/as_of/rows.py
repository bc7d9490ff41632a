"""Versions of rows in PostgreSQL: loads the current ones that a batch may change, writes those that it ends and begins.

The tables are named `past_…`: one for each read model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from services.projector.as_of.packing import BOOKING_COLUMNS, CHANGE_COLUMNS
from services.projector.as_of.versions import BatchVersions, HourChange, Key, Versions
from services.projector.projections.catalogue import AccountRow
from services.projector.projections.grants import GrantRow
from services.projector.projections.pools import PoolRow, Pools
from services.projector.projections.resizes import ResizeRow
from services.projector.projections.roles import MemberRow, RoleRow
from services.projector.rows.bookings import row_of
from services.projector.rows.catalogue import encoded
from services.projector.rows.copying import columns_of, counts_of
from services.projector.rows.pools import SHORT, layout_columns, layout_in
from shared.as_of import AMOUNTS
from shared.capacity import DIMENSIONS
from shared.events import (
    AccountClosed,
    AccountCreated,
    AccountLimitsSet,
    AccountMemberAdded,
    AccountMemberRemoved,
    BookingCreated,
    ClusterCreated,
    Event,
    GrantWithdrawn,
    Limits,
    RoleGranted,
    RoleRevoked,
)
from shared.events.batch import EventBatch
from shared.hours import hour_of, instant_of
from shared.postgres import Connection, Record, copy_rows

CURRENT = "until = 9223372036854775807"

POOLS = f"SELECT * FROM past_pool WHERE {CURRENT} ORDER BY pool"
CURRENT_POOLS = f"SELECT * FROM past_pool WHERE {CURRENT} AND pool = ANY ($1)"
CURRENT_GRANTS = f"SELECT * FROM past_grant WHERE {CURRENT} AND id = ANY ($1)"
CURRENT_BOOKINGS = f"SELECT * FROM past_booking WHERE {CURRENT} AND id = ANY ($1)"
CURRENT_ACCOUNTS = f"""
SELECT a.* FROM unnest($1::text[], $2::text[]) AS t (project, account)
JOIN past_account a ON a.project = t.project AND a.account = t.account AND a.{CURRENT}
"""
CURRENT_RESIZES = f"SELECT * FROM past_resize WHERE {CURRENT} AND request = ANY ($1)"

CURRENT_ROLES = f"""
SELECT r.* FROM unnest($1::text[], $2::text[], $3::text[]) AS t (pool, member, role)
JOIN past_role r ON r.pool = t.pool AND r.member = t.member AND r.role = t.role AND r.{CURRENT}
"""
CURRENT_ROLES_INSIDE = f"""
SELECT r.* FROM unnest($1::text[]) AS t (cluster)
JOIN past_role r ON r.pool >= t.cluster AND r.pool < t.cluster || '/' AND r.{CURRENT}
    AND (r.pool = t.cluster OR starts_with(r.pool, t.cluster || '.'))
"""
CURRENT_MEMBERS = f"""
SELECT m.* FROM unnest($1::text[], $2::text[], $3::text[]) AS t (project, account, member)
JOIN past_account_member m
    ON m.project = t.project AND m.account = t.account AND m.member = t.member AND m.{CURRENT}
"""


OF_ACCOUNTS = AccountCreated, AccountLimitsSet, AccountClosed


async def read_tree(connection: Connection) -> Pools:
    """The tree of pools at the position up to which versions are stored."""
    tree = Pools()
    for row in await connection.fetch(POOLS):
        tree.add(row["id"], row["pool"], row["parent"], row["beyond_hours"])
    return tree


async def load_versions(connection: Connection, tree: Pools, batch: EventBatch) -> BatchVersions:
    """The current versions of the rows that these events may change."""
    versions, events = BatchVersions(tree), [event for _, event in batch.others]
    if clusters := clusters_of(tree, events):
        for record in await connection.fetch(CURRENT_POOLS, list(clusters)):
            versions.pools.current[(record["pool"],)] = _pool(record)
    if grants := {event.grant for event in events if isinstance(event, GrantWithdrawn)}:
        for record in await connection.fetch(CURRENT_GRANTS, list(grants)):
            versions.grants.current[(record["id"],)] = _grant(record)
    ended = batch.ended.ids[batch.ended_rows < 0]
    later = [event for event in events if not isinstance(event, BookingCreated)]  # which has no row yet
    if bookings := named(later, "booking") | {UUID(bytes=booking.tobytes()) for booking in ended}:
        for record in await connection.fetch(CURRENT_BOOKINGS, list(bookings)):
            changed = record["since"] if record["since"] > record["claimed"] else None  # that event began the version
            versions.bookings.current[record["id"], record["segment"]] = row_of(record, changed)
            versions.segments.setdefault(record["id"], set()).add(record["segment"])
    if accounts := {(event.project, event.account) for event in events if isinstance(event, OF_ACCOUNTS)}:
        for record in await connection.fetch(CURRENT_ACCOUNTS, *columns_of(accounts)):
            versions.accounts.current[record["project"], record["account"]] = _account(record)
    if requests := named(events, "request"):
        for record in await connection.fetch(CURRENT_RESIZES, list(requests)):
            versions.resizes.current[record["pool"], record["position"]] = _resize(record)
            versions.requests[record["request"]] = (record["pool"], record["position"])
    await _load_roles(connection, versions, events)
    return versions


async def _load_roles(connection: Connection, versions: BatchVersions, events: Sequence[Event]) -> None:
    """Loads the roles that these events grant or revoke, those that end with their cluster, and the members of
    accounts."""
    records: list[Record] = []
    if roles := {(e.pool, e.member, e.role) for e in events if isinstance(e, (RoleGranted, RoleRevoked))}:
        records += await connection.fetch(CURRENT_ROLES, *columns_of(roles))
    clusters = {event.cluster for event in events if isinstance(event, ClusterCreated)}
    if again := [cluster for cluster in clusters if cluster in versions.tree.numbers]:
        records += await connection.fetch(CURRENT_ROLES_INSIDE, again)
    for record in records:
        key = record["pool"], record["member"], record["role"]
        versions.roles.current[key] = RoleRow(**_fields(record, ROLE.fields))
    if members := {
        (e.project, e.account, e.member) for e in events if isinstance(e, (AccountMemberAdded, AccountMemberRemoved))
    }:
        for record in await connection.fetch(CURRENT_MEMBERS, *columns_of(members)):
            key = record["project"], record["account"], record["member"]
            versions.members.current[key] = MemberRow(**_fields(record, MEMBER.fields))


def clusters_of(tree: Pools, events: Sequence[Event]) -> set[int]:
    """The pools that these events name as a cluster, and those within a cluster that is created again."""
    clusters = {tree.numbers[name] for name in named(events, "cluster") if name in tree.numbers}
    renewed = tuple(f"{event.cluster}." for event in events if isinstance(event, ClusterCreated))
    if renewed:
        clusters |= {number for name, number in tree.numbers.items() if name.startswith(renewed)}
    return clusters


def named(events: Sequence[Event], field: str) -> set[Any]:
    """The values of the events' field of that name, without None."""
    return {value for event in events if (value := getattr(event, field, None)) is not None}


class Columns(NamedTuple):
    """Columns that hold one field of a row, and the values that they get of a row."""

    names: Sequence[str]
    values: Callable[[Any], Sequence[Any]]


PERIOD = Columns(("starts", "ends"), lambda row: (_instant(row.start), _instant(row.end)))
COUNTS = Columns(DIMENSIONS, lambda row: row.counts)
LAYOUT = Columns((*SHORT, "layout"), lambda row: layout_columns(row.layout))
LIMITS = Columns(("limits",), lambda row: (encoded(row.limits),))
TEMPLATE = Columns(
    ("template", "template_version", "template_count"),
    lambda row: (None, None, None) if row.template is None else msgspec.structs.astuple(row.template),
)


class Model:
    """How the versions of one read model are written.

    end     the statement that ends current versions: it takes a list for each key column, and one of `until`
    fields  columns that are named as a field of the row, and hold its value
    others  columns whose values are made from a field
    """

    def __init__(
        self, table: str, end: str, key: Sequence[str], fields: Sequence[str], others: Sequence[Columns] = ()
    ) -> None:
        self.table, self.end, self.key, self.fields = table, end, key, fields
        self.columns = ["since", "until", *key, *fields, *(name for one in others for name in one.names)]
        self._field_values, self._others = attrgetter(*fields), [one.values for one in others]

    def values(self, since: int, until: int, key: Key, row: Any) -> Sequence[Any]:
        """The values of a version, in the order of `columns`."""
        values = [since, until, *key, *self._field_values(row)]
        for others in self._others:
            values += others(row)
        return values


END_POOLS = f"""
UPDATE past_pool p SET until = t.until FROM unnest($1::int[], $2::bigint[]) AS t (pool, until)
WHERE p.pool = t.pool AND p.{CURRENT}
"""
END_GRANTS = f"""
UPDATE past_grant g SET until = t.until FROM unnest($1::uuid[], $2::bigint[]) AS t (id, until)
WHERE g.id = t.id AND g.{CURRENT}
"""
END_BOOKINGS = f"""
UPDATE past_booking b SET until = t.until FROM unnest($1::uuid[], $2::int[], $3::bigint[]) AS t (id, segment, until)
WHERE b.id = t.id AND b.segment = t.segment AND b.{CURRENT}
"""
END_ACCOUNTS = f"""
UPDATE past_account a SET until = t.until
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS t (project, account, until)
WHERE a.project = t.project AND a.account = t.account AND a.{CURRENT}
"""
END_RESIZES = f"""
UPDATE past_resize r SET until = t.until FROM unnest($1::int[], $2::bigint[], $3::bigint[]) AS t (pool, position, until)
WHERE r.pool = t.pool AND r.position = t.position AND r.{CURRENT}
"""
END_TEMPLATES = f"""
UPDATE past_template m SET until = t.until
FROM unnest($1::text[], $2::text[], $3::int[], $4::bigint[]) AS t (project, name, version, until)
WHERE m.project = t.project AND m.name = t.name AND m.version = t.version AND m.{CURRENT}
"""
END_ROLES = f"""
UPDATE past_role r SET until = t.until
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS t (pool, member, role, until)
WHERE r.pool = t.pool AND r.member = t.member AND r.role = t.role AND r.{CURRENT}
"""
END_MEMBERS = f"""
UPDATE past_account_member m SET until = t.until
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS t (project, account, member, until)
WHERE m.project = t.project AND m.account = t.account AND m.member = t.member AND m.{CURRENT}
"""


POOL_FIELDS = ("id", "parent", "project", "name", "kind", "beyond_hours", "tentative", "claimed")
GRANT_FIELDS = ("pool", "actor", "source")
BOOKING_FIELDS = ("pool", "actor", "account", "share", "tentative", "created", "claimed", "series")
ACCOUNT_FIELDS = ("name", "closed", "created")
RESIZE_FIELDS = ("decided", "request", "state", "lapsed", "error", "actor")
TEMPLATE_FIELDS = ("actor", "created")

POOL = Model("past_pool", END_POOLS, ("pool",), POOL_FIELDS, (PERIOD, LAYOUT))
GRANT = Model("past_grant", END_GRANTS, ("id",), GRANT_FIELDS, (PERIOD, COUNTS))
BOOKING = Model("past_booking", END_BOOKINGS, ("id", "segment"), BOOKING_FIELDS, (PERIOD, COUNTS, TEMPLATE))
ACCOUNT = Model("past_account", END_ACCOUNTS, ("project", "account"), ACCOUNT_FIELDS, (LIMITS,))
RESIZE = Model("past_resize", END_RESIZES, ("pool", "position"), RESIZE_FIELDS, (PERIOD, COUNTS, LAYOUT))
TEMPLATES = Model("past_template", END_TEMPLATES, ("project", "name", "version"), TEMPLATE_FIELDS, (COUNTS,))
ROLE = Model("past_role", END_ROLES, ("pool", "member", "role"), ("granted", "actor"))
MEMBER = Model("past_account_member", END_MEMBERS, ("project", "account", "member"), ("added", "actor"))


async def write_versions(connection: Connection, batch: BatchVersions) -> None:
    """Ends the versions that a batch ends, and adds those that it begins and the changes of hours."""
    models: list[tuple[Model, Versions]] = [
        (POOL, batch.pools),
        (GRANT, batch.grants),
        (BOOKING, batch.bookings),
        (ACCOUNT, batch.accounts),
        (RESIZE, batch.resizes),
        (TEMPLATES, batch.templates),
        (ROLE, batch.roles),
        (MEMBER, batch.members),
    ]
    for model, versions in models:
        if versions.ended:
            keyed = [(*key, until) for key, until in versions.ended]
            await connection.execute(model.end, *columns_of(keyed))
        if begun := [model.values(*version) for version in versions.begun()]:
            await connection.copy_records_to_table(model.table, records=begun, columns=model.columns)
    if batch.booked:
        await copy_rows(connection, BOOKING.table, batch.booked, BOOKING_COLUMNS)
    if batch.hours:
        await _add_hours(connection, batch.hours)
    if batch.claimed:
        await copy_rows(connection, "past_change", batch.claimed, CHANGE_COLUMNS)


async def _add_hours(connection: Connection, changes: Iterable[HourChange]) -> None:
    records = [
        (position, pool, instant_of(start), instant_of(end), *granted, *booked, shares)
        for position, pool, start, end, granted, booked, shares in changes
    ]
    columns = ["position", "pool", "starts", "ends", *AMOUNTS]
    await connection.copy_records_to_table("past_change", records=records, columns=columns)


def _fields(record: Record, names: Iterable[str]) -> dict[str, Any]:
    return {name: record[name] for name in names}


def _period(record: Record) -> dict[str, Any]:
    return {"start": _hour(record["starts"]), "end": _hour(record["ends"])}


def _pool(record: Record) -> PoolRow:
    return PoolRow(**_fields(record, POOL.fields), **_period(record), layout=layout_in(record))


def _grant(record: Record) -> GrantRow:
    return GrantRow(**_fields(record, GRANT.fields), **_period(record), counts=counts_of(record))


def _account(record: Record) -> AccountRow:
    limits = msgspec.json.decode(record["limits"], type=Limits)
    return AccountRow(record["project"], record["account"], **_fields(record, ACCOUNT.fields), limits=limits)


def _resize(record: Record) -> ResizeRow:
    given = _fields(record, (*RESIZE.key, *RESIZE.fields))
    return ResizeRow(**given, **_period(record), counts=counts_of(record), layout=layout_in(record))


def _instant(hour: int | None) -> datetime | None:
    return None if hour is None else instant_of(hour)


def _hour(instant: datetime | None) -> int | None:
    return None if instant is None else hour_of(instant)
