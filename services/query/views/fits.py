"""How much fits: now, in the earliest slots, and in every hour of a period."""

from __future__ import annotations

import numpy as np

from services.query.answers.answers import ViewResult
from services.query.answers.cache import CacheEntry
from services.query.database import Database
from services.query.held_hours import Columns, HeldHours
from services.query.questions.model import Counts, MostQuestion, NowQuestion, SlotsQuestion
from services.query.render.blocks import render_object, span
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
            hours, fitting = await _share_fits(snapshot, question, database.held)
        else:
            hours, fitting = await _counts_fit(snapshot, question, database.held)
    over = question.earliest - question.period.start
    starts = earliest_starts(fitting[over:], question.earliest, question.duration, question.limit)
    slots = [{"start": iso(start), "end": iso(start + question.duration)} for start in starts]
    if question.csv:
        return ViewResult(hours.position, CacheEntry(hours.version, table(slots, ["start", "end"])))
    rest = {"duration_hours": question.duration, "slots": slots}
    return ViewResult(hours.position, CacheEntry(hours.version, *render_object({"pool": question.pool}, rest)))


async def _counts_fit(reader: Reader, question: SlotsQuestion, held: HeldHours | None) -> tuple[Hours, Fits]:
    asked = await asked_counts(reader, question)
    hours = await read_hours(reader, question.pool, question.period, columns_for(asked), question.unknown(), held)
    return hours, counts_fit(hours.cells, asked)


async def asked_counts(reader: Reader, question: SlotsQuestion) -> Counts:
    """The counts that the question asks for. Raises InvalidField, UnknownId."""
    counts = question.counts if question.template is None else await _times(reader, question)
    assert counts is not None
    return counts


def columns_for(asked: Counts) -> Columns:
    """The columns that say whether the counts fit."""
    return columns_of(("available",), [dimension for dimension, count in zip(DIMENSIONS, asked, strict=True) if count])


def counts_fit(cells: Cells, asked: Counts) -> Fits:
    """In which hours the counts fit. `cells` has the columns of `columns_for`."""
    required = np.array([count for count in asked if count], dtype=np.int64)
    fitting: Fits = np.all(cells >= required[:, None], axis=0)
    return fitting


async def _times(reader: Reader, question: SlotsQuestion) -> Counts:
    """The counts of `count` times the template. Raises InvalidField, UnknownId."""
    assert question.template is not None
    template = await read_template(reader, question.pool, question.template, question.unknown())
    a, b, c, d, e, f = (question.count * count for count in template.counts)
    if max(a, b, c, d, e, f) > COUNT_MAX:
        raise InvalidField("count", f"{question.count} times {template.name!r} is more than {COUNT_MAX}")
    return a, b, c, d, e, f


async def _share_fits(reader: Reader, question: SlotsQuestion, held: HeldHours | None) -> tuple[Hours, Fits]:
    hours = await read_hours(reader, question.pool, question.period, SHARE_COLUMNS, question.unknown(), held)
    return hours, share_fits(hours.cells, question.share) & within(question.period, hours.own)


SHARE_READ = ("granted", "booked", "shares")
SHARE_COLUMNS = columns_of(SHARE_READ, DIMENSIONS)


def share_fits(cells: Cells, share: int) -> Fits:
    """In which hours a share fits: all shares are at most 100 % together, and the amount that the share reserves is
    free. `cells` has SHARE_COLUMNS. The hours outside of the cluster's period are not left out."""
    found = by_value(SHARE_READ, DIMENSIONS, cells)
    before = reserved(found["granted"], found["shares"])
    asked = reserved(found["granted"], found["shares"] + share) - before
    free = found["granted"] - found["booked"] - before
    fitting: Fits = ((asked <= free) | (asked == 0)).all(axis=0) & (found["shares"][0] + share <= WHOLE)
    return fitting


async def read_most(database: Database, question: MostQuestion) -> ViewResult:
    """`{pool, range, position, most: {template, version, count}}`: the number that fit in every hour of the range."""
    async with database.snapshot() as snapshot:
        template = await read_template(snapshot, question.pool, question.template, question.unknown(), "most")
        columns = columns_of(("available",), DIMENSIONS)
        hours = await read_hours(snapshot, question.pool, question.period, columns, question.unknown(), database.held)
    count = int(how_many(hours.cells, template).min())
    most = {"template": template.name, "version": template.version, "count": count}
    if question.csv:
        return ViewResult(hours.position, CacheEntry(hours.version, table([most], list(most))))
    opening = {"pool": question.pool, "range": span(question.period)}
    return ViewResult(hours.position, CacheEntry(hours.version, *render_object(opening, {"most": most})))
