"""`hourbook free`: where it is free, a row a pool and a column a block; for one pool a line a block, with bars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from rich.table import Table
from rich.text import Text
from whenever import ZonedDateTime

from services.cli.failure import Failure, WrongUse
from services.cli.people.ledger import Answer, Ledger, pool_query, with_ledger
from services.cli.people.options import Ask
from services.cli.people.screen import Cell, Column, Screen
from services.cli.people.times import Clock, clock_time, day_name, iso, local, parse_when, shown
from services.cli.terminal import printable

DAYS, HOURS = 14, 24
BAR_MAX, BAR_MIN = 40, 10
LEVELS = "▁▂▃▄▅▆▇█"
GIB = 1024  # MiB
NAMES = {"memory": "GiB of memory"} | {f"{kind}disc": f"GiB of {kind}disc" for kind in ("temp", "user", "data")}
FEW = 1 / 3  # of the row's most: less than this is yellow


class Asked(NamedTuple):
    """What to show: of one pool and those inside it, or of all projects."""

    pool: str | None
    grain: str
    dimension: str
    template: str | None
    range: str | None


class Row(NamedTuple):
    """A pool, and the least and the most of each block."""

    pool: str
    least: list[int]
    most: list[int]


class Matrix(NamedTuple):
    """Rows over the same blocks. `starts` and `ends` are in the zone of the person."""

    starts: list[ZonedDateTime]
    ends: list[ZonedDateTime]
    rows: list[Row]


def show_free(asked: Asked, ask: Ask) -> None:
    screen = Screen(ask.output)
    clock, answers, without = with_ledger(ask, lambda ledger: read(ledger, asked))
    if asked.template and not answers:
        raise Failure(f"--for: no project that you see has a template {asked.template!r}")
    if ask.output == "json":
        screen.json(*(answer.body for answer in answers))
        return
    matrix = matrix_of([answer.document for answer in answers], clock.zone)
    if ask.output == "csv":
        screen.rows(*table_of(matrix, asked))
        return
    if asked.dimension == "memory" and not asked.template:
        matrix = in_gib(matrix)
    if not matrix.rows:
        screen.say("There is no project that you see. An admin gives a role with `hourbook roles grant`.")
        return
    draw(screen, matrix, asked, clock)
    if without:
        screen.say(f"Without a template {asked.template}: {', '.join(without)}", "dim")


async def read(ledger: Ledger, asked: Asked) -> tuple[Clock, list[Answer], list[str]]:
    """The matrix of each project, and the projects that have no such template."""
    query: dict[str, str | None] = {
        "range": range_of(asked.range, asked.grain, ledger.clock),
        "grain": asked.grain,
        "tz": ledger.zone,
        "template": asked.template,
        "dimension": None if asked.template else asked.dimension,
    }
    answers, without = [], []
    for pool in [asked.pool] if asked.pool else await ledger.projects():
        try:
            answers.append(await ledger.read("/available/matrix", **pool_query(pool), **query))
        except WrongUse as wrong:
            template, _, wrong_with_it = str(wrong).partition("--template: ")
            if template or not wrong_with_it:
                raise
            if asked.pool:
                raise WrongUse(f"--for: {wrong_with_it}") from None
            without.append(pool)
    return ledger.clock, answers, without


def range_of(text: str | None, grain: str, clock: Clock) -> str:
    """The range of a request, for `--range`. Raises WrongUse."""
    if text is None:
        if grain == "hour":
            start = clock.now.round("hour", mode="floor")
            return f"{iso(start)},{iso(start.add(hours=HOURS))}"
        return f"{clock.today},{clock.today.add(days=DAYS - 1)}"
    return ",".join(map(iso, period_of(text, clock)))


def period_of(text: str, clock: Clock) -> tuple[ZonedDateTime, ZonedDateTime]:
    """The start and the end of a `--range`. Raises WrongUse."""
    parts = text.split(",")
    if len(parts) != 2:
        raise WrongUse(f'--range: {text!r} is not two times with a comma: write "2030-06-03,2030-06-16"')
    start = parse_when(parts[0], "--range", clock)
    end = parse_when(parts[1], "--range", clock, is_end=True)
    if end <= start:
        raise WrongUse(f"--range: {shown(end)} is not after {shown(start)}")
    return start, end


def range_ahead(text: str | None, clock: Clock, days: int) -> str:
    """The range of a request: that of `--range`, or so many days from the running hour on. Raises WrongUse."""
    if text:
        return ",".join(map(iso, period_of(text, clock)))
    start = clock.now.round("hour", mode="floor")
    return f"{iso(start)},{iso(start.add(days=days))}"


def matrix_of(documents: Sequence[dict[str, Any]], zone: str) -> Matrix:
    """The rows of all documents. They have the same blocks."""
    if not documents:
        return Matrix([], [], [])
    columns = documents[0]["columns"]
    rows = [Row(row["pool"], row["min"], row["max"]) for document in documents for row in document["rows"]]
    starts, ends = ([local(text, zone) for text in columns[name]] for name in ("start", "end"))
    return Matrix(starts, ends, rows)


def in_gib(matrix: Matrix) -> Matrix:
    """The figures in GiB, rounded down: so much is there."""
    rows = [Row(row.pool, [n // GIB for n in row.least], [n // GIB for n in row.most]) for row in matrix.rows]
    return matrix._replace(rows=rows)


def table_of(matrix: Matrix, asked: Asked) -> tuple[list[Column], Iterator[Sequence[Cell]]]:
    """A line a pool and block, for CSV."""
    what = "fits" if asked.template else asked.dimension
    columns = [Column(title) for title in ("pool", "start", "end", f"{what}_min", f"{what}_max")]
    lines = (
        (row.pool, *line)
        for row in matrix.rows
        for line in zip(matrix.starts, matrix.ends, row.least, row.most, strict=True)
    )
    return columns, lines


def draw(screen: Screen, matrix: Matrix, asked: Asked, clock: Clock) -> None:
    what = f"how many {asked.template} fit" if asked.template else f"{NAMES.get(asked.dimension, asked.dimension)} free"
    pool = f"{asked.pool}: " if asked.pool else ""
    screen.say(
        f"{pool}{what}, by {asked.grain}, {shown(matrix.starts[0])} to {shown(matrix.ends[-1])}, {clock.zone}", "bold"
    )
    screen.say()
    if len(matrix.rows) == 1:
        draw_blocks(screen, matrix, asked)
    else:
        draw_matrix(screen, matrix, asked)
    screen.say()
    if asked.grain != "hour":
        screen.say(f"The figure is the least of the {asked.grain}: what can be held throughout.", "dim")


def draw_blocks(screen: Screen, matrix: Matrix, asked: Asked) -> None:
    """A line a block: the least with a bar, and the most if it is more."""
    [row] = matrix.rows
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(asked.grain)
    table.add_column("least" if asked.grain != "hour" else "free", justify="right")
    if asked.grain != "hour":
        table.add_column("most", justify="right")
    if screen.has_bars:
        table.add_column("")
    whole = max(1, *row.most)
    width = max(BAR_MIN, min(BAR_MAX, screen.console.width - 40))
    for start, least, most in zip(matrix.starts, row.least, row.most, strict=True):
        cells = [block_name(start, asked.grain), figure(least, whole)]
        cells += [Text(str(most), style="dim")] if asked.grain != "hour" else []
        table.add_row(*cells, *([bar(least, most, whole, width)] if screen.has_bars else []))
    screen.draw(table)


def block_name(start: ZonedDateTime, grain: str) -> Text:
    if grain == "hour":
        return Text(shown(start))
    return Text(f"{start.date()}"[:7] if grain == "month" else f"{day_name(start)} {start.date()}")


def bar(least: int, most: int, whole: int, width: int) -> Text:
    """What can be held throughout, then what the best hour has more."""
    full, best = (max(0, number) * width // whole for number in (least, most))
    return Text.assemble(
        ("█" * full, colour(least, whole)), ("▒" * (best - full), "dim"), ("·" * (width - best), "dim")
    )


def draw_matrix(screen: Screen, matrix: Matrix, asked: Asked) -> None:
    """A row a pool, a column a block; under each other where the screen is too narrow."""
    names = [printable(row.pool) for row in matrix.rows]
    heads = [head(start, asked.grain, is_first=not number) for number, start in enumerate(matrix.starts)]
    figures = max(len(str(number)) for row in matrix.rows for number in row.least)
    column = max(figures + screen.has_bars, *(len(line) for text in heads for line in text.split("\n"))) + 1
    per_line = max(1, (screen.console.width - max(map(len, names)) - 2) // column)
    count = len(heads)
    lines = -(-count // per_line)
    per_line = -(-count // lines)  # lines of the same length
    for first in range(0, count, per_line):
        if first:
            screen.say()
        part = slice(first, first + per_line)
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("pool", no_wrap=True)
        for text in heads[part]:
            table.add_column(text, justify="right", no_wrap=True)
        for name, row in zip(names, matrix.rows, strict=True):
            whole = max(1, *row.least)
            cells = (heat(number, whole, with_level=screen.has_bars) for number in row.least[part])
            table.add_row(Text(name), *cells)
        screen.draw(table)


def head(start: ZonedDateTime, grain: str, *, is_first: bool) -> str:
    """The two lines over a column. An hour has the day's name where a day begins."""
    month_day = f"{start.month:02}-{start.day:02}"
    match grain:
        case "hour":
            return f"{day_name(start) if is_first or start.hour == 0 else ''}\n{clock_time(start)[:2]}h"
        case "day":
            return f"{day_name(start)[:2]}\n{month_day if is_first or start.day == 1 else start.day}"
        case "week":
            return f"week\n{month_day}"
        case _:
            return f"{start.year}\n{start.month:02}"


def heat(number: int, whole: int, *, with_level: bool) -> Text:
    """A figure, and on a terminal a block as high as its part of the row's most."""
    text = figure(number, whole)
    if with_level:
        level = LEVELS[-(-number * len(LEVELS) // whole) - 1] if number > 0 else " "
        text.append(level, colour(number, whole))
    return text


def figure(number: int, whole: int) -> Text:
    return Text(str(number), style=colour(number, whole))


def colour(number: int, whole: int) -> str:
    if number < 0:
        return "bold red"
    if number == 0:
        return "red"
    return "yellow" if number < whole * FEW else "green"
