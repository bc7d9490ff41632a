"""A pool's hours in blocks: what is available, granted, booked, and a cluster's sizes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np

from services.query.answers.answers import Read
from services.query.answers.cache import Body
from services.query.database import Database
from services.query.questions.parameters import Selection
from services.query.render.blocks import ROW, Item, dated_rows, item_names, render_csv, render_json, render_rows
from services.query.render.tables import table
from services.query.render.windows import render_long
from services.query.rollup import VALUES, Cells, Rollup, figures, fits, read_for, roll_up
from services.query.views.hours import Hours, by_value, columns_of, read_hours
from services.query.views.items import ITEMS, read_items
from services.query.views.templates import Template, read_template
from shared.capacity import DIMENSIONS
from shared.postgres import Reader

# An answer with more figures than this is packed, beside the event loop, and its text made while it is sent.
FIGURES_AT_ONCE = 50_000


async def read_calendar(database: Database, selection: Selection) -> Read:
    """`{pool, range, grain, timezone, position, blocks}`, with `items` and `next` where the view has them."""
    starts = selection.block_starts()
    items: Sequence[Item] | None = None
    following, template = None, None
    if selection.view in ITEMS or selection.template is not None:
        async with database.snapshot() as snapshot:
            if selection.template is not None:
                template = await read_template(snapshot, selection.pool, selection.template, selection.unknown())
            hours = await read_for_selection(snapshot, selection, template)
            if selection.view in ITEMS:
                items, following = await read_items(snapshot, selection, hours)
    else:
        hours = await read_for_selection(database, selection, None)
    if is_long(selection, starts):
        body = await asyncio.to_thread(encode, selection, starts, hours, template, items, following)
    else:
        body = encode(selection, starts, hours, template, items, following)
    return Read(hours.position, body)


def is_long(selection: Selection, starts: Sequence[int]) -> bool:
    return len(starts) * len(selection.values) * len(selection.dimensions) > FIGURES_AT_ONCE


async def read_for_selection(reader: Reader, selection: Selection, template: Template | None) -> Hours:
    values, dimensions = read_of(selection, template)
    columns = columns_of(read_for(values), dimensions)
    return await read_hours(reader, selection.pool, selection.period, columns, selection.unknown())


def read_of(selection: Selection, template: Template | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The values and dimensions to read: those asked for, and those that a template takes of what is available."""
    if template is None:
        return selection.values, selection.dimensions
    values = {*selection.values, "available"}
    dimensions = {*selection.dimensions, *template.dimensions}
    return (
        tuple(value for value in VALUES if value in values),
        tuple(dimension for dimension in DIMENSIONS if dimension in dimensions),
    )


def encode(
    selection: Selection,
    starts: list[int],
    hours: Hours,
    template: Template | None,
    items: Sequence[Item] | None,
    following: str | None,
) -> Body:
    """The answer's bytes, but for the position."""
    if selection.csv and items is not None:
        return Body(hours.version, table(items, item_names(selection)), None, following)
    rollup = rolled_up(selection, starts, hours.cells, template)
    if is_long(selection, starts):
        head, tail, windows = render_long(selection, rollup, items, following)
        return Body(hours.version, head, tail, following, windows)
    return Body(hours.version, *rendered(selection, rollup, items, following), following)


def rendered(
    selection: Selection, rollup: Rollup, items: Sequence[Item] | None, following: str | None
) -> tuple[bytes, bytes | None]:
    match (selection.view, selection.csv):
        case ("rows", True):
            return table(dated_rows(selection, rollup), ["date", *ROW]), None
        case ("rows", False):
            return render_rows(selection, rollup)
        case (_, True):
            return render_csv(selection, rollup), None
    return render_json(selection, rollup, items, following)


def rolled_up(selection: Selection, starts: list[int], cells: Cells, template: Template | None) -> Rollup:
    """Per hour first: what is available, and how many of the template that holds; then per block."""
    values, dimensions = read_of(selection, template)
    found = figures(values, by_value(read_for(values), dimensions, cells), (len(dimensions), selection.period.hours))
    if template is None:
        return roll_up(found, selection.period, starts)
    each = found[values.index("available")][[dimensions.index(dimension) for dimension in template.dimensions]]
    many = roll_up(fits(each, template.required)[None, None], selection.period, starts)
    asked = found[[values.index(value) for value in selection.values]]
    asked = asked[:, [dimensions.index(dimension) for dimension in selection.dimensions]]
    rollup = roll_up(asked, selection.period, starts)
    return rollup._replace(fits=np.stack([many.minimum[0, 0], many.maximum[0, 0]]))
