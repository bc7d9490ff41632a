"""The matrix as text: JSON with two arrays for each pool, or a table with a line for each pool and block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec
import numpy as np

from services.query.answers.long import PIECE_BYTES, Window, window
from services.query.questions.matrix import MatrixQuestion
from services.query.render.blocks import opening
from services.query.render.tables import table_lines
from services.query.rollup import Cells, Rollup, instants

ROW_BYTES = 12  # of text for the two figures of a pool and a block, about
LINE_BYTES = 80
PIECES_AT_ONCE = 4  # the text of a longer answer is made while it is sent
CSV_NAMES = ("pool", "name", "kind", "start", "end", "hours", "min", "max")

PoolNames = tuple[str, str, str]  # the id of a pool, its name, its kind


class Part(NamedTuple):
    """A piece of the text: `before`, then `render` of the figures."""

    before: bytes
    cells: Cells
    render: Callable[[Cells], bytes]


def render_matrix(
    question: MatrixQuestion, template: Mapping[str, Any] | None, pools: Sequence[PoolNames], rollup: Rollup
) -> tuple[bytes, bytes | None, tuple[Window, ...]]:
    """The text before the position, the text after all windows, and the windows. `rollup` has one value, and the pools
    as its dimensions. A table shows no position: None."""
    if question.csv:
        parts = list(_table(pools, rollup))
        head, tail = table_lines([CSV_NAMES]), None
    else:
        what = {"dimension": question.dimension} if template is None else {"template": template}
        opens = b"," + msgspec.json.encode(what | {"columns": _columns(rollup)})[1:-1] + b',"rows":['
        parts = list(_rows(opens, pools, rollup))
        head, tail = opening(question), b"]}"
    if len(parts) > PIECES_AT_ONCE:
        return head, tail, tuple(window(part.cells, part.render, part.before) for part in parts)
    text = b"".join(part.before + part.render(part.cells) for part in parts)
    return (head + text, None, ()) if tail is None else (head, text + tail, ())


def _columns(rollup: Rollup) -> dict[str, Any]:
    hours = (rollup.ends - rollup.starts).tolist()
    return {"start": instants(rollup.starts), "end": instants(rollup.ends), "hours": hours}


def _rows(opens: bytes, pools: Sequence[PoolNames], rollup: Rollup) -> Iterator[Part]:
    """The rows, many in each part. The first part begins with `opens`."""
    many, lows, highs = max(1, PIECE_BYTES // (len(rollup.starts) * ROW_BYTES)), rollup.minimum[0], rollup.maximum[0]
    for begin in range(0, max(1, len(pools)), many):
        some = slice(begin, begin + many)
        cells = np.concatenate([lows[some], highs[some]])
        yield Part(b"," if begin else opens, cells, partial(_row_texts, pools[some]))


def _row_texts(pools: Sequence[PoolNames], cells: Cells) -> bytes:
    """The rows of these pools. `cells` has their minima and then their maxima, shape (2 * pools, blocks)."""
    figures = cells.tolist()
    rows = zip(pools, figures[: len(pools)], figures[len(pools) :], strict=True)
    return msgspec.json.encode(
        [{"pool": pool, "name": name, "kind": kind, "min": low, "max": high} for (pool, name, kind), low, high in rows]
    )[1:-1]


def _table(pools: Sequence[PoolNames], rollup: Rollup) -> Iterator[Part]:
    """The lines, one or more parts for each pool."""
    many = max(1, PIECE_BYTES // LINE_BYTES)
    for pool, low, high in zip(pools, rollup.minimum[0], rollup.maximum[0], strict=True):
        cells = np.stack([rollup.starts, rollup.ends, low, high])
        for begin in range(0, cells.shape[1], many):
            yield Part(b"", np.ascontiguousarray(cells[:, begin : begin + many]), partial(_lines, pool))


def _lines(pool: PoolNames, cells: Cells) -> bytes:
    starts, ends, lows, highs = cells
    blocks = zip(instants(starts), instants(ends), (ends - starts).tolist(), lows.tolist(), highs.tolist(), strict=True)
    return table_lines([*pool, *block] for block in blocks)
