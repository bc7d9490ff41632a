"""Blocks of hours: minimum and maximum by dimension, computed for each hour first."""

import math
import struct
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.query.questions.calendar import BLOCKS_MAX, CalendarQuestion, Cursor, parse_cursor
from services.query.questions.parameters import parse_grain_or_day
from services.query.render.blocks import render_csv, render_json
from services.query.rollup import VALUES, hourly_values, instants, roll_up, scatter, times_it_fits, values_to_read
from shared.capacity import COUNT_MAX
from shared.errors import InvalidField
from shared.hours import EARLIEST, LATEST, Period, block_starts, iso, parse_zone
from shared.postgres import EPOCH_HOUR, HOUR_US

START = 525_960  # 2030-01-01T00:00Z
COUNTS = st.integers(0, 10**15)


def packed(numbers: Sequence[int]) -> bytes:
    return struct.pack(f">{len(numbers)}q", *numbers)


def sent(hours: Sequence[int]) -> bytes:
    return packed([(hour - EPOCH_HOUR) * HOUR_US for hour in hours])


def test_the_example_of_the_notes() -> None:
    period = Period(START, START + 8)
    cells = scatter(period, sent(range(*period)), [packed([4] * 8), packed([0, 1, 2, 1, 0, 2, 0, 0])])
    read = {"granted": cells[:1], "booked": cells[1:], "shares": np.zeros((1, 8), dtype=np.int64)}
    available = hourly_values(("available",), read, (1, 8))
    assert available.tolist() == [[[4, 3, 2, 3, 4, 2, 4, 4]]]
    rollup = roll_up(available, period, [START])
    assert (rollup.minimum.tolist(), rollup.maximum.tolist()) == ([[[2]]], [[[4]]])


def test_hours_without_a_row_are_zero_wherever_they_lie() -> None:
    period = Period(START, START + 5)
    assert scatter(period, sent([START + 3, START + 1]), [packed([7, 5])]).tolist() == [[0, 5, 0, 7, 0]]
    assert scatter(period, b"", [b"", b""]).tolist() == [[0] * 5] * 2


@pytest.mark.parametrize(
    ("values", "read"),
    [
        (VALUES, ("granted", "booked", "shares")),
        (("available",), ("available",)),
        (("shared", "available"), ("granted", "booked", "shares")),
        (("booked", "available"), ("granted", "booked", "shares")),
        (("booked",), ("booked",)),
        (("granted", "booked"), ("granted", "booked")),
        (("shared",), ("granted", "shares")),
    ],
)
def test_no_more_is_read_than_the_values_need(values: tuple[str, ...], read: tuple[str, ...]) -> None:
    assert values_to_read(values) == read


SIZES = st.integers(0, COUNT_MAX)  # only a cluster has shares, and an event sets its size
ROWS = st.dictionaries(
    st.integers(0, 99),
    st.one_of(
        st.tuples(COUNTS, COUNTS, COUNTS, COUNTS, st.just(0)),
        st.tuples(SIZES, SIZES, COUNTS, COUNTS, st.integers(0, 10_000)),
    ),
)


@given(
    rows=ROWS,
    grain=st.one_of(st.sampled_from(["hour", "day", "week", "month"]), st.integers(1, 200)),
    offset=st.integers(0, 24 * 400),
    values=st.sets(st.sampled_from(VALUES), min_size=1),
)
def test_a_rollup_is_what_a_loop_over_the_hours_finds(
    rows: dict[int, tuple[int, int, int, int, int]], grain: str | int, offset: int, values: set[str]
) -> None:
    period = Period(START + offset, START + offset + 100)
    wanted = tuple(value for value in VALUES if value in values)
    starts = block_starts(period, grain, parse_zone("Europe/London"))
    hours, read = sent([period.start + hour for hour in rows]), {}
    for value in values_to_read(wanted):
        columns = (
            [[row[4] for row in rows.values()]]
            if value == "shares"
            else [[each_of(row, d)[value] for row in rows.values()] for d in range(2)]
        )
        read[value] = scatter(period, hours, [packed(column) for column in columns])
    rollup = roll_up(hourly_values(wanted, read, (2, 100)), period, starts)

    assert rollup.starts.tolist() == starts
    assert rollup.ends.tolist() == [*starts[1:], period.end]
    for b, (start, end) in enumerate(zip(rollup.starts.tolist(), rollup.ends.tolist(), strict=True)):
        for v, value in enumerate(wanted):
            for d in range(2):
                nothing = (0, 0, 0, 0, 0)
                found = [each_of(rows.get(hour - period.start, nothing), d)[value] for hour in range(start, end)]
                assert rollup.minimum[v, d, b] == min(found)
                assert rollup.maximum[v, d, b] == max(found)


