"""Grants of a source: made when there are none, and replaced from the next whole hour on when they have changed.

What is compared is the sum that the source grants in each hour to come. Hours gone by are never touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from services.cli.openstack.calls import Call, Step, counts_in, key_of, span_in
from services.cli.openstack.nova import SOURCE as NOVA
from services.cli.openstack.present import Grant, Present
from services.cli.openstack.wanted import Given, Grants, Revoked, Unmapped, said, total
from shared.capacity import DIMENSIONS, Capacity, capacity_of
from shared.hours import Period, iso

HOURS_A_YEAR = 365 * 24
DISCS = DIMENSIONS[3:]


class Piece(NamedTuple):
    """`capacity` in the hours of `period`."""

    period: Period
    capacity: Capacity


def plan_grants(wanted: Grants, present: Present, given: Given) -> Step | Unmapped:
    ever = [grant for grant in present.grants.values() if grant.source == wanted.source]
    period = wanted.period or period_of(ever, given.now)
    # A lease says all of its source; a quota is said for some hours, and what it was in others stays.
    before = [grant for grant in ever if grant.start < grant.end and (wanted.source != NOVA or touches(grant, period))]
    span = period if wanted.source == NOVA else hull(period, before)
    if wanted.source == NOVA:
        wanted = wanted._replace(capacities=with_discs(wanted.capacities, before, given.now))
    new = [Piece(period, capacity) for capacity in wanted.capacities]
    what, how = wanted.name, f"{said(capacity_of(total(wanted.capacities)))}, {iso(period.start)} .. {iso(period.end)}"
    if not before:
        return Step("created", what, how, tuple(creations(given, wanted.source, new, ever)))
    if is_same(before, new, span):
        return Step("there", what, how)
    to_come = Period(max(span.start, given.now), span.end)
    if to_come.start >= to_come.end:
        return Unmapped(what, f"it has changed, and its hours are over: they stay as they were granted ({how})")
    if is_same(before, new, to_come):
        return Step("there", what, how)
    return replacement(wanted, to_come, clipped(new, given.now), before, ever, given)


def period_of(grants: Iterable[Grant], now: int) -> Period:
    """A quota's, which has no dates: what is granted of it already, or a year from today."""
    live = [grant for grant in grants if grant.end > now and grant.start < grant.end]
    if live:
        return Period(min(grant.start for grant in live), max(grant.end for grant in live))
    today = (now - 1) // 24 * 24  # `now` is the next hour: at 00:00 that is another day's
    return Period(today, today + HOURS_A_YEAR)


def with_discs(capacities: tuple[Capacity, ...], before: list[Grant], now: int) -> tuple[Capacity, ...]:
    """A quota does not speak of disc: where nobody did, what was granted of it goes on."""
    (capacity,) = capacities
    granted = sum_in(before, Period(now, now + 1))
    counts = [
        count or had * (dimension in DISCS)
        for dimension, count, had in zip(DIMENSIONS, capacity.counts(), granted, strict=True)
    ]
    return (capacity_of(counts),)


def touches(grant: Grant, period: Period) -> bool:
    return grant.start < period.end and period.start < grant.end


def hull(period: Period, grants: list[Grant]) -> Period:
    starts, ends = [grant.start for grant in grants], [grant.end for grant in grants]
    return Period(min([period.start, *starts]), max([period.end, *ends]))


def clipped(pieces: list[Piece], now: int) -> list[Piece]:
    """What of them is still to come."""
    return [
        Piece(Period(max(piece.period.start, now), piece.period.end), piece.capacity)
        for piece in pieces
        if piece.period.end > now
    ]


