"""Versions of rows: which versions end with an event, and which begin.

A version is a row with the positions `[since, until)` between which it is the current one. Each event is folded alone,
by the same fold as the live read models; bookings that are created and cancelled come by columns. The hours have no
versions: for them, the change that each event makes is stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np

from services.projector.as_of.packing import pack_bookings, pack_changes
from services.projector.projections.availability import Counts
from services.projector.projections.bookings import BookingChanges, BookingRow, BookingRows
from services.projector.projections.catalogue import AccountRow
from services.projector.projections.fold import Changes, Known, fold
from services.projector.projections.grants import GrantRow
from services.projector.projections.pools import PoolRow, Pools
from services.projector.projections.resizes import ResizeRow
from shared.capacity import Vector
from shared.events import Event
from shared.events.batch import BookingColumns, EventBatch, Repeated
from shared.identity.roles import is_in
from shared.timeline import Timeline

FOR_EVER = 2**63 - 1  # the `until` of a current version
NOTHING: Counts = (0, 0, 0, 0, 0, 0)

Key = tuple[Any, ...]


class HourChange(NamedTuple):
    """What the event at `position` adds to the hours `[start, end)` of a pool; `shares` are basis points."""

    position: int
    pool: int
    start: int
    end: int
    granted: Counts = NOTHING
    booked: Counts = NOTHING
    shares: int = 0


class Versions:
    """Versions of one read model's rows, by key.

    current  the current row of each key, as it was loaded or as this batch has made it
    ended    (key, until) of each stored version that this batch ends
    """

    def __init__(self) -> None:
        self.current: dict[Key, Any] = {}
        self.ended: list[tuple[Key, int]] = []
        self._since: dict[Key, int] = {}  # of the current rows that this batch has made
        self._closed: list[tuple[int, int, Key, Any]] = []  # versions that begin and end in this batch

    def put(self, key: Key, row: Any, position: int) -> None:
        """Makes `row` the current one from `position` on. None: there is no row any more."""
        before = self.current.get(key)
        if before == row:
            return
        if before is not None:
            self._end(key, before, position)
        if row is None:
            self.current.pop(key, None)
        else:
            self.current[key], self._since[key] = row, position

    def begun(self) -> Iterator[tuple[int, int, Key, Any]]:
        """The versions that begin in this batch: (since, until, key, row)."""
        yield from self._closed
        for key, since in self._since.items():
            yield since, FOR_EVER, key, self.current[key]

    def _end(self, key: Key, row: Any, position: int) -> None:
        since = self._since.pop(key, None)
        if since is None:
            self.ended.append((key, position))
        elif since < position:
            self._closed.append((since, position, key, row))


class BatchVersions:
    """The versions of a batch: `add` each of its events in order.

    segments  the numbers of each booking's current segments
    requests  the key of each requested resize, by the request's id
    hours     the changes of hours
    claimed   more changes of hours, packed; `claims` is their number by pool
    booked    first versions of new bookings, packed; they are not in `bookings`
    """

    def __init__(self, tree: Pools) -> None:
        self.tree = tree
        self.pools, self.grants, self.bookings = Versions(), Versions(), Versions()
        self.accounts, self.resizes, self.templates = Versions(), Versions(), Versions()
        self.roles, self.members = Versions(), Versions()
        self.segments: dict[UUID, set[int]] = {}
        self.requests: dict[UUID, Key] = {}
        self.hours: list[HourChange] = []
        self.claimed: list[bytes] = []
        self.claims: Counter[int] = Counter()
        self.booked: list[bytes] = []
        self._made: dict[str, int] = {}  # the position at which this batch has created a pool

    def changed_pools(self) -> Counter[int]:
        """The number of changes of hours, by pool."""
        return self.claims + Counter(change.pool for change in self.hours)

    def add_batch(self, first_position: int, batch: EventBatch, sizes: dict[str, Timeline]) -> None:
        """Folds the events of a batch; the first of them is at `first_position`. Raises what `fold` raises."""
        for place, event in batch.others:
            self.add(first_position + place, event, sizes)
        if batch.created.rows:
            self._book(self._claims(first_position, batch.created, +1), batch.ended_rows)
        if batch.ended.rows:
            self._end(self._claims(first_position, batch.ended, -1))

    def _claims(self, first_position: int, events: BookingColumns, sign: int) -> BookingRows:
        """The rows of these events. Adds (`sign` +1) what they claim to the hours, or subtracts it (-1)."""
        positions = events.places + first_position
        if (events.ends < events.starts).any():
            raise ValueError("a period ends before it starts")
        claims = BookingRows(events, self._numbers(events.pools, positions), positions)
        self.claimed.append(pack_changes(claims, sign))
        pools, counts = np.unique(claims.pools, return_counts=True)
        self.claims.update(dict(zip(pools.tolist(), counts.tolist(), strict=True)))
        return claims

    def _numbers(self, pools: Repeated[str], positions: Vector) -> Vector:
        """The number of each pool. Raises KeyError if a pool is unknown at its event's position; these ascend."""
        numbers = np.zeros(len(pools.values), dtype=np.int64)
        used, firsts = np.unique(pools.numbers, return_index=True)
        for place, first in zip(used.tolist(), positions[firsts].tolist(), strict=True):
            pool = pools.values[place]
            if self._made.get(pool, 0) > first:
                raise KeyError(pool)
            numbers[place] = self.tree.numbers[pool]
        return numbers[pools.numbers]

    def _book(self, created: BookingRows, ended_rows: Vector) -> None:
        """Begins a version for each new booking. Those that the batch also ends become single rows."""
        ended = ended_rows[ended_rows >= 0]
        for number in ended.tolist():
            row, booking = created.row(number), booking_of(created, number)
            self.segments[booking] = {row.segment}
            self.bookings.put((booking, row.segment), row, row.created)
        stays = np.ones(created.events.rows, dtype=bool)
        stays[ended] = False
        self.booked = pack_bookings(created if stays.all() else created.only(stays))

    def _end(self, ended: BookingRows) -> None:
        for number, position in enumerate(ended.positions.tolist()):
            booking = booking_of(ended, number)
            last = self.last_segment(booking)
            changes = BookingChanges({} if last is None else {booking: last})
            changes.cut(booking, int(ended.events.starts[number]), position)
            self._add_bookings(position, changes)

    def last_segment(self, booking: UUID) -> BookingRow | None:
        segments = self.segments.get(booking)
        row: BookingRow | None = self.bookings.current[booking, max(segments)] if segments else None
        return row

    def add(self, position: int, event: Event, sizes: dict[str, Timeline]) -> None:
        """Folds one event. `sizes` is what each resized cluster was granted before it. Raises what `fold` raises."""
        booking: UUID | None = getattr(event, "booking", None)
        last = None if booking is None else self.last_segment(booking)
        known = {} if booking is None or last is None else {booking: last}
        changes = fold(self.tree, Known(sizes, known), position, [event])
        self._add_pools(position, changes)
        self._add_grants(position, changes)
        self._add_bookings(position, changes.bookings)
        self._add_catalogue(position, changes)
        self._add_resizes(position, changes)
        self._add_roles(position, changes)
        self.hours += hour_changes(position, changes)

    def _add_pools(self, position: int, changes: Changes) -> None:
        for number, row in (changes.pools.created | changes.pools.renewed).items():
            self.pools.put((number,), row, position)
            self.tree.add(row.id, number, row.parent, row.beyond_hours)
            if number in changes.pools.created:
                self._made[row.id] = position
        for number, change in changes.pools.changed.items():
            before: PoolRow = self.pools.current[(number,)]
            self.pools.put((number,), change.applied_to(before), position)

    def _add_grants(self, position: int, changes: Changes) -> None:
        for grant, row in changes.grants.created.items():
            self.grants.put((grant,), row, position)
        for grant, end in changes.grants.ends.items():
            before: GrantRow | None = self.grants.current.get((grant,))
            if before is not None:
                cut = None if end <= before.start else before._replace(end=end)
                self.grants.put((grant,), cut, position)

    def _add_bookings(self, position: int, changes: BookingChanges) -> None:
        rows = {(booking, row.segment): row for booking, row in changes.rows()}
        for booking, before in changes.known.items():
            if (booking, before.segment) not in rows:
                self.segments[booking].discard(before.segment)
                self.bookings.put((booking, before.segment), None, position)
        for (booking, segment), row in rows.items():
            self.segments.setdefault(booking, set()).add(segment)
            self.bookings.put((booking, segment), row, position)

    def _add_catalogue(self, position: int, changes: Changes) -> None:
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
        before: AccountRow | None = self.accounts.current.get(key)
        if before is not None:
            self.accounts.put(key, before._replace(**change), position)

    def _add_resizes(self, position: int, changes: Changes) -> None:
        for row in changes.resizes.created:
            key = (row.pool, row.position)
            self.resizes.put(key, row, position)
            if row.request is not None:
                self.requests[row.request] = key
        for request, row in changes.resizes.applied.items():
            if (key_ := self.requests.get(request)) is not None:
                before: ResizeRow = self.resizes.current[key_]
                applied = row._replace(position=before.position, actor=before.actor, error=before.error)
                self.resizes.put(key_, applied, position)
        for request, failure in changes.resizes.failed.items():
            if (key_ := self.requests.get(request)) is not None:
                before = self.resizes.current[key_]
                failed = before._replace(decided=failure.decided, state="failed", error=failure.error)
                self.resizes.put(key_, failed, position)

    def _add_roles(self, position: int, changes: Changes) -> None:
        for cluster in changes.roles.ended:
            for key in [key for key in self.roles.current if is_in(key[0], cluster)]:
                self.roles.put(key, None, position)
        for key, role in changes.roles.roles.items():
            self.roles.put(key, role, position)
        for key, member in changes.roles.members.items():
            self.members.put(key, member, position)


def booking_of(rows: BookingRows, number: int) -> UUID:
    return UUID(bytes=rows.events.ids[number].tobytes())


def hour_changes(position: int, changes: Changes) -> Iterable[HourChange]:
    """What the event at `position` adds to the hours, one change a period."""
    availability = changes.availability
    for pool, amounts in availability.granted.items():
        yield from (HourChange(position, pool, start, end, granted=counts) for start, end, counts in amounts)
    for pool, amounts in availability.booked.items():
        yield from (HourChange(position, pool, start, end, booked=counts) for start, end, counts in amounts)
    for pool, shares in availability.shares.items():
        yield from (HourChange(position, pool, start, end, shares=points) for start, end, points in shares)
