"""The calendar question: one pool's hours in blocks. Only this module reads its query string."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal
from uuid import UUID

import msgspec

from services.query.answers.cache import Scope
from services.query.questions.parameters import (
    TemplateName,
    checked_cluster,
    parse_dimensions,
    parse_grain_or_day,
    parse_names,
    parse_pool,
    parse_shape,
    parse_template,
    required_range,
    unknown_pool,
)
from services.query.rollup import VALUES
from shared.errors import InvalidField, UnknownId
from shared.hours import EARLIEST, LATEST, Period, block_starts, parse_zone
from shared.names import asked_name

BLOCKS_MAX = 100_000
KEPT_HOURS = 1500  # of a period whose blocks are remembered: two months
CalendarView = Literal["available", "resources", "bookings", "sizes", "openstack"]
VALUES_OF: dict[CalendarView, tuple[str, ...]] = {
    "available": VALUES,
    "resources": ("granted",),
    "bookings": ("booked",),
    "sizes": ("granted",),
}
OPENSTACK_COLUMNS = ("servers", "memory", "cores")  # the order in which the compatibility endpoints give them


class Cursor(msgspec.Struct, frozen=True):
    """The place after which a page of grants or bookings begins: a start (an hour), and an id."""

    start: int = 0
    id: UUID = UUID(int=0)

    def text(self) -> str:
        return base64.urlsafe_b64encode(f"{self.start}.{self.id}".encode()).decode().rstrip("=")


class CalendarQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The query string of a calendar route: texts that are not checked yet. A parameter that was not given is None.

    `period` is the parameter `range`. `cluster` is the id in the path, of a route that has one.
    """

    cluster: str | None = None
    project: str | None = None
    clusterid: str | None = None
    period: str | None = None
    grain: str | None = None
    tz: str = "UTC"
    dimensions: str | None = None
    values: str | None = None
    shape: str | None = None
    template: str | None = None
    account: str | None = None
    after: str | None = None
    limit: int = 1000
    min_position: int = 0

    def pool(self) -> tuple[str, str]:
        """The name of the parameter that names the pool, and the pool's id. Raises InvalidField, UnknownId."""
        if self.cluster is not None:
            return "id", checked_cluster(self.cluster, "id")
        return parse_pool(self.project, self.clusterid)


class CalendarQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """A question about one pool's hours in its normal form. Two equal questions have the same answer.

    `field` is the parameter that named the pool. `after` and `limit` are the page of the items, in a view with items.
    With `account`, only its bookings are items.
    `openstack` is the view of the compatibility endpoints: rows of `date` and OPENSTACK_COLUMNS.
    """

    view: CalendarView
    field: str
    pool: str
    period: Period
    grain: str | int
    zone: str
    dimensions: tuple[str, ...]
    values: tuple[str, ...]
    columns: bool = False
    csv: bool = False
    after: Cursor = Cursor()
    limit: int = 1000
    template: TemplateName | None = None
    account: str | None = None

    @property
    def scope(self) -> Scope:
        return Scope("pool", self.pool)

    @property
    def hours(self) -> Period:
        return self.period

    def unknown(self) -> UnknownId:
        return unknown_pool(self.field, self.pool)

    def block_starts(self) -> Sequence[int]:
        """The first hour of every block. Raises InvalidField for more than BLOCKS_MAX blocks."""
        return blocks_of(self.period, self.grain, self.zone)


def blocks_of(period: Period, grain: str | int, zone: str) -> Sequence[int]:
    """The first hour of every block. Raises InvalidField for more than BLOCKS_MAX blocks."""
    if grain == "hour":
        if period.hours > BLOCKS_MAX:
            raise too_many_blocks()
        return range(period.start, period.end)
    if period.hours <= KEPT_HOURS:
        return _blocks_of_few(period, grain, zone)
    return _blocks_of(period, grain, zone)


@lru_cache(maxsize=1024)
def _blocks_of_few(period: Period, grain: str | int, zone: str) -> Sequence[int]:
    return tuple(_blocks_of(period, grain, zone))


def _blocks_of(period: Period, grain: str | int, zone: str) -> list[int]:
    if isinstance(grain, int) and grain * BLOCKS_MAX < period.hours:
        raise too_many_blocks()
    starts = block_starts(period, grain, parse_zone(zone))
    if len(starts) > BLOCKS_MAX:
        raise too_many_blocks()
    return starts


def parse_calendar(query: CalendarQuery, view: CalendarView, csv: bool, own: Period | None = None) -> CalendarQuestion:
    """The question of a calendar route. `own` is the cluster's own period, for a query without a range; `csv` says
    whether the client prefers a table. Raises InvalidField, UnknownId."""
    field, pool = query.pool()
    zone = parse_zone(query.tz)
    return CalendarQuestion(
        view=view,
        field=field,
        pool=pool,
        period=own or required_range(query.period, zone),
        grain=parse_grain_or_day(query.grain),
        zone=zone.key,
        dimensions=parse_dimensions(query.dimensions),
        values=parse_names(query.values, "values", VALUES, VALUES_OF[view]),
        columns=parse_shape(query.shape),
        csv=csv,
        after=parse_cursor(query.after),
        limit=query.limit,
        template=None if query.template is None else parse_template(query.template),
        account=None if query.account is None else asked_name(query.account, "account"),
    )


def parse_openstack(query: CalendarQuery, value: str, csv: bool, own: Period | None = None) -> CalendarQuestion:
    """The question of a compatibility endpoint about one value, `granted` or `available`; else as `parse_calendar`."""
    field, pool = query.pool()
    zone = parse_zone(query.tz)
    return CalendarQuestion(
        view="openstack",
        field=field,
        pool=pool,
        period=own or required_range(query.period, zone),
        grain=parse_grain_or_day(query.grain),
        zone=zone.key,
        dimensions=OPENSTACK_COLUMNS,
        values=(value,),
        csv=csv,
    )


def parse_cursor(text: str | None) -> Cursor:
    """The inverse of Cursor.text(). Raises InvalidField for a text that no answer gave as `next`."""
    if text is None:
        return Cursor()
    try:
        start, entity = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).split(b".")
        cursor = Cursor(int(start), UUID(entity.decode()))
    except (ValueError, binascii.Error):
        raise InvalidField("after", "give what an earlier answer named as next, unchanged") from None
    if not EARLIEST <= cursor.start <= LATEST:
        raise InvalidField("after", "give what an earlier answer named as next, unchanged")
    return cursor


def too_many_blocks(most: int = BLOCKS_MAX) -> InvalidField:
    return InvalidField("grain", f"the range has more than {most} blocks; ask for longer blocks or fewer hours")
