"""Plans the grants of a source: creates them, or replaces them from the next whole hour on when they changed.

It compares the sum that the source grants in each future hour. It never changes past hours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from services.cli.openstack.current import CurrentGrant, CurrentState
from services.cli.openstack.desired import DesiredGrants, EndedSource, ImportOptions, Unmapped, capacity_text, sum_of
from services.cli.openstack.nova import SOURCE as NOVA
from services.cli.openstack.steps import Call, Step, count_fields, idempotency_key, period_fields
from shared.capacity import DIMENSIONS, Capacity, capacity_of
from shared.hours import Period, iso

HOURS_A_YEAR = 365 * 24
DISCS = DIMENSIONS[3:]


class Piece(NamedTuple):
    """A grant to create: `capacity` in the hours of `period`."""

    period: Period
    capacity: Capacity


def plan_grants(desired: DesiredGrants, current: CurrentState, options: ImportOptions) -> Step | Unmapped:
    ever = [grant for grant in current.grants.values() if grant.source == desired.source]
    period = desired.period or period_of(ever, options.now)
    # A lease replaces all grants of its source. A quota replaces those of its period; grants of other hours stay.
    before = [grant for grant in ever if grant.start < grant.end and (desired.source != NOVA or touches(grant, period))]
    span = period if desired.source == NOVA else hull(period, before)
    if desired.source == NOVA:
        desired = desired._replace(capacities=with_discs(desired.capacities, before, options.now))
    new = [Piece(period, capacity) for capacity in desired.capacities]
    what, how = (
        desired.name,
        f"{capacity_text(capacity_of(sum_of(desired.capacities)))}, {iso(period.start)} .. {iso(period.end)}",
    )
    if not before:
        return Step("created", what, how, tuple(create_calls(options, desired.source, new, ever)))
    if is_same(before, new, span):
        return Step("there", what, how)
    to_come = Period(max(span.start, options.now), span.end)
    if to_come.start >= to_come.end:
        return Unmapped(what, f"it has changed, and its hours are over: they stay as they were ({how})")
    if is_same(before, new, to_come):
        return Step("there", what, how)
    return replacement(desired, to_come, still_to_come(new, options.now), before, ever, options)


def period_of(grants: Iterable[CurrentGrant], now: int) -> Period:
    """The period of a quota, which has no dates: that of its present grants, or a year from today."""
    live = [grant for grant in grants if grant.end > now and grant.start < grant.end]
    if live:
        return Period(min(grant.start for grant in live), max(grant.end for grant in live))
    today = (now - 1) // 24 * 24  # `now` is the next whole hour, which may be tomorrow's first
    return Period(today, today + HOURS_A_YEAR)


def with_discs(capacities: tuple[Capacity, ...], before: list[CurrentGrant], now: int) -> tuple[Capacity, ...]:
    """The quota with disc. Nova has no limit for disc: without an option, the disc granted before is kept."""
    (capacity,) = capacities
    granted = sum_in(before, Period(now, now + 1))
    counts = [
        count or had * (dimension in DISCS)
        for dimension, count, had in zip(DIMENSIONS, capacity.counts(), granted, strict=True)
    ]
    return (capacity_of(counts),)


def touches(grant: CurrentGrant, period: Period) -> bool:
    """Whether the grant has an hour in the period."""
    return grant.start < period.end and period.start < grant.end


def hull(period: Period, grants: list[CurrentGrant]) -> Period:
    """The shortest period that covers the period and all grants."""
    starts, ends = [grant.start for grant in grants], [grant.end for grant in grants]
    return Period(min([period.start, *starts]), max([period.end, *ends]))


def still_to_come(pieces: list[Piece], now: int) -> list[Piece]:
    """The parts of the pieces from `now` on."""
    return [
        Piece(Period(max(piece.period.start, now), piece.period.end), piece.capacity)
        for piece in pieces
        if piece.period.end > now
    ]


def replacement(
    desired: DesiredGrants,
    to_come: Period,
    pieces: list[Piece],
    before: list[CurrentGrant],
    ever: list[CurrentGrant],
    options: ImportOptions,
) -> Step:
    """Creates the new grants first and withdraws the old ones then, so that no hour has less than both have."""
    old = [grant for grant in before if grant.end > options.now]
    if desired.source == NOVA:
        pieces = pieces + [piece for grant in old for piece in outside(grant, to_come, options.now)]
    calls = [*create_calls(options, desired.source, pieces, ever), *(withdraw_call(grant, ever) for grant in old)]
    checks = [fits_call(options, piece) for piece in reductions(old, pieces, options.now)]
    was = ", ".join(sorted({capacity_text(grant.capacity) for grant in old})) or "nothing"
    how = f"{capacity_text(capacity_of(sum_of(desired.capacities)))} from {iso(to_come.start)}; it was {was}"
    return Step("changed", desired.name, how, tuple(calls), tuple(checks))


def outside(grant: CurrentGrant, period: Period, now: int) -> list[Piece]:
    """The future parts of a grant before and after the period that is granted again."""
    parts = (
        Period(max(grant.start, now), min(grant.end, period.start)),
        Period(max(grant.start, period.end), grant.end),
    )
    return [Piece(part, grant.capacity) for part in parts if part.start < part.end]


def plan_ended_source(desired: EndedSource, current: CurrentState, options: ImportOptions) -> list[Step | Unmapped]:
    ever = [grant for grant in current.grants.values() if grant.source == desired.source]
    old = [grant for grant in ever if grant.end > options.now and grant.start < grant.end]
    if not old:
        return []
    calls = tuple(withdraw_call(grant, ever) for grant in old)
    checks = tuple(fits_call(options, piece) for piece in reductions(old, [], options.now))
    return [
        Step(
            "changed", desired.name, f"withdrawn from {iso(options.now)} on: it grants nothing any more", calls, checks
        )
    ]


def create_calls(options: ImportOptions, source: str, pieces: list[Piece], ever: list[CurrentGrant]) -> Iterator[Call]:
    """The calls that create grants. Their keys contain all earlier grants of the source: A, B, A is three grants."""
    path = "/novaquota/create" if source == NOVA else "/resources/create"
    before = sorted(grant.id for grant in ever)
    for number, piece in enumerate(pieces):
        body = {
            "project": options.project,
            **period_fields(piece.period),
            **count_fields(piece.capacity),
            "source": source,
        }
        yield Call(path, body, idempotency_key(number, body, before))


def withdraw_call(grant: CurrentGrant, ever: list[CurrentGrant]) -> Call:
    key = idempotency_key("withdraw", grant.id, sorted(other.id for other in ever))
    return Call(f"/resources/{grant.id}/withdraw", {"reason": "OpenStack grants something else"}, key)


def fits_call(options: ImportOptions, piece: Piece) -> Call:
    """The dry run that tells whether a capacity is free: a cluster of this size would fit."""
    body = {"parent": options.project, **period_fields(piece.period), **count_fields(piece.capacity)}
    return Call("/clusters/create", body)


def is_same(before: list[CurrentGrant], after: list[Piece], period: Period) -> bool:
    """Whether both have the same sum in every hour of the period."""
    grants = as_grants(after)
    return all(sum_in(before, part) == sum_in(grants, part) for part in parts([*before, *grants], period))


def reductions(before: list[CurrentGrant], after: list[Piece], now: int) -> list[Piece]:
    """The hours from `now` on in which less would be granted, and how much less."""
    grants = as_grants(after)
    pieces = []
    for part in parts([*before, *grants], Period(now, max([now, *(grant.end for grant in before)]))):
        had, has = sum_in(before, part), sum_in(grants, part)
        less = [max(0, more - fewer) for more, fewer in zip(had, has, strict=True)]
        if any(less):
            pieces.append(Piece(part, capacity_of(less)))
    return pieces


def as_grants(pieces: list[Piece]) -> list[CurrentGrant]:
    return [CurrentGrant("", None, *piece.period, piece.capacity) for piece in pieces]


def parts(grants: list[CurrentGrant], period: Period) -> list[Period]:
    """The parts of the period between the hours at which a grant starts or ends."""
    cuts = {grant.start for grant in grants} | {grant.end for grant in grants}
    hours = sorted({*period, *(hour for hour in cuts if period.start < hour < period.end)})
    return [Period(start, end) for start, end in pairwise(hours)]


def sum_in(grants: list[CurrentGrant], part: Period) -> tuple[int, ...]:
    """The sum of the grants that cover the part, by dimension."""
    covering = [grant.capacity for grant in grants if grant.start <= part.start and part.end <= grant.end]
    return sum_of((Capacity(), *covering))
