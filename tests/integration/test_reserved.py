"""Shares reserve the same amount of a size as a Python integer, as an array and in PostgreSQL."""

import math
import random
from fractions import Fraction

import asyncpg
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.projector.generation import prepare
from services.projector.rows.hours import ADD_FIRST_SHORT
from services.query.views.hours import columns_of, hours_statement
from shared.capacity import COUNT_MAX, DIMENSIONS, WHOLE, reserved
from shared.hours import instant_of
from tests.support.project import T0

LARGEST = 2**63 // WHOLE - 1  # a larger size times 100% does not fit in 64 bits


@given(st.integers(-LARGEST, LARGEST), st.integers(-WHOLE, WHOLE))
def test_what_is_reserved_is_rounded_up(size: int, shares: int) -> None:
    exact = math.ceil(Fraction(size * shares, WHOLE))
    assert reserved(size, shares) == exact
    assert reserved(np.array([[size]]), np.array([[shares]])).tolist() == [[exact]]


def test_sizes_and_shares_of_an_hour_each_broadcast() -> None:
    sizes, shares = np.array([[10, 0, 1, 7, 3, 1], [20, 1, 1, 1, 1, 1]]), np.array([[1250], [0]])
    assert reserved(sizes, shares).tolist() == [[2, 0, 1, 1, 1, 1], [0] * 6]
    assert reserved(10, np.array([1, 1000, 1001])).tolist() == [1, 1, 2]
    assert sizes.tolist()[0] == [10, 0, 1, 7, 3, 1]  # what is given is not written to


async def test_postgresql_reserves_what_python_does(database_url: str) -> None:
    """For the numbers that availability_hour can have: neither the size nor the shares are negative."""
    draw = random.Random(1)
    sizes = [
        0,
        1,
        9_999,
        10_000,
        COUNT_MAX,
        LARGEST,
        *(draw.randint(0, 10 ** draw.randint(1, 14)) for _ in range(5000)),
    ]
    pairs = [(size, share) for size in sizes for share in (0, 1, draw.randint(0, WHOLE), 9_999, WHOLE)]
    connection = await asyncpg.connect(database_url)
    answered = await connection.fetch(
        "SELECT reserved(size, share) FROM unnest($1::bigint[], $2::bigint[]) AS t (size, share)",
        *map(list, zip(*pairs, strict=True)),
    )
    await connection.close()
    assert [value for (value,) in answered] == [reserved(size, share) for size, share in pairs]


async def test_postgresql_calls_no_function_for_an_hour(database_url: str) -> None:
    """PostgreSQL inlines the function's expression, so its plans are as good as without a function."""
    connection = await asyncpg.connect(database_url)
    await prepare(connection)
    available = hours_statement(columns_of(("available",), DIMENSIONS))
    for statement, arguments in (
        (available, ("gaia", instant_of(T0), instant_of(T0 + 24))),
        (ADD_FIRST_SHORT, (1, [1])),
    ):
        plan = "\n".join(line for (line,) in await connection.fetch(f"EXPLAIN VERBOSE {statement}", *arguments))
        assert "granted_cores * a.shares) + 9999) / 10000" in plan
        assert "reserved(" not in plan
    await connection.close()
