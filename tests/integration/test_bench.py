"""The bench itself: its measures work, and it compares with the right thing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import asyncpg

from tests.bench.month import DIFFERENCES_QUERY, FILL_TIMELINE, MAKE_TIMELINE, NOTES_QUERY, PERIODS_QUERY
from tests.support.backends import connected

ROOT = Path(__file__).parents[2]


OTHERS = (  # begun before the month, ending after it, and after the month
    "INSERT INTO timeline VALUES ('2029-12-30', '2030-01-02', 5, 7)",
    "INSERT INTO timeline VALUES ('2030-01-20', '2030-03-02', 5, 7)",
    "INSERT INTO timeline VALUES ('2030-02-01', '2030-03-02', 5, 7)",
)


async def test_the_plain_sql_that_reads_are_compared_with_answers_the_same_as_the_notes_query(
    database_url: str,
) -> None:
    async with connected(database_url) as connection:
        await connection.execute(MAKE_TIMELINE)
        await connection.execute(FILL_TIMELINE, 500)
        for more in ("ANALYZE timeline", *OTHERS):
            await connection.execute(more)
            notes = await _notes(connection)
            assert len(notes) > 600
            assert await connection.fetch(DIFFERENCES_QUERY) == notes
            assert await connection.fetch(PERIODS_QUERY) == notes


async def _notes(connection: asyncpg.Connection[asyncpg.Record]) -> list[asyncpg.Record]:
    """Its rows but those of hours that add up to nothing."""
    return [row for row in await connection.fetch(NOTES_QUERY) if row[1] or row[2]]


def test_a_quick_bench_measures_and_prints_its_rows() -> None:
    run = [sys.executable, "-m", "tests.bench", "--quick", "ceiling"]
    answer = subprocess.run(run, capture_output=True, text=True, check=False, timeout=300, cwd=ROOT)
    assert answer.returncode == 0, answer.stderr
    rows = [line.split(" | ") for line in answer.stdout.splitlines() if line.startswith("| ")][1:]
    assert [row[0][2:28] for row in rows] == [
        "bookings accepted, 64 conn",
        "processor time of the driv",
        "p99 of these bookings",
        "bookings accepted with a n",
    ]
    assert all(row[2][0].isdigit() for row in rows), rows
