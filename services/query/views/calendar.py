"""A pool's hours in blocks: available, granted, booked and shared amounts, and the sizes of a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from services.query.answers.answers import Glance, GlancingView, ViewResult
from services.query.answers.cache import CacheEntry
from services.query.answers.freshness import Looked
from services.query.database import Database
from services.query.held_hours import Asked, Columns, Held, HeldHours
from services.query.questions.calendar import OPENSTACK_COLUMNS, CalendarQuestion
from services.query.render.blocks import Item, item_names, openstack_rows, render_csv, render_json, render_openstack
from services.query.render.tables import table
from services.query.render.windows import render_long
from services.query.rollup import VALUES, Cells, Rollup, hourly_values, roll_up, times_it_fits, values_to_read
from services.query.views.hours import Hours, by_value, columns_of, read_hours, read_since
from services.query.views.items import ITEMS, read_items
from services.query.views.templates import TemplateVersion, read_template
from shared.capacity import DIMENSIONS
from shared.postgres import Reader

# A thread compresses the figures of an answer that has more than this, and its text is made while it is sent.
FIGURES_AT_ONCE = 50_000


class Calendar(GlancingView):
    """`{pool, range, grain, timezone, position, blocks}`; with `items` and `next` for /resources and /bookings."""

    async def __call__(self, database: Database, question: CalendarQuestion) -> ViewResult:
        question.block_starts()  # raises an error before anything is read
        if not takes_more(question):
            hours = await read_question_hours(database, question, None, database.held)
            return await made(question, hours, None, None, None)
        items, following, template = None, None, None
        async with database.snapshot() as snapshot:
            if question.template is not None:
                template = await read_template(snapshot, question.pool, question.template, question.unknown())
            hours = await read_question_hours(snapshot, question, template, database.held)
            if question.view in ITEMS:
                items, following = await read_items(snapshot, question, hours)
        return await made(question, hours, template, items, following)

    def glance(self, database: Database, question: CalendarQuestion) -> HoursGlance | None:
        """If the hours are held: then it reads those that have changed."""
        if database.held is None or takes_more(question):
            return None
        wanted = asked(question)
        before = database.held.get(wanted)
        return None if before is None else HoursGlance(question, wanted, before)


class HoursGlance(Glance):
    """A glance at hours that are held as they were before."""

    def __init__(self, question: CalendarQuestion, wanted: Asked, before: Held) -> None:
        self._question, self._wanted, self._before = question, wanted, before
        self._found: Hours | None = None

    async def __call__(self, database: Database) -> Looked:
        assert database.held is not None
        looked, self._found = await read_since(database, self._wanted, self._before, database.held)
        self.term = looked.term
        return looked

    async def made(self) -> ViewResult | None:
        return None if self._found is None else await made(self._question, self._found, None, None, None)


read_calendar = Calendar()


async def made(
    question: CalendarQuestion,
    hours: Hours,
    template: TemplateVersion | None,
    items: Sequence[Item] | None,
    following: str | None,
) -> ViewResult:
    """The answer. A thread makes a long one."""
    starts = question.block_starts()
    if is_long(question, starts):
        body = await asyncio.to_thread(encode, question, starts, hours, template, items, following)
    else:
        body = encode(question, starts, hours, template, items, following)
    return ViewResult(hours.position, body)


def takes_more(question: CalendarQuestion) -> bool:
    """Whether the answer needs more than hours: a template, or grants or bookings."""
    return question.view in ITEMS or question.template is not None


def is_long(question: CalendarQuestion, starts: Sequence[int]) -> bool:
    return len(starts) * len(question.values) * len(question.dimensions) > FIGURES_AT_ONCE


async def read_question_hours(
    reader: Reader, question: CalendarQuestion, template: TemplateVersion | None, held: HeldHours | None
) -> Hours:
    return await read_hours(reader, *asked(question, template), question.unknown(), held)


def asked(question: CalendarQuestion, template: TemplateVersion | None = None) -> Asked:
    """The hours that the answer is made of."""
    return Asked(question.pool, question.period, stored_columns(*wanted_of(question, template)))


@lru_cache(maxsize=1024)
def stored_columns(values: tuple[str, ...], dimensions: tuple[str, ...]) -> Columns:
    """The columns of the tables that these values of these dimensions are made of."""
    return columns_of(values_to_read(values), dimensions)


def wanted_of(question: CalendarQuestion, template: TemplateVersion | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The values and dimensions to read: those of the question, and `available` of a template's dimensions."""
    if template is None:
        return question.values, question.dimensions
    values = {*question.values, "available"}
    dimensions = {*question.dimensions, *template.dimensions}
    return (
        tuple(value for value in VALUES if value in values),
        tuple(dimension for dimension in DIMENSIONS if dimension in dimensions),
    )


def encode(
    question: CalendarQuestion,
    starts: Sequence[int],
    hours: Hours,
    template: TemplateVersion | None,
    items: Sequence[Item] | None,
    following: str | None,
) -> CacheEntry:
    """The encoded answer, without the position."""
    if question.csv and items is not None:
        return CacheEntry(hours.version, table(items, item_names(question)), None, following)
    rollup = rolled_up(question, starts, hours.cells, template)
    if is_long(question, starts):
        head, tail, windows = render_long(question, rollup, items, following)
        return CacheEntry(hours.version, head, tail, following, windows)
    return CacheEntry(hours.version, *rendered(question, rollup, items, following), following)


def rendered(
    question: CalendarQuestion, rollup: Rollup, items: Sequence[Item] | None, following: str | None
) -> tuple[bytes, bytes | None]:
    match (question.view, question.csv):
        case ("openstack", True):
            return table(openstack_rows(question, rollup), ["date", *OPENSTACK_COLUMNS]), None
        case ("openstack", False):
            return render_openstack(question, rollup)
        case (_, True):
            return render_csv(question, rollup), None
    return render_json(question, rollup, items, following)


def rolled_up(
    question: CalendarQuestion, starts: Sequence[int], cells: Cells, template: TemplateVersion | None
) -> Rollup:
    """The blocks. Availability, and how many of the template fit, are computed for each hour first."""
    values, dimensions = wanted_of(question, template)
    found = hourly_values(
        values, by_value(values_to_read(values), dimensions, cells), (len(dimensions), question.period.hours)
    )
    if template is None:
        return roll_up(found, question.period, starts)
    each = found[values.index("available")][[dimensions.index(dimension) for dimension in template.dimensions]]
    many = roll_up(times_it_fits(each, template.required)[None, None], question.period, starts)
    asked = found[[values.index(value) for value in question.values]]
    asked = asked[:, [dimensions.index(dimension) for dimension in question.dimensions]]
    rollup = roll_up(asked, question.period, starts)
    return rollup._replace(fits=np.stack([many.minimum[0, 0], many.maximum[0, 0]]))
