"""A batch folded by columns changes what the same events change when they are folded one by one."""

from __future__ import annotations

import random
from typing import Any
from uuid import UUID

import pytest

from services.projector.projections import Changes, Known, fold, fold_batch, needed_for
from services.projector.projections.pools import Pools
from services.projector.rows.bookings import pack_bookings
from shared.events import BookingCreated, ClusterCreated, Event, encode_event
from shared.events.batch import decode_batch
from shared.timeline import Timeline
from tests.support.histories import history

SIZES = [1, 3, 40, 300]


@pytest.fixture(autouse=True)
def columns_for_few_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.events.batch.COLUMNS_MIN", 0)
    monkeypatch.setattr("shared.events.batch.CHUNK", 64)


def said(changes: Changes) -> dict[str, Any]:
    """All that a batch changes, in one form for both ways."""
    bookings = changes.bookings
    ids, ends, positions = bookings.many_ends
    rows = [(booking, row) for booking, row in bookings.rows()]
    if bookings.many is not None:
        rows += [(UUID(bytes=one.tobytes()), bookings.many.row(at)) for at, one in enumerate(bookings.many.events.ids)]
    return {
        "pools": {name: rows for name, rows in vars(changes.pools).items() if not name.startswith("_")},
        "hours": [(pool, hours.tolist(), amounts.tolist()) for pool, hours, amounts in changes.availability.rows()],
        "grants": vars(changes.grants),
        "bookings": sorted(rows, key=str),
        "ends": bookings.ends | {UUID(one): (end, at) for one, end, at in zip(ids, ends, positions, strict=True)},
        "tentative": bookings.tentative,
        "catalogue": vars(changes.catalogue),
        "resizes": vars(changes.resizes),
        "roles": vars(changes.roles),
    }


class Replay:
    """Folds a history batch by batch; it keeps what `fold` must know of the batches before."""

    def __init__(self, by_columns: bool) -> None:
        self.by_columns, self.pools, self.position = by_columns, Pools(), 0
        self.sizes: dict[str, Timeline] = {}
        self.bookings: dict[UUID, Any] = {}

    def fold(self, events: list[Event]) -> Changes:
        needed = needed_for(events)
        known = Known({}, {one: self.bookings[one] for one in needed.bookings & self.bookings.keys()})
        if self.by_columns:
            changes = fold_batch(self.pools, known, self.position + 1, decode_batch([encode_event(e) for e in events]))
        else:
            changes = fold(self.pools, known, self.position + 1, events)
        self.position += len(events)
        self._keep(changes)
        return changes

    def _keep(self, changes: Changes) -> None:
        for number, row in (changes.pools.created | changes.pools.renewed).items():
            self.pools.add(row.id, number, row.parent, row.beyond_hours)
        told = said(changes)
        for booking in changes.bookings.known:
            self.bookings.pop(booking, None)
        for booking, row in told["bookings"]:
            if booking not in self.bookings or row.segment >= self.bookings[booking].segment:
                self.bookings[booking] = row
        for booking, (end, _) in told["ends"].items():
            if booking in self.bookings and self.bookings[booking].start >= end:
                del self.bookings[booking]


@pytest.mark.parametrize("seed", [2, 5])
def test_by_columns_it_changes_the_same(seed: int) -> None:
    events = [event for event in history(seed, 800, projects=3) if type(event).__name__ != "ClusterResized"]
    chance, singly, together = random.Random(seed), Replay(by_columns=False), Replay(by_columns=True)
    many = 0
    while events:
        size = chance.choice(SIZES)
        one, other = singly.fold(events[:size]), together.fold(events[:size])
        assert said(other) == said(one)
        assert rows_of(pack_bookings(3, other.bookings)) == rows_of(pack_bookings(3, one.bookings))
        many += 0 if other.bookings.many is None else len(other.bookings.many.pools)
        events = events[size:]
    assert many > 60


def rows_of(packed: list[bytes]) -> list[list[bytes]]:
    """The values of each row of COPY's binary format, sorted."""
    stream, at, rows = b"".join(packed), 0, []
    while at < len(stream):
        count, at = int.from_bytes(stream[at : at + 2], "big"), at + 2
        row = []
        for _ in range(count):
            size, at = int.from_bytes(stream[at : at + 4], "big", signed=True), at + 4
            row.append(b"NULL" if size < 0 else stream[at : at + size])
            at += max(size, 0)
        rows.append(row)
    return sorted(rows)


def test_a_booking_of_a_pool_that_is_created_later_cannot_be_applied() -> None:
    events = history(2, 400)
    cluster = next(event for event in events if isinstance(event, ClusterCreated))
    at = events.index(cluster)
    booked = next(event for event in events if isinstance(event, BookingCreated) and event.pool == cluster.cluster)
    early = [*events[:at], booked, *events[at : at + 1]]
    for batch in (early, early[:-1]):
        with pytest.raises(KeyError, match=cluster.cluster):
            Replay(by_columns=True).fold(batch)


def test_a_period_that_ends_before_it_starts_cannot_be_added() -> None:
    events = history(2, 400)
    booked = next(event for event in events if isinstance(event, BookingCreated))
    at = events.index(booked)
    turned = BookingCreated(
        **{name: getattr(booked, name) for name in booked.__struct_fields__}
        | {"start": booked.end, "end": booked.start}
    )
    for by_columns in (False, True):
        with pytest.raises(ValueError, match="ends before it starts"):
            Replay(by_columns).fold([*events[:at], turned])
