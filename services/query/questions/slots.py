"""The questions of /available/slots: where something fits, and how many of a template fit throughout a range."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from services.query.questions.amounts import parse_count, parse_duration, parse_share
from services.query.questions.model import Counts, MostQuestion, SlotsQuestion
from services.query.questions.parameters import parse_pool, parse_template, required, required_range
from services.query.questions.sight import Sight
from services.query.questions.trees import TreeSlotsQuestion, parse_tree
from shared.capacity import DIMENSIONS
from shared.errors import InvalidField
from shared.hours import Period, next_hour, parse_range, parse_zone

SLOTS = 10  # of one pool, without a limit
AHEAD_HOURS = 366 * 24  # how far a search without a range goes
Amount = Literal["counts", "template", "share", "most"]


class SlotsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The query string of /available/slots: texts that are not checked yet. `counts` has one for each dimension."""

    project: str | None
    clusterid: str | None
    duration: str | None
    period: str | None
    tz: str
    template: str | None
    count: int
    share: str | None
    counts: dict[str, str | None]
    most: str | None
    tree: str | None
    limit: int | None
    min_position: int


def amount_of(query: SlotsQuery) -> Amount:
    """Which amount the query asks for. Raises InvalidField unless it is just one, UnknownId for a pool's id."""
    field, _ = parse_pool(query.project, query.clusterid)
    parse_zone(query.tz)
    given: dict[Amount, bool] = {
        "template": query.template is not None,
        "share": query.share is not None,
        "counts": any(value is not None for value in query.counts.values()),
    }
    if query.most is not None:
        if any(given.values()) or query.duration is not None:
            raise InvalidField("most", "it takes a range, and neither a duration nor an amount")
        if parse_tree(query.tree):
            raise InvalidField("most", "it is of one pool; for all pools of a tree ask /available/matrix")
        return "most"
    if sum(given.values()) != 1:
        raise InvalidField("template", "give one of counts, a template and a share")
    if given["share"] and field == "project" and not parse_tree(query.tree):
        raise InvalidField("share", "a share is of a cluster; give a clusterid")
    return next(amount for amount, is_given in given.items() if is_given)


def parse_most(query: SlotsQuery, csv: bool) -> MostQuestion:
    """The question of a query with `most`. Raises InvalidField, UnknownId."""
    field, pool = parse_pool(query.project, query.clusterid)
    period = required_range(query.period, parse_zone(query.tz))
    template = parse_template(required(query.most, "most", "a template"), "most")
    return MostQuestion(field=field, pool=pool, csv=csv, period=period, template=template)


def parse_slots(query: SlotsQuery, amount: Amount, csv: bool, now: datetime) -> SlotsQuestion:
    """The question of a query for slots of an amount, asked at the instant `now`. Raises InvalidField, UnknownId."""
    field, pool = parse_pool(query.project, query.clusterid)
    period = year_ahead(now) if query.period is None else parse_range(query.period, parse_zone(query.tz))
    return SlotsQuestion(
        field=field,
        pool=pool,
        csv=csv,
        period=period,
        earliest=earliest_of(period, now),
        duration=parse_duration(required(query.duration, "duration", "a number of hours, as 72h")),
        counts=counts_of(query.counts) if amount == "counts" else None,
        template=None if query.template is None else parse_template(query.template),
        count=query.count,
        share=0 if query.share is None else parse_share(query.share),
        limit=SLOTS if query.limit is None else query.limit,
    )


def parse_tree_slots(query: SlotsQuery, amount: Amount, csv: bool, now: datetime, within: Sight) -> TreeSlotsQuestion:
    """As `parse_slots`, asked of the pool and of all pools inside it that are in `within`. Without `limit`, one slot of
    each."""
    slots = parse_slots(query, amount, csv, now)
    if query.limit is None:
        slots = msgspec.structs.replace(slots, limit=1)
    return TreeSlotsQuestion(
        field=slots.field, pool=slots.pool, csv=csv, within=within, period=slots.period, slots=slots
    )


def year_ahead(now: datetime) -> Period:
    """The 366 days that begin with the next whole hour."""
    start = next_hour(now)
    return Period(start, start + AHEAD_HOURS)


def earliest_of(period: Period, now: datetime) -> int:
    """The first hour of the period that has not begun; its end when all have."""
    return min(max(period.start, next_hour(now)), period.end)


def counts_of(given: dict[str, str | None]) -> Counts:
    """The six counts; a missing one is 0. Raises InvalidField for a text that is no count, and when all are 0."""
    a, b, c, d, e, f = (parse_count(given[name] or "0", name) for name in DIMENSIONS)
    if not any((a, b, c, d, e, f)):
        raise InvalidField("capacity", f"every dimension is 0; give at least one of {', '.join(DIMENSIONS)}")
    return a, b, c, d, e, f
