"""A long answer is the same text as a short one, made of pieces."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from services.query.answers.long import PIECE_BYTES
from services.query.questions.calendar import OPENSTACK_COLUMNS, CalendarQuestion
from services.query.render.blocks import openstack_rows, render_csv, render_json, render_openstack
from services.query.render.tables import table
from services.query.render.windows import render_long
from services.query.rollup import Rollup
from shared.capacity import DIMENSIONS
from shared.hours import Period, hour_of

START = hour_of(datetime(2030, 1, 1, tzinfo=UTC))


def question(hours: int, grain: Any, view: Any = "available", **more: Any) -> CalendarQuestion:
    values = {"openstack": ("available",), "sizes": ("granted",)}.get(view, ("granted", "available"))
    return CalendarQuestion(
        view=view,
        field="project",
        pool="gaia",
        period=Period(START, START + hours),
        grain=grain,
        zone="UTC",
        dimensions=OPENSTACK_COLUMNS if view == "openstack" else DIMENSIONS[:3],
        values=values,
        **more,
    )


def rollup(asked: CalendarQuestion, *, fits: bool) -> Rollup:
    """Of numbers above and below nothing."""
    length = asked.grain if isinstance(asked.grain, int) else 1
    starts = np.arange(*asked.period, length, dtype=np.int64)
    chance = np.random.default_rng(1)
    low = chance.integers(-3, 10**6, (len(asked.values), len(asked.dimensions), len(starts)))
    high = low if length == 1 else low + 5
    return Rollup(starts, np.append(starts[1:], asked.period.end), low, high, low[0, :2] if fits else None)


def joined(asked: CalendarQuestion, made: Rollup, items: Any = None) -> bytes:
    head, tail, windows = render_long(asked, made, items, None)
    texts = [window.made() for window in windows]
    assert len(texts) > 3
    assert max(len(text) for text in texts) < 2 * PIECE_BYTES
    return b"".join([head, b"7" if tail is not None else b"", *texts, tail or b""])


@pytest.mark.parametrize("fits", [False, True])
@pytest.mark.parametrize("grain", ["hour", 3])
@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("view", ["available", "sizes"])
def test_blocks_and_columns(grain: Any, columns: bool, view: Any, fits: bool) -> None:
    asked = question(30_000, grain, view, columns=columns)
    made, items = rollup(asked, fits=fits), [{"id": "a"}]
    for listed in (None, items):
        head, tail = render_json(asked, made, listed, None)
        assert joined(asked, made, listed) == head + b"7" + tail


@pytest.mark.parametrize("fits", [False, True])
@pytest.mark.parametrize("grain", ["hour", 3])
def test_a_table(grain: Any, fits: bool) -> None:
    asked = question(60_000, grain, csv=True)
    made = rollup(asked, fits=fits)
    assert joined(asked, made) == render_csv(asked, made)


def test_rows_of_openstack() -> None:
    asked, table_of = question(30_000, "hour", "openstack"), question(60_000, "hour", "openstack", csv=True)
    head, tail = render_openstack(asked, rollup(asked, fits=False))
    assert joined(asked, rollup(asked, fits=False)) == head + b"7" + tail
    made = rollup(table_of, fits=False)
    assert joined(table_of, made) == table(openstack_rows(table_of, made), ["date", *OPENSTACK_COLUMNS])
