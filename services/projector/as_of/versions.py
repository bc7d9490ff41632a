"""The rows of the read models one event at a time: which versions of them end with an event, and which begin.

It applies what the other folds say of a batch of one. The hours are not rows here: what an event adds to them is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple
from uuid import UUID

from services.projector.projections.availability import Counts
from services.projector.projections.bookings import BookingRow
from services.projector.projections.catalogue import AccountRow
from services.projector.projections.fold import Changes, Known, fold
from services.projector.projections.grants import GrantRow
from services.projector.projections.pools import PoolRow, Pools
from services.projector.projections.resizes import ResizeRow
from shared.events import Event
from shared.timeline import Timeline

FOR_EVER = 2**63 - 1
NOTHING: Counts = (0, 0, 0, 0, 0, 0)

Key = tuple[Any, ...]


class HourChange(NamedTuple):
    """What an event adds to the hours `[start, end)` of a pool."""

    position: int
    pool: int
    start: int
    end: int
    granted: Counts = NOTHING
    booked: Counts = NOTHING
    shares: int = 0


class Versions:
    """The versions of one read model's rows. `open` are the rows that are, by key, as they were loaded or have become;
    `ended` are versions of earlier batches that end (key, until), `made` those that begin in this one."""

    def __init__(self) -> None:
        self.open: dict[Key, Any] = {}
        self._since: dict[Key, int] = {}
        self.ended: list[tuple[Key, int]] = []
        self._closed: list[tuple[int, int, Key, Any]] = []

    def put(self, key: Key, row: Any, position: int) -> None:
        """The row is so from `position` on; None: it is not there."""
        before = self.open.get(key)
        if before == row:
            return
        if before is not None:
            self._end(key, before, position)
        if row is None:
            self.open.pop(key, None)
        else:
            self.open[key], self._since[key] = row, position

    def made(self) -> Iterator[tuple[int, int, Key, Any]]:
        """`(since, until, key, row)`."""
        yield from self._closed
        for key, since in self._since.items():
            yield since, FOR_EVER, key, self.open[key]

    def _end(self, key: Key, row: Any, position: int) -> None:
        since = self._since.pop(key, None)
        if since is None:
            self.ended.append((key, position))
        elif since < position:
            self._closed.append((since, position, key, row))


class Rows:
    """What a batch needs of the rows before it, and what it makes of them. `sizes` answers what is granted to a cluster
    in the hours `[start, end)` before the event at hand."""

    def __init__(self, pools: Pools) -> None:
        self.known_pools = pools
        self.pools, self.grants, self.bookings = Versions(), Versions(), Versions()
        self.accounts, self.resizes, self.templates = Versions(), Versions(), Versions()
        self.segments: dict[UUID, set[int]] = {}
        self.requests: dict[UUID, Key] = {}
        self.hours: list[HourChange] = []

    def last_segment(self, booking: UUID) -> BookingRow | None:
        segments = self.segments.get(booking)
        row: BookingRow | None = self.bookings.open[booking, max(segments)] if segments else None
        return row

    def apply(self, position: int, event: Event, sizes: dict[str, Timeline]) -> None:
        """Raises as `fold` does."""
        booking: UUID | None = getattr(event, "booking", None)
        last = None if booking is None else self.last_segment(booking)
        known = {} if booking is None or last is None else {booking: last}
        changes = fold(self.known_pools, Known(sizes, known), position, [event])
        self._apply_pools(position, changes)
        self._apply_grants(position, changes)
        self._apply_bookings(position, changes)
        self._apply_catalogue(position, changes)
        self._apply_resizes(position, changes)
        self.hours += hour_changes(position, changes)

    def _apply_pools(self, position: int, changes: Changes) -> None:
        for number, row in (changes.pools.created | changes.pools.renewed).items():
            self.pools.put((number,), row, position)
            self.known_pools.add(row.id, number, row.parent, row.beyond_hours)
        for number, change in changes.pools.changed.items():
            before: PoolRow = self.pools.open[(number,)]
            self.pools.put((number,), change.applied_to(before), position)

    def _apply_grants(self, position: int, changes: Changes) -> None:
        for grant, row in changes.grants.created.items():
            self.grants.put((grant,), row, position)
        for grant, end in changes.grants.ends.items():
            before: GrantRow | None = self.grants.open.get((grant,))
            if before is not None:
                pool, start, _, counts, actor, source = before
                cut = None if end <= start else (pool, start, end, counts, actor, source)
                self.grants.put((grant,), cut, position)

    def _apply_bookings(self, position: int, changes: Changes) -> None:
        rows = {(booking, row[10]): row for booking, row in changes.bookings.rows()}
        for booking, before in changes.bookings.known.items():
            if (booking, before[10]) not in rows:
                self.segments[booking].discard(before[10])
                self.bookings.put((booking, before[10]), None, position)
        for (booking, segment), row in rows.items():
            self.segments.setdefault(booking, set()).add(segment)
            self.bookings.put((booking, segment), row, position)

    def _apply_catalogue(self, position: int, changes: Changes) -> None:
        catalogue = changes.catalogue
        for template in catalogue.templates:
            self.templates.put((template.project, template.name, template.version), template, position)
        for key, account in catalogue.accounts.items():
            self.accounts.put(key, account, position)
        for key, limits in catalogue.limits.items():
            self._change_account(key, position, limits=limits)
        for key in catalogue.closed:
            self._change_account(key, position, closed=True)

    def _change_account(self, key: Key, position: int, **change: Any) -> None:
        before: AccountRow | None = self.accounts.open.get(key)
        if before is not None:
            self.accounts.put(key, before._replace(**change), position)

    def _apply_resizes(self, position: int, changes: Changes) -> None:
        for row in changes.resizes.created:
            key = (row.pool, row.position)
            self.resizes.put(key, row, position)
            if row.request is not None:
                self.requests[row.request] = key
        for request, row in changes.resizes.applied.items():
            if (key_ := self.requests.get(request)) is not None:
                before: ResizeRow = self.resizes.open[key_]
                applied = row._replace(position=before.position, actor=before.actor, error=before.error)
                self.resizes.put(key_, applied, position)
        for request, failure in changes.resizes.failed.items():
            if (key_ := self.requests.get(request)) is not None:
                before = self.resizes.open[key_]
                failed = before._replace(decided=failure.decided, state="failed", error=failure.error)
                self.resizes.put(key_, failed, position)


def hour_changes(position: int, changes: Changes) -> Iterable[HourChange]:
    availability = changes.availability
    for pool, amounts in availability.granted.items():
        yield from (HourChange(position, pool, start, end, granted=counts) for start, end, counts in amounts)
    for pool, amounts in availability.booked.items():
        yield from (HourChange(position, pool, start, end, booked=counts) for start, end, counts in amounts)
    for pool, shares in availability.shares.items():
        yield from (HourChange(position, pool, start, end, shares=points) for start, end, points in shares)