def replacement(
    wanted: Grants, to_come: Period, pieces: list[Piece], before: list[Grant], ever: list[Grant], given: Given
) -> Step:
    """First what is new, then what is withdrawn: no hour has less than the smaller of the two."""
    old = [grant for grant in before if grant.end > given.now]
    if wanted.source == NOVA:
        pieces = pieces + [piece for grant in old for piece in outside(grant, to_come, given.now)]
    calls = [*creations(given, wanted.source, pieces, ever), *(withdrawal(grant, ever) for grant in old)]
    guards = [guard(given, piece) for piece in lost(old, pieces, given.now)]
    was = ", ".join(sorted({said(grant.capacity) for grant in old})) or "nothing"
    how = f"{said(capacity_of(total(wanted.capacities)))} from {iso(to_come.start)}; it was {was}"
    return Step("changed", wanted.name, how, tuple(calls), tuple(guards))


def outside(grant: Grant, period: Period, now: int) -> list[Piece]:
    """What is left of a grant to come, before and after the hours that are granted anew."""
    parts = (
        Period(max(grant.start, now), min(grant.end, period.start)),
        Period(max(grant.start, period.end), grant.end),
    )
    return [Piece(part, grant.capacity) for part in parts if part.start < part.end]


def plan_revoked(wanted: Revoked, present: Present, given: Given) -> list[Step | Unmapped]:
    ever = [grant for grant in present.grants.values() if grant.source == wanted.source]
    old = [grant for grant in ever if grant.end > given.now and grant.start < grant.end]
    if not old:
        return []
    calls = tuple(withdrawal(grant, ever) for grant in old)
    guards = tuple(guard(given, piece) for piece in lost(old, [], given.now))
    return [Step("changed", wanted.name, f"withdrawn from {iso(given.now)} on: it grants nothing more", calls, guards)]


def creations(given: Given, source: str, pieces: list[Piece], ever: list[Grant]) -> Iterator[Call]:
    """Their keys name all that the source has ever granted: again after a change is another time."""
    path = "/novaquota/create" if source == NOVA else "/resources/create"
    before = sorted(grant.id for grant in ever)
    for number, piece in enumerate(pieces):
        body = {"project": given.project, **span_in(piece.period), **counts_in(piece.capacity), "source": source}
        yield Call(path, body, key_of(number, body, before))


def withdrawal(grant: Grant, ever: list[Grant]) -> Call:
    key = key_of("withdraw", grant.id, sorted(other.id for other in ever))
    return Call(f"/resources/{grant.id}/withdraw", {"reason": "OpenStack grants something else"}, key)


def guard(given: Given, piece: Piece) -> Call:
    """Whether what is to go is free: a cluster of it would fit."""
    body = {"parent": given.project, **span_in(piece.period), **counts_in(piece.capacity)}
    return Call("/clusters/create", body)


def is_same(before: list[Grant], after: list[Piece], period: Period) -> bool:
    """Whether both come to the same in every hour of the period."""
    grants = as_grants(after)
    return all(sum_in(before, part) == sum_in(grants, part) for part in parts([*before, *grants], period))


def lost(before: list[Grant], after: list[Piece], now: int) -> list[Piece]:
    """Where less would be granted from now on, and how much less."""
    grants = as_grants(after)
    pieces = []
    for part in parts([*before, *grants], Period(now, max([now, *(grant.end for grant in before)]))):
        had, has = sum_in(before, part), sum_in(grants, part)
        less = [max(0, more - fewer) for more, fewer in zip(had, has, strict=True)]
        if any(less):
            pieces.append(Piece(part, capacity_of(less)))
    return pieces


def as_grants(pieces: list[Piece]) -> list[Grant]:
    return [Grant("", None, *piece.period, piece.capacity) for piece in pieces]


def parts(grants: list[Grant], period: Period) -> list[Period]:
    """The period cut wherever a grant starts or ends."""
    cuts = {grant.start for grant in grants} | {grant.end for grant in grants}
    hours = sorted({*period, *(hour for hour in cuts if period.start < hour < period.end)})
    return [Period(start, end) for start, end in pairwise(hours)]


def sum_in(grants: list[Grant], part: Period) -> tuple[int, ...]:
    covering = [grant.capacity for grant in grants if grant.start <= part.start and part.end <= grant.end]
    return total((Capacity(), *covering))
