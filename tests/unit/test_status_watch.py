"""`hourbook status --watch`: what it shows of two looks, in a terminal and in a pipe."""

import asyncio
import io
import re

import pytest
from rich.console import Console

from services.cli.status import Row
from services.cli.status_watch import Look, in_words, lines, table, watch

FIRST = [
    Row("event store", 1000, None, "postgresql://db"),
    Row("read models", 900, 100, "generation 1"),
    Row("stream", 1000, 0, "nats://n"),
    Row("query service", 900, None, "answers at http://q"),
]
SECOND = [
    Row("event store", 1300, None, "postgresql://db"),
    Row("read models", 1250, 50, "generation 1"),
    Row("stream", 1000, 300, "nats://n", "NATS is away"),
    Row("query service", None, None, "http://q", "cannot reach http://q"),
]


def look(at_s: float, rows: list[Row]) -> Look:
    return Look(at_s, {row.part: row for row in rows})


def test_a_look_says_how_many_events_a_second_each_part_made_and_whether_it_comes_closer() -> None:
    seen = lines(look(12.0, SECOND), look(10.0, FIRST))
    assert [(line.rate, line.closer) for line in seen] == [(150, None), (175, 50), (0, -300), (None, None)]
    assert [in_words(line) for line in seen] == [
        "event store: position 1,300 (+150 a second); postgresql://db",
        "read models: position 1,250 (+175 a second), 50 behind; generation 1",
        "stream: position 1,000, 300 behind; NATS is away",
        "query service: cannot reach http://q",
    ]


def test_the_first_look_has_no_rates() -> None:
    assert [(line.rate, line.closer, line.changed) for line in lines(look(1.0, FIRST), None)] == [
        (None, None, True)
    ] * 4


def test_the_table_marks_what_comes_closer_and_what_falls_back() -> None:
    console = Console(file=io.StringIO(), width=120)
    console.print(table(lines(look(12.0, SECOND), look(10.0, FIRST))))
    assert isinstance(console.file, io.StringIO)
    shown = [re.split(r"\s{2,}", line.strip()) for line in console.file.getvalue().splitlines()]
    assert shown == [
        ["part", "position", "a second", "behind"],
        ["event store", "1,300", "+150", "-", "postgresql://db"],
        ["read models", "1,250", "+175", "50", "↓50", "generation 1"],
        ["stream", "1,000", "300", "↑300", "NATS is away"],
        ["query service", "-", "-", "cannot reach http://q"],
    ]


@pytest.mark.parametrize("terminal", [True, False])
async def test_a_terminal_gets_the_table_in_its_place_and_a_pipe_the_lines_that_have_changed(terminal: bool) -> None:
    looks = iter([FIRST, FIRST, SECOND])

    async def next_look() -> list[Row]:
        if (rows := next(looks, None)) is None:
            await asyncio.Event().wait()
        assert rows is not None
        return rows

    console = Console(file=io.StringIO(), width=120, force_terminal=terminal, color_system=None)
    task = asyncio.create_task(watch(next_look, console, every_s=0.01))
    assert isinstance(console.file, io.StringIO)
    async with asyncio.timeout(20):
        while "cannot reach http://q" not in console.file.getvalue():
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    shown = console.file.getvalue()
    if terminal:
        assert shown.count("generation 1") >= 3
        assert "\x1b[1A" in shown  # the cursor goes up: the table is drawn in its place
        assert "Ctrl-C ends it." in shown
    else:
        assert [re.sub(r"^\d\d:\d\d:\d\d ", "", line).partition(":")[0] for line in shown.splitlines()] == [
            row.part for row in FIRST + SECOND
        ]
        assert "\x1b" not in shown
