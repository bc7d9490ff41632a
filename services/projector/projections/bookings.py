"""live_booking: the segments of each booking. An amendment ends a segment and begins the next one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple
from uuid import UUID

import msgspec
import numpy as np

from services.projector.projections.availability import Counts
from shared.capacity import Vector
from shared.events import BookingAmended, FromTemplate
from shared.events.batch import BookingColumns, Booleans
from shared.hours import hour_of


class BookingRow(msgspec.Struct, frozen=True, gc=False):
    """A segment of a booking: it holds `[start, end)`, in hours, and `share` is in basis points.

    `created` and `claimed` are the positions of the events that made the booking and its claim. `changed` is the
    position of the last event after the claim that changed the segment.

    A rebuild makes millions of these. A struct is as fast as a tuple; with a NamedTuple the fold takes a fifth longer.
    """

    pool: int
    start: int
    end: int
    counts: Counts
    actor: str
    account: str
    share: int
    tentative: bool
    created: int
    claimed: int
    segment: int = 0
    template: FromTemplate | None = None
    series: UUID | None = None
    changed: int | None = None


class BookingRows(NamedTuple):
    """First segments of new bookings, by columns: the events, the number of each pool, the position of each event."""

    events: BookingColumns
    pools: Vector
    positions: Vector

    def only(self, rows: Booleans | slice) -> BookingRows:
        """The rows of a mask or a slice."""
        return BookingRows(self.events.only(rows), self.pools[rows], self.positions[rows])

    def row(self, number: int) -> BookingRow:
        """One row as a BookingRow."""
        a, b, c, d, e, f = self.events.counts[number].tolist()
        position = int(self.positions[number])
        return BookingRow(
            int(self.pools[number]),
            int(self.events.starts[number]),
            int(self.events.ends[number]),
            (a, b, c, d, e, f),
            self.events.actors.at(number),
            self.events.accounts.at(number),
            int(self.events.shares[number]),
            bool(self.events.tentative[number]),
            position,
            position,
            0,
            self.events.templates.at(number),
            self.events.series.at(number),
        )


class BookingChanges:
    """New rows, and changes to rows of earlier batches.

    many       new rows by columns: bookings of which nothing else happens in this batch
    many_ends  bookings of earlier batches of which nothing else happens: (ids, hours, positions), as in `ends`

    known      last segment of each earlier booking that this batch amends; its row is deleted and written again
    current    last segment of each booking that was created in this batch or is known
    before     earlier segments, which ended in this batch
    ends       all other bookings: (hour at which the last segment now ends, position of the event that says so)
    tentative  all other bookings: (whether it is tentative now, position of the event that says so)
    """

    def __init__(self, known: Mapping[UUID, BookingRow]) -> None:
        self.many: BookingRows | None = None
        self.many_ends: tuple[list[str], list[int], list[int]] = [], [], []
        self.known = known
        self.current: dict[UUID, BookingRow] = dict(known)
        self.before: list[tuple[UUID, BookingRow]] = []
        self.ends: dict[UUID, tuple[int, int]] = {}
        self.tentative: dict[UUID, tuple[bool, int]] = {}

    def rows(self) -> Iterator[tuple[UUID, BookingRow]]:
        """The rows to insert, each with its booking's id, without `many`."""
        yield from self.before
        yield from self.current.items()

    def create_many(self, pools: Vector, created: BookingColumns, first_position: int) -> None:
        """Adds a row for each event. `pools` are the pools' numbers."""
        self.many = BookingRows(created, pools, created.places + first_position)

    def end_many(self, ended: BookingColumns, rows: Vector, first_position: int) -> None:
        """Ends a booking for each event, as `cut` does. `rows` are those of `create_many`; -1 for other bookings."""
        here, positions = rows >= 0, ended.places + first_position
        earlier = ended.only(~here)
        ids = [name.hex() for name in earlier.names()]
        self.many_ends = ids, earlier.starts.tolist(), positions[~here].tolist()
        if here.any():
            self._end_here(rows[here], ended.starts[here], positions[here])

    def _end_here(self, rows: Vector, ends: Vector, positions: Vector) -> None:
        """Ends rows of `many` at these hours. What stays of them stays as single rows."""
        assert self.many is not None
        for row, end, position in zip(rows.tolist(), ends.tolist(), positions.tolist(), strict=True):
            if end > self.many.events.starts[row]:
                self.current[UUID(bytes=self.many.events.ids[row].tobytes())] = _ended(
                    self.many.row(row), end, position
                )
        stays = np.ones(len(self.many.pools), dtype=bool)
        stays[rows] = False
        self.many = self.many.only(stays)

    def cut(self, booking: UUID, end: int, position: int) -> None:
        """Ends the booking at the hour `end`. The last segment is removed if it starts there or later. If it stays, it
        is not tentative any more: it has happened."""
        row = self.current.get(booking)
        if row is None:
            if booking not in self.known:
                self.ends[booking] = end, position
                self.tentative.pop(booking, None)
        elif end <= row.start:
            del self.current[booking]
        else:
            self.current[booking] = _ended(row, end, position)

    def mark(self, booking: UUID, position: int, *, tentative: bool) -> None:
        """Sets whether the booking's last segment is tentative."""
        row = self.current.get(booking)
        if row is not None:
            self.current[booking] = msgspec.structs.replace(row, tentative=tentative, changed=position)
        elif booking not in self.known:
            self.tentative[booking] = tentative, position

    def amend(self, event: BookingAmended, position: int) -> None:
        """Replaces the last segment from the hour `from_start` on. What it held before that hour stays as a segment of
        its own. Raises KeyError if the booking has no segment left."""
        row = self.current[event.booking]
        from_start, segment, template = hour_of(event.from_start), row.segment, row.template
        if from_start > row.start:
            self.before.append((event.booking, _ended(row, from_start, position)))
            segment += 1
        if (event.capacity, event.share) != (event.from_capacity, event.from_share) or event.template is not None:
            template = event.template
        self.current[event.booking] = msgspec.structs.replace(
            row,
            start=hour_of(event.start),
            end=hour_of(event.end),
            counts=event.capacity.counts(),
            share=event.share,
            tentative=event.tentative,
            claimed=position,
            segment=segment,
            template=template,
            changed=None,
        )


def _ended(row: BookingRow, end: int, position: int) -> BookingRow:
    return msgspec.structs.replace(row, end=end, tentative=False, changed=position)