def each_of(row: tuple[int, int, int, int, int], dimension: int) -> dict[str, int]:
    """The values of an hour, in exact arithmetic."""
    granted, booked = row[dimension], row[2 + dimension]
    shared = math.ceil(Fraction(granted * row[4], 10_000))
    return {"granted": granted, "booked": booked, "shared": shared, "available": granted - booked - shared}


@given(
    hours=st.lists(st.tuples(st.integers(-9, 99), st.integers(-9, 99)), min_size=1),
    required=st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_as_many_fit_as_the_scarcest_dimension_has(hours: list[tuple[int, int]], required: tuple[int, int]) -> None:
    found = times_it_fits(np.array(hours, dtype=np.int64).T, required).tolist()
    assert found == [
        max(n for n in range(100) if n == 0 or all(n * need <= has for need, has in zip(required, hour, strict=True)))
        for hour in hours
    ]


def test_the_templates_of_the_notes() -> None:
    five_and_six = np.array([[5], [6]])
    assert [times_it_fits(five_and_six, size).tolist() for size in ((1, 1), (2, 2))] == [[5], [2]]


@given(st.lists(st.integers(EARLIEST, LATEST), min_size=1))
def test_instants_are_written_as_everywhere_else(hours: list[int]) -> None:
    assert instants(np.array(hours, dtype=np.int64)) == [iso(hour) for hour in hours]


def question(**changes: object) -> CalendarQuestion:
    fields = {
        "view": "available",
        "field": "project",
        "pool": "gaia",
        "period": Period(START, START + 2),
        "grain": "hour",
        "zone": "UTC",
        "dimensions": ("cores",),
        "values": ("available",),
    }
    return CalendarQuestion(**(fields | changes))  # type: ignore[arg-type]


def test_an_answer_leaves_room_for_the_position() -> None:
    asked = question()
    cells = np.array([[[3, 4]]])
    head, tail = render_json(asked, roll_up(cells, asked.period, [START, START + 1]), None, None)
    assert head.endswith(b',"timezone":"UTC","position":')
    assert tail.startswith(b',"blocks":[{"start":"2030-01-01T00:00:00Z","end":"2030-01-01T01:00:00Z","hours":1,')
    csv = render_csv(asked, roll_up(cells, asked.period, [START, START + 1]))
    assert csv.startswith(b"start,end,hours,available_cores_min,available_cores_max\r\n2030-01-01T00:00:00Z,")


def test_more_blocks_than_an_answer_holds_are_refused() -> None:
    long = Period(START, START + BLOCKS_MAX + 1)
    for grain in ("hour", 1):
        with pytest.raises(InvalidField, match="grain: the range has more than 100000 blocks"):
            question(period=long, grain=grain).block_starts()
    assert len(question(period=long, grain=2).block_starts()) == BLOCKS_MAX // 2 + 1


def test_a_grain_of_one_hour_is_hour() -> None:
    assert [parse_grain_or_day(text) for text in ("1h", "hourly", None, "2h")] == ["hour", "hour", "day", 2]


@given(st.integers(EARLIEST, LATEST), st.uuids())
def test_a_cursor_is_read_back(start: int, entity: object) -> None:
    cursor = Cursor(start, entity)  # type: ignore[arg-type]
    assert parse_cursor(cursor.text()) == cursor


@given(st.text())
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidField, match="after"):
        parse_cursor(text)
