"""Long answers about hours, in windows. The text is the same as `blocks.py` makes in one piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import msgspec
import numpy as np

from services.query.answers.long import Window, window, windows
from services.query.questions.calendar import OPENSTACK_COLUMNS, CalendarQuestion
from services.query.render.blocks import (
    Item,
    block_lines,
    block_texts,
    csv_names,
    labels,
    list_name,
    opening,
    openstack_rows,
    rest_of,
)
from services.query.render.tables import table_lines
from services.query.rollup import Cells, Rollup, instants
from shared.hours import iso

FIGURE_BYTES = {"json": 20, "csv": 5}  # of text for one figure, about
BLOCK_BYTES = 80
NUMBERS_MAX = 16_384  # numbers of an array in one window


def render_long(
    question: CalendarQuestion, rollup: Rollup, items: Sequence[Item] | None, following: str | None
) -> tuple[bytes, bytes | None, tuple[Window, ...]]:
    """The text before the position, the text after all windows, and the windows. A table shows no position: None."""
    match (question.view, question.csv):
        case ("openstack", True):
            return table_lines([["date", *OPENSTACK_COLUMNS]]), None, blocks(question, rollup, "csv", openstack_lines)
        case ("openstack", False):
            return opening(question), b"}", blocks(question, rollup, "json", openstack_texts, b',"rows":[')
        case (_, True):
            return table_lines([csv_names(question, rollup)]), None, blocks(question, rollup, "csv", block_lines)
    head, rest = opening(question), rest_of(items, following)
    if question.columns:
        return head, rest, tuple(columns(question, rollup))
    name = list_name(question)
    return head, rest, blocks(question, rollup, "json", block_texts, b',"%b":[' % name)


def blocks(
    question: CalendarQuestion,
    rollup: Rollup,
    form: str,
    text: Callable[[CalendarQuestion, Rollup], bytes],
    before: bytes = b"",
) -> tuple[Window, ...]:
    """The blocks, divided into windows."""
    cells, one = flat(rollup), rollup.minimum is rollup.maximum
    render = partial(of_cells, question, one, rollup.fits is not None, text)
    width = BLOCK_BYTES + 2 * rollup.minimum[..., 0].size * FIGURE_BYTES[form]
    json = form == "json"
    return tuple(windows(cells, render, width, b"," if json else b"", before, b"]" if json else b""))


def of_cells(
    question: CalendarQuestion, one: bool, fits: bool, text: Callable[[CalendarQuestion, Rollup], bytes], cells: Cells
) -> bytes:
    return text(question, unflat(question, one, fits, cells))


def flat(rollup: Rollup) -> Cells:
    """The rollup as rows, shape (rows, blocks): starts, ends, minima, maxima if they are other arrays, and fits."""
    parts = [rollup.starts[None], rollup.ends[None], rollup.minimum.reshape(-1, len(rollup.starts))]
    if rollup.minimum is not rollup.maximum:
        parts.append(rollup.maximum.reshape(-1, len(rollup.starts)))
    if rollup.fits is not None:
        parts.append(rollup.fits)
    return np.concatenate(parts)


def unflat(question: CalendarQuestion, one: bool, fits: bool, cells: Cells) -> Rollup:
    """The inverse of `flat`. `one` says that the maxima are the minima, `fits` that there are rows of fits."""
    shape = (len(question.values), len(question.dimensions), -1)
    count = len(question.values) * len(question.dimensions)
    minimum = cells[2 : 2 + count].reshape(shape)
    maximum = minimum if one else cells[2 + count : 2 + 2 * count].reshape(shape)
    return Rollup(cells[0], cells[1], minimum, maximum, cells[-2:] if fits else None)


def openstack_texts(question: CalendarQuestion, rollup: Rollup) -> bytes:
    return msgspec.json.encode(openstack_rows(question, rollup))[1:-1]


def openstack_lines(question: CalendarQuestion, rollup: Rollup) -> bytes:
    return table_lines(row.values() for row in openstack_rows(question, rollup))


def columns(question: CalendarQuestion, rollup: Rollup) -> Iterator[Window]:
    """The text of `columns_json`, with one or more windows for each array."""
    hourly = question.grain == "hour"
    if hourly:
        known = {"start": iso(question.period.start), "step_hours": 1, "count": len(rollup.starts)}
        before = b',"columns":' + msgspec.json.encode(known)[:-1]
    else:
        yield from array(rollup.starts, b',"columns":{"start":', instants_text)
        yield from array(rollup.ends, b',"end":', instants_text)
        yield from array(rollup.ends - rollup.starts, b',"hours":', numbers_text)
        before = b""
    figures = list(figures_of(question, rollup))
    for place, (opens, low, high, closes) in enumerate(figures):
        end = closes + (b"}" if place == len(figures) - 1 else b"")
        yield from array(low, before + opens + b'"min":', numbers_text, end if hourly else b"")
        if not hourly:
            yield from array(high, b',"max":', numbers_text, end)
        before = b""


def figures_of(question: CalendarQuestion, rollup: Rollup) -> Iterator[tuple[bytes, Cells, Cells, bytes]]:
    """For each figure: the text before its arrays, the minima, the maxima, and the text after its arrays."""
    for label, lows, highs in zip(labels(question), rollup.minimum, rollup.maximum, strict=True):
        for dimension, low, high in zip(question.dimensions, lows, highs, strict=True):
            first, last = dimension == question.dimensions[0], dimension == question.dimensions[-1]
            opens = b',"%b":{' % label.encode() if first else b","
            yield opens + b'"%b":{' % dimension.encode(), low, high, b"}}" if last else b"}"
    if rollup.fits is not None:
        yield b',"fits":{', rollup.fits[0], rollup.fits[1], b"}"


def array(numbers: Cells, before: bytes, render: Callable[[Cells], bytes], after: bytes = b"") -> Iterator[Window]:
    """The windows of one JSON array, between the texts `before` and `after`."""
    starts = range(0, len(numbers), NUMBERS_MAX)
    for begin in starts:
        part = numbers[None, begin : begin + NUMBERS_MAX]
        last = begin == starts[-1]
        yield window(part, render, before + b"[" if begin == 0 else b",", b"]" + after if last else b"")


def numbers_text(cells: Cells) -> bytes:
    return msgspec.json.encode(cells[0].tolist())[1:-1]


def instants_text(cells: Cells) -> bytes:
    return msgspec.json.encode(instants(cells[0]))[1:-1]
