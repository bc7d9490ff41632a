"""Answers as bytes: JSON in blocks or columns, and tables. JSON comes as two texts; the position goes between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec
import numpy as np

from services.query.questions.calendar import OPENSTACK_COLUMNS, CalendarQuestion
from services.query.render.tables import table_lines
from services.query.rollup import Cells, Rollup, instants
from shared.hours import Period, instant_of, iso, parse_zone

Item = Mapping[str, Any]

REPEATED_MIN = 100  # equal numbers: fewer are written one by one

OF_A_GRANT = ("source", "actor")
OF_A_BOOKING = ("share", "template", "account", "actor", "state", "created", "series", "segment")


def render_json(
    question: CalendarQuestion, rollup: Rollup, items: Sequence[Item] | None, following: str | None
) -> tuple[bytes, bytes]:
    """`{pool, range, grain, timezone, position, blocks | columns}`: the text before the position, and the text after.

    With `items`, the answer has also `items` and `next`: `following`, the cursor of the next page, null on the last.
    """
    figures = columns_json(question, rollup) if question.columns else blocks_json(question, rollup)
    return opening(question), b"," + figures + rest_of(items, following)


class InBlocks(Protocol):
    """A question about a pool in blocks of time."""

    @property
    def pool(self) -> str: ...

    @property
    def period(self) -> Period: ...

    @property
    def grain(self) -> str | int: ...

    @property
    def zone(self) -> str: ...


def opening(question: InBlocks) -> bytes:
    """The text before the position."""
    return msgspec.json.encode(_opening(question))[:-1] + b',"position":'


def span(period: Period) -> dict[str, str]:
    """A period as JSON."""
    return {"start": iso(period.start), "end": iso(period.end)}


def _opening(question: InBlocks) -> dict[str, Any]:
    grain = question.grain if isinstance(question.grain, str) else f"{question.grain}h"
    return {"pool": question.pool, "range": span(question.period), "grain": grain, "timezone": question.zone}


def rest_of(items: Sequence[Item] | None, following: str | None) -> bytes:
    """The text after the figures."""
    return b"}" if items is None else b"," + msgspec.json.encode({"items": items, "next": following})[1:]


def blocks_json(question: CalendarQuestion, rollup: Rollup) -> bytes:
    """`"blocks": [{start, end, hours, <value>: {"min": {<dimension>: n}, "max": {…}}}]`."""
    return b'"%b":[%b]' % (list_name(question), block_texts(question, rollup))


def block_texts(question: CalendarQuestion, rollup: Rollup) -> bytes:
    """The text of every block. A figure that is the same in all blocks is written into the pattern of them once."""
    both = figures_of(rollup)
    same = (both == both[:, :1]).all(axis=1)
    texts = iter(
        [b"%d" % first if one else b"%d" for first, one in zip(both[:, 0].tolist(), same.tolist(), strict=True)]
    )
    figures = [b'"%b":%b' % (label.encode(), _ends(question, texts)) for label in labels(question)]
    if rollup.fits is not None:
        figures.append(b'"fits":{"min":%b,"max":%b}' % (next(texts), next(texts)))
    block = b'{"start":"%b","end":"%b","hours":%d,' + b",".join(figures) + b"}"
    edges, hours = edges_of(rollup)
    texts_of_edges = "\n".join(edges).encode().split(b"\n")
    rows = zip(texts_of_edges[:-1], texts_of_edges[1:], hours, *both[~same].tolist(), strict=True)
    return b",".join([block % row for row in rows])


def _ends(question: CalendarQuestion, texts: Iterator[bytes]) -> bytes:
    """`{"min": {<dimension>: n}, "max": {…}}` of the next of `texts`."""
    low, high = (
        b",".join([b'"%b":%b' % (dimension.encode(), next(texts)) for dimension in question.dimensions])
        for _ in range(2)
    )
    return b'{"min":{%b},"max":{%b}}' % (low, high)


def columns_json(question: CalendarQuestion, rollup: Rollup) -> bytes:
    """`"columns": {start: […], end: […], hours: […], <value>: {<dimension>: {"min": […], "max": […]}}}`.

    With the grain `hour` the first three are instead `start: <the first hour>, step_hours: 1, count: n`. `max` is left
    out, because in one hour it is equal to `min`.
    """
    hourly = question.grain == "hour"
    columns: dict[str, Any]
    if hourly:
        columns = {"start": iso(question.period.start), "step_hours": 1, "count": len(rollup.starts)}
    else:
        edges, hours = edges_of(rollup)
        columns = {"start": edges[:-1], "end": edges[1:], "hours": hours}
    for label, lows, highs in zip(labels(question), rollup.minimum, rollup.maximum, strict=True):
        columns[label] = {
            dimension: {"min": numbers(low)} if hourly else {"min": numbers(low), "max": numbers(high)}
            for dimension, low, high in zip(question.dimensions, lows, highs, strict=True)
        }
    if rollup.fits is not None:
        low, high = map(numbers, rollup.fits)
        columns["fits"] = {"min": low} if hourly else {"min": low, "max": high}
    return b'"columns":' + msgspec.json.encode(columns)


def numbers(cells: Cells) -> msgspec.Raw | list[int]:
    """The numbers as JSON takes them. Most arrays have one number many times: its text is repeated."""
    if len(cells) > REPEATED_MIN and (cells == cells[0]).all():
        return msgspec.Raw(b"[" + (b"%d," % cells[0] * len(cells))[:-1] + b"]")
    found: list[int] = cells.tolist()
    return found


def render_csv(question: CalendarQuestion, rollup: Rollup) -> bytes:
    """A header line `start,end,hours,<value>_<dimension>_min,…`, and one row for each block."""
    return table_lines([csv_names(question, rollup)]) + block_lines(question, rollup)


def csv_names(question: CalendarQuestion, rollup: Rollup) -> list[str]:
    names = [
        f"{label}_{dimension}_{end}"
        for label in labels(question)
        for end in ("min", "max")
        for dimension in question.dimensions
    ]
    return ["start", "end", "hours", *names, *(["fits_min", "fits_max"] if rollup.fits is not None else [])]


def block_lines(question: CalendarQuestion, rollup: Rollup) -> bytes:
    """The rows. Instants and numbers never need quotes."""
    row = ",".join(["%s", "%s", *["%d"] * (len(csv_names(question, rollup)) - 2)]) + "\r\n"
    return "".join([row % cells for cells in block_rows(rollup)]).encode()


def render_object(opening: Mapping[str, Any], rest: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """One JSON object: the text before the position, and the text after it. `rest` must not be empty."""
    head = msgspec.json.encode(opening)[:-1]
    return head + (b',"position":' if opening else b'"position":'), b"," + msgspec.json.encode(rest)[1:]


def list_name(question: CalendarQuestion) -> bytes:
    """The name of the list of blocks in an answer as JSON."""
    return b"sizes" if question.view == "sizes" else b"blocks"


def labels(question: CalendarQuestion) -> list[str]:
    """The names of the values in an answer. The granted amount of a cluster is its `size`."""
    return ["size"] if question.view == "sizes" else list(question.values)


def block_rows(rollup: Rollup) -> Iterator[tuple[Any, ...]]:
    """For each block: start, end, hours; for each value the minima and then the maxima by dimension; then `fits`."""
    edges, hours = edges_of(rollup)
    return zip(edges[:-1], edges[1:], hours, *figures_of(rollup).tolist(), strict=True)


def edges_of(rollup: Rollup) -> tuple[list[str], list[int]]:
    """The texts of the start of every block and of the end of the last one, and the hours of every block."""
    return instants(np.append(rollup.starts, rollup.ends[-1:])), (rollup.ends - rollup.starts).tolist()


def figures_of(rollup: Rollup) -> Cells:
    """All figures, shape (figures, blocks): for each value the minima and then the maxima by dimension; then `fits`."""
    both = np.stack([rollup.minimum, rollup.maximum], axis=1).reshape(-1, len(rollup.starts))
    return both if rollup.fits is None else np.concatenate([both, rollup.fits])


def item_names(question: CalendarQuestion) -> list[str]:
    """The columns of a grant or booking, with the dimensions of the question only."""
    own = OF_A_GRANT if question.view == "resources" else OF_A_BOOKING
    return ["id", "pool", "start", "end", *question.dimensions, *own]


def render_openstack(question: CalendarQuestion, rollup: Rollup) -> tuple[bytes, bytes]:
    """`{pool, range, grain, timezone, position, rows: [{date, servers, memory, cores}]}` of the minimum in each block:
    the text before the position, and the text after."""
    return render_object(_opening(question), {"rows": openstack_rows(question, rollup)})


def openstack_rows(question: CalendarQuestion, rollup: Rollup) -> list[dict[str, Any]]:
    """`date` is a date in the zone for blocks of a day, week or month, and an instant for blocks of hours."""
    if question.grain in ("day", "week", "month"):
        zone = parse_zone(question.zone)
        dates = [instant_of(hour).astimezone(zone).date().isoformat() for hour in rollup.starts.tolist()]
    else:
        dates = instants(rollup.starts)
    places = [question.dimensions.index(dimension) for dimension in OPENSTACK_COLUMNS]
    counts = rollup.minimum[0][places].T.tolist()
    return [
        dict(zip(("date", *OPENSTACK_COLUMNS), (date, *row), strict=True))
        for date, row in zip(dates, counts, strict=True)
    ]
