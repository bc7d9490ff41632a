"""How much fits: now, in the earliest slots, and in every hour of a period."""

from __future__ import annotations

import numpy as np

from services.query.answers.answers import ViewResult
from services.query.answers.cache import CacheEntry
from services.query.database import Database
from services.query.questions.model import Counts, MostQuestion, NowQuestion, SlotsQuestion
from services.query.render.blocks import render_object
from services.query.render.tables import table
from services.query.rollup import Cells, times_it_fits
from services.query.views.hours import Hours, by_value, columns_of, read_hours, within
from services.query.views.templates import TemplateVersion, read_newest, read_template
from shared.capacity import COUNT_MAX, DIMENSIONS, WHOLE, reserved
from shared.errors import InvalidField
from shared.hours import Period, iso
from shared.postgres import Reader
from shared.slots import Fits, earliest_starts


async def read_now(database: Database, question: NowQuestion) -> ViewResult:
    """`{pool, position, hour, available: {<dimension>: n}, templates: [{name, version, capacity, fits}]}`.

    As a table: the first row, without a name, is `available`; then one row for each template."""
    hour, columns = question.hour, columns_of(("available",), DIMENSIONS)
    async with database.snapshot() as snapshot:
        hours = await read_hours(snapshot, question.pool, Period(hour, hour + 1), columns, question.unknown())
        templates = await read_newest(snapshot, hours.version.generation, hours.project)
    rows = [
        {"name": one.name, "version": one.version, "capacity": one.capacity, "fits": int(how_many(hours.cells, one)[0])}
        for one in templates
    ]
    available = dict(zip(DIMENSIONS, hours.cells[:, 0].tolist(), strict=True))
    if question.csv:
        pool = {"hour": iso(hour), "name": "", "version": "", "fits": "", **available}
        flat = [pool, *({**pool, **row, **one.capacity} for row, one in zip(rows, templates, strict=True))]
        names = ["hour", "name", "version", *DIMENSIONS, "fits"]
        return ViewResult(hours.position, CacheEntry(hours.version, table(flat, names)))
    rest = {"hour": iso(hour), "available": available, "templates": rows}
    return ViewResult(hours.position, CacheEntry(hours.version, *render_object({"pool": question.pool}, rest)))


def how_many(available: Cells, template: TemplateVersion) -> Cells:
    """How many of the template fit in each hour. `available` has all dimensions, shape (6, hours)."""
    return times_it_fits(
        available[[DIMENSIONS.index(dimension) for dimension in template.dimensions]], template.required
    )


async def read_slots(database: Database, question: SlotsQuestion) -> ViewResult:
    """`{pool, position, duration_hours, slots: [{start, end}]}`: the earliest slots in which it fits in every hour."""
    async with database.snapshot() as snapshot:
        if question.share:
            hours, fitting = await _share_fits(snapshot, question)
        else:
            hours, fitting = await _counts_fit(snapshot, question)
    over = question.earliest - question.period.start
    starts = earliest_starts(fitting[over:], question.earliest, question.duration, question.limit)
    slots = [{"start": iso(start), "end": iso(start + question.duration)} for start in starts]
    if question.csv:
        return ViewResult(hours.position, CacheEntry(hours.version, table(slots, ["start", "end"])))
    rest = {"duration_hours": question.duration, "slots": slots}
    return ViewResult(hours.position, CacheEntry(hours.version, *render_object({"pool": question.pool}, rest)))


async def _counts_fit(reader: Reader, question: SlotsQuestion) -> tuple[Hours, Fits]:
    asked = question.counts
    if question.template is not None:
        asked = await _times(reader, question)
    assert asked is not None
    dimensions = tuple(dimension for dimension, count in zip(DIMENSIONS, asked, strict=True) if count)
    columns = columns_of(("available",), dimensions)
    hours = await read_hours(reader, question.pool, question.period, columns, question.unknown())
    required = np.array([count for count in asked if count], dtype=np.int64)
    fitting: Fits = np.all(hours.cells >= required[:, None], axis=0)
    return hours, fitting


async def _times(reader: Reader, question: SlotsQuestion) -> Counts:
    """The counts of `count` times the template. Raises InvalidField, UnknownId."""
    assert question.template is not None
    template = await read_template(reader, question.pool, question.template, question.unknown())
    a, b, c, d, e, f = (question.count * count for count in template.counts)
    if max(a, b, c, d, e, f) > COUNT_MAX:
        raise InvalidField("count", f"{question.count} times {template.name!r} is more than {COUNT_MAX}")
    return a, b, c, d, e, f


async def _share_fits(reader: Reader, question: SlotsQuestion) -> tuple[Hours, Fits]:
    """In which hours the share fits: the cluster exists, all shares are at most 100 % together, and the amount that the
    share reserves is free."""
    read = ("granted", "booked", "shares")
    columns = columns_of(read, DIMENSIONS)
    hours = await read_hours(reader, question.pool, question.period, columns, question.unknown())
    found = by_value(read, DIMENSIONS, hours.cells)
    before = reserved(found["granted"], found["shares"])
    asked = reserved(found["granted"], found["shares"] + question.share) - before
    free = found["granted"] - found["booked"] - before
    left = found["shares"][0] + question.share <= WHOLE
    fitting: Fits = ((asked <= free) | (asked == 0)).all(axis=0) & left & within(question.period, hours.own)
    return hours, fitting


async def read_most(database: Database, question: MostQuestion) -> ViewResult:
    """`{pool, range, position, most: {template, version, count}}`: the number that fit in every hour of the range."""
    async with database.snapshot() as snapshot:
        template = await read_template(snapshot, question.pool, question.template, question.unknown(), "most")
        columns = columns_of(("available",), DIMENSIONS)
        hours = await read_hours(snapshot, question.pool, question.period, columns, question.unknown())
    count = int(how_many(hours.cells, template).min())
    most = {"template": template.name, "version": template.version, "count": count}
    if question.csv:
        return ViewResult(hours.position, CacheEntry(hours.version, table([most], list(most))))
    period = {"start": iso(question.period.start), "end": iso(question.period.end)}
    opening = {"pool": question.pool, "range": period}
    return ViewResult(hours.position, CacheEntry(hours.version, *render_object(opening, {"most": most})))
